import math
import subprocess
import sys
import warnings

import numpy as np
import pytest

from pats.tasks import GLUE
from pats.tasks.metrics import ABOUT, METRICS, OF_PROBABILITIES, about, compute, degenerate, sign

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
        (
            "weighted_f1",
            lambda predicted, true: sum(np.mean(true == k) * f1_of(k, predicted, true) for k in set(true)),
        ),
        (
            "balanced_accuracy",
            lambda predicted, true: np.mean([np.mean(predicted[true == k] == k) for k in set(true)]),
        ),
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


OF_TABLES = {
    # F1 of label 0 is 1, of label 2 it is 0, and label 1 occurs nowhere.
    "micro_f1": 2 / 3,
    "macro_f1": 1 / 2,
    "weighted_f1": 2 / 3,
    "subset_accuracy": 1 / 3,
}


@pytest.mark.parametrize("name", METRICS)
def test_tables_of_labels(name):
    predicted, true = [[1, 0, 1], [1, 0, 0], [0, 0, 0]], [[1, 0, 0], [1, 0, 0], [0, 0, 1]]
    if name in OF_TABLES:
        assert METRICS[name](predicted, true) == pytest.approx(OF_TABLES[name])
        assert METRICS[name](true, true) == 1.0
        assert METRICS[name]([[0, 0]], [[0, 0]]) == (name == "subset_accuracy")
    else:
        with pytest.raises(ValueError, match="same length"):
            METRICS[name](predicted, true)


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize(
    ("predicted", "true", "message"),
    [
        ([math.nan, 1], [0, 1], "predictions hold"),
        ([0, 1], [math.inf, 1], "labels hold"),
        ([0, 1, 1], [0, 1], "same length"),
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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mae", lambda predicted, true: np.abs(predicted - true).sum() / len(true)),
        ("rmse", lambda predicted, true: np.linalg.norm(predicted - true) / math.sqrt(len(true))),
        (
            "r2",
            lambda predicted, true: 1 - np.sum((true - predicted) ** 2) / np.sum((true - true.mean()) ** 2),
        ),
    ],
)
@pytest.mark.parametrize("pair", SCORES[:2])
def test_errors_are_those_of_the_formulas(name, expected, pair):
    assert METRICS[name](*pair) == pytest.approx(expected(*pair), abs=1e-12)


def ranked_above(shares, true):
    """The probability that a positive has the larger score than a negative, ties counting half."""
    positive, negative = shares[true][:, None], shares[~true]
    return np.mean((positive > negative) + (positive == negative) / 2)


def precision_at_hits(shares, true):
    ordered = true[np.argsort(-shares)]
    return np.mean([ordered[: k + 1].mean() for k in np.flatnonzero(ordered)])


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_metrics_of_probabilities_are_those_of_the_formulas(classes):
    draw = np.random.default_rng(classes)
    shares, true = draw.dirichlet([1] * classes, 80), draw.integers(0, classes, 80)
    rest = [1] if classes == 2 else range(classes)
    for name, one in (("auroc", ranked_above), ("average_precision", precision_at_hits)):
        expected = np.mean([one(shares[:, k], true == k) for k in rest])
        assert OF_PROBABILITIES[name](shares, true) == pytest.approx(expected)
    expected = -np.mean(np.log(shares[np.arange(80), true]))
    assert OF_PROBABILITIES["log_loss"](shares, true) == pytest.approx(expected)
    found = compute(["accuracy", "log_loss"], shares.argmax(1), true, shares)
    assert found == {"accuracy": np.mean(shares.argmax(1) == true), "log_loss": pytest.approx(expected)}


@pytest.mark.parametrize(
    ("name", "shares", "true", "expected"),
    [
        ("auroc", [[0.5, 0.5], [0.1, 0.9]], [1, 1], 0.5),
        ("auroc", [[1, 0, 0], [0, 1, 0], [0, 1, 0]], [0, 1, 1], 1.0),  # a class that does not occur
        ("average_precision", [[0.5, 0.5]], [0], 0.0),
        ("log_loss", [[0.5, 0.5], [0.5, 0.5]], [1, 1], math.log(2)),
        ("log_loss", [[0.3333333, 0.3333333, 0.3333333]], [2], math.log(3)),
    ],
)
def test_probabilities_at_the_edges_without_a_warning(name, shares, true, expected):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert OF_PROBABILITIES[name](shares, true) == pytest.approx(expected)


def test_every_metric_says_what_it_is():
    assert set(ABOUT) == {*METRICS, *OF_PROBABILITIES}
    assert {name for name in ABOUT if sign(name) < 0} == {"log_loss", "mae", "rmse"}
    assert about("log_loss").limits == (0, math.inf)
    assert about("bleu").limits == (-1, 1)
    with pytest.raises(KeyError):
        compute(["auroc"], [1], [1])
