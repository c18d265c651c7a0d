"""Metrics, computed locally from predictions and labels.

Every metric takes two sequences of the same length N ≥ 1: class indices (classification) or scores
(regression). It returns a fraction, in [0, 1] or, for ``matthews``, ``pearson`` and ``spearman``,
in [-1, 1]. Cases that a formula leaves at 0/0 are 0, so that a run that predicts one class or one
score has a result, and a bad one; ``degenerate`` recognises such runs.
"""

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metric = Callable[[ArrayLike, ArrayLike], float]
_Array = NDArray[np.float64]


def accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Share of predictions that equal their label."""
    predicted, true = _checked(predictions, labels)
    return float(np.mean(predicted == true))


def f1(predictions: ArrayLike, labels: ArrayLike) -> float:
    """F1 of class 1: 2·TP / (2·TP + FP + FN); 0 where class 1 is neither predicted nor there."""
    return _f1(*_checked(predictions, labels), 1.0)


def macro_f1(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Mean of the F1 of every class that occurs among predictions or labels."""
    predicted, true = _checked(predictions, labels)
    classes = np.union1d(predicted, true)
    return float(np.mean([_f1(predicted, true, float(number)) for number in classes]))


def matthews(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Matthews correlation of two or more classes (R_K); 0 for constant predictions or labels.

    R_K = (c·N - Σ p_k·t_k) / √((N² - Σ p_k²)·(N² - Σ t_k²)) with c correct predictions, p_k
    predictions and t_k labels of class k. Counts are exact integers.
    """
    predicted, true = _checked(predictions, labels)
    classes = np.union1d(predicted, true)
    p = [int(np.sum(predicted == number)) for number in classes]
    t = [int(np.sum(true == number)) for number in classes]
    n, correct = len(true), int(np.sum(predicted == true))
    spread = (n * n - sum(x * x for x in p)) * (n * n - sum(x * x for x in t))
    covariance = correct * n - sum(x * y for x, y in zip(p, t, strict=True))
    return covariance / math.sqrt(spread) if spread else 0.0


def pearson(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Pearson correlation; 0 for constant predictions or labels."""
    return _correlation(*_checked(predictions, labels))


def spearman(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Pearson correlation of the ranks, ties at their mean rank; 0 for constant input."""
    from scipy.stats import rankdata

    predicted, true = _checked(predictions, labels)
    return _correlation(rankdata(predicted), rankdata(true))


METRICS: Mapping[str, Metric] = {
    metric.__name__: metric for metric in (accuracy, f1, macro_f1, matthews, pearson, spearman)
}


def compute(names: Sequence[str], predictions: ArrayLike, labels: ArrayLike) -> dict[str, float]:
    """Several metrics of the same predictions, in the order of ``names``.

    Raises:
        KeyError: A name is not in ``METRICS``.
        ValueError: The sequences are empty, of different lengths, or hold NaN or infinity.
    """
    return {name: METRICS[name](predictions, labels) for name in names}


def degenerate(predictions: ArrayLike) -> bool:
    """True where all predictions are the same class, or the same score to float32's rounding.

    Raises:
        ValueError: There are no predictions, or they hold NaN or infinity.
    """
    predicted, _ = _checked(predictions, predictions)
    return bool(np.ptp(predicted) <= 1e-6 * np.max(np.abs(predicted)))


def _checked(predictions: ArrayLike, labels: ArrayLike) -> tuple[_Array, _Array]:
    predicted, true = np.asarray(predictions, np.float64), np.asarray(labels, np.float64)
    if predicted.ndim != 1 or predicted.shape != true.shape:
        raise ValueError(
            "predictions and labels must be two sequences of the same length, "
            f"but have the shapes {predicted.shape} and {true.shape}"
        )
    if not predicted.size:
        raise ValueError("no metric is defined without predictions")
    for name, values in (("predictions", predicted), ("labels", true)):
        if not np.isfinite(values).all():
            raise ValueError(f"{name} hold values that are not finite")
    return predicted, true


def _f1(predicted: _Array, true: _Array, number: float) -> float:
    hits = int(np.sum((predicted == number) & (true == number)))
    total = int(np.sum(predicted == number)) + int(np.sum(true == number))
    return 2 * hits / total if total else 0.0


def _correlation(x: _Array, y: _Array) -> float:
    # The spread is tested before centring: the mean of equal numbers may be off by a rounding.
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return 0.0
    x, y = x - np.mean(x), y - np.mean(y)
    x, y = x / np.max(np.abs(x)), y / np.max(np.abs(y))  # squares neither overflow nor vanish
    return float(np.clip(x @ y / math.sqrt(float(x @ x) * float(y @ y)), -1.0, 1.0))
