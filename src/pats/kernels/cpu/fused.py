"""Base update and noise of many parameters in one call: Adamax and AdamW, with or without PATS.

Matrices are processed one after another, torch's threads splitting each: pass 1 (Eq. 1-3) where there is
noise, then one pass that updates m, u (or v) and θ and adds the noise, so that it finds the matrix in cache.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pats._noise import Noise
from pats.kernels import cpu
from pats.kernels.cpu import ADAMAX, ADAMW, DTYPES, MEASURE, UPDATE, Matrix
from pats.kernels.eager import Added, Measured
from pats.philox import key


@dataclass(frozen=True)
class Job:
    """One parameter of a fused step.

    Args:
        theta: θ, changed in place; float32 or bfloat16 on a CPU, contiguous.
        grad: ∇L, of θ's dtype, contiguous.
        first: m, float32, contiguous; changed in place.
        second: u of Adamax or v of AdamW, like m.
        base: What ``adamax`` or ``adamw`` returned for this step.
        lr: This step's learning rate.
        step: This step's number, 1-based.
        maximize: ∇L is negated.
        noise: Settings of PATS; None updates without noise, and needs none of the following.
        average: s̄, float32, contiguous; changed in place.
        name: Canonical name of the parameter, which selects its stream.
    """

    theta: Tensor
    grad: Tensor
    first: Tensor
    second: Tensor
    base: Mapping[str, float]
    lr: float
    step: int
    maximize: bool = False
    noise: Noise | None = None
    average: Tensor | None = None
    name: str = ""


@dataclass(frozen=True)
class Stepped:
    """What one fused step found and did.

    Args:
        measured: Result of pass 1.
        added: Result of pass 2.
        update_square: Mean square of the base optimizer's update over every 16th tile of 1024 entries.
    """

    measured: Measured
    added: Added
    update_square: float


def adamax(
    lr: float, betas: tuple[float, float], eps: float, weight_decay: float, step: int
) -> dict[str, float]:
    """Constants of torch's Adamax: m ← lerp(m, g, 1-β₁); u ← max(β₂u, |g| + ε); θ ← θ - lr/(1-β₁ᵗ)·m/u."""
    return {
        "base": ADAMAX,
        "beta1": betas[0],
        "beta2": betas[1],
        "eps": eps,
        "decay": weight_decay,
        "size": lr / (1 - betas[0] ** step),
    }


def adamw(
    lr: float, betas: tuple[float, float], eps: float, weight_decay: float, step: int
) -> dict[str, float]:
    """Constants of torch's AdamW: decoupled decay lr·wd·θ, then θ ← θ - lr·m̂/(√v̂ + ε)."""
    return {
        "base": ADAMW,
        "beta1": betas[0],
        "beta2": betas[1],
        "eps": eps,
        "decay": lr * weight_decay,
        "size": lr / (1 - betas[0] ** step),
        "root": (1 - betas[1] ** step) ** 0.5,
    }


def refusal(theta: Tensor, grad: Tensor, *states: Tensor) -> str | None:
    """Why these tensors cannot be updated in one call; None where they can."""
    if cpu.LIBRARY is None:
        return "the C kernel has not been built"
    if not cpu.takes(theta, grad):
        return f"it takes float32 and bfloat16 on a CPU, not {theta.dtype} on {theta.device.type}"
    if any(s.dtype != torch.float32 or s.device.type != "cpu" for s in states):
        return "it takes float32 states (state_dtype=torch.float32)"
    if not all(t.is_contiguous() for t in (theta, grad, *states)):
        return "it takes contiguous tensors"
    return None


def step_(jobs: Sequence[Job]) -> list[Stepped]:
    """Update all parameters in place, in the order of ``jobs``.

    A matrix with a non-finite sensitivity gets no noise; its base update is torch's.

    Args:
        jobs: The parameters; ``refusal`` must be None for each.

    Raises:
        MemoryError: No memory for the partial sums; nothing has been changed.
    """
    matrices = (Matrix * len(jobs))()
    changed = []
    for matrix, job in zip(matrices, jobs, strict=True):
        fields: dict[str, float | None] = {
            "theta": job.theta.data_ptr(),
            "grad": job.grad.data_ptr(),
            "first": job.first.data_ptr(),
            "second": job.second.data_ptr(),
            "numel": job.theta.numel(),
            "dtype": DTYPES[job.theta.dtype],
            "grad_factor": -1.0 if job.maximize else 1.0,
            "step": job.step & 0xFFFFFFFF,
            **job.base,
        }
        changed += [job.theta, job.first, job.second]
        if job.noise is not None:
            assert job.average is not None
            fields |= cpu.settings(job.noise, max(job.theta.numel(), 1))
            fields |= {"average": job.average.data_ptr() or None, "lam": job.noise.lam_t(job.lr)}
            fields["key0"], fields["key1"] = key(job.noise.seed, job.name)
            changed.append(job.average)
        cpu.fill(matrix, fields)
    cpu.run(matrices, MEASURE | UPDATE)
    torch.autograd.graph.increment_version(changed)
    return [
        Stepped(
            Measured(m.mean, m.nonfinite),
            Added(m.gated, m.zero, m.square, m.sigma_max),
            m.update_square / max(m.observed, 1),
        )
        for m in matrices
    ]
