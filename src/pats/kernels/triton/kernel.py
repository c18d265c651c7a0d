"""The Triton kernels: one grid over the blocks of all matrices.

Every program reads which piece of which matrix is its own from tables of integers and of float64 scalars, so
that nothing is recompiled when a learning rate or a step changes. Offsets are int64. First moments, draws and
the sum θ - Δ + q are float64 and rounded once, since they cancel; everything else is float32.

``pats/kernels/cpu`` is the same in C; the quantile's polynomials are its own.
"""

import math

import torch
import triton
import triton.language as tl

DTYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}

# Columns of the table of pieces (int64).
PIECE = (
    *("theta", "grad", "average", "first", "second"),
    *("numel", "run", "stride", "start", "owner"),
    *("key", "threshold", "flags", "budget"),
)
# Columns of the table of scalars (float64), one row a job.
SCALAR = (
    *("total", "beta", "factor", "gamma", "eps_absolute", "eps_relative", "size", "open", "steps"),
    *("beta1", "beta2", "log_beta1", "log_beta2", "eps", "decay"),
)
SIGNED, STD, BY_LR, ADAMW, ROUNDING, NOISY, BUDGET = (1 << i for i in range(7))
SUMS_COLUMNS = tl.constexpr(3)

PIECE_COLUMNS = tl.constexpr(len(PIECE))
SCALAR_COLUMNS = tl.constexpr(len(SCALAR))
_SIGNED, _STD, _BY_LR, _ADAMW = (tl.constexpr(1 << i) for i in range(4))
_ROUNDING, _NOISY, _BUDGET = tl.constexpr(ROUNDING), tl.constexpr(NOISY), tl.constexpr(BUDGET)
FADING = tl.constexpr(-math.expm1(-1 / 500))  # as in pats._budget
FLOAT32_MAX = tl.constexpr(3.4028234663852886e38)
FLOAT64_MAX = tl.constexpr(1.7976931348623157e308)
C0 = tl.constexpr(1.2533141373155003)


@triton.jit
def entry(row, column: tl.constexpr, DTYPE: tl.constexpr, ALIGNED: tl.constexpr):
    """The pointer in a column of the table of pieces."""
    pointer = tl.load(row + column).to(tl.pointer_type(DTYPE))
    if ALIGNED:  # lets a thread load 16 bytes at once
        pointer = tl.multiple_of(pointer, 16)
    return pointer


@triton.jit
def local_indices(row, off, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):
    """The local elements of a program, and which of them exist."""
    numel = tl.load(row + 5)
    if ALIGNED:
        numel = tl.multiple_of(numel, 16)
    i = off + tl.arange(0, BLOCK)
    return i, i < numel


@triton.jit
def words_of_blocks(block, key, step, purpose: tl.constexpr):
    """The four words (uint32) of every block of the stream."""
    zero = (block * 0).to(tl.uint32)
    c0, c1 = (block & 0xFFFFFFFF).to(tl.uint32), (block >> 32).to(tl.uint32)
    return tl.philox(key, c0, c1, zero + step, zero + purpose)


@triton.jit
def stream_words(row, off, step, purpose: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):
    """Words (uint32) of the local elements off to off + BLOCK - 1 of a piece."""
    run, stride, start, key = tl.load(row + 6), tl.load(row + 7), tl.load(row + 8), tl.load(row + 10)
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
def normal_quantile(word, threshold):
    """Normal quantile of (word + 1/2) / T in float64; see ``normal.h``."""
    total = threshold.to(tl.float64)
    from_centre = (2 * word.to(tl.int64) + 1 - threshold).to(tl.float64)
    x = from_centre / total
    nearer = (total - tl.abs(from_centre)) / total
    y = (nearer * (2.0 - nearer)).to(tl.float32)
    # -log(y) from the bits, so that it does not depend on the device's logarithm.
    bits = y.to(tl.int32, bitcast=True)
    exponent = (bits - 0x3F3504F3) >> 23
    f = (bits - (exponent << 23)).to(tl.float32, bitcast=True) - 1.0
    e = exponent.to(tl.float32)
    r = -0.07860532402992249 * f + 0.12882572412490845
    r = r * f - 0.13128849864006042
    r = r * f + 0.14181074500083923
    r = r * f - 0.16624534130096436
    r = r * f + 0.20002290606498718
    r = r * f - 0.25000810623168945
    r = r * f + 0.33333316445350647
    r = f * f * (r * f - 0.5)
    w = -(e * 0.693115234375 + (f + (r + e * 3.194618329871446e-05)))
    q = 8.767846448876071e-10 * w - 3.402194082013921e-08
    q = q * w + 5.377657430472027e-07
    q = q * w - 4.09026006309432e-06
    q = q * w + 1.0112968084285967e-05
    q = q * w + 5.34899954800494e-05
    q = q * w - 0.00016802168102003634
    q = q * w - 0.003310166299343109
    q = q * w + 0.016335543245077133
    q = q * w + 0.32811665534973145
    s = tl.sqrt(tl.maximum(w, 0.0).to(tl.float64))
    t = 1.3530603699021931e-06 * s - 5.679241705201471e-05
    t = t * s + 0.0010654250090163673
    t = t * s - 0.011757641737060495
    t = t * s + 0.08442778166993067
    t = t * s - 0.4112736532597046
    t = t * s + 1.3708519426911863
    t = t * s - 3.0643862476098276
    t = t * s + 4.339809133309703
    t = t * s - 3.483066356525774
    t = t * s + 1.5495426127398646
    q64 = tl.where(w > 6.0, t, q.to(tl.float64))
    return x * (C0 + w.to(tl.float64) * q64)


@triton.jit
def relative_variance(average, address, job, flags):
    """f̂ of a budget, from the averages and the numbers of the last step; see ``pats._budget``."""
    account = address.to(tl.pointer_type(tl.float64))
    mean, variance = tl.load(account + 1), tl.load(account + 2)
    std = (flags & _STD) != 0
    limit = tl.where(variance > 0.0, 16.0 * variance, tl.where(std, 1e4, 100.0)).to(tl.float32)
    eps = (tl.load(job + 4) + tl.load(job + 5) * tl.abs(mean)).to(tl.float32)
    below = average + eps
    above = mean.to(tl.float32) / tl.where(below != 0.0, below, 1.0) - tl.load(job + 3).to(tl.float32)
    above = tl.where((below != 0.0) & (above > 0.0), above, 0.0)  # false for NaN
    above = tl.where(std, above * above, above)
    return tl.where(above < limit, above, limit)


@triton.jit
def size_kernel(accounts, scalars, flags, moving, sums, out):
    """λ of a job and the largest σ it allows; its budget's account is brought to this step."""
    here = tl.program_id(0).to(tl.int64)
    job, flag = scalars + here * SCALAR_COLUMNS, tl.load(flags + here)
    lr, step = tl.load(moving + 2 * here), tl.load(moving + 2 * here + 1)
    std = (flag & _STD) != 0
    value = tl.load(job + 6)
    scaled = value * lr
    lam = tl.where((flag & _BY_LR) != 0, tl.where(std, scaled, scaled * scaled), value)
    ceiling = float("inf")
    if (flag & _BUDGET) != 0:
        account = tl.load(accounts + here).to(tl.pointer_type(tl.float64))
        spread, spent, opened = tl.load(account), tl.load(account + 4), tl.load(job + 7)
        total, square = tl.load(job), spread * spread
        mean = (tl.load(sums + SUMS_COLUMNS * here) / total).to(tl.float32).to(tl.float64)
        variance = (tl.load(sums + SUMS_COLUMNS * here + 2) / total).to(tl.float32).to(tl.float64)
        known = square > 0.0
        safe = tl.where(known, square, 1.0)
        spent = tl.where(known, spent + tl.load(account + 3) * variance / safe, spent)
        steps = tl.load(job + 8)
        k = tl.maximum(steps - step + 1.0, 0.0)
        share = tl.minimum(6.0 * k / ((k + 1.0) * (2.0 * k + 1.0)), 0.0625)
        share = tl.where(steps > 0.0, share, FADING)
        fine = known & (opened > 0.0) & (variance > 0.0) & (tl.load(sums + SUMS_COLUMNS * here + 1) == 0.0)
        left = tl.maximum(value * value - spent, 0.0)
        size = tl.where(fine, left * share * square / tl.where(fine, variance, 1.0), 0.0)
        each = size / tl.where(fine, opened, 1.0)
        tl.store(account + 1, mean)
        tl.store(account + 2, variance)
        tl.store(account + 3, size)
        tl.store(account + 4, spent)
        lam = tl.where(std, tl.sqrt(each), each)
        ceiling = tl.sqrt(16.0 * each * variance)
    tl.store(out + 2 * here, lam)
    tl.store(out + 2 * here + 1, ceiling)


@triton.jit
def measure_kernel(
    pieces,
    scalars,
    blocks,
    partial,
    THETA: tl.constexpr,
    BUDGET: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Eq. 1 and 2 of one block; its sum, its count of entries that are not finite, and a budget's Σ f̂."""
    here = tl.program_id(0).to(tl.int64)
    row = pieces + tl.load(blocks + 2 * here) * PIECE_COLUMNS
    off = tl.load(blocks + 2 * here + 1) * BLOCK
    job = scalars + tl.load(row + 9) * SCALAR_COLUMNS
    flags = tl.load(row + 12)
    i, inside = local_indices(row, off, ALIGNED, BLOCK)
    theta = tl.load(entry(row, 0, THETA, ALIGNED) + i, inside, 0.0).to(tl.float32)
    grad = tl.load(entry(row, 1, THETA, ALIGNED) + i, inside, 0.0).to(tl.float32)
    where_average = entry(row, 2, tl.float32, ALIGNED) + i
    average = tl.load(where_average, inside, 0.0)
    relative = average * 0.0
    if BUDGET:
        relative = tl.where(inside, relative_variance(average, tl.load(row + 13), job, flags), 0.0)
    tl.store(partial + 3 * here + 2, tl.sum(relative.to(tl.float64)))
    beta = tl.load(job + 1)
    s = theta * (grad * tl.load(job + 2).to(tl.float32))
    s = tl.where((flags & _SIGNED) != 0, s, tl.abs(s))
    finite = tl.abs(s) <= FLOAT32_MAX
    average = tl.where(finite, (1.0 - beta).to(tl.float32) * s + beta.to(tl.float32) * average, average)
    tl.store(where_average, average, inside)
    tl.store(partial + 3 * here, tl.sum(tl.where(inside, average.to(tl.float64), 0.0)))
    tl.store(partial + 3 * here + 1, tl.sum(tl.where(inside & (finite == 0), 1.0, 0.0).to(tl.float64)))


@triton.jit
def total_kernel(partial, ranges, out, COLUMNS: tl.constexpr, LARGEST: tl.constexpr, BLOCK: tl.constexpr):
    """Add the blocks' rows up, job by job, in one order; column ``LARGEST`` keeps its largest value."""
    job = tl.program_id(0).to(tl.int64)
    first, last = tl.load(ranges + 2 * job), tl.load(ranges + 2 * job + 1)
    for column in tl.static_range(COLUMNS):
        value = tl.zeros([BLOCK], tl.float64)
        for at in range(first, last, BLOCK):
            k = at + tl.arange(0, BLOCK)
            part = tl.load(partial + k * COLUMNS + column, k < last, 0.0)
            if column == LARGEST:
                value = tl.maximum(value, part)
            else:
                value += part
        if column == LARGEST:
            tl.store(out + job * COLUMNS + column, tl.max(value))
        else:
            tl.store(out + job * COLUMNS + column, tl.sum(value))


@triton.jit
def intensity(average, mean, job, flags, lam, ceiling):
    """Eq. 4: σ_j in float64."""
    eps = tl.load(job + 4) + tl.load(job + 5) * tl.abs(mean)
    r = (mean / (average.to(tl.float64) + eps) - tl.load(job + 3)) * lam
    r = tl.where((r > 0.0) & (r <= FLOAT64_MAX), r, 0.0)  # false for NaN
    return tl.minimum(tl.where((flags & _STD) != 0, r, tl.sqrt(r)), ceiling)


@triton.jit
def base_update(theta, grad, first, second, job, flags, lr, step):
    """Δ in float64, m, and u or v; see ``pats.kernels.update``."""
    beta1, beta2 = tl.load(job + 9), tl.load(job + 10)
    eps, decay = tl.load(job + 13), tl.load(job + 14)
    factor = tl.load(job + 2)
    size = lr / (1.0 - tl.exp(step * tl.load(job + 11)))
    adamw = (flags & _ADAMW) != 0
    g = grad.to(tl.float64) * factor + tl.where(adamw, 0.0, decay) * theta.to(tl.float64)
    mean = beta1 * first.to(tl.float64) + (1.0 - beta1) * g
    faded = beta2 * second.to(tl.float64)
    largest = tl.abs(g) + eps
    largest = tl.where((faded > largest) | (faded != faded), faded, largest)  # a NaN stays
    spread = tl.where(adamw, faded + (1.0 - beta2) * (g * g), largest)
    root = tl.sqrt(1.0 - tl.exp(step * tl.load(job + 12)))
    spread = spread.to(tl.float32).to(tl.float64)  # torch divides by what it has stored
    norm = tl.where(adamw, tl.sqrt(spread) / root + eps, spread)
    change = size * mean / norm + tl.where(adamw, lr * decay, 0.0) * theta.to(tl.float64)
    return change, mean, spread


@triton.jit
def half_unit(value):
    """What, added to the bits of a float32 and cut off, rounds to the nearest bfloat16, ties to even."""
    return 0x7FFF + ((value.to(tl.uint32, bitcast=True) >> 16) & 1)


@triton.jit
def cut_off(value, added):
    """A float32 that is a bfloat16: bits and ``added``, cut off; what is not finite keeps its value."""
    bits = ((value.to(tl.uint32, bitcast=True) + added) >> 16) << 16
    return tl.where(tl.abs(value) <= FLOAT32_MAX, bits.to(tl.float32, bitcast=True), value)


@triton.jit
def rounded(value, DTYPE: tl.constexpr):
    """A float32 in another dtype, to the nearest; the interpreter's own cast to bfloat16 cuts off."""
    if tl.bfloat16 == DTYPE:
        value = cut_off(value, half_unit(value))
    return value.to(DTYPE)


@triton.jit
def update_kernel(
    pieces,
    scalars,
    moving,
    sums,
    sizes,
    blocks,
    partial,
    THETA: tl.constexpr,
    STATE: tl.constexpr,
    BASE: tl.constexpr,
    NOISE: tl.constexpr,
    ALIGNED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """The base update where ``BASE``, Eq. 4 and 5 where ``NOISE``, of one block; and its row of the tally."""
    here = tl.program_id(0).to(tl.int64)
    row = pieces + tl.load(blocks + 2 * here) * PIECE_COLUMNS
    off = tl.load(blocks + 2 * here + 1) * BLOCK
    owner, flags = tl.load(row + 9), tl.load(row + 12)
    job = scalars + owner * SCALAR_COLUMNS
    lr, step = tl.load(moving + 2 * owner), tl.load(moving + 2 * owner + 1)
    count = (step.to(tl.int64) & 0xFFFFFFFF).to(tl.uint32)
    i, inside = local_indices(row, off, ALIGNED, BLOCK)
    where_theta = entry(row, 0, THETA, ALIGNED) + i
    theta = tl.load(where_theta, inside, 0.0)
    value = theta.to(tl.float64)
    tally = partial + 6 * here
    if BASE:
        grad = tl.load(entry(row, 1, THETA, ALIGNED) + i, inside, 0.0)
        where_first = entry(row, 3, STATE, ALIGNED) + i
        where_second = entry(row, 4, STATE, ALIGNED) + i
        first, second = tl.load(where_first, inside, 0.0), tl.load(where_second, inside, 1.0)
        change, first64, second64 = base_update(theta, grad, first, second, job, flags, lr, step)
        tl.store(where_first, rounded(first64.to(tl.float32), STATE), inside)
        tl.store(where_second, rounded(second64.to(tl.float32), STATE), inside)
        value -= change
        tl.store(tally + 4, tl.sum(tl.where(inside, change * change, 0.0)))
        tl.store(tally + 5, tl.sum(tl.where(inside, 1.0, 0.0).to(tl.float64)))
    if NOISE:
        threshold = tl.load(row + 11)
        total = tl.load(job)
        mean = (tl.load(sums + SUMS_COLUMNS * owner) / total).to(tl.float32).to(tl.float64)
        finite = tl.load(sums + SUMS_COLUMNS * owner + 1) == 0.0
        noisy = ((flags & _NOISY) != 0) & finite & (mean != 0.0)
        lam, ceiling = tl.load(sizes + 2 * owner), tl.load(sizes + 2 * owner + 1)
        word = stream_words(row, off, count, 0, ALIGNED, BLOCK)
        opened = inside & (word.to(tl.int64) < tl.where(noisy, threshold, 0))
        average = tl.load(entry(row, 2, tl.float32, ALIGNED) + i, opened, 0.0)
        sigma = tl.where(opened, intensity(average, mean, job, flags, lam, ceiling), 0.0)
        draw = tl.where(opened, word, 0)
        q = tl.where(opened, sigma * normal_quantile(draw, threshold), 0.0)
        value = tl.where(q != 0.0, value + q, value)  # -0 stays where nothing is added
        # With λ = 0 there is no noise and nothing to be told, as on the other paths.
        told = tl.where(lam != 0.0, 1.0, 0.0).to(tl.float64)
        tl.store(tally, told * tl.sum(tl.where(opened, 1.0, 0.0).to(tl.float64)))
        tl.store(tally + 1, told * tl.sum(tl.where(opened & (sigma == 0.0), 1.0, 0.0).to(tl.float64)))
        tl.store(tally + 2, tl.sum(q * q))
        tl.store(tally + 3, tl.max(sigma))
    single = value.to(tl.float32)
    if BASE and tl.bfloat16 == THETA:
        random = stream_words(row, off, count, 1, ALIGNED, BLOCK) & 0xFFFF
        random = tl.where((flags & _ROUNDING) != 0, random, half_unit(single))
        tl.store(where_theta, cut_off(single, random).to(THETA), inside)
    else:
        tl.store(where_theta, rounded(single, THETA), inside)
