"""Metrics, computed locally from predictions and labels.

Every metric takes two sequences of the same length N ≥ 1: class indices (classification) or scores
(regression). It returns a fraction, in [0, 1] or, for ``matthews``, ``pearson`` and ``spearman``,
in [-1, 1]. Cases that a formula leaves at 0/0 are 0, so that a run that predicts one class or one
score has a result, and a bad one; ``degenerate`` recognises such runs. The formulas are scikit-learn's and
scipy's, which are imported when a metric is computed: they take seconds.
"""

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
    return _f1(predictions, labels, [1])


def macro_f1(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Mean of the F1 of every class that occurs among predictions or labels."""
    return _f1(predictions, labels, None)


def matthews(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Matthews correlation of two or more classes (R_K); 0 for constant predictions or labels."""
    from sklearn.metrics import matthews_corrcoef

    predicted, true = _checked(predictions, labels)
    return 0.0 if _constant(predicted, true) else float(matthews_corrcoef(true, predicted))


def pearson(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Pearson correlation; 0 for constant predictions or labels."""
    from scipy.stats import pearsonr

    predicted, true = _checked(predictions, labels)
    return 0.0 if _constant(predicted, true) else float(pearsonr(predicted, true).statistic)


def spearman(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Pearson correlation of the ranks, ties at their mean rank; 0 for constant input."""
    from scipy.stats import rankdata

    return pearson(*map(rankdata, _checked(predictions, labels)))


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


def _f1(predictions: ArrayLike, labels: ArrayLike, classes: list[int] | None) -> float:
    from sklearn.metrics import f1_score

    predicted, true = _checked(predictions, labels)
    return float(f1_score(true, predicted, labels=classes, average="macro", zero_division=0))


def _constant(*columns: _Array) -> bool:
    """Whether one column holds one value alone: scikit-learn and scipy warn of it."""
    return any(np.ptp(column) == 0 for column in columns)
