"""The Triton kernels of both passes: one grid over the blocks of all matrices.

Every program reads which block of which piece is its own from tables (``tables.py``), so that nothing is
recompiled when a learning rate or a step changes. What is new at every step is in ``moving``, words of eight
bytes that hold an address or a float64: a head, and a column for each of ``MOVING``. Offsets are int64.
"""

import triton
import triton.language as tl

from pats.kernels.triton.columns import *
from pats.kernels.triton.entries import entries, in_float64, noise_tally, square_sum, write
from pats.kernels.triton.pairs import HUGE
from pats.kernels.triton.pieces import entry, grad_scale, gradient, local_indices, sample_places
from pats.kernels.triton.size import size_kernel  # noqa: F401
from pats.kernels.triton.totals import tally_kernel, total_kernel  # noqa: F401


@triton.jit
def relative_variance(average, address, job, flags):
    """f̂ of a budget, from the averages and the numbers of the last step; see ``pats._budget``."""
    account = address.to(tl.pointer_type(tl.float64))
    mean, variance = tl.load(account + A_MEAN), tl.load(account + A_VARIANCE)
    std = (flags & STD) != 0
    limit = tl.where(variance > 0.0, 16.0 * variance, tl.where(std, 1e4, 100.0))
    limit = tl.minimum(limit, tl.load(job + J_MOST)).to(tl.float32)
    eps = (tl.load(job + J_EPS_ABSOLUTE) + tl.load(job + J_EPS_RELATIVE) * tl.abs(mean)).to(tl.float32)
    below = average + eps
    above = mean.to(tl.float32) / tl.where(below != 0.0, below, 1.0) - tl.load(job + J_GAMMA).to(tl.float32)
    above = tl.where((below != 0.0) & (above > 0.0), above, 0.0)  # false for NaN
    above = tl.where(std, above * above, above)
    return tl.where(above < limit, above, limit)


@triton.jit
def measure_kernel(
    pieces,
    scalars,
    moving,
    blocks,
    partial,
    samples,
    THETA: tl.constexpr,
    BUDGET: tl.constexpr,
    OBSERVED: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Eq. 1 and 2 of one block; its sum, its count of entries not finite or huge, and a budget's Σ f̂."""
    here = tl.program_id(0).to(tl.int64)
    row = pieces + tl.load(blocks + 2 * here) * P_COLUMNS
    block = tl.load(blocks + 2 * here + 1).to(tl.int64)
    off = block * BLOCK
    counted = is_counted(moving)
    job = scalars + tl.load(row + P_OWNER) * J_COLUMNS
    flags = tl.load(row + P_FLAGS)
    i, inside = local_indices(row, off, ALIGNED, BLOCK)
    theta = tl.load(entry(row, P_THETA, THETA, ALIGNED) + i, inside, 0.0).to(tl.float32)
    grad = tl.load(gradient(row, moving, THETA, ALIGNED) + i, inside, 0.0).to(tl.float32)
    if OBSERVED:
        place, kept = sample_places(row, i, inside)
        tl.store(samples + place, theta, kept)
    where_average = entry(row, P_AVERAGE, tl.float32, ALIGNED) + i
    average = tl.load(where_average, inside, 0.0)
    relative = average * 0.0
    if BUDGET:
        relative = tl.where(inside, relative_variance(average, tl.load(row + P_BUDGET), job, flags), 0.0)
    sums = partial + S_COLUMNS * (tl.load(row + P_MEASURED) + block)
    tl.store(sums + S_VARIANCE, tl.sum(relative.to(tl.float64)))
    beta = tl.load(job + J_BETA)
    s = theta * (grad * (tl.load(job + J_FACTOR) / grad_scale(moving)).to(tl.float32))
    s = tl.where((flags & SIGNED) != 0, s, tl.abs(s))
    finite = tl.abs(s) < HUGE
    held = average
    average = tl.where(finite, (1.0 - beta).to(tl.float32) * s + beta.to(tl.float32) * average, average)
    tl.store(where_average, tl.where(counted, average, held), inside)
    tl.store(sums + S_SUM, tl.sum(tl.where(inside, average.to(tl.float64), 0.0)))
    tl.store(sums + S_NONFINITE, tl.sum(tl.where(inside & (finite == 0), 1.0, 0.0).to(tl.float64)))


@triton.jit
def since_sample(row, samples, off, THETA: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):
    """Σ Δ² and number of the observed entries of a block whose base update was done in between."""
    i, inside = local_indices(row, off, ALIGNED, BLOCK)
    place, kept = sample_places(row, i, inside)
    theta = tl.load(entry(row, P_THETA, THETA, ALIGNED) + i, kept, 0.0).to(tl.float32)
    change = theta - tl.load(samples + place, kept, 0.0)
    return square_sum(change, kept), tl.sum(kept.to(tl.int32)).to(tl.float64)


@triton.jit
def update_kernel(
    pieces,
    scalars,
    moving,
    sizes,
    blocks,
    partial,
    samples,
    THETA: tl.constexpr,
    STATE: tl.constexpr,
    BASE: tl.constexpr,
    NOISE: tl.constexpr,
    OBSERVED: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The base update where ``BASE``, Eq. 4 and 5 where ``NOISE``, of one block; and its row of the tally.

    A block that has entries beyond float32 is done a second time, in float64, and the first is not written.
    """
    here = tl.program_id(0).to(tl.int64)
    row = pieces + tl.load(blocks + 2 * here) * P_COLUMNS
    block = tl.load(blocks + 2 * here + 1).to(tl.int64)
    off = block * BLOCK
    owner = tl.load(row + P_OWNER)
    job, own = scalars + owner * J_COLUMNS, sizes + owner * Z_COLUMNS
    tally = partial + T_COLUMNS * (tl.load(row + P_UPDATED) + block)
    zero = tl.full([], 0.0, tl.float64)
    updates, observed = zero, zero
    gated, spared, squares, largest = zero, zero, zero, zero
    if OBSERVED:
        updates, observed = since_sample(row, samples, off, THETA, ALIGNED, BLOCK)
    i, inside, hard, theta, mean, spread, change, opened, q, sigma = entries(
        row, job, own, moving, off, THETA, STATE, BASE, NOISE, ALIGNED, False, BLOCK
    )
    if tl.max(hard.to(tl.int32)) != 0:
        again, gated, spared, squares, largest = in_float64(
            row, job, own, moving, off, THETA, STATE, BASE, NOISE, BLOCK
        )
        if BASE:
            updates = again
    else:
        write(row, own, off, i, inside, theta, mean, spread, THETA, STATE, BASE, ALIGNED, BLOCK)
        if BASE:
            updates = square_sum(change, inside)
        if NOISE:
            gated, spared, squares, largest = noise_tally(opened, q, sigma)
    if BASE:
        observed = tl.minimum(tl.load(row + P_NUMEL) - off, BLOCK).to(tl.float64)
    tl.store(tally + T_UPDATE_SQUARE, updates)
    tl.store(tally + T_OBSERVED, observed)
    tl.store(tally + T_GATED, gated)
    tl.store(tally + T_ZERO, spared)
    tl.store(tally + T_SQUARE, squares)
    tl.store(tally + T_SIGMA_MAX, largest)
