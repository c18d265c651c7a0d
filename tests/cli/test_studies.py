"""The verbs around a study, as a user types them."""

import json
import shlex

import pytest

from pats import InputError, Run, Study
from pats.cli import main, sweep
from pats.study.plan.space import RATES, Range
from support.tiny_bert import make_table, make_tiny_bert


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("studies")
    make_tiny_bert(folder / "bert")
    make_table(folder / "texts.csv", rows=80)
    return folder


def flags(inputs, out):
    base = [
        "--data",
        str(inputs / "texts.csv"),
        "--models",
        str(inputs / "bert"),
        "--out",
        str(out),
        "--quiet",
    ]
    return [*base, "--methods", "pats", "--seeds", "1", "--epochs", "1", "--batch-size", "16"]


def test_sweep_watch_and_export(inputs, tmp_path, capsys):
    pytest.importorskip("optuna")
    out = tmp_path / "out"
    argv = [
        "sweep",
        *flags(inputs, out),
        "--trials",
        "2",
        "--batch",
        "2",
        "--space",
        "budget=0.02,0.04",
        "lr=1e-3",
    ]
    assert main([*argv, "--report-to", "tensorboard", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (search,) = told["searches"]
    assert [trial["params"]["lr"] for trial in search["trials"]] == [1e-3, 1e-3]
    assert set(search["winner"]) == {"lr", "budget", "gamma", "beta"}
    assert list(out.glob("runs/*/attempts/*/tensorboard/*"))
    assert main(argv) == 0  # nothing is left to do
    printed = capsys.readouterr().out
    assert "Search for pats on texts with bert: 2 trials" in printed

    assert main(["watch", str(out), "--json"]) == 0
    assert [state["state"] for state in json.loads(capsys.readouterr().out)] == ["done"]
    assert main(["export", str(out), str(tmp_path / "runs.parquet"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["rows"] == 1
    assert main(["export", str(out), str(tmp_path / "epochs.csv"), "--epochs"]) == 0
    assert "1 rows in" in capsys.readouterr().out


def test_data_size_on_an_engine(inputs, tmp_path, capsys):
    pytest.importorskip("submitit")
    out = tmp_path / "out"
    argv = ["data-size", *flags(inputs, out), "--fractions", "0.5", "--batches", "1", "--json"]
    assert main([*argv, "--engine", "slurm", "--slurm", "cluster=local"]) == 0
    (point,) = json.loads(capsys.readouterr().out)["points"]
    assert point["fraction"] == 0.5
    assert point["std"] > 0
    assert list(out.glob("0.5/runs/*/attempts/*/handle.json"))
    assert list(out.glob("slurm/*"))
    (typed,) = [line for line in (out / "data_size.md").read_text().splitlines() if "pats data-size" in line]
    words = shlex.split(typed[typed.index("pats") :].rstrip(" |"))
    assert main([*words[1:], "--quiet", "--batches", "1"]) == 0  # what the page says makes it again


BAD = [
    ("compare", ["--engine", "slurmy"], "engine is 'slurmy'"),
    ("compare", ["--ray-address", "x:1"], "--ray-address is for --engine ray"),
    ("compare", ["--slurm", "partition=gpu"], "--slurm is for --engine slurm"),
    ("compare", ["--engine", "slurm"], "jobs cannot be submitted"),
    ("compare", ["--engine", "slurm", "--slurm", "cluster=local", "time=long"], "jobs cannot be submitted"),
    ("compare", ["--engine", "slurm", "--gpus", "0.5"], "Slurm gives whole GPUs"),
    ("compare", ["--engine", "ray", "--ray-address", "127.0.0.1:1"], "no Ray cluster at 127.0.0.1:1"),
    ("compare", ["--engine", "ray", "--ray-address", "head"], "no Ray cluster at head"),
    ("compare", ["--gpus", "2"], "a run is to have 2 GPUs, but this machine has none"),
    ("compare", ["--gpus", "1.5"], "gpus is 1.5"),
    ("compare", ["--processes", "3"], "batch_size is 16, but must be a multiple of the 3 processes"),
    ("data-size", ["--engine", "slurmy"], "engine is 'slurmy'"),
    ("data-size", ["--fractions", "1.5"], "above 0 and at most 1"),
    ("compare", ["--cpus", "0"], "cpus is 0"),
    ("compare", ["--report-to", "tensorbord"], "no tracker 'tensorbord'"),
    ("sweep", ["--trials", "0"], "trials is 0"),
    ("sweep", ["--proposer", "best"], "proposer is 'best'"),
    ("sweep", ["--space", "lam"], "must be KEY=VALUES"),
    ("sweep", ["--space", "sage.beta3=1"], "is for no row"),
    ("sweep", ["--space", "beta3=0.5"], "is an option of none of the rows"),
    ("sweep", ["--space", "lam=1e-6..x"], "LOW..HIGH with two numbers"),
    ("sweep", ["--space", "beta=0.5,1.5"], "beta is 1.5"),
    ("sweep", ["--halving", "3"], "leaves less than one of 1 epochs"),
]


@pytest.mark.parametrize(("verb", "extra", "said"), BAD, ids=[" ".join(bad[1]) for bad in BAD])
def test_bad_input_is_one_sentence_and_exit_code_2(verb, extra, said, inputs, tmp_path, capsys):
    pytest.importorskip("optuna")
    pytest.importorskip("submitit")
    assert main([verb, *flags(inputs, tmp_path / "out"), *extra]) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.err.count("\n") == 1
    assert not (tmp_path / "out" / "runs").exists()


def test_spaces_by_row():
    study = Study(tasks=("rte",), methods=("vanilla", "pats", "std=pats"), run=Run())
    found = sweep.spaces(["lr=1e-5..1e-3", "std.lam=1e-7,1e-6", "p=0.1,0.2"], study)
    assert found["vanilla"] == {"lr": Range(1e-5, 1e-3)}
    assert found["pats"] == {"lr": Range(1e-5, 1e-3), "p": (0.1, 0.2)}
    assert found["std"] == {"lr": Range(1e-5, 1e-3), "lam": (1e-7, 1e-6), "p": (0.1, 0.2)}


def test_a_sweep_from_a_file(tmp_path):
    from pats.cli import _parser, _study

    (tmp_path / "sweep.yaml").write_text(
        "tasks: [rte]\nmethods: [pats]\ntrials: 7\nspace: {pats.p: [0.1, 0.2]}\n"
    )
    parser = _parser.Parser("sweep", "", "")
    _study.add_grid(parser, "")
    parser.add_argument("--trials", type=int)
    parser.add_argument("--space", action="extend", nargs="+")
    plan = sweep.build(parser.read(["--config", str(tmp_path / "sweep.yaml")]))
    assert plan.trials == 7
    assert plan.space_of("pats", "pats")["p"] == (0.1, 0.2)
    assert plan.space_of("pats", "pats")["lr"] == RATES


def test_a_full_disk_is_one_sentence(inputs, tmp_path, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pats.cli.export.write_table", full)
    assert main(["export", str(tmp_path), "x.csv"]) == 1
    assert "the disk is full: make room" in capsys.readouterr().err


def test_input_error_of_missing_optuna(monkeypatch):
    import sys

    from pats.study.plan.propose import Proposer

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"pats-finetune\[sweep\]"):
        Proposer({"lr": (1e-4,)})
