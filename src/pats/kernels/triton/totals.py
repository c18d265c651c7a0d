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
