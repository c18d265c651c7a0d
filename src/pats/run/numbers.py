"""Numbers of a result: six significant digits, and Gini's coefficient."""

from torch import Tensor


def six_digits(value: float) -> float:
    """Six significant digits, so that a result stays small."""
    return float(f"{value:.6g}")


def gini(counts: Tensor, sums: Tensor) -> float:
    """Gini's coefficient, from 0 (all are equal) towards 1 (one entry holds everything); 0 where all are 0.

        1 - Σ_k n_k/n · (2·L_k - s_k/s),   L_k = Σ_{j ≤ k} s_j/s

    which is twice the area between the diagonal and Lorenz' curve. The entries of a bin count as equal.

    Args:
        counts: Entries n_k of every bin, bins in rising order of their entries.
        sums: Sums s_k of the entries of every bin, float64.
    """
    total = float(sums.sum())
    if not total:
        return 0.0
    people, held = counts.double() / counts.sum(), sums / total
    return 1 - float((people * (2 * held.cumsum(0) - held)).sum())
