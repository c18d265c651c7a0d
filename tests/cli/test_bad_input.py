"""Bad input of every verb is one sentence and exit code 2, before any training."""

import os

import pytest

from pats.cli import main

BAD = [
    ([], ["fly"], "no verb 'fly'"),
    (["run"], ["--lr", "fast"], "'fast' is not a number"),
    (["run"], ["--lr", "nan"], "lr is nan"),
    (["run"], ["--scale", "constant", "--lam", "-1"], "lam is -1.0"),
    (["run"], ["--lam", "1e-6"], "--lam goes with --scale constant only, and the scale of pats is budget"),
    (["run"], ["--temperature", "2"], "add --scale langevin, or set --noise-budget"),
    (["run"], ["--until", "1.5"], "until is 1.5, but must be above 0 and at most 1"),
    (["compare"], ["--ratio-max", "0"], "ratio_max is 0.0, but must be a number above 0"),
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


@pytest.mark.parametrize("verb", ["run", "compare", "sweep", "data-size"])
def test_numbers_that_may_be_both_ask_for_the_kind(verb, inputs, tmp_path, capsys):
    rows = "".join(f"text {i},{18 + i % 60}\n" for i in range(600))
    (tmp_path / "ages.csv").write_text(f"text,label\n{rows}")
    arguments = ["--data", str(tmp_path / "ages.csv"), "--model", str(inputs / "bert")]
    arguments += ["--method", "vanilla"]
    assert main([verb, *arguments, "--out", str(tmp_path / "out")]) == 2
    assert "say --kind classification or --kind regression" in capsys.readouterr().err
    assert not list(tmp_path.glob("out/**/events.jsonl"))
