"""AUROC and average precision of many resamples at once: 200 classes take seconds.

A resample is a weight for every example: how often it was drawn. Of a class the examples are sorted once, and
every resample is then two running sums over them. The values are those of ``pats.tasks.metrics``.
"""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def of_resamples(metric: str, shares: Array, true: Array, rows: NDArray[np.int64]) -> Array:
    """A metric of ``OF_RANKS`` of every resample.

    Args:
        metric: Its name.
        shares: Probabilities of the classes, one row an example.
        true: Class indices.
        rows: The examples of every resample, one row each.
    """
    score, nothing = OF_RANKS[metric]
    drawn = np.stack([np.bincount(own, minlength=true.size) for own in rows]).astype(np.float64)
    total, many = np.zeros(len(rows)), np.zeros(len(rows))
    for number in [1] if shares.shape[1] == 2 else range(shares.shape[1]):
        order = np.argsort(-shares[:, number], kind="stable")
        sorted_shares = shares[order, number]
        starts = np.flatnonzero(np.r_[True, sorted_shares[1:] != sorted_shares[:-1]])
        inside = (true[order] == number).astype(np.float64)
        weights = drawn[:, order]
        positive = np.add.reduceat(weights * inside, starts, axis=1)  # equal probabilities are one step
        every = np.add.reduceat(weights, starts, axis=1)
        held = positive.sum(axis=1)
        able = (held > 0) & (held < true.size)
        total[able] += score(positive[able], every[able] - positive[able])
        many += able
    return np.where(many > 0, total / np.maximum(many, 1), nothing)


def _auroc(positive: Array, negative: Array) -> Array:
    """The share of pairs whose positive one is above; equal ones count half."""
    below = negative.sum(axis=1, keepdims=True) - np.cumsum(negative, axis=1) + negative / 2
    return np.asarray((positive * below).sum(axis=1) / (positive.sum(axis=1) * negative.sum(axis=1)))


def _average_precision(positive: Array, negative: Array) -> Array:
    """The mean precision at every step, weighted by what it adds to recall."""
    found, said = np.cumsum(positive, axis=1), np.cumsum(positive + negative, axis=1)
    precision = np.divide(found, said, out=np.zeros_like(found), where=said > 0)
    return np.asarray((precision * positive).sum(axis=1) / positive.sum(axis=1))


# The function, and what it is where no class has both examples of its own and others.
OF_RANKS: Mapping[str, tuple[Callable[[Array, Array], Array], float]] = {
    "auroc": (_auroc, 0.5),
    "average_precision": (_average_precision, 0.0),
}
