import json

from pats.cli import main


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
