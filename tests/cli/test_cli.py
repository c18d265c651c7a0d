import io
import json
import os
import subprocess
import sys
import warnings

import pytest
from rich.console import Console

from pats import InputError
from pats.cli import VERBS, _flags, _parser, _study, main, run
from pats.run.spec import Run
from support.killed_studies import mounted_disk
from support.tiny_bert import make_table, make_tiny_bert


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cli")
    make_tiny_bert(folder / "bert")
    make_table(folder / "texts.csv", rows=80)
    return folder


@pytest.fixture(scope="module")
def trained(inputs):
    """The folder of a finished ``pats run``."""
    out = inputs / "out"
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--out", str(out)]
    assert main(["run", *arguments, "--lr", "1e-3", "--epochs", "1", "--quiet"]) == 0
    return out


@pytest.mark.parametrize("argv", [[], ["--help"], ["help"]])
def test_help(argv, capsys):
    assert main(argv) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_help_of_a_verb_has_an_example(verb, capsys):
    with pytest.raises(SystemExit, match="0"):
        main([verb, "--help"])
    assert f"example:\n  pats {verb} " in capsys.readouterr().out


BAD = [
    ([], ["fly"], "no verb 'fly'"),
    (["run"], ["--lr", "fast"], "'fast' is not a number"),
    (["run"], ["--lr", "nan"], "lr is nan"),
    (["run"], ["--scale", "constant", "--lam", "-1"], "lam is -1.0"),
    (["run"], ["--lam", "1e-6"], "--lam goes with --scale constant only, and the scale of pats is budget"),
    (["run"], ["--method", "pats-paper", "--noise-budget", "0.1"], "add --scale budget, or set --lam"),
    (["compare"], ["--scale", "lr", "--noise-budget", "0.1"], "add --scale budget, or set --kappa"),
    (["run"], ["--p", "1.5"], "p is 1.5"),
    (["run"], ["--beta", "1"], "beta is 1.0"),
    (["run"], ["--eps", "-1"], "eps is -1.0"),
    (["run"], ["--signed", "maybe"], "neither true nor false"),
    (["run"], ["--epochs"], "expected one argument"),
    (["run"], ["--epoch", "3"], "unrecognized arguments: --epoch"),
    (["run"], ["--method", "patz"], "no method 'patz'"),
    (["run"], ["--method", "vanilla", "--lam", "1e-6"], "--lam is a setting of the method pats"),
    (["run"], ["--option", "kappa"], "must be key=value"),
    (["run"], ["--option", "sage.beta3=0.5"], "is for no row"),
    (["run"], ["--option", "nothing=1"], "no option 'nothing'"),
    (["run"], ["--text", "body"], "body"),
    (["run"], ["--kind", "ranking"], "kind is 'ranking'"),
    (["run"], ["--kind", "regression"], "has the score"),
    (["compare"], ["--kind", "regression"], "has the score"),
    (["compare"], ["--split-seed", "-1"], "split_seed is -1"),
    (["run"], ["--task", "cola", "--data", "./nowhere"], "nowhere"),
    (["run"], ["--task", "colla"], "no task 'colla'"),
    (["run"], ["--model", "./nowhere"], "nowhere"),
    (["run"], ["--scope", "nothing_is_called_so"], "nothing_is_called_so"),
    (["run"], ["--preset", "fast"], "invalid choice: 'fast'"),
    (["run"], ["--config", "./nowhere.yaml"], "nowhere.yaml"),
    (["compare"], ["--methods", "vanilla", "patz"], "no method 'patz'"),
    (["compare"], ["--seeds", "0"], "seeds is 0"),
    (["compare"], ["--workers", "0"], "workers is 0"),
    (["compare"], ["--lr-grid", "1e-4", "x"], "'x' is not a number"),
    (["compare"], ["--methods", "vanilla", "--lam", "1e-6"], "--lam is a setting of the method pats"),
]


@pytest.mark.parametrize(("verb", "flags", "said"), BAD, ids=[" ".join(bad[1]) for bad in BAD])
def test_bad_input_is_one_sentence_and_exit_code_2(verb, flags, said, inputs, tmp_path, capsys):
    base = ["--data", str(inputs / "texts.csv"), "--out", str(tmp_path / "out")] if verb else []
    base += ["--model", str(inputs / "bert"), "--quiet"] if verb else []
    if "--task" in flags and "--data" not in flags:
        base = base[2:]
    assert main([*verb, *base, *flags]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.startswith("pats: ")
    assert captured.err.count("\n") == 1
    assert captured.out == ""
    assert not (tmp_path / "out" / "runs").exists()


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["run", "--task", "rte"], "--out is missing"),
        (["run", "--out", "x"], "nothing to train on"),
        (["compare"], "nothing to train on"),
        (["predict", "nowhere", "x.csv"], "nowhere"),
        (["watch", "nowhere"], "holds no study"),
        (["check", "--task", "rte", "--method", "sage"], "--method"),
        (["bench", "--rounds", "0"], "rounds is 0"),
        (["bench", "--model", "./nowhere"], "nowhere"),
    ],
)
def test_missing_input(argv, said, capsys):
    assert main(argv) == 2
    assert said in capsys.readouterr().err


def run_of(*argv):
    parser = _parser.Parser("run", "", "")
    parser.add_argument("--method")
    parser.add_argument("--seed", type=_flags.whole)
    parser.add_argument("--option", action="extend", nargs="+")
    parser.add_argument("--config")
    _flags.add_run(parser)
    _flags.add_noise(parser)
    return run.build(parser.read(argv))


@pytest.mark.parametrize(
    ("argv", "run"),
    [
        ([], Run(task="rte")),
        (["--seed", "3"], Run(task="rte").with_seed(3)),
        (["--seed", "3", "--noise-seed", "4"], Run(task="rte", init_seed=3, data_seed=3, noise_seed=4)),
        (["--eps", "1e-3"], Run(task="rte", options={"eps": 1e-3})),
        (["--optimizer-eps", "1e-3"], Run(task="rte", eps=1e-3)),
        (["--signed", "true", "--scope", "all"], Run(task="rte", options={"signed": True, "scope": "all"})),
        (["--betas", "0.8", "0.9"], Run(task="rte", betas=(0.8, 0.9))),
        (["--steps", "5", "--clip", "0"], Run(task="rte", steps=5, clip=0.0)),
        (
            ["--method", "sage", "--option", "beta3=0.5", "sage.eps=1e-7"],
            Run(task="rte", method="sage", options={"beta3": 0.5, "eps": 1e-7}),
        ),
        (["--task-option", "size=1000"], Run(task="rte", task_options={"size": 1000})),
        (["--preset", "paper"], Run(task="rte")),
    ],
)
def test_flags_become_a_run(argv, run):
    assert run_of("--task", "rte", *argv) == run


def test_every_setting_is_a_flag(capsys):
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    told = capsys.readouterr().out
    names = set(Run().to_dict()) - {"options", "task_options", "fingerprint", "weights", "eps", "record"}
    names |= {"lam", "gamma", "beta", "p", "eps", "eps_mode", "intensity", "signed", "scale", "kappa"}
    names.add("noise_budget")
    for name in [*names, "optimizer_eps", "task_option", "option", "seed", "out", "config", "json"]:
        assert f"--{name.replace('_', '-')} " in told, name


def test_config_file_and_flags_that_win(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(
        "task: rte\nlr: 3e-4\nscale: constant\nlam: 1e-6\nbetas: [0.8, 0.9]\noption:\n  pats.kappa: none\n"
    )
    made = run_of("--config", str(path), "--lr", "1e-5")
    assert (made.lr, made.betas) == (1e-5, (0.8, 0.9))
    assert made.options == {"scale": "constant", "lam": 1e-6, "kappa": None}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tusk: rte", "unknown key 'tusk'"),
        ("lr: fast", "'fast' is not a number"),
        ("- rte", "must hold lines such as"),
        ("a: [", "is no YAML"),
    ],
)
def test_bad_config_file(tmp_path, text, said):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=said):
        run_of("--config", str(path))


def test_compare_flags_become_a_study():
    values = {"tasks": ["rte"], "methods": ["vanilla", "pats", "std=pats"], "seeds": [3, 5], "lr": 1e-4}
    values |= {"noise.budget": 0.1, "option": ["std.intensity=std", "std.budget=2"], "no_control": True}
    study = _study.build(values)
    assert study.seeds == (3, 5)
    assert study.control is False
    assert study.options == {"pats": {"budget": 0.1}, "std": {"budget": 2, "intensity": "std"}}
    assert values == {}


def test_run_predict_and_json(trained, inputs, capsys):
    assert (trained / "model" / "config.json").exists()
    # Run again, it returns the result that stands there.
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--out", str(trained)]
    assert main(["run", *arguments, "--lr", "1e-3", "--epochs", "1", "--quiet", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["status"] == "done"
    table, out = str(inputs / "texts.csv"), inputs / "labelled.csv"
    assert main(["predict", str(trained / "model"), table, "--out", str(out)]) == 0
    assert "80 rows in" in capsys.readouterr().out
    assert len(out.read_text().splitlines()) == 81
    assert main(["predict", str(trained / "model"), table, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert {row["label"] for row in rows} <= {"good", "bad"}


def test_what_was_detected_is_said_before_training(inputs, tmp_path, capsys):
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--steps", "1"]
    assert main(["run", *arguments, "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().err.splitlines()
    trained = next(i for i, line in enumerate(said) if line.startswith("epoch"))
    assert "The label is column 'label', by its name." in said[:trained]
    assert any("this is classification" in line for line in said[:trained])


@pytest.mark.parametrize("verb", ["run", "compare", "sweep", "data-size"])
def test_numbers_that_may_be_both_ask_for_the_kind(verb, inputs, tmp_path, capsys):
    rows = "".join(f"text {i},{18 + i % 60}\n" for i in range(600))
    (tmp_path / "ages.csv").write_text(f"text,label\n{rows}")
    arguments = ["--data", str(tmp_path / "ages.csv"), "--model", str(inputs / "bert")]
    arguments += ["--method", "vanilla"]
    assert main([verb, *arguments, "--out", str(tmp_path / "out")]) == 2
    assert "say --kind classification or --kind regression" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/**/events.jsonl"))


def test_check(inputs, capsys):
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--batches", "2"]
    assert main(["check", *arguments]) == 0
    assert "Accumulated noise over the spread of the weights" in capsys.readouterr().out
    assert main(["check", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["batches"] == 2


def test_a_failed_run_is_exit_code_1(inputs, tmp_path, capsys):
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert")]
    arguments += ["--out", str(tmp_path), "--lr", "1e30", "--clip", "0", "--epochs", "1", "--quiet"]
    assert main(["run", *arguments, "--method", "vanilla", "--warmup", "0"]) == 1
    captured = capsys.readouterr()
    assert "the run failed: " in captured.err
    assert "status    failed" in captured.out


def test_compare_and_watch(inputs, tmp_path, capsys):
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--seeds", "1"]
    arguments += ["--method", "vanilla", "--epochs", "1", "--lr", "1e-3", "--out", str(tmp_path), "--json"]
    assert main(["compare", *arguments]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["cells"][0]["method"] == "vanilla"
    said = captured.err.splitlines()
    started = next(i for i, line in enumerate(said) if "[1/1] texts" in line)
    assert [line for line in said[:started] if "this is classification; kind (--kind) overrides it" in line]
    assert [line for line in said[:started] if "The text is column 'text', by its name." in line]
    assert main(["watch", str(tmp_path), "--json"]) == 0
    assert [state["state"] for state in json.loads(capsys.readouterr().out)] == ["done"]
    assert main(["watch", str(tmp_path)]) == 0
    assert "1 of 1 runs done" in capsys.readouterr().out


def test_help_needs_no_transformers():
    code = "import sys; from pats.cli import main; main([]); sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.DEVNULL).returncode == 0


@pytest.mark.parametrize("verb", ["run", "compare"])
def test_out_that_is_a_file_is_one_sentence(verb, inputs, tmp_path, capsys):
    (tmp_path / "taken").write_text("mine", encoding="utf-8")
    shared = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert")]
    assert (
        main([verb, *shared, "--lr", "1e-3", "--epochs", "1", "--quiet", "--out", str(tmp_path / "taken")])
        == 2
    )
    err = capsys.readouterr().err
    assert "taken" in err
    assert err.count("\n") == 1
    assert (tmp_path / "taken").read_text(encoding="utf-8") == "mine"


def test_bench(inputs, capsys):
    arguments = ["bench", "--model", str(inputs / "bert"), "--threads", "1", "--rounds", "1"]
    assert main(arguments) == 0
    told = capsys.readouterr().out
    assert "PATS runs on the path" in told
    assert "PATS Adamax, torch operations" in told
    assert main([*arguments, "--json"]) == 0
    costs = json.loads(capsys.readouterr().out)["costs"]
    assert costs[0]["over_torch_adamax"] == 1.0


OUTS = {
    "a users folder": (lambda tmp: made_by_a_user(tmp / "proj"), "holds what is not of PATS's making"),
    "a link to nowhere": (lambda tmp: linked(tmp / "link", tmp / "gone"), "cannot be written to"),
    "NUL": (lambda tmp: tmp / "a\0b", "NUL"),
    "300 characters": (lambda tmp: tmp / ("x" * 300), "File name too long"),
    "the kernels": (lambda tmp: "/proc/x", "cannot be written to"),
    "below a file": (lambda tmp: made_by_a_user(tmp / "proj") / "model/weights.bin/out", "Not a directory"),
}  # fmt: skip


def made_by_a_user(folder):
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "weights.bin").write_text("mine")
    return folder


def linked(link, target):
    link.symlink_to(target)
    return link


@pytest.mark.parametrize("verb", ["run", "compare", "data-size"])
@pytest.mark.parametrize(("place", "said"), OUTS.values(), ids=OUTS)
def test_an_out_that_cannot_be_used_is_one_sentence_before_training(
    inputs, tmp_path, capsys, monkeypatch, verb, place, said
):
    monkeypatch.setattr("pats.run.model.classifier.load", lambda *_: pytest.fail("it went on"))
    argv = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--quiet", "--seed"]
    argv[-1:] = [] if verb == "run" else ["--seeds", "1"]
    assert main([verb, *argv, "--out", str(place(tmp_path))]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert [path.read_text() for path in tmp_path.rglob("*") if path.is_file()] in ([], ["mine"])


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [
        (28, 1, "the disk is full"),
        (122, 1, "the disk is full"),
        (30, 2, "/x cannot be used"),
        (5, 2, "/x cannot"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "export"])
def test_what_a_file_system_says_is_one_sentence(
    inputs, tmp_path, capsys, monkeypatch, verb, number, code, said
):
    def broken(*_, **__):
        raise OSError(number, "no", "/x")

    monkeypatch.setattr("pats.run.model.classifier.load", broken)
    monkeypatch.setattr("pats.cli.export.write_table", broken)
    argv = {
        "run": [
            "--data",
            str(inputs / "texts.csv"),
            "--model",
            "x",
            "--out",
            str(tmp_path / "out"),
            "--quiet",
        ],
        "export": [str(tmp_path), "x.csv"],
    }
    assert main([verb, *argv[verb]]) == code
    assert said in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(monkeypatch):
    def leave(*_, **__):
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("pats.cli.export.write_table", leave)
    monkeypatch.setattr(sys, "stderr", io.StringIO())  # which it closes
    assert main(["export", "x", "x.csv"]) == 0


@pytest.mark.parametrize("depth", [10, 10_000])
@pytest.mark.parametrize("text", ["option: {open}1{close}", "space: {{a: {open}1{close}}}"])
def test_a_config_that_is_nested_deeply_is_one_sentence(tmp_path, text, depth):
    (tmp_path / "x.yaml").write_text(text.format(open="[" * depth, close="]" * depth))
    with pytest.raises(InputError, match=r"nested too deeply: settings are"):
        _parser._as_flags(str(tmp_path / "x.yaml"))


@pytest.mark.parametrize(
    "text",
    [
        "option: &a [*a]",
        "option: &a {x: *a}",
        "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in ("ab", "bc", "cd", "de", "ef")),
    ],
    ids=["a list in itself", "a mapping in itself", "a list of lists of lists"],
)  # fmt: skip
def test_a_config_that_holds_itself_is_one_sentence(tmp_path, text):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=r"nested too deeply: settings are"):
        _parser._as_flags(str(tmp_path / "x.yaml"))


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--method", "../evil:Cls"], "method '../evil:Cls' cannot be found: write my_module:MyMethod"),
        (["--method", "evil:../Cls"], "write my_module:MyMethod"),
        (["--method", "a b:Cls"], "write my_module:MyMethod"),
        (["--method", ".evil:Cls"], "write my_module:MyMethod"),
        (["--method", "evil:"], "write my_module:MyMethod"),
        (["--model", "a\nb"], "is no folder, and no name that the Hugging Face hub could have"),
        (["--model", "a b"], "is no folder, and no name that the Hugging Face hub could have"),
        (["--data", "no\nwhere.csv"], "no\\nwhere.csv does not exist"),
        (["--data", "\x1b[2Jx.csv"], "\\x1b[2Jx.csv does not exist"),
    ],
    ids=repr,
)
def test_names_that_are_none_are_one_sentence(inputs, tmp_path, capsys, flags, said):
    base = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--quiet"]
    assert main(["run", *base, "--out", str(tmp_path / "out"), *flags]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.count("\n") == 1
    assert "\x1b" not in err


@pytest.mark.parametrize("verb", ["run", "predict"])
def test_a_pipe_as_a_table_is_refused_and_not_waited_for(inputs, trained, tmp_path, capsys, verb):
    os.mkfifo(tmp_path / "pipe.csv")
    argv = {"run": ["--data", "PIPE", "--model", str(inputs / "bert"), "--out", str(tmp_path / "out")],
            "predict": [str(trained / "model"), "PIPE", "--out", str(tmp_path / "out.csv")]}  # fmt: skip
    assert main([verb, *(str(tmp_path / "pipe.csv") if word == "PIPE" else word for word in argv[verb])]) == 2
    assert "is a folder, a pipe or a device" in capsys.readouterr().err


def remount(folder, options):
    subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)


@pytest.mark.parametrize("kilobytes", [50, 150, 300, 500, 700])
def test_a_disk_that_fills_up_is_one_sentence_and_the_run_goes_on(inputs, tmp_path, capsys, kilobytes):
    argv = ["run", "--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--epochs", "3"]
    argv += ["--lr", "1e-3", "--quiet"]
    with mounted_disk(tmp_path / "disk", kilobytes / 1024) as small:
        assert main([*argv, "--out", str(small / "out")]) == 1
        assert capsys.readouterr().err == (
            "pats: the disk is full: make room, and start the same command again; it goes on\n"
        )
        remount(small, "size=50m")
        assert main([*argv, "--out", str(small / "out")]) == 0


@pytest.mark.parametrize("verb", ["run", "compare"])
def test_a_file_system_that_is_read_only_is_told_before_training(inputs, tmp_path, capsys, monkeypatch, verb):
    monkeypatch.setattr("pats.run.model.classifier.load", lambda *_: pytest.fail("it went on"))
    argv = [verb, "--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--quiet"]
    with mounted_disk(tmp_path / "disk", 1) as folder:
        (folder / "empty").mkdir()
        remount(folder, "ro")
        for name in ("empty", "new", "new/deeper"):
            assert main([*argv, "--out", str(folder / name)]) == 2
            err = capsys.readouterr().err
            assert "Read-only file system" in err
            assert err.count("\n") == 1


@pytest.mark.parametrize(("at", "said"), [(0, False), (40, True)])
def test_a_resumed_run_says_where_it_goes_on(at, said):
    console = Console(file=io.StringIO())
    run._Bar(console).tell({"event": "start", "notes": [], "resumed_at": at})
    assert ("The run goes on from step 40." in console.file.getvalue()) is said


def test_a_warning_to_the_user_is_a_line_without_its_place_in_the_code(monkeypatch, capsys):
    def verb(_):
        warnings.warn("the biases get no noise", UserWarning, stacklevel=2)
        return 0

    monkeypatch.setattr("pats.cli.watch.main", verb)
    monkeypatch.setattr(sys, "argv", ["pats", "watch"])
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        assert main() == 0
    assert capsys.readouterr().err == "Warning: the biases get no noise\n"
