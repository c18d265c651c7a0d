import json
import shutil
import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from pats import InputError
from pats.measure.predict import predict
from pats.measure.trained import load_encoder, load_model

LABELS = ("no", "yes")


@pytest.fixture
def simple(tmp_path, monkeypatch):
    """The folder of a model that is no network; its scores count characters."""

    def scores(texts, pairs=None):
        share = np.array([1 / (1 + len(text)) for text in texts])
        return np.stack([share, 1 - share], axis=1), LABELS

    module = ModuleType("pats.run.model.simple")
    module.load_simple = lambda folder: SimpleNamespace(
        labels=LABELS, pair=False, temperature=2.0, predict=scores
    )
    monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / "pats-model.json").write_text("{}")
    (tmp_path / "pats.json").write_text(json.dumps({"run_id": "0", "text": "review", "text_pair": None}))
    return tmp_path


def test_a_simple_model_is_used_as_any_other(simple, tmp_path):
    model = load_model(simple)
    assert model.facts.labels == LABELS
    assert model.facts.columns == {"text": "review"}
    assert model.facts.temperature == 2.0
    assert model.predict([]).shape == (0, 2)
    (tmp_path / "t.csv").write_text("text,review\nwrong,abc\n")
    (one,) = predict(simple, tmp_path / "t.csv")
    assert (one.texts, one.label, one.scores["yes"]) == (("abc",), "yes", 0.75)


def test_a_simple_model_has_nothing_to_explain(simple):
    with pytest.raises(InputError, match=r"is a simple one and no network.*pats predict or pats serve"):
        load_encoder(simple)


def test_facts_of_a_network(trained_model):
    facts = load_model(trained_model).facts
    assert facts.labels == ("bad", "good")
    assert facts.columns == {"text": "text"}
    assert (facts.pair, facts.temperature, facts.max_length) == (False, 1.0, 64)
    assert facts.title == trained_model.parent.name


def damaged(kind):
    def make(folder):
        if kind == "cut weights":
            weights = folder / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-100])
        elif kind == "no weights":
            (folder / "model.safetensors").unlink()
        elif kind == "labels alike":
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": "a", "1": "a"}}))
        elif kind == "several labels":
            config = json.loads((folder / "config.json").read_text())
            changed = config | {"problem_type": "multi_label_classification"}
            (folder / "config.json").write_text(json.dumps(changed))
        else:
            for one in folder.iterdir():
                one.unlink()

    return make


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cut weights", "are damaged"),
        ("no weights", "has no weights"),
        ("labels alike", "names two classes alike"),
        ("several labels", "several labels at once"),
        ("nothing", "has no config.json"),
    ],
)
def test_a_folder_without_a_whole_model_is_one_sentence(trained_model, tmp_path, kind, said):
    copy = tmp_path / "m"
    shutil.copytree(trained_model, copy)
    damaged(kind)(copy)
    with pytest.raises(InputError, match=rf"^[^\n]*{said}[^\n]*$"):
        load_model(copy)
