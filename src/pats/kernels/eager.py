"""The two passes in plain torch operations, chunk by chunk: no temporary of a parameter's size."""

from dataclasses import dataclass

import torch
from torch import Tensor

from pats._noise import Noise, intensity, mean_of, moving_average_, sensitivity, sigma
from pats.philox import CHUNK, chunks, gated, key, threshold


@dataclass(frozen=True)
class Measured:
    """What pass 1 found in one matrix.

    Args:
        mean: s̄ of this step (Eq. 3).
        nonfinite: Entries whose s_j was not finite; the matrix gets no noise if there is one.
    """

    mean: float
    nonfinite: int


@dataclass
class Added:
    """What pass 2 added to one matrix: totals over the entries whose gate was open.

    Args:
        gated: Entries whose gate was open.
        zero: Those of them with r = 0.
        square: Sum of the squares of the noise.
        sigma_max: Largest standard deviation.
    """

    gated: int = 0
    zero: int = 0
    square: float = 0.0
    sigma_max: float = 0.0


def measure_(
    average: Tensor,
    theta: Tensor,
    grad: Tensor,
    noise: Noise,
    maximize: bool = False,
    grad_scale: float = 1.0,
) -> Measured:
    """Pass 1: Eq. 1-3. Updates s̄ in place.

    Args:
        average: s̄, contiguous, float32 (float64 for a float64 parameter), shape of θ.
        theta: θ before this step's update.
        grad: ∇L after clipping.
        noise: β and ``signed``.
        maximize: The optimizer ascends: ∇L is negated.
        grad_scale: The gradient is still multiplied by this factor, and is divided by it here.
    """
    flat_average, flat_theta, flat_grad = average.view(-1), theta.reshape(-1), grad.reshape(-1)
    sums, nonfinite = [], 0
    factor = (-1.0 if maximize else 1.0) / grad_scale
    for start in range(0, flat_average.numel(), CHUNK):
        part = slice(start, start + CHUNK)
        here = flat_average[part]
        g = flat_grad[part].to(here.dtype)
        s = sensitivity(flat_theta[part].to(here.dtype), g if factor == 1.0 else g * factor, noise.signed)
        nonfinite += int(moving_average_(here, s, noise.beta))
        sums.append(float(here.sum(dtype=torch.float64)))
    return Measured(mean_of(sums, max(average.numel(), 1), average.dtype), nonfinite)


def perturb_(
    theta: Tensor,
    average: Tensor,
    mean: float,
    noise: Noise,
    *,
    name: str,
    step: int,
    lr: float,
) -> Added:
    """Pass 2: Eq. 4 and 5. Adds q_j·z_j to θ in place, in float64, rounded once.

    Only entries whose gate is open are touched.

    Args:
        theta: θ after the base optimizer's update.
        average: s̄_j of this step, contiguous.
        mean: s̄ of this step.
        noise: The settings.
        name: Canonical name of the parameter, which selects its stream.
        step: Optimizer step after the update, 1-based.
        lr: This step's learning rate, for ``scale="lr"``.
    """
    added = Added()
    lam, gate = noise.lam_t(lr), threshold(noise.p)
    if lam == 0 or gate == 0 or mean == 0:
        return added
    contiguous = theta.contiguous()
    flat_theta, flat_average = contiguous.view(-1), average.view(-1)
    for start, count in chunks(0, theta.numel()):
        index, z = gated(key(noise.seed, name), step, start, count, gate, device=theta.device)
        here = flat_theta[start : start + count]
        selected = flat_average[start : start + count].index_select(0, index).double()
        deviation = sigma(intensity(selected, mean, theta.numel(), lam, noise), noise)
        q = z.mul_(deviation)
        here.scatter_(0, index, here.index_select(0, index).double().add_(q).to(theta.dtype))
        if index.numel():
            added.gated += index.numel()
            added.zero += int((deviation == 0).sum())
            added.square += float(q.square().sum())
            added.sigma_max = max(added.sigma_max, float(deviation.max()))
    if not theta.is_contiguous():
        theta.copy_(contiguous)
    return added
