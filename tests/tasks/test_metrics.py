import math
import subprocess
import sys
import warnings

import numpy as np
import pytest

from pats.tasks import GLUE
from pats.tasks.metrics import METRICS, compute, degenerate

RANDOM = np.random.default_rng(0)
CLASSES = [RANDOM.integers(0, k, (2, 60)) for k in (2, 2, 3, 5)]
SCORES = [RANDOM.normal(size=(2, 40)), RANDOM.integers(0, 6, (2, 40)) / 2, RANDOM.normal(size=(2, 9)) * 1e200]


# The formulas once more, as the papers have them.


def f1_of(number, predicted, true):
    hits = np.sum((predicted == number) & (true == number))
    return 2 * hits / (np.sum(predicted == number) + np.sum(true == number))


def macro_f1_of(predicted, true):
    return np.mean([f1_of(number, predicted, true) for number in {*predicted, *true}])


def covariance_of(x, y):
    """The sum over classes of the covariances of two columns' indicators."""
    return sum(np.cov(x == number, y == number)[0, 1] for number in {*x, *y})


def matthews_of(predicted, true):
    spread = covariance_of(predicted, predicted) * covariance_of(true, true)
    return covariance_of(predicted, true) / math.sqrt(spread)


def pearson_of(predicted, true):
    return np.corrcoef(predicted, true)[0, 1]


def spearman_of(predicted, true):
    return pearson_of(
        *(np.sum(x < x[:, None], 1) + np.sum(x == x[:, None], 1) / 2 for x in (predicted, true))
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("accuracy", lambda predicted, true: 1 - np.count_nonzero(predicted - true) / len(true)),
        ("f1", lambda predicted, true: f1_of(1, predicted, true)),
        ("macro_f1", macro_f1_of),
        ("matthews", matthews_of),
    ],
)
@pytest.mark.parametrize("pair", CLASSES)
def test_class_metrics_are_those_of_the_formulas(name, expected, pair):
    assert METRICS[name](*pair) == pytest.approx(expected(*pair), abs=1e-12)


@pytest.mark.parametrize("pair", SCORES[:2])
@pytest.mark.parametrize(("name", "expected"), [("pearson", pearson_of), ("spearman", spearman_of)])
def test_correlations_are_those_of_the_formulas(name, expected, pair):
    assert METRICS[name](*pair) == pytest.approx(expected(*pair), abs=1e-12)


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
        ("f1", [2, 2, 0], [2, 0, 0], 0.0),
        ("f1", [1, 2, 0, 1], [1, 1, 0, 2], 0.5),
        ("macro_f1", [3, 3], [3, 3], 1.0),
        ("macro_f1", [4, 4], [0, 2], 0.0),
        ("matthews", [1, 1], [1, 1], 0.0),
        ("matthews", [1], [1], 0.0),
        ("pearson", [1], [1], 0.0),
        ("pearson", [1, 3], [2, 7], 1.0),
        ("spearman", [1], [2], 0.0),
        ("spearman", [0.1, 0.2, 0.3], [5, 5, 5], 0.0),
    ],
)
def test_known_and_degenerate_values_without_a_warning(name, predicted, true, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert METRICS[name](predicted, true) == pytest.approx(expected, abs=1e-12)


def test_the_libraries_wait_until_a_metric_is_computed():
    """Each takes longer to import than all of this package."""
    script = "import sys, pats.tasks.metrics; sys.exit(bool({'sklearn', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


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
