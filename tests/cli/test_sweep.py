import json

import pytest

from pats import Run, Study
from pats.cli import main, sweep
from pats.study.plan.space import RATES, Range
from support.study_flags import study_flags


@pytest.mark.usefixtures("inline")
def test_sweep_watch_and_export(inputs, tmp_path, capsys):
    pytest.importorskip("optuna")
    out = tmp_path / "out"
    argv = [
        "sweep",
        *study_flags(inputs, out),
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


def test_spaces_by_row():
    study = Study(tasks=("rte",), methods=("vanilla", "pats", "std=pats"), run=Run(), baselines=())
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
