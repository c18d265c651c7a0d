"""The new values of some entries of a piece: in pairs of float32, or where ``EXACT`` in float64."""

import triton
import triton.language as tl

from pats.kernels.triton.arithmetic import (
    MOST,
    adamax,
    adamw,
    base_update64,
    cut_off,
    half_unit,
    intensity,
    intensity64,
    less,
    rounded,
    summed,
)
from pats.kernels.triton.columns import *
from pats.kernels.triton.draws import normal_quantile
from pats.kernels.triton.pairs import pair_product, times, unpacked
from pats.kernels.triton.pieces import entry, gradient, local_indices, stream_words

FEW = tl.constexpr(128)  # entries that are done in float64 at a time


@triton.jit
def pair(row, column: tl.constexpr):
    """A pair of the table of sizes."""
    return unpacked(tl.load(row + column).to(tl.int64, bitcast=True))


@triton.jit
def stream_step(sizes):
    """The step, as the stream counts it."""
    return (tl.load(sizes + Z_STEP).to(tl.int64) & 0xFFFFFFFF).to(tl.uint32)


@triton.jit
def based(theta, grad, first, second, factor, sizes, is_adamw):
    """θ - Δ (a pair), Δ, m and u or v, and whether they are sound."""
    beta1, rest1, beta2 = pair(sizes, Z_BETA1), pair(sizes, Z_REST1), pair(sizes, Z_BETA2)
    eps, keep, size = pair(sizes, Z_EPS), pair(sizes, Z_KEEP), pair(sizes, Z_SIZE)
    if is_adamw:
        rest2 = pair(sizes, Z_REST2)
        change, change_low, mean, spread, sound = adamw(
            theta, grad, first, second, factor, beta1, rest1, beta2, rest2, eps, size
        )
        kept, kept_low = times(theta, keep)
        value, value_low = less(kept, kept_low, change, change_low)
        change += (theta - kept) - kept_low
        sound = sound & (tl.abs(kept) <= MOST)
    else:
        change, change_low, mean, spread, sound = adamax(
            theta, grad, first, second, factor, beta1, rest1, beta2, eps, keep, size
        )
        value, value_low = less(theta, 0.0, change, change_low)
    return value, value_low, change, mean, spread, sound


@triton.jit
def sizes_of(average, opened, sizes, flags):
    """σ of the open gates as a pair, and whether that is sound."""
    inverse, part, lam = pair(sizes, Z_INVERSE), pair(sizes, Z_PART), pair(sizes, Z_SCALE)
    spared, top = pair(sizes, Z_SPARED), pair(sizes, Z_TOP)
    return intensity(average, opened, inverse, part, lam, spared, top, (flags & STD) != 0)


@triton.jit
def entries(row, job, sizes, moving, off, THETA: tl.constexpr, STATE: tl.constexpr, BASE: tl.constexpr,
            NOISE: tl.constexpr, ALIGNED: tl.constexpr, EXACT: tl.constexpr,
            BLOCK: tl.constexpr):  # fmt: skip
    """New values of the entries from ``off`` on, and what the tally counts of them; nothing is written yet.

    Where float32 is not sound the entry is hard: ``EXACT`` does it in float64.
    """
    flags = tl.load(row + P_FLAGS)
    i, inside = local_indices(row, off, ALIGNED, BLOCK)
    theta = tl.load(entry(row, P_THETA, THETA, ALIGNED) + i, inside, 0.0).to(tl.float32)
    zero = tl.zeros([BLOCK], tl.float32)
    value, value_low, change, mean, spread = theta, zero, zero, zero, zero
    q, q_low, sigma = zero, zero, zero
    hard, opened = tl.abs(theta) > MOST, inside
    if BASE:
        is_adamw = flags // BASE_CODE == ADAMW_CODE
        grad = tl.load(gradient(row, moving, THETA, ALIGNED) + i, inside, 0.0).to(tl.float32)
        first = tl.load(entry(row, P_FIRST, STATE, ALIGNED) + i, inside, 0.0).to(tl.float32)
        second = tl.load(entry(row, P_SECOND, STATE, ALIGNED) + i, inside, 1.0).to(tl.float32)
        value, value_low, change, mean, spread, sound = based(
            theta, grad, first, second, tl.load(job + J_FACTOR).to(tl.float32), sizes, is_adamw
        )
        hard |= inside & (sound == 0)
    if NOISE:
        threshold = tl.load(row + P_THRESHOLD)
        word = stream_words(row, off, stream_step(sizes), 0, ALIGNED, BLOCK)
        opened = inside & (word.to(tl.int64) < tl.where(tl.load(sizes + Z_NOISY) != 0.0, threshold, 0))
        average = tl.load(entry(row, P_AVERAGE, tl.float32, ALIGNED) + i, opened, 0.0)
        sigma, sigma_low, sound = sizes_of(average, opened, sizes, flags)
        hard |= opened & (sound == 0)
        z, z_low = normal_quantile(tl.where(opened, word, 0), threshold)
        q, q_low = pair_product((z, z_low), (sigma, sigma_low))
    single = summed(value, value_low, q, q_low)
    if EXACT:
        value64 = theta.to(tl.float64)
        if BASE:
            change64, mean64, spread64 = base_update64(
                theta,
                grad,
                first,
                second,
                tl.load(job + J_FACTOR),
                tl.load(sizes + Z_LR),
                tl.load(sizes + Z_STEP),
                is_adamw,
                tl.load(job + J_BETA1),
                tl.load(job + J_BETA2),
                tl.load(job + J_LOG_BETA1),
                tl.load(job + J_LOG_BETA2),
                tl.load(job + J_EPS),
                tl.load(job + J_DECAY),
            )
            value64 -= change64
            change = tl.where(hard, change64.to(tl.float32), change)
            mean = tl.where(hard, mean64.to(tl.float32), mean)
            spread = tl.where(hard, spread64.to(tl.float32), spread)
        if NOISE:
            sigma64 = intensity64(
                average,
                tl.load(sizes + Z_MEAN),
                tl.load(job + J_EPS_ABSOLUTE),
                tl.load(job + J_EPS_RELATIVE),
                tl.load(job + J_GAMMA),
                (flags & STD) != 0,
                tl.load(sizes + Z_LAM),
                tl.load(sizes + Z_CEILING),
            )
            q64 = tl.where(opened, sigma64 * (z.to(tl.float64) + z_low.to(tl.float64)), 0.0)
            value64 = tl.where(q64 != 0.0, value64 + q64, value64)  # -0 stays where nothing is added
            sigma = tl.where(hard & opened, sigma64.to(tl.float32), sigma)
            q = tl.where(hard, q64.to(tl.float32), q)
        single = tl.where(hard, value64.to(tl.float32), single)
    return i, inside, hard, single, mean, spread, change, opened, q, sigma


@triton.jit
def write(row, sizes, off, i, inside, single, mean, spread, THETA: tl.constexpr, STATE: tl.constexpr,
          BASE: tl.constexpr, ALIGNED: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    """Write θ, m and u or v in their dtypes; θ to the nearest, or in bfloat16 at random."""
    where_theta = entry(row, P_THETA, THETA, ALIGNED) + i
    if BASE:
        tl.store(entry(row, P_FIRST, STATE, ALIGNED) + i, rounded(mean, STATE), inside)
        tl.store(entry(row, P_SECOND, STATE, ALIGNED) + i, rounded(spread, STATE), inside)
    if BASE and tl.bfloat16 == THETA:
        added = half_unit(single)
        if (tl.load(row + P_FLAGS) & ROUNDING) != 0:
            added = stream_words(row, off, stream_step(sizes), 1, ALIGNED, BLOCK) & 0xFFFF
        tl.store(where_theta, cut_off(single, added).to(THETA), inside)
    else:
        tl.store(where_theta, rounded(single, THETA), inside)


@triton.jit
def noise_tally(opened, q, sigma):
    """How many gates are open, how many of them have σ = 0, Σ q² and the largest σ."""
    both = tl.sum(opened.to(tl.int32) + ((opened & (sigma == 0.0)).to(tl.int32) << 16))  # each below 2^15
    q64 = q.to(tl.float64)
    largest = tl.max(sigma.to(tl.int32, bitcast=True)).to(tl.float32, bitcast=True)  # none is negative
    gated, zero = (both & 0xFFFF).to(tl.float64), (both >> 16).to(tl.float64)
    return gated, zero, tl.sum(q64 * q64), largest.to(tl.float64)


@triton.jit
def square_sum(change, inside):
    """Σ Δ²."""
    change64 = tl.where(inside, change, 0.0).to(tl.float64)
    return tl.sum(change64 * change64)


@triton.jit
def in_float64(row, job, sizes, moving, off, THETA: tl.constexpr, STATE: tl.constexpr,
               BASE: tl.constexpr, NOISE: tl.constexpr, BLOCK: tl.constexpr):  # fmt: skip
    """Do a block with hard entries, and return its tally.

    Few entries at a time: the registers that float64 needs would be taken from every block.
    """
    updates = tl.full([], 0.0, tl.float64)
    gated, spared, squares, largest = updates, updates, updates, updates
    for at in range(off, off + BLOCK, FEW):
        i, inside, _, single, mean, spread, change, opened, q, sigma = entries(
            row, job, sizes, moving, at, THETA, STATE, BASE, NOISE, False, True, FEW
        )
        write(row, sizes, at, i, inside, single, mean, spread, THETA, STATE, BASE, False, FEW)
        if BASE:
            updates += square_sum(change, inside)
        if NOISE:
            some, none, square, top = noise_tally(opened, q, sigma)
            gated, spared, squares = gated + some, spared + none, squares + square
            largest = tl.maximum(largest, top)
    return updates, gated, spared, squares, largest
