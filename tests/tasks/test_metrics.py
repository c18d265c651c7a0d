import math

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics as sk

from pats.tasks import GLUE
from pats.tasks.metrics import METRICS, compute, degenerate

RANDOM = np.random.default_rng(0)
CLASSES = [RANDOM.integers(0, k, (2, 60)) for k in (2, 2, 3, 5)]
SCORES = [RANDOM.normal(size=(2, 40)), RANDOM.integers(0, 6, (2, 40)) / 2, RANDOM.normal(size=(2, 9)) * 1e200]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", sk.accuracy_score),
        ("macro_f1", lambda true, predicted: sk.f1_score(true, predicted, average="macro")),
        ("matthews", sk.matthews_corrcoef),
    ],
)
@pytest.mark.parametrize("pair", CLASSES)
def test_class_metrics_agree_with_sklearn(name, expected, pair):
    predicted, true = pair
    assert METRICS[name](predicted, true) == pytest.approx(expected(true, predicted), abs=1e-12)


@pytest.mark.parametrize("pair", CLASSES[:2])
def test_f1_is_that_of_class_one(pair):
    assert METRICS["f1"](*pair) == pytest.approx(sk.f1_score(pair[1], pair[0]), abs=1e-12)


@pytest.mark.parametrize("pair", SCORES[:2])
@pytest.mark.parametrize(("name", "expected"), [("pearson", stats.pearsonr), ("spearman", stats.spearmanr)])
def test_correlations_agree_with_scipy(name, expected, pair):
    assert METRICS[name](*pair) == pytest.approx(expected(*pair)[0], abs=1e-12)


def test_pearson_does_not_overflow():
    small = SCORES[2] / 1e200
    assert METRICS["pearson"](*SCORES[2]) == pytest.approx(METRICS["pearson"](*small), abs=1e-12)


@pytest.mark.parametrize(
    ("name", "predicted", "true", "expected"),
    [
        ("f1", [1, 1, 0, 0], [1, 0, 1, 0], 0.5),
        ("f1", [0, 0], [0, 0], 0.0),
        ("macro_f1", [0, 0, 0, 0], [0, 0, 1, 1], 1 / 3),
        ("matthews", [1, 1, 1], [1, 0, 1], 0.0),
        ("matthews", [1, 0, 1], [1, 1, 1], 0.0),
        ("matthews", [0, 1, 0], [1, 0, 1], -1.0),
        ("matthews", [1] * 70_000 + [0] * 70_000, [1] * 70_000 + [0] * 70_000, 1.0),
        ("pearson", [0.1, 0.1, 0.1], [1, 2, 3], 0.0),
        ("pearson", [1, 2, 3], [0.1, 0.1, 0.1], 0.0),
        ("spearman", [0.1, 0.1, 0.1], [1, 2, 3], 0.0),
        ("spearman", [1, 10, 100], [1, 2, 3], 1.0),
        ("pearson", [1], [1], 0.0),
    ],
)
def test_known_and_degenerate_values(name, predicted, true, expected):
    assert METRICS[name](predicted, true) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        ([math.nan, 1], [0, 1], "predictions hold"),
        ([0, 1], [math.inf, 1], "labels hold"),
        ([0, 1, 1], [0, 1], "same length"),
        ([[0, 1]], [[0, 1]], "same length"),
        ([], [], "without predictions"),
    ],
)
def test_what_no_metric_takes(name, predicted, true, message):
    with pytest.raises(ValueError, match=message):
        METRICS[name](predicted, true)


def test_compute_keeps_the_order_and_refuses_unknown_names():
    assert list(compute(["f1", "accuracy"], [1, 0], [1, 1]).items()) == [("f1", 2 / 3), ("accuracy", 0.5)]
    with pytest.raises(KeyError, match="bleu"):
        compute(["bleu"], [1], [1])


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        ([1, 1, 1], True),
        ([0, 0], True),
        ([0, 1, 1], False),
        ([2.5000001, 2.5, 2.5], True),
        ([2.51, 2.5, 2.5], False),
        ([-1.0, 1.0], False),
    ],
)
def test_degenerate(predictions, expected):
    assert degenerate(predictions) is expected


def test_every_metric_of_glue_exists():
    assert {name for task in GLUE.values() for name in task.metrics} <= set(METRICS)
