import json
import re
import shutil

import numpy as np
import pytest

from pats import InputError, baselines
from pats.run.folder import checkpoint
from pats.run.model import simple
from pats.tasks import Split

ROWS = Split(("fine day", "awful day", "fine walk", "dull rain"), label=(1.0, 0.0, 1.0, 0.0))
ABOUT = {"labels": ["no", "yes"], "pair": False, "temperature": 2.0, "encoder": None}


@pytest.fixture
def folder(tmp_path):
    fitted = baselines.refit(baselines.registry()["tfidf"](), ROWS, 2, 10.0, False)
    simple.save(fitted, ABOUT, tmp_path)
    return tmp_path


def test_the_temperature_warms_probabilities_and_changes_no_answer(folder):
    model = simple.load_simple(folder)
    shares, labels = model.predict(ROWS.text)
    logits = model.outputs(ROWS.text).astype(float) / 2
    assert shares == pytest.approx(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    assert [labels[i] for i in shares.argmax(1)] == ["yes", "no", "yes", "no"]
    assert simple.is_simple(folder)
    assert simple.damage(folder) is None


def change(**values):
    def write(folder):
        about = json.loads((folder / simple.ABOUT).read_text())
        (folder / simple.ABOUT).write_text(json.dumps(about | values))

    return write


def arrays(**values):
    def write(folder):
        held = dict(np.load(folder / simple.ARRAYS))
        np.savez(folder / simple.ARRAYS, **(held | values))

    return write


def of_no_compression(folder):
    """As it was written, but for the number of its compression."""
    path = folder / simple.ARRAYS
    whole = path.read_bytes().replace(b"PK\x03\x04\x14\0\0\0\x08\0", b"PK\x03\x04\x14\0\0\0c\0")
    path.write_bytes(re.sub(rb"(PK\x01\x02.{6})\x08\0", rb"\1c\0", whole, flags=re.DOTALL))


def garbled(folder):
    """With other bytes in the midst of what is packed."""
    path = folder / simple.ARRAYS
    whole = path.read_bytes()
    path.write_bytes(whole[:80] + b"\xff" * 200 + whole[280:])


@pytest.mark.parametrize("harm", [of_no_compression, garbled])
def test_damage_within_the_arrays_is_found(folder, harm):
    harm(folder)
    assert simple.damage(folder) == f"{folder.name}/{simple.ARRAYS} is cut"
    with pytest.raises(InputError, match="is damaged"):
        simple.load_simple(folder)
    (folder / "optimizer.pt").write_bytes((folder / simple.ARRAYS).read_bytes())
    assert not checkpoint.well_formed(folder / "optimizer.pt")


def test_what_is_no_object_is_found(folder):
    (folder / simple.ABOUT).write_text("[]")
    assert simple.damage(folder) == f"{folder.name}/{simple.ABOUT} is cut"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda f: (f / simple.ARRAYS).unlink(), "is damaged"),
        (lambda f: (f / simple.ARRAYS).write_bytes(b"PK cut"), "is damaged"),
        (lambda f: (f / simple.ABOUT).write_text("{"), "is damaged"),
        (change(format=2), "has format 2, but this version of PATS reads 1"),
        (change(labels=["no", "yes", "perhaps"]), "weights do not fit its labels"),
        (change(labels=["no", "no"]), "two of its labels have one name"),
        (change(baseline="majority"), "is damaged"),
        (change(baseline="elsewhere"), "is damaged"),
        (arrays(weights=np.full((12, 2), np.nan, np.float32)), "its numbers are not finite"),
        (arrays(weights=np.zeros((12, 1), np.float32)), "weights do not fit its labels"),
        (arrays(weights=np.zeros((0, 2), np.float32)), "is damaged"),
        (arrays(bias=np.zeros(1, np.float32)), "weights do not fit its labels"),
        (change(temperature=0.0), "is damaged"),
        (arrays(bias=np.array([object()], object)), "is damaged"),  # nothing is unpickled
    ],
)
def test_what_does_not_fit_is_one_sentence(folder, harm, said):
    harm(folder)
    with pytest.raises(InputError, match=said):
        simple.load_simple(folder)


def test_the_encoder_must_be_the_one_it_was_fitted_on(tiny_bert, tmp_path):
    from pats.run import environment
    from pats.run.model.embeddings import Embedder

    own = tmp_path / "bert"
    shutil.copytree(tiny_bert, own)
    embed = Embedder(str(own), 16, environment.device())
    fitted = baselines.refit(baselines.registry()["frozen"](embed), ROWS, 2, 1.0, False)
    model = tmp_path / "model"
    model.mkdir()
    simple.save(fitted, ABOUT | {"encoder": simple.encoder(str(own), None, 16)}, model)
    split = Split(("fine rain",))
    outputs = simple.load_simple(model).outputs(split.text)
    assert np.abs(outputs - fitted.outputs(split)).max() <= 1e-6
    config = json.loads((own / "config.json").read_text())
    (own / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-3}))
    with pytest.raises(InputError, match="has other weights now"):
        simple.load_simple(model)
