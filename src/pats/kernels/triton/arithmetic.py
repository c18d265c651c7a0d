"""Arithmetic of the Triton kernels: functions of values, which read no table and write nothing.

The contract asks for what float64 gives, but a GPU has little of it: on most cards one float64 operation
takes as long as 32 or 64 of float32. So first moments, draws and the sum θ - Δ + q, which cancel, are pairs
of float32 (``pairs.py``).

Where a float32 would overflow, or lose digits to what is denormal, ``adamax``, ``adamw`` and ``intensity``
say that they are not sound, and the kernel does the entry again in float64 (``base_update64``,
``intensity64``). ``pats/kernels/cpu`` is the same in C.
"""

import triton
import triton.language as tl

from pats.kernels.triton.pairs import FLOAT32_MAX, pair_product, quotient, root, times, two_sum

FLOAT64_MAX = tl.constexpr(1.7976931348623157e308)
LEAST, MOST = tl.constexpr(2.0**-100), tl.constexpr(2.0**100)
LEAST_ROOT = tl.constexpr(2.0**-36)  # its square has all digits


@triton.jit
def intensity(average, opened, inverse, eps, lam, spared, ceiling, std):
    """Eq. 4: σ_j as a pair, 0 where the gate is closed, and whether that is sound.

    With b = (s̄_j + ε) / s̄: σ² or σ = (λ - λγ b) / b.

    Args:
        average: s̄_j.
        opened: Where the gate is open.
        inverse: 1 / s̄, a pair.
        eps: ε / s̄, a pair.
        lam: λ, a pair.
        spared: λγ, a pair.
        ceiling: The largest σ, a pair.
        std: Whether σ, and not σ², is what Eq. 4 gives.
    """
    part, part_low = times(average, inverse)
    b, b_low = two_sum(part, eps[0])
    b_low += part_low + eps[1]
    p, p_low = pair_product((b, b_low), spared)
    above = lam[0] - p
    above_low = ((lam[0] - above) - p) + (lam[1] - p_low)
    r, r_low, _ = quotient((above, above_low), (b, b_low))
    some = opened & (r > 0.0) & (r <= FLOAT32_MAX)  # false for NaN
    if std == 0:
        r, r_low = root(r, r_low)
    fits = r < ceiling[0]
    r, r_low = tl.where(fits, r, ceiling[0]), tl.where(fits, r_low, ceiling[1])
    # Sound, too, is not what nearly vanishes beside γ.
    size, left = tl.abs(b), tl.abs(above) >= lam[0] * 2.0**-20
    return tl.where(some, r, 0.0), tl.where(some, r_low, 0.0), left & (size >= 2.0**-60) & (size <= 2.0**40)


@triton.jit
def intensity64(average, mean, eps_absolute, eps_relative, gamma, std, lam, ceiling):
    """The same in float64, for all numbers."""
    eps = eps_absolute + eps_relative * tl.abs(mean)
    r = (mean / (average.to(tl.float64) + eps) - gamma) * lam
    r = tl.where((r > 0.0) & (r <= FLOAT64_MAX), r, 0.0)  # false for NaN
    return tl.minimum(tl.where(std, r, tl.sqrt(r)), ceiling)


@triton.jit
def weighted(old, keep, new, new_low, take):
    """keep·old + take·new as a pair, and the sum of their sizes; ``keep`` and ``take`` are pairs."""
    a, a_low = times(old, keep)
    b, b_low = times(new, take)
    mean, low = two_sum(a, b)
    return mean, low + (a_low + tl.fma(new_low, take[0], b_low)), tl.abs(a) + tl.abs(b)


@triton.jit
def step_of(mean, norm, large, still, size, theta, least):
    """size·mean / norm as a pair, and whether it is sound.

    It is not, where an error of 2⁻⁴⁴ of ``large``, out of which ``mean`` came, or what is denormal would
    weigh more than 2⁻²⁴ of θ or Δ; false for NaN. ``still`` is where m and the gradient are 0, so that
    Δ is, too.
    """
    c, c_low, inverse = quotient(mean, norm)
    change, low = pair_product((c, c_low), size)
    reach = tl.abs(size[0]) * inverse  # NaN where the size is beyond float32
    spoilt = tl.fma(reach, tl.fma(large, 2.0**-20, 2.0**-122), tl.fma(tl.abs(size[0]), 2.0**-120, 2.0**-120))
    fits = (large <= MOST) & (norm[0] >= least) & (norm[0] <= MOST) & (reach <= FLOAT32_MAX)
    fits = fits & (tl.abs(theta) <= MOST) & (tl.abs(change) <= MOST)
    return change, low, fits & ((spoilt <= tl.maximum(tl.abs(theta), tl.abs(change))) | still)


@triton.jit
def adamax(theta, grad, first, second, factor, beta1, rest1, beta2, eps, decay, size):
    """Δ (a pair), m and u, and whether they are sound; constants but ``factor`` are pairs."""
    g = grad * factor
    g_low, still = g * 0.0, (first == 0.0) & (grad == 0.0)
    if decay[0] != 0.0:
        pull, pull_low = times(theta, decay)
        total, low = two_sum(g, pull)
        low += pull_low
        g = total + low  # they may have cancelled
        g_low = low - (g - total)
        still = still & (theta == 0.0)
    mean, mean_low, large = weighted(first, beta1, g, g_low, rest1)
    faded = tl.fma(second, beta2[0], second * beta2[1])
    new = tl.abs(g) + eps[0]
    spread = tl.where((faded > new) | (faded != faded), faded, new)  # a NaN stays
    change, low, sound = step_of((mean, mean_low), (spread, 0.0), large, still, size, theta, LEAST)
    return change, low, mean + mean_low, spread, sound


@triton.jit
def adamw(theta, grad, first, second, factor, beta1, rest1, beta2, rest2, eps, size):
    """Δ without the decay (a pair), m and v, and whether they are sound; constants but ``factor`` are pairs.

    ε and the size are multiplied by the root of the second moment's correction of its bias.
    """
    g = grad * factor
    mean, mean_low, large = weighted(first, beta1, g, 0.0, rest1)
    part, part_low = times(g, rest2)
    spread = tl.fma(part, g, tl.fma(second, beta2[0], tl.fma(second, beta2[1], part_low * g)))
    s, s_low = root(spread, 0.0)
    norm, norm_low = two_sum(s, eps[0])
    norm_low += s_low + eps[1]
    still = (first == 0.0) & (grad == 0.0)
    change, low, sound = step_of((mean, mean_low), (norm, norm_low), large, still, size, theta, LEAST_ROOT)
    return change, low, mean + mean_low, spread, sound


@triton.jit
def base_update64(
    theta, grad, first, second, factor, lr, step, is_adamw, beta1, beta2, log_beta1, log_beta2, eps, decay
):
    """Δ in float64, m, and u or v, for all numbers."""
    size = lr / (1.0 - tl.exp(step * log_beta1))
    g = grad.to(tl.float64) * factor
    if is_adamw == 0:
        g += decay * theta.to(tl.float64)
    mean = beta1 * first.to(tl.float64) + (1.0 - beta1) * g
    faded = beta2 * second.to(tl.float64)
    largest = tl.abs(g) + eps
    spread = tl.where((faded > largest) | (faded != faded), faded, largest)  # a NaN stays
    if is_adamw:
        spread = faded + (1.0 - beta2) * (g * g)
    spread = spread.to(tl.float32).to(tl.float64)  # torch divides by what it has stored
    norm, pull = spread, theta.to(tl.float64) * 0.0
    if is_adamw:
        norm = tl.sqrt(spread) / tl.sqrt(1.0 - tl.exp(step * log_beta2)) + eps
        pull = lr * decay * theta.to(tl.float64)
    return size * mean / norm + pull, mean, spread


@triton.jit
def less(theta, theta_low, change, change_low):
    """θ - Δ of pairs, as a pair that is not yet rounded."""
    s, low = two_sum(theta, -change)
    return s, low + (theta_low - change_low)


@triton.jit
def summed(value, value_low, q, q_low):
    """A pair and the noise, rounded once; -0 stays where nothing is added."""
    s, low = two_sum(value, q)
    low += value_low + q_low
    s = tl.where(q != 0.0, s, value)
    return tl.where(tl.abs(low) > 0.0, s + low, s)  # false for NaN, where the sum is not finite


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
