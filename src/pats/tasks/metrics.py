"""Metrics, computed locally from predictions or probabilities, and labels.

A metric of ``METRICS`` takes two sequences of the same length N ≥ 1: class indices (classification) or scores
(regression), or two tables of 0 and 1 with a column for every label (where a text may have several labels).
One of ``OF_PROBABILITIES`` takes a probability of every class in place of the predictions.
Cases that a formula leaves at 0/0 are 0, so that a run that predicts one class or one score has a result, a
bad one; ``degenerate`` recognises such runs. The formulas are scikit-learn's and scipy's, which are imported
when a metric is computed: they take seconds.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pats.tasks.metric_names import ABOUT, About, about, sign

__all__ = [
    "ABOUT",
    "METRICS",
    "OF_PROBABILITIES",
    "About",
    "Metric",
    "about",
    "compute",
    "degenerate",
    "sign",
]

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


def micro_f1(predictions: ArrayLike, labels: ArrayLike) -> float:
    """F1 over all decisions on labels together, of tables of 0 and 1; 0 where there is none."""
    predicted, true = _checked(predictions, labels, tables=True)
    both = float(predicted.sum() + true.sum())
    return 2 * float((predicted * true).sum()) / both if both else 0.0


def subset_accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Share of the rows of a table of 0 and 1 that are right in every label."""
    predicted, true = _checked(predictions, labels, tables=True)
    return float(np.mean((predicted == true).reshape(len(true), -1).all(axis=1)))


def weighted_f1(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Mean of the F1 of every class, weighted by how many labels it has."""
    from sklearn.metrics import f1_score

    predicted, true = _checked(predictions, labels, tables=True)
    return float(f1_score(true, predicted, average="weighted", zero_division=0))


def balanced_accuracy(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Mean over the classes that occur among the labels of the share that is found (recall)."""
    from sklearn.metrics import recall_score

    predicted, true = _checked(predictions, labels)
    return float(recall_score(true, predicted, labels=np.unique(true), average="macro", zero_division=0))


def mae(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Mean absolute error."""
    predicted, true = _checked(predictions, labels)
    return float(np.mean(np.abs(predicted - true)))


def rmse(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Root of the mean squared error."""
    predicted, true = _checked(predictions, labels)
    return float(np.sqrt(np.mean((predicted - true) ** 2)))


def r2(predictions: ArrayLike, labels: ArrayLike) -> float:
    """Share of the labels' variance that is explained; below 0 where their mean does better."""
    from sklearn.metrics import r2_score

    predicted, true = _checked(predictions, labels)
    return 0.0 if _constant(true) else float(r2_score(true, predicted))


def auroc(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve of class 1; of more classes the mean of each against the rest.

    Classes that do not occur, and one that is alone, are left out; 0.5 where none remains.
    """
    from sklearn.metrics import roc_auc_score

    return _against_the_rest(roc_auc_score, probabilities, labels, 0.5)


def average_precision(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Average precision of class 1; of more classes the mean of each against the rest, as ``auroc``."""
    from sklearn.metrics import average_precision_score

    return _against_the_rest(average_precision_score, probabilities, labels, 0.0)


def log_loss(probabilities: ArrayLike, labels: ArrayLike) -> float:
    """Mean negative logarithm of the probability of the label."""
    from sklearn.metrics import log_loss as loss

    shares, true = _checked_shares(probabilities, labels)
    rounded = shares / shares.sum(axis=1, keepdims=True)  # what a file gives with seven digits
    return float(loss(true, rounded, labels=np.arange(shares.shape[1])))


METRICS: Mapping[str, Metric] = {
    metric.__name__: metric
    for metric in (
        *(accuracy, f1, macro_f1, matthews, weighted_f1, balanced_accuracy),
        *(micro_f1, subset_accuracy),
        *(pearson, spearman, mae, rmse, r2),
    )
}
OF_PROBABILITIES: Mapping[str, Metric] = {m.__name__: m for m in (auroc, average_precision, log_loss)}


def compute(
    names: Sequence[str], predictions: ArrayLike, labels: ArrayLike, probabilities: ArrayLike | None = None
) -> dict[str, float]:
    """Several metrics of the same predictions, in the order of ``names``.

    Args:
        names: Some of ``METRICS``, and with probabilities of ``OF_PROBABILITIES``.
        predictions: Class indices, or scores.
        labels: As many.
        probabilities: One of every class a row; None for scores.

    Raises:
        KeyError: A name is no metric, or needs probabilities.
        ValueError: The sequences are empty, of different lengths, or hold NaN or infinity.
    """
    return {
        name: OF_PROBABILITIES[name](probabilities, labels)
        if probabilities is not None and name in OF_PROBABILITIES
        else METRICS[name](predictions, labels)
        for name in names
    }


def degenerate(predictions: ArrayLike) -> bool:
    """True where all predictions are the same class, labels, or score to float32's rounding.

    Raises:
        ValueError: There are no predictions, or they hold NaN or infinity.
    """
    predicted, _ = _checked(predictions, predictions, tables=True)
    if predicted.ndim == 2:
        return bool((predicted == predicted[0]).all())
    return bool(np.ptp(predicted) <= 1e-6 * np.max(np.abs(predicted)))


def _checked(predictions: ArrayLike, labels: ArrayLike, tables: bool = False) -> tuple[_Array, _Array]:
    predicted, true = np.asarray(predictions, np.float64), np.asarray(labels, np.float64)
    if predicted.ndim not in ((1, 2) if tables else (1,)) or predicted.shape != true.shape:
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

    predicted, true = _checked(predictions, labels, tables=classes is None)
    if true.ndim == 2:
        classes = np.flatnonzero((true + predicted).any(axis=0)).tolist()
        if not classes:
            return 0.0
    return float(f1_score(true, predicted, labels=classes, average="macro", zero_division=0))


def _constant(*columns: _Array) -> bool:
    """Whether one column holds one value alone: scikit-learn and scipy warn of it."""
    return any(np.ptp(column) == 0 for column in columns)


def _checked_shares(probabilities: ArrayLike, labels: ArrayLike) -> tuple[_Array, _Array]:
    shares = np.asarray(probabilities, np.float64)
    if shares.ndim != 2 or not np.isfinite(shares).all():
        raise ValueError("probabilities must be finite, one of every class a row")
    _, true = _checked(np.zeros(len(shares)), labels)
    return shares, true


def _against_the_rest(
    score: Callable[[_Array, _Array], float], probabilities: ArrayLike, labels: ArrayLike, nothing: float
) -> float:
    shares, true = _checked_shares(probabilities, labels)
    classes = [1] if shares.shape[1] == 2 else range(shares.shape[1])
    parts = [
        float(score(true == number, shares[:, number]))
        for number in classes
        if 0 < np.count_nonzero(true == number) < true.size
    ]
    return float(np.mean(parts)) if parts else nothing
