"""The telemetry of one matrix, from what a step has added up; see ``pats.Perturbation.stats``."""

import math

from torch import Tensor


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
