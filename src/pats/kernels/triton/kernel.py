"""The Triton kernels: one grid over the blocks of all matrices.

Every program reads which block of which piece is its own from tables (``tables.py``), so that nothing is
recompiled when a learning rate or a step changes. What is new at every step is in ``moving``, words of eight
bytes that hold an address or a float64: a head, and a row for each job. Offsets are int64.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl

from pats._budget import ROW
from pats.kernels.job import SUMS, TALLY
from pats.kernels.triton import tables
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
from pats.kernels.triton.tables import HEAD, JobRow, Moving, OwnerRow, PieceRow
from pats.kernels.update import ADAMW

SIZES = ("lam", "ceiling", "lr", "step", "counted")  # of every job, as the size kernel finds them


def columns(names: Sequence[str]) -> list[Any]:
    """The numbers of a table's columns, as constants that kernels may read."""
    return [tl.constexpr(number) for number in range(len(names))]


DTYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}

# fmt: off
# Columns of the tables of pieces, of jobs' places and of jobs' numbers.
(P_THETA, P_OFFSET, P_AVERAGE, P_FIRST, P_SECOND, P_NUMEL, P_RUN, P_STRIDE, P_START, P_OWNER, P_KEY,
 P_THRESHOLD, P_FLAGS, P_BUDGET, P_MEASURED, P_UPDATED, P_SAMPLE) = columns(PieceRow._fields)
O_MEASURED, O_MEASURED_END, O_UPDATED, O_UPDATED_END, O_FLAGS, O_BUDGET = columns(OwnerRow._fields)
(J_TOTAL, J_BETA, J_FACTOR, J_GAMMA, J_EPS_ABSOLUTE, J_EPS_RELATIVE, J_SIZE, J_OPEN, J_STEPS, J_BETA1,
 J_BETA2, J_LOG_BETA1, J_LOG_BETA2, J_EPS, J_DECAY) = columns(JobRow._fields)
# fmt: on
# Columns of a budget's account, of the sums and of the tally.
A_SPREAD, A_MEAN, A_VARIANCE, A_SIZE, A_SPENT = columns(ROW)
S_SUM, S_NONFINITE, S_VARIANCE = columns(SUMS)
T_GATED, T_ZERO, T_SQUARE, T_SIGMA_MAX, T_UPDATE_SQUARE, T_OBSERVED = columns(TALLY)
H_FOUND, H_SCALE_AT, H_SCALE, H_JOBS = columns(HEAD)
M_GRADS, M_LRS, M_STEPS, M_WIDTHS = columns(Moving._fields)
Z_LAM, Z_CEILING, Z_LR, Z_STEP, Z_COUNTED = columns(SIZES)
P_COLUMNS, J_COLUMNS = tl.constexpr(len(PieceRow._fields)), tl.constexpr(len(JobRow._fields))
O_COLUMNS, H_COLUMNS, Z_COLUMNS = (tl.constexpr(len(names)) for names in (OwnerRow._fields, HEAD, SIZES))
S_COLUMNS, T_COLUMNS = tl.constexpr(len(SUMS)), tl.constexpr(len(TALLY))

SIGNED, STD, BY_LR = tl.constexpr(tables.SIGNED), tl.constexpr(tables.STD), tl.constexpr(tables.BY_LR)
ROUNDING, NOISY = tl.constexpr(tables.ROUNDING), tl.constexpr(tables.NOISY)
BUDGETED = tl.constexpr(tables.BUDGET)
BASE_CODE, ADAMW_CODE = tl.constexpr(tables.BASE), tl.constexpr(ADAMW.code)
SAMPLED, EVERY = tl.constexpr(tables.SAMPLED), tl.constexpr(tables.EVERY)
FADING = tl.constexpr(-math.expm1(-1 / 500))  # as in pats._budget


@triton.jit
def entry(row, column: tl.constexpr, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """The pointer in a column of the table of pieces."""
    pointer = tl.load(row + column).to(tl.pointer_type(DTYPE))
    if ALIGNED:  # lets a thread load 16 bytes at once
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def moved(moving, owner, column: tl.constexpr):
    """What a step has sent of a job."""
    jobs = tl.load(moving + H_JOBS).to(tl.int64, bitcast=True)
    return tl.load(moving + H_COLUMNS + column * jobs + owner)


@triton.jit
def gradient(row, moving, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """The pointer to the first element of a piece in this step's gradient."""
    address = moved(moving, tl.load(row + P_OWNER), M_GRADS).to(tl.int64, bitcast=True)
    pointer = address.to(tl.pointer_type(DTYPE)) + tl.load(row + P_OFFSET)
    if ALIGNED:
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def number(word, width):
    """A number that travels as it is, or as the address of a float of ``width`` bytes."""
    address = word.to(tl.int64, bitcast=True)
    single = tl.load(address.to(tl.pointer_type(tl.float32)), width == 4, 0.0).to(tl.float64)
    double = tl.load(address.to(tl.pointer_type(tl.float64)), width == 8, 0.0)
    return tl.where(width == 4, single, tl.where(width == 8, double, word))


@triton.jit
def is_counted(moving):
    """Whether the step counts: torch's AMP has found no gradient of it that is not finite."""
    address = tl.load(moving + H_FOUND).to(tl.int64, bitcast=True)
    return tl.load(address.to(tl.pointer_type(tl.float32)), address != 0, 0.0) == 0.0


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
def added(partial, first, last, column, COLUMNS: tl.constexpr, BLOCK: tl.constexpr):
    """A column of some rows of partial sums added up, in one order."""
    value = tl.zeros([BLOCK], tl.float64)
    for at in range(first, last, BLOCK):
        k = at + tl.arange(0, BLOCK)
        value += tl.load(partial + k * COLUMNS + column, k < last, 0.0)
    return tl.sum(value)


@triton.jit
def largest(partial, first, last, column, COLUMNS: tl.constexpr, BLOCK: tl.constexpr):
    """The largest value of a column of some rows; 0 without rows."""
    value = tl.zeros([BLOCK], tl.float64)
    for at in range(first, last, BLOCK):
        k = at + tl.arange(0, BLOCK)
        value = tl.maximum(value, tl.load(partial + k * COLUMNS + column, k < last, 0.0))
    return tl.max(value)


@triton.jit
def size_kernel(ranges, scalars, moving, partial, sums, sizes, TOTAL: tl.constexpr, BLOCK: tl.constexpr):
    """λ of a job and the largest σ it allows; its budget's account is brought to this step.

    ``TOTAL``: the job's sums are added up first. Its learning rate and its step are read where they are.
    """
    here = tl.program_id(0).to(tl.int64)
    job, owner, own = scalars + here * J_COLUMNS, ranges + here * O_COLUMNS, sums + here * S_COLUMNS
    if TOTAL:
        first, last = tl.load(owner + O_MEASURED), tl.load(owner + O_MEASURED_END)
        sum_all = added(partial, first, last, S_SUM, S_COLUMNS, BLOCK)
        nonfinite = added(partial, first, last, S_NONFINITE, S_COLUMNS, BLOCK)
        relative = added(partial, first, last, S_VARIANCE, S_COLUMNS, BLOCK)
        tl.store(own + S_SUM, sum_all)
        tl.store(own + S_NONFINITE, nonfinite)
        tl.store(own + S_VARIANCE, relative)
    else:
        sum_all, nonfinite = tl.load(own + S_SUM), tl.load(own + S_NONFINITE)
        relative = tl.load(own + S_VARIANCE)
    flag, counted = tl.load(owner + O_FLAGS), is_counted(moving)
    widths = moved(moving, here, M_WIDTHS).to(tl.int64)
    lr, step = (
        number(moved(moving, here, M_LRS), widths % 16),
        number(moved(moving, here, M_STEPS), widths // 16),
    )
    std = (flag & STD) != 0
    value = tl.load(job + J_SIZE)
    scaled = value * lr
    lam = tl.where((flag & BY_LR) != 0, tl.where(std, scaled, scaled * scaled), value)
    ceiling = tl.full([], float("inf"), tl.float64)
    if ((flag & BUDGETED) != 0) & counted:
        account = tl.load(owner + O_BUDGET).to(tl.pointer_type(tl.float64))
        spread, spent, opened = tl.load(account + A_SPREAD), tl.load(account + A_SPENT), tl.load(job + J_OPEN)
        total, square = tl.load(job + J_TOTAL), spread * spread
        mean = (sum_all / total).to(tl.float32).to(tl.float64)
        variance = (relative / total).to(tl.float32).to(tl.float64)
        known = square > 0.0
        safe = tl.where(known, square, 1.0)
        spent = tl.where(known, spent + tl.load(account + A_SIZE) * variance / safe, spent)
        steps = tl.load(job + J_STEPS)
        k = tl.maximum(steps - step + 1.0, 0.0)
        share = tl.minimum(6.0 * k / ((k + 1.0) * (2.0 * k + 1.0)), 0.0625)
        share = tl.where(steps > 0.0, share, FADING)
        fine = known & (opened > 0.0) & (variance > 0.0) & (nonfinite == 0.0)
        left = tl.maximum(value * value - spent, 0.0)
        size = tl.where(fine, left * share * square / tl.where(fine, variance, 1.0), 0.0)
        each = size / tl.where(fine, opened, 1.0)
        tl.store(account + A_MEAN, mean)
        tl.store(account + A_VARIANCE, variance)
        tl.store(account + A_SIZE, size)
        tl.store(account + A_SPENT, spent)
        lam = tl.where(std, tl.sqrt(each), each)
        ceiling = tl.sqrt(16.0 * each * variance)
    out = sizes + here * Z_COLUMNS
    tl.store(out + Z_LAM, tl.where(counted, lam, 0.0))
    tl.store(out + Z_CEILING, ceiling)
    tl.store(out + Z_LR, lr)
    tl.store(out + Z_STEP, step)
    tl.store(out + Z_COUNTED, tl.where(counted, 1.0, 0.0))


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
def total_kernel(partial, ranges, out, COLUMNS: tl.constexpr, LARGEST: tl.constexpr, BLOCK: tl.constexpr):
    """The sums of a job and a column, from its rows; column ``LARGEST`` keeps its largest value."""
    job, column = tl.program_id(0).to(tl.int64), tl.program_id(1)
    owner = ranges + job * O_COLUMNS
    first, last = tl.load(owner + O_MEASURED), tl.load(owner + O_MEASURED_END)
    if column == LARGEST:
        value = largest(partial, first, last, column, COLUMNS, BLOCK)
    else:
        value = added(partial, first, last, column, COLUMNS, BLOCK)
    tl.store(out + job * COLUMNS + column, value)


@triton.jit
def tally_kernel(ranges, partial, sums, sizes, tally, counts, BLOCK: tl.constexpr):
    """The tally of a job and a column; of a job with noise, what is counted over all steps, too."""
    job, column = tl.program_id(0).to(tl.int64), tl.program_id(1)
    owner = ranges + job * O_COLUMNS
    first, last = tl.load(owner + O_UPDATED), tl.load(owner + O_UPDATED_END)
    if column == T_SIGMA_MAX:
        value = largest(partial, first, last, column, T_COLUMNS, BLOCK)
    else:
        value = added(partial, first, last, column, T_COLUMNS, BLOCK)
    tl.store(tally + job * T_COLUMNS + column, value)
    if column == T_SQUARE:
        is_noisy = (tl.load(owner + O_FLAGS) & NOISY) != 0
        counting = is_noisy & (tl.load(sizes + job * Z_COLUMNS + Z_COUNTED) != 0.0)
        spoilt = tl.where(tl.load(sums + job * S_COLUMNS + S_NONFINITE) > 0.0, 1.0, 0.0)
        own = counts + 2 * job
        tl.store(own, tl.load(own, counting, 0.0) + spoilt, counting)
        tl.store(own + 1, tl.load(own + 1, counting, 0.0) + value, counting)


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
