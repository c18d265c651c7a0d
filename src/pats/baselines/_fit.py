"""Fitting a baseline: a linear model on its features, as strong as scores best on dev."""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pats.baselines._baseline import Arrays, Baseline, Features
from pats.tasks import Split, multilabel

STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)  # C of logistic regression, 1/alpha of ridge regression
ABSENT = -30.0  # the logit of a class without a row: a probability of 1e-13
ITERATIONS = 500

Sets = Sequence[Sequence[int]]
Judge = Callable[[NDArray[np.float32]], float]  # of the outputs on dev; larger is better


@dataclass(frozen=True)
class Fitted:
    """A baseline that can predict.

    Args:
        baseline: Gives the features.
        weights: Of shape (features, outputs), in float32.
        bias: One an output, in float32.
        strength: How little it is regularised: C, or 1/alpha; of ``majority`` on scores 0 for the mean and 1
            for the median.
    """

    baseline: Baseline
    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float

    def outputs(self, split: Split) -> NDArray[np.float32]:
        """Logits of every class, or the score, as a fine-tuned model gives them."""
        return _outputs(self.baseline.features(split), self.weights, self.bias)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything that is needed to predict the same again, with ``restore``."""
        return {
            "weights": self.weights,
            "bias": self.bias,
            "strength": np.asarray(self.strength),
            **self.baseline.arrays(),
        }


def fit(
    baseline: Baseline,
    train: Split,
    dev: Split,
    classes: int,
    judge: Judge,
    balanced: bool,
    sets: Sets = (),
) -> Fitted:
    """Fit on the training examples with the strength that is best on dev, the weaker one of equals.

    Args:
        baseline: Learns from the training examples here.
        train: Labelled examples.
        dev: Examples on which ``judge`` judges.
        classes: Number of classes; 0 for scores.
        judge: What the outputs on dev are worth.
        balanced: Classes count alike, however many rows they have.
        sets: Where a text may have several of the classes, those of every label set; each class is then
            fitted against the rest.
    """
    baseline.learn(train)
    known, labels = baseline.features(train), _targets(train, classes, sets)
    unknown = baseline.features(dev)
    best: tuple[float, Fitted] | None = None
    for strength in _strengths(baseline, 0 if sets else classes):
        weights, bias = _solve(baseline, known, labels, classes, strength, balanced)
        worth = judge(_outputs(unknown, weights, bias))
        if best is None or worth > best[0]:
            best = worth, Fitted(baseline, weights, bias, strength)
    assert best is not None
    return best[1]


def refit(
    baseline: Baseline, rows: Split, classes: int, strength: float, balanced: bool, sets: Sets = ()
) -> Fitted:
    """Fit on all labelled rows with a strength that was chosen before."""
    baseline.learn(rows)
    known = baseline.features(rows)
    weights, bias = _solve(baseline, known, _targets(rows, classes, sets), classes, strength, balanced)
    return Fitted(baseline, weights, bias, strength)


def restore(baseline: Baseline, arrays: Arrays) -> Fitted:
    """A baseline as ``Fitted.arrays`` described it."""
    baseline.restore(arrays)
    return Fitted(baseline, arrays["weights"], arrays["bias"], float(arrays["strength"]))


def _strengths(baseline: Baseline, classes: int) -> tuple[float, ...]:
    if baseline.linear:
        return STRENGTHS
    return (0.0,) if classes else (0.0, 1.0)


def _targets(split: Split, classes: int, sets: Sets) -> NDArray[np.float64]:
    """The labels of a split; of several labels a text 0 and 1, a column a class."""
    if not sets:
        return np.asarray(split.label)
    return multilabel.marks(split.label or (), sets, classes).astype(np.float64)


def _solve(
    baseline: Baseline,
    known: Features,
    labels: NDArray[np.float64],
    classes: int,
    strength: float,
    balanced: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and bias, rounded to float32: what is measured is what is exported."""
    if labels.ndim == 2:
        return _one_by_one(baseline, known, labels, strength, balanced)
    learnable = baseline.linear and known.shape[1] and len(np.unique(labels)) > 1
    if not learnable:
        weights, bias = np.zeros((known.shape[1], classes or 1)), _constant(labels, classes, strength)
    elif classes:
        weights, bias = _logistic(known, labels, classes, strength, balanced)
    else:
        weights, bias = _ridge(known, labels, strength)
    return weights.astype(np.float32), bias.astype(np.float32)


def _one_by_one(
    baseline: Baseline, known: Features, marks: NDArray[np.float64], strength: float, balanced: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights and bias of every label against the rest; without features, one set of labels for all texts."""
    if not baseline.linear:
        bias = np.where(_constant_set(marks, strength), -ABSENT, ABSENT)
        return np.zeros((known.shape[1], marks.shape[1]), np.float32), bias.astype(np.float32)
    columns = []
    for own in marks.T:
        weights, bias = _solve(baseline, known, own, 2, strength, balanced)
        columns.append((weights[:, 1] - weights[:, 0], bias[1] - bias[0]))
    return np.stack([w for w, _ in columns], axis=1), np.asarray([b for _, b in columns], np.float32)


def _constant_set(marks: NDArray[np.float64], strength: float) -> NDArray[np.bool_]:
    """The most frequent set of labels; with strength 1 all that most rows have, or else the commonest one."""
    if strength != 1:
        sets, counts = np.unique(marks, axis=0, return_counts=True)
        return np.asarray(sets[counts.argmax()] > 0)
    shares = marks.mean(axis=0)
    return np.asarray(shares >= min(0.5, shares.max()))


def _outputs(
    features: Features, weights: NDArray[np.float32], bias: NDArray[np.float32]
) -> NDArray[np.float32]:
    return np.asarray(features @ weights.astype(np.float64) + bias, np.float32)


def _constant(labels: NDArray[np.float64], classes: int, strength: float) -> NDArray[np.float64]:
    """The logarithm of the shares of the classes; of scores the mean, or with strength 1 the median."""
    if not classes:
        return np.asarray([np.median(labels) if strength == 1 else np.mean(labels)])
    counts = np.bincount(labels.astype(np.int64), minlength=classes)
    bias = np.full(classes, ABSENT)
    bias[counts > 0] = np.log(counts[counts > 0] / counts.sum())
    return bias


def _scaled(known: Features) -> tuple[Features, NDArray[np.float64], NDArray[np.float64]]:
    """Dense features with mean 0 and spread 1; sparse ones stay, so that they stay sparse."""
    width = known.shape[1]
    if not isinstance(known, np.ndarray):
        return known, np.zeros(width), np.ones(width)
    mean, spread = known.mean(axis=0), known.std(axis=0)
    spread[spread < 1e-12] = 1.0
    return (known - mean) / spread, mean, spread


def _logistic(
    known: Features, labels: NDArray[np.float64], classes: int, strength: float, balanced: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    scaled, mean, spread = _scaled(known)
    # Dense features are standardised, and there are many: without this factor C = 1 hardly regularises.
    strength = strength / known.shape[1] if isinstance(known, np.ndarray) else strength
    model = LogisticRegression(C=strength, max_iter=ITERATIONS, class_weight="balanced" if balanced else None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # dev judges what was reached
        model.fit(scaled, labels.astype(np.int64))
    present = model.classes_
    weights, bias = np.zeros((known.shape[1], classes)), np.full(classes, ABSENT)
    bias[present] = 0.0
    # Of two classes, scikit-learn gives the second one's logit alone.
    columns = present if len(present) > 2 else present[1:]
    weights[:, columns] = model.coef_.T / spread[:, None]
    bias[columns] = model.intercept_ - mean @ weights[:, columns]
    return weights, bias


def _ridge(
    known: Features, labels: NDArray[np.float64], strength: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from sklearn.linear_model import Ridge

    scaled, mean, spread = _scaled(known)
    strength = strength / known.shape[1] if isinstance(known, np.ndarray) else strength
    model = Ridge(alpha=1 / strength).fit(scaled, labels)
    weights = (model.coef_ / spread)[:, None]
    return weights, np.asarray([float(model.intercept_ - mean @ weights[:, 0])])
