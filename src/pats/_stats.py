"""The telemetry of one matrix, from what a step has added up; see ``pats.Perturbation.stats``."""

import math

from torch import Tensor

_MOST = 8  # sets of matrices that are counted by themselves


class Skipped:
    """How many steps each matrix was without noise, because its sensitivity was not finite.

    The matrices of a step are counted in one tensor, where they stand together. Where other ones have a
    gradient at every step, as with experts, a set's tensor is added to one count a matrix.
    """

    def __init__(self) -> None:
        self._sets: dict[tuple[str, ...], Tensor] = {}
        self._each: dict[str, Tensor] = {}

    def add(self, names: tuple[str, ...], sums: Tensor) -> None:
        """Count a step.

        Args:
            names: The matrices.
            sums: Their rows of ``pats.kernels.job.SUMS``; more may follow.
        """
        spoilt = sums[: len(names), 1] > 0
        if names in self._sets:
            self._sets[names] += spoilt  # in place, so that replays of a CUDA graph count on
            return
        if len(self._sets) == _MOST:
            oldest = next(iter(self._sets))
            for name, count in zip(oldest, self._sets.pop(oldest).unbind(), strict=True):
                self._each[name] = self._each[name] + count if name in self._each else count.clone()
        self._sets[names] = spoilt.long()

    def counts(self) -> dict[str, int]:
        """The counts by name."""
        found = {name: int(count) for name, count in self._each.items()}
        for names, counts in self._sets.items():
            for name, count in zip(names, counts.tolist(), strict=True):
                found[name] = found.get(name, 0) + count
        return found


def stats_of(
    parameter: Tensor, gated: float, zero: float, square: float, sigma_max: float, update_square: float
) -> dict[str, float]:
    """A matrix's telemetry.

    Args:
        parameter: The matrix after the step.
        gated: Entries whose gate was open.
        zero: Of these, those whose σ was 0.
        square: Sum of q² over them.
        sigma_max: The largest σ.
        update_square: Mean square of the observed updates.
    """
    numel = parameter.numel()
    noise = math.sqrt(square / numel) if numel else 0.0
    update = math.sqrt(update_square)
    spread = float(parameter.detach().double().std()) if numel > 1 else 0.0
    return {
        "noise_rms": noise,
        "update_rms": update,
        "noise_over_update": ratio(noise, update),
        "noise_over_weight": ratio(noise, spread),
        "gated": ratio(gated, numel),
        "zero": ratio(zero, gated),
        "sigma_max": sigma_max,
    }


def ratio(value: float, base: float) -> float:
    """value/base; 0/0 is 0, and anything else over 0 is infinite."""
    if base:
        return value / base
    return math.inf if value else 0.0
