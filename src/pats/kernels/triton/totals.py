"""The Triton kernels between and after the passes: sums, the size of the noise, and the tally.

One program a job, or one a job and a column; partial sums are added up in one order, whatever the launch.
"""

import triton
import triton.language as tl

from pats.kernels.triton.columns import *


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
