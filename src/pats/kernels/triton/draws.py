"""The words of the stream, and the draws from the normal distribution that are made of them.

A draw is a pair of float32 (``pairs.py``). ``pats/kernels/cpu/normal.h`` is the same in C; the polynomials
are its own.
"""

import triton
import triton.language as tl

from pats.kernels.triton.pairs import pair_product

FAR = tl.constexpr(6.0)  # w where the quantile's tail begins
# sqrt(pi / 2); the first part has 20 bits, so that differences to it are exact.
C0, C0_LOW = tl.constexpr(1.2533140182495117), tl.constexpr(1.1906598840205618e-07)


@triton.jit
def words_of_blocks(block, key, step, purpose: tl.constexpr):
    """The four words (uint32) of every block of the stream."""
    zero = (block * 0).to(tl.uint32)
    c0, c1 = (block & 0xFFFFFFFF).to(tl.uint32), (block >> 32).to(tl.uint32)
    return tl.philox(key, c0, c1, zero + step, zero + purpose)


@triton.jit
def minus_log(y):
    """-log(y) from the bits of a normal y in (0, 1], so that it does not depend on the device's logarithm."""
    bits = y.to(tl.int32, bitcast=True)
    exponent = (bits - 0x3F3504F3) >> 23  # mantissa in [sqrt(1/2), sqrt(2))
    f = (bits - (exponent << 23)).to(tl.float32, bitcast=True) - 1.0
    r = tl.fma(f, -0.07860532402992249, 0.12882572412490845)
    r = tl.fma(r, f, -0.13128849864006042)
    r = tl.fma(r, f, 0.14181074500083923)
    r = tl.fma(r, f, -0.16624534130096436)
    r = tl.fma(r, f, 0.20002290606498718)
    r = tl.fma(r, f, -0.25000810623168945)
    r = tl.fma(r, f, 0.33333316445350647)
    return -tl.fma(exponent.to(tl.float32), 0.6931471824645996, tl.fma(f * f, tl.fma(r, f, -0.5), f))


@triton.jit
def from_centre(word, threshold):
    """|x| = |2 word + 1 - T| / T as a pair, and w = -log(1 - x²); see ``normal.h``."""
    # 2 / T, the same for all words: T has up to 33 bits.
    upper = (threshold >> 12).to(tl.float32) * 4096.0
    lower = (threshold & 4095).to(tl.float32)
    t = tl.maximum(upper + lower, 1.0)  # without an open gate T may be 0
    unit = 2.0 / t
    unit_low = tl.fma(-unit, lower - (t - upper), tl.fma(-unit, t, 2.0)) * (0.5 * unit)
    # n = 1 - |x| from the nearer end, by parts of the word that float32 holds.
    nearer = tl.minimum(word, (threshold - 1).to(tl.uint32) - word).to(tl.int32, bitcast=True)
    high = (nearer >> 12) << 12
    a, b = high.to(tl.float32), (nearer - high).to(tl.float32) + 0.5
    s = a + b
    n, n_low = pair_product((s, b - (s - a)), (unit, unit_low))
    x = 1.0 - n
    m = 2.0 - n
    y = tl.fma(n, m, tl.fma(n, (2.0 - m) - n, 2.0 * n_low * (m - 1.0)))  # n (2 - n) = 1 - x²
    return x, ((1.0 - x) - n) - n_low, minus_log(y)


@triton.jit
def middle(w):
    """Q(w) up to 6."""
    q = tl.fma(w, 8.767846448876071e-10, -3.402194082013921e-08)
    q = tl.fma(q, w, 5.377657430472027e-07)
    q = tl.fma(q, w, -4.09026006309432e-06)
    q = tl.fma(q, w, 1.0112968084285967e-05)
    q = tl.fma(q, w, 5.34899954800494e-05)
    q = tl.fma(q, w, -0.00016802168102003634)
    q = tl.fma(q, w, -0.003310166299343109)
    q = tl.fma(q, w, 0.016335543245077133)
    return tl.fma(q, w, 0.32811665534973145)


@triton.jit
def beyond(w):
    """Q(w) from 6 on: the polynomial of ``normal.h`` about sqrt(w) = 3.5, where float32 is enough for it."""
    s = tl.sqrt(tl.maximum(w, 0.0)) - 3.5
    q = tl.fma(s, 1.3530603837352828e-06, -9.43530449148966e-06)
    q = tl.fma(q, s, 2.233840132248588e-05)
    q = tl.fma(q, s, -9.701800991024356e-06)
    q = tl.fma(q, s, -9.23922416404821e-05)
    q = tl.fma(q, s, 0.00040242340764962137)
    q = tl.fma(q, s, -0.0010734221432358027)
    q = tl.fma(q, s, 0.0016463679494336247)
    q = tl.fma(q, s, 0.003169689094647765)
    q = tl.fma(q, s, -0.04527878016233444)
    return tl.fma(q, s, 0.28275713324546814)


@triton.jit
def draw_of(x, x_low, w, q, word, threshold):
    """Z = x (C0 + w Q) as a pair, with the sign of the half in which the word lies."""
    sum_ = tl.fma(w, q, C0)
    z, z_low = pair_product((x, x_low), (sum_, tl.fma(w, q, C0 - sum_) + C0_LOW))
    lower = word < (threshold >> 1).to(tl.uint32)
    return tl.where(lower, -z, z), tl.where(lower, -z_low, z_low)


@triton.jit
def normal_quantile(word, threshold):
    """Normal quantile of (word + 1/2) / T as a pair; only w and Q are plain float32."""
    x, x_low, w = from_centre(word, threshold)
    return draw_of(x, x_low, w, tl.where(w > FAR, beyond(w), middle(w)), word, threshold)
