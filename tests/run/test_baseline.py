"""Runs of baselines: results like any other, made again never, exported as arrays."""

import csv
import gzip
import json
import random

import numpy as np
import pytest

from pats import InputError, Run, finetune
from pats.run.data import load_data
from pats.run.model.simple import load_simple
from support.tiny_bert import BAD, FILLER, GOOD


@pytest.fixture(scope="module")
def tables(tmp_path_factory):
    """Tables of one text and of two, with classes and with scores."""
    folder, draw = tmp_path_factory.mktemp("tables"), random.Random(0)
    for name in ("classes", "pairs", "scores"):
        with (folder / f"{name}.csv").open("w", newline="") as file:
            table = csv.writer(file)
            table.writerow(["text", "text_pair", "label"][:: 1 if name == "pairs" else 2])
            for row in range(120):
                good = row % 3 > 0
                told = f"{' '.join(draw.sample(FILLER, 3))} {draw.choice(GOOD if good else BAD)} {row}"
                label = good + draw.random() if name == "scores" else ["no", "yes"][good]
                table.writerow([f"the day {row}", told, label] if name == "pairs" else [told, label])
    return folder


def run_of(tables, name, method, model, **more):
    return Run(data=str(tables / f"{name}.csv"), method=method, model=str(model), max_length=32, **more)


@pytest.mark.parametrize("method", ["majority", "tfidf", "frozen"])
@pytest.mark.parametrize("name", ["classes", "pairs", "scores"])
def test_a_result_like_any_other(tables, tiny_bert, tmp_path, name, method):
    run = run_of(tables, name, method, tiny_bert)
    result = finetune(run, tmp_path)
    assert (result.status, result.run.fingerprint is not None) == ("done", True)
    assert result.metric == {"classes": "macro_f1", "pairs": "macro_f1", "scores": "pearson"}[name]
    assert result.degenerate is (method == "majority")
    assert result.timings["total"] > 0
    better = result.best > (0.7 if name != "scores" else 0.1)
    assert better or method != "tfidf"
    with gzip.open(tmp_path / "predictions.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result.sizes["dev"] + result.sizes["test"]
    own = [row for row in rows if row["split"] == "test"]
    if name != "scores":
        hits = np.mean([row["label"] == row["prediction"] for row in own])
        assert hits == pytest.approx(result.test["accuracy"])
        assert float(own[0]["p_no"]) + float(own[0]["p_yes"]) == pytest.approx(1, abs=1e-6)
    before = (tmp_path / "result.json").read_bytes()
    assert finetune(run, tmp_path) == result
    assert (tmp_path / "result.json").read_bytes() == before


@pytest.mark.parametrize(("name", "method"), [("classes", "tfidf"), ("pairs", "frozen"), ("scores", "tfidf")])
def test_the_exported_model_is_fitted_on_all_rows(tables, tiny_bert, tmp_path, name, method):
    run = run_of(tables, name, method, tiny_bert)
    data = load_data(run)
    result = finetune(run, tmp_path)
    loaded = load_simple(tmp_path / "model")
    text, pair = data.splits["test"].text, data.splits["test"].text_pair
    scores, labels = loaded.predict(text, pair)
    assert labels == data.labels
    true = np.asarray(data.splits["test"].label)
    if labels:
        assert np.mean(scores.argmax(1) == true) == 1.0  # it has seen them
        assert scores.sum(1) == pytest.approx(1)
    else:
        seen = np.corrcoef(scores[:, 0], true)[0, 1]
        assert seen > max(0.8, result.test["pearson"] + 0.1)
    again, _ = load_simple(tmp_path / "model").predict(text, pair)
    assert np.abs(again - scores).max() <= 1e-6
    card = json.loads((tmp_path / "model" / "pats.json").read_text())
    assert (card["pair"], card["labels"]) == (name == "pairs", list(data.labels))
    assert (card["temperature"] == 1.0) is (not labels)


def test_a_model_that_was_cut_is_made_again(tables, tiny_bert, tmp_path):
    run = run_of(tables, "classes", "tfidf", tiny_bert)
    result = finetune(run, tmp_path)
    arrays = tmp_path / "model" / "pats-model.npz"
    before = dict(np.load(arrays))
    arrays.write_bytes(arrays.read_bytes()[:-30])
    assert finetune(run, tmp_path).best == result.best
    after = dict(np.load(arrays))
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_the_metric_decides_the_strength_and_may_be_lower_the_better(tables, tiny_bert, tmp_path):
    best = {}
    for metric in ("mae", "rmse", "log_loss", "auroc"):
        name = "scores" if metric in ("mae", "rmse") else "classes"
        result = finetune(run_of(tables, name, "tfidf", tiny_bert, metric=metric), tmp_path / metric)
        best[metric] = result.best
        assert result.metric == metric
        assert metric in result.test
    constant = finetune(run_of(tables, "scores", "majority", tiny_bert, metric="mae"), tmp_path / "constant")
    assert best["mae"] < constant.best
    assert 0 < best["log_loss"] < 0.7
    assert best["auroc"] > 0.8


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"options": {"C": 1}}, "takes no option, but 'C' was given"),
        ({"metric": "mae"}, "'mae' is not for classes"),
        ({"model": "./nowhere"}, "nowhere"),
    ],
)
def test_bad_input_is_one_sentence(tables, tiny_bert, tmp_path, more, said):
    run = run_of(tables, "classes", "frozen", tiny_bert)
    with pytest.raises(InputError, match=said):
        finetune(Run.from_dict(run.to_dict() | more), tmp_path / "out")


def test_uneven_classes_are_judged_by_macro_f1_and_have_their_own_id(tables, tiny_bert, tmp_path):
    table = tmp_path / "uneven.csv"
    lines = (tables / "classes.csv").read_text().splitlines()
    table.write_text("\n".join([lines[0], *[one for one in lines if "yes" in one], *lines[1:60:3]]))
    run = Run(data=str(table), method="tfidf", model=str(tiny_bert))
    result = finetune(run, tmp_path / "out")
    assert (result.metric, result.run.metric) == ("macro_f1", "macro_f1")
    assert finetune(run, tmp_path / "out") == result
    planned = Run.from_dict(result.run.to_dict() | {"metric": None})  # as studies of earlier versions have it
    assert finetune(planned, tmp_path / "old").metric == "accuracy"
