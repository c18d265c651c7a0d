import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer

from pats import InputError
from pats.measure import export_onnx
from pats.measure.export_onnx import TOLERANCE, check_out, default_out, export
from pats.measure.trained import load_encoder
from support.architectures import ARCHITECTURES

onnx_installed = pytest.mark.skipif(
    not all(map(export_onnx.installed, export_onnx.PACKAGES)), reason="needs the extra onnx"
)
TEXTS = ["the day was superb", "an awful film", "", "a walk " * 200]


@pytest.fixture(scope="session")
def exported(trained_model, tmp_path_factory):
    out = tmp_path_factory.mktemp("onnx") / "served" / "mine.onnx"
    return out, export(load_encoder(trained_model), out)


@onnx_installed
def test_a_program_without_torch_gets_the_same_probabilities(exported, trained_model):
    """With what lies beside the file alone: its tokenizer, its labels, its temperature."""
    import onnxruntime
    from tokenizers import Tokenizer

    out, told = exported
    about = json.loads((out.parent / "pats-onnx.json").read_text())
    assert about["labels"] == ["bad", "good"] == list(told.labels)
    assert about["columns"] == {"text": "text"}
    tokenizer = Tokenizer.from_file(str(out.parent / "tokenizer.json"))
    tokenizer.enable_truncation(about["max_length"])
    tokenizer.enable_padding()
    encoded = tokenizer.encode_batch(TEXTS)
    given = {
        "input_ids": [one.ids for one in encoded],
        "attention_mask": [one.attention_mask for one in encoded],
    }
    session = onnxruntime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    (logits,) = session.run(["logits"], {name: np.array(given[name]) for name in about["inputs"]})
    shares = np.exp(logits / about["temperature"])
    shares /= shares.sum(axis=1, keepdims=True)
    assert shares == pytest.approx(load_encoder(trained_model).predict(TEXTS), abs=1e-5)


@onnx_installed
def test_what_is_told_of_the_comparison(exported):
    out, told = exported
    assert 0 <= told.difference <= TOLERANCE
    assert len({texts for texts, _ in told.checked}) > 2
    assert len({tokens for _, tokens in told.checked}) > 3
    assert (1, 3) in told.checked
    assert told.bytes == out.stat().st_size
    assert not list(out.parent.parent.glob(".*"))


@onnx_installed
@pytest.mark.parametrize(
    ("unit", "off", "scores"),
    [(1.0, 3e-5, False), (1e5, 3.0, False), (1e5, 60.0, False), (1e-9, 3e-14, True), (1e-9, 3e-9, True)],
)
def test_outputs_may_differ_by_a_share(trained_model, monkeypatch, unit, off, scores):
    """A float32 of 300,000 is a multiple of 0.03."""
    import onnxruntime

    model = load_encoder(trained_model)
    model = replace(model, facts=replace(model.facts, labels=())) if scores else model
    wanted = np.full((2, 1), 3 * unit, np.float32)

    class Session:
        def run(self, names, feed):
            return [wanted + np.float32(off)]

    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **options: Session())
    monkeypatch.setattr(export_onnx, "CHECKED", ((2, 5),))
    difference, _ = export_onnx._compare(
        lambda *values: torch.from_numpy(wanted), model, export_onnx._inputs(model), Path("m.onnx")
    )
    assert difference == pytest.approx(off / (3 * unit), rel=0.1)
    assert (difference <= TOLERANCE) == (off / unit < 6e-4)


@onnx_installed
def test_outputs_that_differ_leave_no_file(trained_model, tmp_path, monkeypatch):
    monkeypatch.setattr(export_onnx, "_compare", lambda *args: (3e-4, ()))
    monkeypatch.setattr(export_onnx, "_write", lambda *args: None)
    with pytest.raises(InputError, match=r"differ by 3.0e-04 .* 0.0001 is allowed; nothing was written$"):
        export(load_encoder(trained_model), tmp_path / "new" / "m.onnx")
    assert list(tmp_path.iterdir()) == []


@onnx_installed
def test_what_torch_cannot_export_gets_a_sentence(trained_model, tmp_path, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("a\nb\nc")

    monkeypatch.setattr(torch.onnx, "export", fail)
    with pytest.raises(InputError, match=r"^[^\n]*fails on BertForSequenceClassification; use pats predict"):
        export(load_encoder(trained_model), tmp_path / "new" / "m.onnx")
    assert list(tmp_path.iterdir()) == []


def test_a_package_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    monkeypatch.setattr(export_onnx, "PACKAGES", ("onnxruntime",))
    with pytest.raises(InputError, match=r"pats-finetune\[onnx\]"):
        export_onnx.packages()


def test_the_place_that_is_taken_by_itself():
    assert default_out("out/model") == Path("out/model-onnx/model.onnx")


PLACES = {
    "an ending": ("m.bin", {}, "ends in .onnx"),
    "the model's folder": ("model/m.onnx", {}, "lies in the model's folder"),
    "a folder in it": ("model/onnx/m.onnx", {}, "lies in the model's folder"),
    "other files": ("m.onnx", {}, "holds other files"),
    "other files, in earnest": ("m.onnx", {"force": True}, "holds other files"),
    "an earlier export": ("old/m.onnx", {}, "holds an exported model; replace it with --force"),
}


@pytest.mark.parametrize("case", PLACES)
def test_nothing_is_replaced(tmp_path, case):
    name, options, said = PLACES[case]
    (tmp_path / "model").mkdir()
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "pats-onnx.json").write_text("{}")
    with pytest.raises(InputError, match=said):
        check_out(tmp_path / name, tmp_path / "model", **({"force": False} | options))
    check_out(tmp_path / "old" / "m.onnx", tmp_path / "model", True)
    check_out(tmp_path / "new" / "m.onnx", tmp_path / "model", False)


@pytest.mark.soak
@onnx_installed
@pytest.mark.parametrize("kind", ["bert", "roberta", "distilbert", "mpnet", "minilm"])
def test_architectures(kind, tiny_bert, tmp_path, request):
    torch.manual_seed(0)
    if kind == "minilm":
        source = request.getfixturevalue("minilm")
        model = AutoModelForSequenceClassification.from_pretrained(source, num_labels=3)
    else:
        source = tiny_bert
        options = next(row[1] for row in ARCHITECTURES if row[0] == kind)
        size = len(AutoTokenizer.from_pretrained(source))
        config = AutoConfig.for_model(kind, **options, vocab_size=size, pad_token_id=0, num_labels=3)
        model = AutoModelForSequenceClassification.from_config(config)
    AutoTokenizer.from_pretrained(source).save_pretrained(tmp_path / "model")
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)  # outputs that are worth comparing
    model.save_pretrained(tmp_path / "model")
    assert export(load_encoder(tmp_path / "model"), tmp_path / "new" / "m.onnx").difference <= TOLERANCE


@pytest.mark.parametrize(
    ("folder", "file"),
    [
        ("out/model", "out/model-onnx/model.onnx"),
        (".", "PLACE/model-onnx/model.onnx"),
        ("inner/..", "PLACE/model-onnx/model.onnx"),
    ],
)
def test_the_file_goes_beside_the_model_by_itself(tmp_path, monkeypatch, folder, file):
    (tmp_path / "model" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "model")
    assert str(default_out(folder)) == file.replace("PLACE", str(tmp_path))


@pytest.mark.parametrize("folder", ["", "/"])
def test_a_folder_without_a_name_is_refused(folder):
    with pytest.raises(InputError, match="is no model's folder"):
        default_out(folder)
