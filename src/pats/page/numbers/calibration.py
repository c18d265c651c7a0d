"""Calibration: whether probabilities mean what they say."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

BINS = 10


@dataclass(frozen=True)
class Bin:
    """The rows whose most probable class has a probability within one tenth.

    Args:
        low: The lowest probability.
        high: The highest.
        count: Rows.
        confidence: Their mean probability of the predicted class.
        accuracy: The share of them that is right.
    """

    low: float
    high: float
    count: int
    confidence: float
    accuracy: float


def reliability(shares: Array, true: Array, bins: int = BINS) -> tuple[Bin, ...]:
    """The reliability curve (Guo et al. 2017): equally wide bins of the probability of the predicted class.

    Args:
        shares: Probabilities of the classes, one row an example.
        true: Class indices.
        bins: Their number; those without a row are left out.
    """
    confidence, right = shares.max(axis=1), shares.argmax(axis=1) == true
    # (low, high], so that 1 is in the last one.
    place = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    return tuple(
        Bin(
            number / bins,
            (number + 1) / bins,
            int(inside.sum()),
            float(confidence[inside].mean()),
            float(right[inside].mean()),
        )
        for number in range(bins)
        if (inside := place == number).any()
    )


def ece(shares: Array, true: Array, bins: int = BINS) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy, weighted by rows."""
    curve = reliability(shares, true, bins)
    return sum(one.count * abs(one.confidence - one.accuracy) for one in curve) / len(true)


def warmed(shares: Array, temperature: float) -> Array:
    """The probabilities that logits divided by a temperature would have given."""
    logits = np.log(np.clip(shares, 1e-12, None)) / temperature
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))
