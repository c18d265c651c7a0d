"""The features of a pair of texts from those of each."""

from typing import Any

import numpy as np

from pats.baselines._baseline import Features


def combined(first: Features, second: Features | None) -> Features:
    """Both, their absolute difference and their product (Conneau et al. 2017); one text alone as it is.

    Args:
        first: Features of the first texts, dense or sparse.
        second: Of the second texts; None where there are none.
    """
    if second is None:
        return first
    if isinstance(first, np.ndarray):
        return np.hstack([first, second, np.abs(first - second), first * second])
    from scipy import sparse

    parts: list[Any] = [first, second, abs(first - second), first.multiply(second)]
    return sparse.hstack(parts, format="csr")
