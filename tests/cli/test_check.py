import json

from pats.cli import main


def test_check(inputs, capsys):
    arguments = ["--data", str(inputs / "texts.csv"), "--model", str(inputs / "bert"), "--batches", "2"]
    assert main(["check", *arguments]) == 0
    assert "Accumulated noise over the spread of the weights" in capsys.readouterr().out
    assert main(["check", *arguments, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["batches"] == 2
