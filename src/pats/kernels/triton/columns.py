"""How the Triton kernels read their tables: the numbers of columns, and functions that several kernels need.

The numbers are made from the fields of ``tables.py``, so that neither can be changed without the other.
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
from pats.kernels.triton.tables import HEAD, MOVING, JobRow, OwnerRow, PieceRow
from pats.kernels.update import ADAMW

# What the size kernel works out of every job: what float64 needs, and pairs of float32. Of these ``keep`` is
# what θ keeps of itself under AdamW and the decay under Adamax, ``inverse`` 1 / s̄, ``part`` ε / s̄,
# ``scale`` λ, ``spared`` λγ and ``top`` the ceiling.
SIZES = (
    *("lam", "ceiling", "lr", "step", "counted", "mean", "noisy"),
    *("beta1", "rest1", "beta2", "rest2", "eps", "keep", "size"),
    *("inverse", "part", "scale", "spared", "top"),
)


def columns(names: Sequence[str]) -> list[Any]:
    """The numbers of a table's columns, as constants that kernels may read."""
    return [tl.constexpr(number) for number in range(len(names))]


DTYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}

# fmt: off
# Columns of the tables of pieces, of jobs' places and of jobs' numbers.
(P_THETA, P_OFFSET, P_AVERAGE, P_FIRST, P_SECOND, P_NUMEL, P_RUN, P_STRIDE, P_START, P_OWNER, P_KEY,
 P_THRESHOLD, P_FLAGS, P_BUDGET, P_MEASURED, P_UPDATED, P_SAMPLE) = columns(PieceRow._fields)
O_MEASURED, O_MEASURED_END, O_UPDATED, O_UPDATED_END, O_FLAGS, O_BUDGET = columns(OwnerRow._fields)
(J_TOTAL, J_BETA, J_FACTOR, J_GAMMA, J_EPS_ABSOLUTE, J_EPS_RELATIVE, J_SIZE, J_OPEN, J_STEPS, J_MOST,
 J_BETA1, J_BETA2, J_LOG_BETA1, J_LOG_BETA2, J_EPS, J_DECAY) = columns(JobRow._fields)
# Columns of a budget's account, of the sums and of the tally.
A_SPREAD, A_MEAN, A_VARIANCE, A_SIZE, A_SPENT = columns(ROW)
S_SUM, S_NONFINITE, S_VARIANCE = columns(SUMS)
T_GATED, T_ZERO, T_SQUARE, T_SIGMA_MAX, T_UPDATE_SQUARE, T_OBSERVED = columns(TALLY)
H_FOUND, H_SCALE_AT, H_SCALE, H_JOBS = columns(HEAD)
M_GRADS, M_LRS, M_STEPS, M_WIDTHS = columns(MOVING)
(Z_LAM, Z_CEILING, Z_LR, Z_STEP, Z_COUNTED, Z_MEAN, Z_NOISY, Z_BETA1, Z_REST1, Z_BETA2, Z_REST2, Z_EPS,
 Z_KEEP, Z_SIZE, Z_INVERSE, Z_PART, Z_SCALE, Z_SPARED, Z_TOP) = columns(SIZES)
# fmt: on
P_COLUMNS, J_COLUMNS = tl.constexpr(len(PieceRow._fields)), tl.constexpr(len(JobRow._fields))
O_COLUMNS, H_COLUMNS, Z_COLUMNS = (tl.constexpr(len(names)) for names in (OwnerRow._fields, HEAD, SIZES))
S_COLUMNS, T_COLUMNS = tl.constexpr(len(SUMS)), tl.constexpr(len(TALLY))

SIGNED, STD, BY_LR = tl.constexpr(tables.SIGNED), tl.constexpr(tables.STD), tl.constexpr(tables.BY_LR)
ROUNDING, NOISY = tl.constexpr(tables.ROUNDING), tl.constexpr(tables.NOISY)
BUDGETED, HEAT = tl.constexpr(tables.BUDGET), tl.constexpr(tables.HEAT)
BASE_CODE, ADAMW_CODE = tl.constexpr(tables.BASE), tl.constexpr(ADAMW.code)
SAMPLED, EVERY = tl.constexpr(tables.SAMPLED), tl.constexpr(tables.EVERY)
FADING = tl.constexpr(-math.expm1(-1 / 500))  # as in pats._budget


@triton.jit
def moved(moving, owner, column: tl.constexpr):
    """What a step has sent of a job."""
    jobs = tl.load(moving + H_JOBS).to(tl.int64, bitcast=True)
    return tl.load(moving + H_COLUMNS + column * jobs + owner)


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
