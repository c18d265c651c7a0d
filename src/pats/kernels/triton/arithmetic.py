"""Arithmetic of the Triton kernels: functions of values, which read no table and write nothing.

First moments, draws and the sum θ - Δ + q are float64 and rounded once, since they cancel; everything else is
float32. ``pats/kernels/cpu`` is the same in C; the quantile's polynomials are its own.
"""

import triton
import triton.language as tl

FLOAT32_MAX = tl.constexpr(3.4028234663852886e38)
FLOAT64_MAX = tl.constexpr(1.7976931348623157e308)
C0 = tl.constexpr(1.2533141373155003)


@triton.jit
def words_of_blocks(block, key, step, purpose: tl.constexpr):
    """The four words (uint32) of every block of the stream."""
    zero = (block * 0).to(tl.uint32)
    c0, c1 = (block & 0xFFFFFFFF).to(tl.uint32), (block >> 32).to(tl.uint32)
    return tl.philox(key, c0, c1, zero + step, zero + purpose)


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
def intensity(average, mean, eps_absolute, eps_relative, gamma, std, lam, ceiling):
    """Eq. 4: σ_j in float64."""
    eps = eps_absolute + eps_relative * tl.abs(mean)
    r = (mean / (average.to(tl.float64) + eps) - gamma) * lam
    r = tl.where((r > 0.0) & (r <= FLOAT64_MAX), r, 0.0)  # false for NaN
    return tl.minimum(tl.where(std, r, tl.sqrt(r)), ceiling)


@triton.jit
def base_update(
    theta, grad, first, second, factor, lr, step, adamw, beta1, beta2, log_beta1, log_beta2, eps, decay
):
    """Δ in float64, m, and u or v; see ``pats.kernels.update``."""
    size = lr / (1.0 - tl.exp(step * log_beta1))
    g = grad.to(tl.float64) * factor + tl.where(adamw, 0.0, decay) * theta.to(tl.float64)
    mean = beta1 * first.to(tl.float64) + (1.0 - beta1) * g
    faded = beta2 * second.to(tl.float64)
    largest = tl.abs(g) + eps
    largest = tl.where((faded > largest) | (faded != faded), faded, largest)  # a NaN stays
    spread = tl.where(adamw, faded + (1.0 - beta2) * (g * g), largest)
    root = tl.sqrt(1.0 - tl.exp(step * log_beta2))
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
