"""The Triton kernels of both passes: one grid over the blocks of all matrices.

Every program reads which block of which piece is its own from tables (``tables.py``), so that nothing is
recompiled when a learning rate or a step changes. What is new at every step is in ``moving``, words of eight
bytes that hold an address or a float64: a head, and a column for each of ``Moving``. Offsets are int64.
"""

import triton
import triton.language as tl

from pats.kernels.triton.arithmetic import (
    FLOAT32_MAX,
    base_update,
    cut_off,
    half_unit,
    intensity,
    normal_quantile,
    rounded,
    words_of_blocks,
)
from pats.kernels.triton.columns import *
from pats.kernels.triton.totals import size_kernel, tally_kernel, total_kernel  # noqa: F401


@triton.jit
def entry(row, column: tl.constexpr, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """The pointer in a column of the table of pieces."""
    pointer = tl.load(row + column).to(tl.pointer_type(DTYPE))
    if ALIGNED:  # lets a thread load 16 bytes at once
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def gradient(row, moving, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """The pointer to the first element of a piece in this step's gradient."""
    address = moved(moving, tl.load(row + P_OWNER), M_GRADS).to(tl.int64, bitcast=True)
    pointer = address.to(tl.pointer_type(DTYPE)) + tl.load(row + P_OFFSET)
    if ALIGNED:
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def grad_scale(moving):
    """What the gradients of this step are divided by, in float64."""
    word = tl.load(moving + H_SCALE_AT)
    is_there = word.to(tl.int64, bitcast=True) != 0
    held = tl.load(moving + H_SCALE)
    return tl.where(is_there, number(word, tl.where(is_there, 4, 0)), held)


@triton.jit
def sample_places(row, i, inside):
    """Where a piece's observed entries are kept, and which of a program's entries these are."""
    return tl.load(row + P_SAMPLE) + (i // EVERY) * SAMPLED + i % EVERY, inside & (i % EVERY < SAMPLED)


@triton.jit
def local_indices(row, off, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):
    """The local elements of a program, and which of them exist."""
    numel = tl.load(row + P_NUMEL)
    if ALIGNED:
        numel = tl.multiple_of(numel, 16)
    i = off + tl.arange(0, BLOCK)
    return i, i < numel


@triton.jit
def stream_words(row, off, step, purpose: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):
    """Words (uint32) of the local elements off to off + BLOCK - 1 of a piece."""
    run, stride, start, key = (
        tl.load(row + P_RUN),
        tl.load(row + P_STRIDE),
        tl.load(row + P_START),
        tl.load(row + P_KEY),
    )
    if ALIGNED:  # consecutive, from a multiple of four: one block of the stream for four elements
        w0, w1, w2, w3 = words_of_blocks((start + off) // 4 + tl.arange(0, BLOCK // 4), key, step, purpose)
        word = tl.reshape(tl.join(tl.join(w0, w2), tl.join(w1, w3)), [BLOCK])
    else:
        i = off + tl.arange(0, BLOCK)
        index = start + (i // run) * stride + i % run
        w0, w1, w2, w3 = words_of_blocks(index // 4, key, step, purpose)
        lane = index % 4
        word = tl.where(lane == 0, w0, tl.where(lane == 1, w1, tl.where(lane == 2, w2, w3)))
    return word


@triton.jit
def relative_variance(average, address, job, flags):
    """f̂ of a budget, from the averages and the numbers of the last step; see ``pats._budget``."""
    account = address.to(tl.pointer_type(tl.float64))
    mean, variance = tl.load(account + A_MEAN), tl.load(account + A_VARIANCE)
    std = (flags & STD) != 0
    limit = tl.where(variance > 0.0, 16.0 * variance, tl.where(std, 1e4, 100.0)).to(tl.float32)
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
    """Eq. 1 and 2 of one block; its sum, its count of entries that are not finite, and a budget's Σ f̂."""
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
    finite = tl.abs(s) <= FLOAT32_MAX
    held = average
    average = tl.where(finite, (1.0 - beta).to(tl.float32) * s + beta.to(tl.float32) * average, average)
    tl.store(where_average, tl.where(counted, average, held), inside)
    tl.store(sums + S_SUM, tl.sum(tl.where(inside, average.to(tl.float64), 0.0)))
    tl.store(sums + S_NONFINITE, tl.sum(tl.where(inside & (finite == 0), 1.0, 0.0).to(tl.float64)))


@triton.jit
def update_kernel(
    pieces,
    scalars,
    moving,
    sums,
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
    """The base update where ``BASE``, Eq. 4 and 5 where ``NOISE``, of one block; and its row of the tally."""
    here = tl.program_id(0).to(tl.int64)
    row = pieces + tl.load(blocks + 2 * here) * P_COLUMNS
    block = tl.load(blocks + 2 * here + 1).to(tl.int64)
    off = block * BLOCK
    owner, flags = tl.load(row + P_OWNER), tl.load(row + P_FLAGS)
    job = scalars + owner * J_COLUMNS
    lr, step = tl.load(sizes + Z_COLUMNS * owner + Z_LR), tl.load(sizes + Z_COLUMNS * owner + Z_STEP)
    count = (step.to(tl.int64) & 0xFFFFFFFF).to(tl.uint32)
    i, inside = local_indices(row, off, ALIGNED, BLOCK)
    where_theta = entry(row, P_THETA, THETA, ALIGNED) + i
    theta = tl.load(where_theta, inside, 0.0)
    value = theta.to(tl.float64)
    tally = partial + T_COLUMNS * (tl.load(row + P_UPDATED) + block)
    if BASE:
        grad = tl.load(gradient(row, moving, THETA, ALIGNED) + i, inside, 0.0)
        where_first = entry(row, P_FIRST, STATE, ALIGNED) + i
        where_second = entry(row, P_SECOND, STATE, ALIGNED) + i
        first, second = tl.load(where_first, inside, 0.0), tl.load(where_second, inside, 1.0)
        change, first64, second64 = base_update(
            theta,
            grad,
            first,
            second,
            tl.load(job + J_FACTOR),
            lr,
            step,
            flags // BASE_CODE == ADAMW_CODE,
            tl.load(job + J_BETA1),
            tl.load(job + J_BETA2),
            tl.load(job + J_LOG_BETA1),
            tl.load(job + J_LOG_BETA2),
            tl.load(job + J_EPS),
            tl.load(job + J_DECAY),
        )
        tl.store(where_first, rounded(first64.to(tl.float32), STATE), inside)
        tl.store(where_second, rounded(second64.to(tl.float32), STATE), inside)
        value -= change
        tl.store(tally + T_UPDATE_SQUARE, tl.sum(tl.where(inside, change * change, 0.0)))
        tl.store(tally + T_OBSERVED, tl.sum(tl.where(inside, 1.0, 0.0).to(tl.float64)))
    elif OBSERVED:
        place, kept = sample_places(row, i, inside)
        change = tl.where(kept, value - tl.load(samples + place, kept, 0.0).to(tl.float64), 0.0)
        tl.store(tally + T_UPDATE_SQUARE, tl.sum(change * change))
        tl.store(tally + T_OBSERVED, tl.sum(tl.where(kept, 1.0, 0.0).to(tl.float64)))
    else:
        tl.store(tally + T_UPDATE_SQUARE, 0.0)
        tl.store(tally + T_OBSERVED, 0.0)
    if NOISE:
        threshold = tl.maximum(tl.load(row + P_THRESHOLD), 1)  # 1 where a matrix has no noise
        total = tl.load(job + J_TOTAL)
        mean = (tl.load(sums + S_COLUMNS * owner + S_SUM) / total).to(tl.float32).to(tl.float64)
        finite = tl.load(sums + S_COLUMNS * owner + S_NONFINITE) == 0.0
        noisy = ((flags & NOISY) != 0) & finite & (mean != 0.0)
        lam, ceiling = tl.load(sizes + Z_COLUMNS * owner), tl.load(sizes + Z_COLUMNS * owner + Z_CEILING)
        word = stream_words(row, off, count, 0, ALIGNED, BLOCK)
        opened = inside & (word.to(tl.int64) < tl.where(noisy, threshold, 0))
        average = tl.load(entry(row, P_AVERAGE, tl.float32, ALIGNED) + i, opened, 0.0)
        eps_absolute, eps_relative = tl.load(job + J_EPS_ABSOLUTE), tl.load(job + J_EPS_RELATIVE)
        std, gamma = (flags & STD) != 0, tl.load(job + J_GAMMA)
        sigma = intensity(average, mean, eps_absolute, eps_relative, gamma, std, lam, ceiling)
        sigma = tl.where(opened, sigma, 0.0)
        draw = tl.where(opened, word, 0)
        q = tl.where(opened, sigma * normal_quantile(draw, threshold), 0.0)
        value = tl.where(q != 0.0, value + q, value)  # -0 stays where nothing is added
        # With λ = 0 there is no noise, and nothing to add to the tally, as on the other paths.
        adds = tl.where(lam != 0.0, 1.0, 0.0).to(tl.float64)
        tl.store(tally + T_GATED, adds * tl.sum(tl.where(opened, 1.0, 0.0).to(tl.float64)))
        tl.store(tally + T_ZERO, adds * tl.sum(tl.where(opened & (sigma == 0.0), 1.0, 0.0).to(tl.float64)))
        tl.store(tally + T_SQUARE, tl.sum(q * q))
        tl.store(tally + T_SIGMA_MAX, tl.max(sigma))
    else:
        tl.store(tally + T_GATED, 0.0)
        tl.store(tally + T_ZERO, 0.0)
        tl.store(tally + T_SQUARE, 0.0)
        tl.store(tally + T_SIGMA_MAX, 0.0)
    single = value.to(tl.float32)
    if BASE and tl.bfloat16 == THETA:
        random = stream_words(row, off, count, 1, ALIGNED, BLOCK) & 0xFFFF
        random = tl.where((flags & ROUNDING) != 0, random, half_unit(single))
        tl.store(where_theta, cut_off(single, random).to(THETA), inside)
    else:
        tl.store(where_theta, rounded(single, THETA), inside)
