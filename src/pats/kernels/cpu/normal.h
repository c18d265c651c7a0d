// Normal quantile of (word + 1/2) / T.
//
//     x = (2 word + 1 - T) / T from the exact integer,  y = 1 - x^2,  w = -log(y)
//     z = x (C0 + w Q(w)),                              C0 = sqrt(pi / 2)
//
// y is rounded to float32 where it is formed, in double: at the ends it is 2^-31 with an error of 2^-53.
// Q is a least-maximum fit of the exact quantile: in w up to 6, in sqrt(w) beyond (relative error of z below
// 0.1 * 2^-24 both). Only w and Q of the middle are float32: they weigh less than one half in z.
#ifndef PATS_NORMAL_H
#define PATS_NORMAL_H

#include "float32.h"

#define NORMAL_CENTRE 6.0f
#define NORMAL_C0 1.2533141373155003

// -log(y) of a normal y in (0, 1].
static inline float minus_log(float y) {
    int32_t exponent = (bits_of(y) - 0x3f3504f3) >> 23;  // mantissa in [sqrt(1/2), sqrt(2))
    float f = float_of(bits_of(y) - exponent * (1 << 23)) - 1.0f, e = (float)exponent;
    float f2 = f * f, f4 = f2 * f2;
    float low = fmaf(f2, fmaf(-0x1.547870p-3f, f, 0x1.99a59cp-3f), fmaf(-0x1.000220p-2f, f, 0x1.55554ap-2f));
    float high = fmaf(f2, fmaf(-0x1.41f7a8p-4f, f, 0x1.07d5c8p-3f), fmaf(-0x1.0ce0fcp-3f, f, 0x1.226dacp-3f));
    return -fmaf(e, 0x1.62e430p-1f, fmaf(f2, fmaf(fmaf(f4, high, low), f, -0.5f), f));
}

static inline float middle(float w) {
    float q = 0x1.e20478p-31f;
    q = fmaf(q, w, -0x1.243f0ap-25f);
    q = fmaf(q, w, 0x1.20b5f6p-21f);
    q = fmaf(q, w, -0x1.127e22p-18f);
    q = fmaf(q, w, 0x1.5355bcp-17f);
    q = fmaf(q, w, 0x1.c0b4e4p-15f);
    q = fmaf(q, w, -0x1.605df4p-13f);
    q = fmaf(q, w, -0x1.b1dec0p-9f);
    q = fmaf(q, w, 0x1.0ba43cp-6f);
    q = fmaf(q, w, 0x1.4ffddp-2f);
    return q;
}

static double beyond(double w) {
    static const double c[] = {
        1.5495426127398646,   -3.483066356525774,  4.339809133309703,     -3.0643862476098276,
        1.3708519426911863,   -0.4112736532597046, 0.08442778166993067,   -0.011757641737060495,
        0.0010654250090163673, -5.679241705201471e-05, 1.3530603699021931e-06};
    double s = sqrt(w), q = c[10];
    for (int k = 9; k >= 0; --k) q = q * s + c[k];
    return q;
}

// z of `count` words below the threshold; count is at most PATS_DRAW.
static void normal_quantile(double *restrict z, const uint32_t *restrict word, int64_t count,
                            uint64_t threshold) {
    _Alignas(64) float w[PATS_DRAW], y[PATS_DRAW];
    // word - T / 2, rounded down, fits an int32, for which every instruction set has a conversion.
    const uint32_t half = (uint32_t)(threshold >> 1);
    const double offset = threshold & 1 ? 0.0 : 0.5, scale = 2.0 / (double)threshold;
    for (int64_t k = 0; k < count; ++k) {
        double x = ((double)(int32_t)(word[k] - half) + offset) * scale;
        z[k] = x;
        y[k] = (float)fma(-x, x, 1.0);
    }
    int32_t largest = 0;
    for (int64_t k = 0; k < count; ++k) {
        w[k] = minus_log(y[k]);
        int32_t bits = bits_of(w[k]);
        largest = bits > largest ? bits : largest;
    }
    for (int64_t k = 0; k < count; ++k) y[k] = middle(w[k]);
    for (int64_t k = 0; k < count; ++k) z[k] *= fma((double)w[k], (double)y[k], NORMAL_C0);
    if (largest <= bits_of(NORMAL_CENTRE)) return;
    for (int64_t k = 0; k < count; ++k)  // one in 800 draws
        if (w[k] > NORMAL_CENTRE) {
            double x = ((double)(int32_t)(word[k] - half) + offset) * scale;
            z[k] = x * (NORMAL_C0 + (double)w[k] * beyond((double)w[k]));
        }
}

#endif
