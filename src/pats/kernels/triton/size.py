"""What all entries of a job have in common at a step, worked out once a job and not once an entry.

Numbers that entries reckon with are pairs of float32 in the bits of a float64 (``pairs.packed``), and NaN
where float32 is not enough for them: every entry is then done in float64 (``arithmetic.py``).
"""

import triton
import triton.language as tl

from pats.kernels.triton.arithmetic import LEAST, MOST
from pats.kernels.triton.columns import *
from pats.kernels.triton.pairs import packed
from pats.kernels.triton.totals import added


@triton.jit
def prepare_noise(out, job, total, noisy, lam, ceiling):
    """The columns that Eq. 4 needs; without λ there is no noise."""
    mean = (total / tl.load(job + J_TOTAL)).to(tl.float32).to(tl.float64)
    noisy = noisy & (mean != 0.0) & (lam != 0.0)
    eps = tl.load(job + J_EPS_ABSOLUTE) + tl.load(job + J_EPS_RELATIVE) * tl.abs(mean)
    safe = tl.where(mean != 0.0, mean, 1.0)
    usual = (tl.abs(safe) >= LEAST) & (tl.abs(safe) <= MOST) & (lam >= 2.0**-80) & (lam <= 2.0**40)
    tl.store(out + Z_LAM, lam)
    tl.store(out + Z_CEILING, ceiling)
    tl.store(out + Z_MEAN, mean)
    tl.store(out + Z_NOISY, tl.where(noisy, 1.0, 0.0))
    tl.store(out + Z_INVERSE, packed(tl.where(usual, 1.0 / safe, float("nan"))))
    tl.store(out + Z_PART, packed(eps / safe))
    tl.store(out + Z_SCALE, packed(lam))
    tl.store(out + Z_SPARED, packed(lam * tl.load(job + J_GAMMA)))
    tl.store(out + Z_TOP, packed(ceiling))


@triton.jit
def prepare_base(out, job, flag, lr, step):
    """The columns that the base update needs."""
    beta1, beta2 = tl.load(job + J_BETA1), tl.load(job + J_BETA2)
    size = lr / (1.0 - tl.exp(step * tl.load(job + J_LOG_BETA1)))
    eps, keep = tl.load(job + J_EPS), tl.load(job + J_DECAY)
    if flag // BASE_CODE == ADAMW_CODE:
        correction = tl.sqrt(1.0 - tl.exp(step * tl.load(job + J_LOG_BETA2)))
        size *= correction
        eps *= correction
        keep = 1.0 - lr * keep
    usual = (tl.abs(size) <= MOST) & ((tl.abs(size) >= LEAST) | (size == 0.0))
    tl.store(out + Z_BETA1, packed(beta1))
    tl.store(out + Z_REST1, packed(1.0 - beta1))
    tl.store(out + Z_BETA2, packed(beta2))
    tl.store(out + Z_REST2, packed(1.0 - beta2))
    tl.store(out + Z_EPS, packed(eps))
    tl.store(out + Z_KEEP, packed(keep))
    tl.store(out + Z_SIZE, packed(tl.where(usual, size, float("nan"))))


@triton.jit
def size_kernel(ranges, scalars, moving, partial, sums, sizes, TOTAL: tl.constexpr, BLOCK: tl.constexpr):
    """The row of ``SIZES`` of a job; its budget's account is brought to this step.

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
    steps, most = tl.load(job + J_STEPS), tl.load(job + J_MOST)
    over = (steps > 0.0) & (step > steps)
    if ((flag & BUDGETED) != 0) & counted:
        account = tl.load(owner + O_BUDGET).to(tl.pointer_type(tl.float64))
        spread, spent, opened = tl.load(account + A_SPREAD), tl.load(account + A_SPENT), tl.load(job + J_OPEN)
        total, square = tl.load(job + J_TOTAL), spread * spread
        mean = (sum_all / total).to(tl.float32).to(tl.float64)
        variance = (relative / total).to(tl.float32).to(tl.float64)
        tl.store(account + A_MEAN, mean)
        tl.store(account + A_VARIANCE, variance)
        known = square > 0.0
        safe = tl.where(known, square, 1.0)
        spent = tl.where(known, spent + tl.load(account + A_SIZE) * variance / safe, spent)
        tl.store(account + A_SPENT, spent)
        k = tl.maximum(steps - step + 1.0, 0.0)
        share = tl.minimum(6.0 * k / ((k + 1.0) * (2.0 * k + 1.0)), 0.0625)
        share = tl.where(steps > 0.0, share, FADING)
        fine = (opened > 0.0) & (variance > 0.0) & (nonfinite == 0.0)
        given = tl.maximum(value * value - spent, 0.0) * share * square
        given = tl.where((flag & HEAT) != 0, tl.where(over, 0.0, opened * value * lr), given)
        size = tl.where(fine, given / tl.where(fine, variance, 1.0), 0.0)
        each = size / tl.where(fine, opened, 1.0)
        tl.store(account + A_SIZE, size)
        lam = tl.where(std, tl.sqrt(each), each)
        ceiling = tl.sqrt(each * tl.minimum(16.0 * variance, most))
    else:
        scaled = value * lr
        lam = tl.where((flag & BY_LR) != 0, tl.where(std, scaled, scaled * scaled), value)
        lam = tl.where(over, 0.0, lam)
        wide = tl.where(std, lam, tl.sqrt(lam)) * tl.sqrt(tl.where(lam != 0.0, most, 1.0))
        ceiling = tl.where(lam != 0.0, wide, float("inf"))
    lam = tl.where(counted, lam, 0.0)
    out = sizes + here * Z_COLUMNS
    tl.store(out + Z_LR, lr)
    tl.store(out + Z_STEP, step)
    tl.store(out + Z_COUNTED, tl.where(counted, 1.0, 0.0))
    prepare_noise(out, job, sum_all, ((flag & NOISY) != 0) & (nonfinite == 0.0), lam, ceiling)
    if flag // BASE_CODE != 0:
        prepare_base(out, job, flag, lr, step)
