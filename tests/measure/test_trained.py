import json
import shutil

import pytest

from pats import InputError, baselines
from pats.measure.predict import predict
from pats.measure.trained import load_encoder, load_model
from pats.run.model import simple
from pats.tasks import Split

LABELS = ("no", "yes")
ROWS = Split(("fine day", "awful day", "fine walk", "dull rain"), label=(1.0, 0.0, 1.0, 0.0))
ABOUT = {"labels": LABELS, "pair": False, "temperature": 2.0, "encoder": None}


@pytest.fixture
def simple_model(tmp_path):
    """The folder of a model that is no network."""
    folder = tmp_path / "simple"
    folder.mkdir()
    simple.save(baselines.refit(baselines.registry()["tfidf"](), ROWS, 2, 10.0, False), ABOUT, folder)
    (folder / "pats.json").write_text(json.dumps({"run_id": "0", "text": "review", "text_pair": None}))
    return folder


def test_a_simple_model_is_used_as_any_other(simple_model, tmp_path):
    model = load_model(simple_model)
    assert model.facts.labels == LABELS
    assert model.facts.columns == {"text": "review"}
    assert model.facts.temperature == 2.0
    assert model.predict([]).shape == (0, 2)
    (tmp_path / "t.csv").write_text("text,review\ndull,a fine day\n")
    (one,) = predict(simple_model, tmp_path / "t.csv")
    assert (one.texts, one.label) == (("a fine day",), "yes")
    (shares,), _ = simple.load_simple(simple_model).predict(["a fine day"])
    assert list(one.scores.values()) == pytest.approx(shares.tolist())


def test_a_simple_model_has_nothing_to_explain(simple_model):
    with pytest.raises(InputError, match=r"is a simple one and no network.*pats predict or pats serve"):
        load_encoder(simple_model)


def test_facts_of_a_network(trained_model):
    facts = load_model(trained_model).facts
    assert facts.labels == ("bad", "good")
    assert facts.columns == {"text": "text"}
    stored = json.loads((trained_model / "pats.json").read_text())["temperature"]
    assert (facts.pair, facts.temperature, facts.max_length) == (False, stored, 64)
    assert facts.title == trained_model.parent.name


def damaged(kind):
    def make(folder):
        if kind == "cut weights":
            weights = folder / "model.safetensors"
            weights.write_bytes(weights.read_bytes()[:-100])
        elif kind == "no weights":
            (folder / "model.safetensors").unlink()
        elif kind.startswith("length "):
            about = json.loads((folder / "tokenizer_config.json").read_text())
            longest = {"length NaN": float("nan"), "length x": "x", "length -1": -1}[kind]
            (folder / "tokenizer_config.json").write_text(json.dumps(about | {"model_max_length": longest}))
        elif kind == "labels alike":
            config = json.loads((folder / "config.json").read_text())
            (folder / "config.json").write_text(json.dumps(config | {"id2label": {"0": "a", "1": "a"}}))
        elif kind == "several labels":
            config = json.loads((folder / "config.json").read_text())
            changed = config | {"problem_type": "multi_label_classification"}
            (folder / "config.json").write_text(json.dumps(changed))
            about = json.loads((folder / "pats.json").read_text())
            (folder / "pats.json").write_text(json.dumps(about | {"thresholds": [0.5]}))
        else:
            for one in folder.iterdir():
                one.unlink()

    return make


def test_a_model_of_several_labels_without_thresholds_takes_one_half(trained_model, tmp_path):
    copy = tmp_path / "m"
    shutil.copytree(trained_model, copy)
    config = json.loads((copy / "config.json").read_text())
    changed = config | {"problem_type": "multi_label_classification"}
    (copy / "config.json").write_text(json.dumps(changed))
    model = load_model(copy)
    assert model.facts.kind == "multilabel"
    assert set(model.facts.thresholds) == {0.5}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("cut weights", "are damaged"),
        ("no weights", "has no weights"),
        ("labels alike", "names two classes alike"),
        ("several labels", "thresholds = .*, but that must be a number between 0 and 1 for every label"),
        ("length NaN", "its tokenizer: cannot convert float NaN"),
        ("length x", "its tokenizer"),
        ("length -1", "takes inputs of -1 tokens"),
        ("nothing", "has no config.json"),
    ],
)
def test_a_folder_without_a_whole_model_is_one_sentence(trained_model, tmp_path, kind, said):
    copy = tmp_path / "m"
    shutil.copytree(trained_model, copy)
    damaged(kind)(copy)
    with pytest.raises(InputError, match=rf"^[^\n]*{said}[^\n]*$"):
        load_model(copy)


def test_the_folder_of_a_run_is_that_of_its_model(trained_model, tmp_path):
    found = load_model(trained_model.parent)
    assert found.facts == load_model(trained_model).facts
    (tmp_path / "model").mkdir()  # somebody's own
    with pytest.raises(InputError, match=r"config\.json"):
        load_model(tmp_path)
