"""The temperature that makes a model's probabilities fit its dev set (Guo et al. 2017).

Of n rows and K classes, the true class counts as (n + 1)/(n + K) and every other as 1/(n + K), as Platt
(1999) smooths the targets of two classes. A few rows that are all right would else ask for probabilities of 0
and 1.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BOUNDS = (0.05, 20.0)  # beyond, probabilities are all 0 and 1, or all equal, to any reader


def temperature(parts: Sequence[tuple[NDArray[np.float32], NDArray[Any]]]) -> float:
    """The T for which softmax(logits / T) fits the smoothed labels best, in ``BOUNDS``; predictions stay.

    Args:
        parts: Logits and class indices of every dev split.
    """
    from scipy.optimize import minimize_scalar

    logits = np.concatenate([one for one, _ in parts]).astype(np.float64)
    labels = np.concatenate([np.asarray(one, np.int64) for _, one in parts])
    logits -= logits.max(axis=1, keepdims=True)
    count, classes = logits.shape
    targets = np.full(logits.shape, 1 / (count + classes))
    targets[np.arange(count), labels] = (count + 1) / (count + classes)
    own = (targets * logits).sum(axis=1)

    def loss(log_t: float) -> float:
        t = math.exp(log_t)
        return float(np.mean(np.log(np.exp(logits / t).sum(axis=1)) - own / t))

    low, high = (math.log(bound) for bound in BOUNDS)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-6})
    return float(f"{math.exp(float(found.x)):.6g}")
