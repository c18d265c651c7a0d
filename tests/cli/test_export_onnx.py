import json

import pytest

from pats.cli import main
from pats.measure import export_onnx


@pytest.mark.skipif(not all(map(export_onnx.installed, export_onnx.PACKAGES)), reason="needs the extra onnx")
def test_export_and_json(trained, tmp_path, capsys):
    out = tmp_path / "served" / "model.onnx"
    assert main(["export-onnx", str(trained / "model"), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["file"] == str(out)
    assert told["difference"] <= 1e-4
    assert main(["export-onnx", str(trained / "model"), "--out", str(out)]) == 2
    assert "replace it with --force" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["{model}", "--out", "model.xml"], "ends in .onnx"),
        (["{model}", "--out", "{model}/m.onnx"], "lies in the model's folder"),
        (["nowhere/at/all", "--out", "new/m.onnx"], "is no folder"),
        (["{bert}", "--out", "new/m.onnx"], "is not fine-tuned"),
    ],
)
def test_bad_input_is_one_sentence(trained, inputs, tmp_path, monkeypatch, capsys, words, said):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(export_onnx, "PACKAGES", ())
    places = {"model": trained / "model", "bert": inputs / "bert"}
    assert main(["export-onnx", *(word.format(**places) for word in words)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []
