// float32: its bits, and a b + c in one rounding.
#ifndef PATS_FLOAT32_H
#define PATS_FLOAT32_H

static inline int32_t bits_of(float value) {
    int32_t bits;
    memcpy(&bits, &value, 4);
    return bits;
}

static inline float float_of(int32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

// Where the processor has no such instruction it is put together from doubles, for the same bits.
static inline float fused(float a, float b, float c) {
#if defined(__FMA__) || defined(__aarch64__)
    return __builtin_fmaf(a, b, c);
#else
    // The product is exact. The sum is rounded to odd, so that rounding it to float32 is the only rounding.
    double product = (double)a * (double)b, sum = product + (double)c;
    double part = sum - product, lost = (product - (sum - part)) + ((double)c - part);
    int64_t bits;
    memcpy(&bits, &sum, sizeof bits);
    int64_t inexact = (lost > 0.0) | (lost < 0.0);  // neither, where it is NaN
    bits += inexact & ~bits & 1 ? ((lost > 0.0) == (sum > 0.0) ? 1 : -1) : 0;
    memcpy(&sum, &bits, sizeof sum);
    return (float)sum;
#endif
}

#endif
