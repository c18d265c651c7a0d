"""From which probability on a label is given, where a text may have several."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

GRID = tuple(number / 20 for number in range(1, 20))
FEW = 5  # texts of a label below which it takes the threshold that all labels share


def tuned(shares: NDArray[np.float64], marks: NDArray[np.float32]) -> tuple[float, ...]:
    """The threshold of every label with the best F1; of equal ones that nearest to the shared one.

    The shared threshold is that with the best micro-F1 over all labels, the one nearest to 0.5 of equals.

    Args:
        shares: Probabilities of the labels on dev, one row an example.
        marks: 0 and 1, of the same shape.
    """
    true = marks > 0
    given = np.stack([shares >= threshold for threshold in GRID])  # threshold, example, label
    hits, both = (given & true).sum(axis=1), given.sum(axis=1) + true.sum(axis=0)
    shared = _best(2 * hits.sum(axis=1) / np.maximum(both.sum(axis=1), 1), 0.5)
    own = 2 * hits / np.maximum(both, 1)
    few = true.sum(axis=0) < FEW
    return tuple(shared if few[label] else _best(own[:, label], shared) for label in range(true.shape[1]))


def decided(shares: NDArray[np.float64], thresholds: Sequence[float]) -> NDArray[np.float64]:
    """0 and 1, whether every text gets every label."""
    return (shares >= np.asarray(thresholds)).astype(np.float64)


def _best(scores: NDArray[np.float64], near: float) -> float:
    top = scores.max() - 1e-12
    return min(
        (one for one, score in zip(GRID, scores, strict=True) if score >= top), key=lambda t: abs(t - near)
    )
