"""The rows that the Triton kernels read: the kernels' column numbers are generated from these fields."""

import math
from typing import NamedTuple

from pats._noise import eps_of
from pats.kernels.job import MatrixJob

# Flags of a piece; what follows ``BASE`` is the code of the base update (``pats.kernels.update``).
SIGNED, STD, BY_LR, ROUNDING, NOISY, BUDGET, HEAT, BASE = (1 << i for i in range(8))


# Of the entries of a matrix whose update the kernels observe from outside: so many of every so many.
SAMPLED, EVERY = 32, 1024

# What a step sends first: the addresses of found_inf and of grad_scale, 0 without, grad_scale itself, and how
# many jobs there are, each of which has a place in the columns that follow.
HEAD = ("found", "scale_at", "scale", "jobs")

# The columns: addresses of gradients; learning rates and steps as float64, or as their addresses; and the
# bytes of the floats there, 0 where there is no address: that of ``lr``, and 16 times that of ``step``.
MOVING = ("grads", "lrs", "steps", "widths")


class PieceRow(NamedTuple):
    """One piece of a job, in int64: addresses, where its elements are in the matrix, and its stream.

    ``offset`` is that of its first element in ∇L, whose address travels with the step. ``measured`` and
    ``updated`` are the rows of its first blocks among all partial sums of a pass, ``sample`` that of its
    first run of entries whose update is observed.
    """

    theta: int
    offset: int
    average: int
    first: int
    second: int
    numel: int
    run: int
    stride: int
    start: int
    owner: int
    key: int
    threshold: int
    flags: int
    budget: int
    measured: int
    updated: int
    sample: int


class OwnerRow(NamedTuple):
    """What is whole in one job, in int64: its rows of partial sums in both passes, its budget's account."""

    measured: int
    measured_end: int
    updated: int
    updated_end: int
    flags: int
    budget: int


class JobRow(NamedTuple):
    """The numbers of one job, in float64."""

    total: float
    beta: float
    factor: float
    gamma: float
    eps_absolute: float
    eps_relative: float
    size: float
    open: float
    steps: float
    most: float
    beta1: float
    beta2: float
    log_beta1: float
    log_beta2: float
    eps: float
    decay: float


def job_row(job: MatrixJob) -> JobRow:
    """The numbers of a job; 0 where there is no noise, or no base update."""
    noise, rule = job.noise, job.rule
    beta, _ = job.averaging or (0.0, False)
    drawn = (0.0,) * 7
    if noise is not None:
        size = noise.size if noise.examples is None else 2.0 * noise.size / noise.examples
        last = float(noise.last or 0)
        drawn = (noise.gamma, *eps_of(noise, job.numel), size, noise.p, last, noise.most)
    base = (0.0,) * 6
    if rule is not None:
        log1, log2 = (math.log(beta) if beta else -math.inf for beta in rule.betas)
        base = (*rule.betas, log1, log2, rule.eps, rule.weight_decay)
    return JobRow(max(job.numel, 1), beta, -1.0 if job.maximize else 1.0, *drawn, *base)


def flags_of(job: MatrixJob) -> int:
    """The flags of a job's pieces."""
    noise, rule, averaging = job.noise, job.rule, job.averaging
    flags = 0
    if averaging is not None:
        flags |= SIGNED * averaging[1]
    if noise is not None and job.average is not None:
        flags |= NOISY | STD * (noise.intensity == "std")
        flags |= BY_LR * (noise.scale == "lr") | BUDGET * (job.budget is not None)
        flags |= HEAT * (noise.scale == "langevin")
    if rule is not None:
        flags |= ROUNDING * rule.stochastic_rounding | BASE * rule.base.code
    return flags
