"""``scale="budget"``: how large the noise of a matrix is, so that a whole run stays within a budget.

    R_j = min( max( s̄/(s̄_j+ε) - γ, 0 ), ratio_max ),   f_j = R_j (variance) or R_j² (std)
    S = std(W), before the first noisy step

    f̂_j = min(f_j, 16 F_{t-2})  of the s̄_j before step t;   F_{t-1} = (1/N) Σ f̂_j
    E   ← E + p Λ_{t-1} F_{t-1} / S²                            what has been spent, as a share of S²;
                                                                p is that of step t-1
    Λ_t = max(B² - E, 0) · min(w_t, 1/16) · S² / (p F_{t-1});   λ_t = Λ_t (variance) or √Λ_t (std)
    w_t = 6k / ((k+1)(2k+1)),  k = T-t+1;   0 after T;   1 - exp(-1/500) where T is not known

and the noise of step t uses min(f_j, 16 F_{t-1}), which caps every σ_j at 4 √(Λ_t F_{t-1}). Where there is
no F yet, f̂_j ≤ 100 (std: 10⁴). Λ is 0 at the first step, after the last, at a step whose sensitivity is not
finite, and where S, p or F is 0. No learning rate enters. With ``until``, T is the last step with noise.

``scale="langevin"`` takes the same F, so that no pass over the matrix is added, and no budget:

    Λ_t = 2·lr_t·T_emp/n / F_{t-1},   so σ_j² = 2·lr_t·T_emp/n · f̂_j/mean(f̂)

It needs no S, and E is what its noise has accumulated to.

Where the noise does not stay in the weights (``keep``), B is the noise that is there at a time over S.
Nothing is spent and E stays 0; the amplitude fades in the same way:

    Λ_t = B² fade_t S² / (p F_{t-1});   fade_t = ((T-t+1)/T)², 0 after T;   exp(-(t-1)/500) without T

A matrix keeps five numbers, a float64 row of ``ROW``: S, and s̄, F, p·Λ, E of its last step (p may be
scheduled, so what a step has spent is known by its own p). S, s̄ and F are
rounded once to the dtype of the sensitivity, so that they are equal under every sharding.

Source: ours; the paper's noise does not shrink with the run (docs/noise.md).
"""

import math

import torch
from torch import Tensor

from pats._noise import Noise, intensity, mean_of
from pats.philox import CHUNK

ROW = ("spread", "mean", "variance", "size", "spent")
KEYS = tuple(f"noise_{name}" for name in ROW)  # in ``optimizer.state[p]``, a view of the row each
SPREAD, MEAN, VARIANCE, SIZE, SPENT = range(len(ROW))

CAP = 16.0  # f̂_j over their mean, at most
FIRST_CAP = 100.0  # of R_j, where there is no mean of f̂_j yet
SHARE = 1 / 16  # of what is left, spent at one step, at most
FADING = -math.expm1(-1 / 500)  # the share where the number of steps is not known


def share(steps: int | None, step: int) -> float:
    """min(w_t, 1/16): the share of the remaining budget that step t may spend.

    Args:
        steps: T, or None.
        step: t, 1-based.
    """
    if steps is None:
        return FADING
    k = steps - step + 1
    return min(6 * k / ((k + 1) * (2 * k + 1)), SHARE) if k > 0 else 0.0


def fade(steps: int | None, step: int) -> float:
    """fade_t: what is left at step t of the square of the first noise's amplitude, where nothing is spent.

    Args:
        steps: T, or None.
        step: t, 1-based.
    """
    if steps is None:
        return math.exp(-(step - 1) / 500)
    return (max(steps - step + 1, 0) / steps) ** 2


def limit(variance: float, noise: Noise) -> float:
    """The largest f̂_j, from the last F."""
    if variance > 0:
        return min(CAP * variance, noise.most)
    return min(FIRST_CAP if noise.intensity == "variance" else FIRST_CAP**2, noise.most)


def variance_sum(average: Tensor, row: Tensor, numel: int, noise: Noise) -> Tensor:
    """Σ f̂_j over some entries of a matrix, float64, from the s̄_j of the last step.

    Args:
        average: s̄_j, one-dimensional.
        row: The matrix's five numbers.
        numel: N.
        noise: γ, ε and the readings.
    """
    values = row.tolist()
    most = limit(values[VARIANCE], noise)
    total = torch.zeros((), dtype=torch.float64, device=average.device)
    for start in range(0, average.numel(), CHUNK):
        relative = intensity(average[start : start + CHUNK].double(), values[MEAN], numel, 1.0, noise)
        if noise.intensity == "std":
            relative.square_()
        total += relative.clamp_(max=most).sum()
    return total


def spent(
    rows: Tensor,
    sums: Tensor,
    numel: Tensor,
    p: Tensor,
    budget: Tensor,
    now: Tensor,
    walks: Tensor,
    heat: Tensor,
    dtype: torch.dtype,
) -> Tensor:
    """The rows of some matrices after pass 1 of a step; one row a matrix, float64.

    Args:
        rows: Their rows before.
        sums: Σ s̄_j, the count of entries that are not finite, and Σ f̂_j, of the whole matrices.
        numel: N.
        p: Probability of the gate.
        budget: B; 0 without a budget.
        now: ``share`` of this step, or ``fade`` where the noise does not stay.
        walks: 1 where the noise stays in the weights.
        heat: p · 2·lr_t·T/n of ``scale="langevin"``; 0 with a budget.
        dtype: Dtype of the sensitivity.
    """
    spread, size, spent = rows[:, SPREAD], rows[:, SIZE], rows[:, SPENT]
    mean = mean_of(sums[:, 0], numel, dtype).double()
    variance = mean_of(sums[:, 2], numel, dtype).double()
    square = spread * spread
    known, walks = square > 0, walks > 0
    spent = torch.where(known & walks, spent + size * variance / square, spent)
    fine = (p > 0) & (variance > 0) & (sums[:, 1] == 0)
    left = torch.where(walks, (budget * budget - spent).clamp(min=0), budget * budget)
    size = torch.where(fine, (left * now * square + heat) / variance, 0.0)
    return torch.stack([spread, mean, variance, size, spent], dim=1)


def sizes(rows: Tensor, p: Tensor, is_std: Tensor, most: Tensor) -> tuple[Tensor, Tensor]:
    """λ_t, and the largest σ_j that it allows.

    Args:
        rows: What ``spent`` returned.
        p: Probability of the gate.
        is_std: 1 where ``intensity="std"``.
        most: ``Noise.most``.
    """
    size = torch.where(p > 0, rows[:, SIZE] / p, 0.0)
    largest = torch.minimum(CAP * rows[:, VARIANCE], most)
    return torch.where(is_std > 0, size.sqrt(), size), (size * largest).sqrt()


def views(row: Tensor) -> dict[str, Tensor]:
    """A row as the entries of ``optimizer.state[p]``."""
    return dict(zip(KEYS, row.unbind(), strict=True))
