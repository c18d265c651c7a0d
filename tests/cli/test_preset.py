"""What the flags of a table mean: its preset, and the time limit."""

import argparse
import json

import pytest

from pats import setups
from pats.cli import _flags, _settings, _study, main

TABLE = setups.presets()["table"]
OF_A_TABLE = {"data": "t.csv"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("90", 90),
        ("2.5s", 2.5),
        ("20min", 1200),
        ("20m", 1200),
        ("1h", 3600),
        ("1h30", 5400),
        ("1h30min", 5400),
        ("1h 30min", 5400),
        ("1.5h", 5400),
        ("1h2min3s", 3723),
        ("none", None),
    ],
)
def test_times(text, seconds):
    assert _flags.seconds(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "soon", "20 minutes", "-5", "0", "0min", "1h300", "30h1x", "inf", "nan"]
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match="is no time: write 90s, 20min, 1h30"):
        _flags.seconds(text)


@pytest.mark.parametrize(
    ("given", "preset", "changed"),
    [
        (OF_A_TABLE, "table", {}),
        ({"tasks": ["rte"], "data": "glue/"}, "paper", {}),
        ({"tasks": ["grammar"]}, "paper", {}),
        (OF_A_TABLE | {"preset": "paper"}, "paper", {}),
        ({"tasks": ["rte"], "preset": "table"}, "table", {}),
        (OF_A_TABLE | {"time_limit": None}, "table", {"time_limit": None}),
        (OF_A_TABLE | {"seeds": [8]}, "table", {"all_seeds": True}),
        (OF_A_TABLE | {"all_seeds": True}, "table", {"all_seeds": True}),
        (OF_A_TABLE | {"control": True}, "table", {"control": True}),
        (OF_A_TABLE | {"lr": 1e-3}, "table", {"lr_grid": (), "halving": None, "lr": 1e-3}),
        (OF_A_TABLE | {"lr_grid": [1e-3]}, "table", {"lr_grid": (1e-3,), "halving": None}),
        (OF_A_TABLE | {"epochs": 2.0}, "table", {"epochs": 2.0, "min_steps": None, "max_steps": None}),
        (OF_A_TABLE | {"min_steps": 7}, "table", {"min_steps": 7}),
        (OF_A_TABLE | {"batch_size": 8}, "table", {"batch_size": 8}),
    ],
)
def test_a_table_has_its_preset_and_what_is_given_wins(given, preset, changed):
    values = _settings.with_preset(given)
    how = {name: values.pop(name, usual) for name, usual in (("time_limit", None), ("all_seeds", True))}
    study = _study.build(values)
    one = setups.presets()[preset]
    expected = {"lr_grid": (), "halving": None, "control": True, "lr": None, "time_limit": None}
    expected["all_seeds"] = True
    expected |= dict(one.settings) | dict(one.study) | changed
    assert {name: expected.pop(name) for name in how} == how
    for name, value in expected.items():
        held = study if name in ("lr_grid", "halving", "control", "lr") else study.run
        assert getattr(held, name) == value


def test_every_name_of_a_preset_is_known():
    for preset in setups.presets().values():
        _study.build({"data": "t.csv", **preset.settings})
        assert set(preset.study) <= {"lr_grid", "halving", "control", "time_limit", "all_seeds"}


@pytest.mark.usefixtures("inline")
def test_a_table_is_compared_with_its_preset(inputs, tmp_path, capsys):
    out = str(tmp_path / "out")
    argv = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--methods", "vanilla"]
    argv += ["--seeds", "1", "--min-steps", "6", "--max-steps", "6", "--baselines", "none", "--out", out]
    argv += ["--json"]
    assert main(["compare", *argv]) == 0
    captured = capsys.readouterr()
    assert "1 method × 1 seed on texts, after 3 trials of learning rates: 4 runs" in captured.err
    assert "within the time limit of 20 min" in captured.err or "at most the time limit" in captured.err
    (cell,) = json.loads(captured.out)["cells"]
    assert cell["lr"] in TABLE.study["lr_grid"]
    results = [json.loads(path.read_text()) for path in (tmp_path / "out").glob("runs/*/result.json")]
    assert sorted(result["epochs"][-1]["step"] for result in results) == [2, 2, 2, 6]
    assert main(["report", out]) == 0


def test_the_help_tells_the_defaults_of_a_table(capsys):
    with pytest.raises(SystemExit):
        main(["compare", "--help"])
    told = " ".join(capsys.readouterr().out.split())
    for words in (
        "150 to 1,500 steps",
        "5e-5, 2e-4 and 5e-4",
        "--time-limit 20min",
        "--preset paper",
        "--all-seeds",
    ):
        assert words in told
    assert "has the whole time again, also after a kill" in told
