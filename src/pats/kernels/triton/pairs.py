"""Pairs of float32: a number as the nearest float32 and what it lacks, together good to 2⁻⁴⁴ or so.

What a pair lacks comes from ``two_sum`` (additions alone) or ``two_product`` (``fma``). Both hold as long as
no product and sum are fused but where ``fma`` says so: kernels are compiled with ``enable_fp_fusion=False``.
"""

import os

import triton
import triton.language as tl

INTERPRETED = tl.constexpr(os.environ.get("TRITON_INTERPRET") == "1")
FLOAT32_MAX = tl.constexpr(3.4028234663852886e38)
SMALLEST = tl.constexpr(2.0**-126)
HUGE = tl.constexpr(2.0**64)  # its square overflows


@triton.jit
def two_sum(a, b):
    """The float32 a + b, and what it lacks."""
    s = a + b
    t = s - a
    return s, (a - (s - t)) + (b - t)


@triton.jit
def two_product(a, b):
    """The float32 a·b, and what it lacks."""
    p = a * b
    return p, tl.fma(a, b, -p)


@triton.jit
def times(a, pair):
    """A float32 times a pair."""
    p, low = two_product(a, pair[0])
    return p, tl.fma(a, pair[1], low)


@triton.jit
def pair_product(a, b):
    """A pair times a pair."""
    p, low = two_product(a[0], b[0])
    return p, low + tl.fma(a[0], b[1], a[1] * b[0])


@triton.jit
def reciprocal(x):
    """1 / x, nearly, of an x that is not denormal: one instruction, where a division takes eight."""
    if INTERPRETED:
        return 1.0 / x
    else:
        return tl.inline_asm_elementwise("rcp.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)


@triton.jit
def inverse_root(x):
    """1 / sqrt(x), nearly, of an x that is not denormal."""
    if INTERPRETED:
        return tl.rsqrt(x)
    else:
        return tl.inline_asm_elementwise("rsqrt.approx.ftz.f32 $0, $1;", "=f,f", [x], tl.float32, True, 1)


@triton.jit
def quotient(a, b):
    """A pair by a pair, and the reciprocal of the divisor."""
    inverse = reciprocal(b[0])
    c = a[0] * inverse
    rest = tl.fma(-c, b[0], a[0]) + tl.fma(-c, b[1], a[1])
    return c, rest * inverse, inverse


@triton.jit
def root(a, low):
    """The root of a pair that is not negative."""
    inverse = inverse_root(tl.maximum(a, SMALLEST))
    s = a * inverse
    return s, (tl.fma(-s, s, a) + low) * (0.5 * inverse)


@triton.jit
def packed(value):
    """A float64 number as a pair, in the bits of one."""
    high = value.to(tl.float32)
    low = tl.where(tl.abs(high) <= FLOAT32_MAX, value - high.to(tl.float64), 0.0).to(tl.float32)
    bits = (high.to(tl.int32, bitcast=True).to(tl.int64) << 32) | (
        low.to(tl.int32, bitcast=True).to(tl.int64) & 0xFFFFFFFF
    )
    return bits.to(tl.float64, bitcast=True)


@triton.jit
def unpacked(bits):
    """The pair whose bits are these (int64)."""
    high, low = (bits >> 32).to(tl.int32), (bits & 0xFFFFFFFF).to(tl.uint32)
    return high.to(tl.float32, bitcast=True), low.to(tl.float32, bitcast=True)
