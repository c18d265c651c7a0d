import json

import pytest

from pats.cli import main


@pytest.mark.usefixtures("inline")
def test_compare_and_watch(inputs, tmp_path, capsys):
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--seeds", "1"]
    arguments += [
        "--baselines",
        "none",
        "--method",
        "vanilla",
        "--epochs",
        "1",
        "--lr",
        "1e-3",
        "--out",
        str(tmp_path),
        "--json",
    ]
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
    arguments.remove("--json")
    assert main(["compare", *arguments]) == 0
    assert str(tmp_path / "report.html") in capsys.readouterr().out
    (tmp_path / "sensitivity.json").write_text("{")  # of a figure that the page would show
    assert main(["compare", *arguments]) == 0
    captured = capsys.readouterr()
    assert "The page was not written" in captured.err
    assert "sensitivity.json" in captured.err
    assert "report.html" not in captured.out
    assert not (tmp_path / "report.html").exists()
