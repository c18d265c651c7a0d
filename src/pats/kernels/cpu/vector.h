// Vectors of float32 (`row`), as wide as the instruction set has them: + - * / are C's own.
#ifndef PATS_VECTOR_H
#define PATS_VECTOR_H

#if defined(__GNUC__)
#define ALWAYS_INLINE __attribute__((always_inline)) static inline
#else
#define ALWAYS_INLINE static inline
#endif

static inline int ones(uint32_t bits) {
#if defined(__GNUC__)
    return __builtin_popcount(bits);
#else
    int count = 0;
    for (; bits; bits &= bits - 1u) ++count;
    return count;
#endif
}

#if defined(PATS_AVX512)

enum { ROW = 16 };
typedef __m512 row;
ALWAYS_INLINE row row_load(const float *from) { return _mm512_loadu_ps(from); }
ALWAYS_INLINE void row_store(float *to, row value) { _mm512_storeu_ps(to, value); }
ALWAYS_INLINE row row_of(float value) { return _mm512_set1_ps(value); }
ALWAYS_INLINE row row_abs(row a) { return _mm512_andnot_ps(row_of(-0.0f), a); }
ALWAYS_INLINE row row_max(row a, row b) { return _mm512_max_ps(a, b); }
ALWAYS_INLINE row row_sqrt(row a) { return _mm512_sqrt_ps(a); }
ALWAYS_INLINE uint32_t row_less(row a, row b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }

#elif defined(PATS_AVX2)

enum { ROW = 8 };
typedef __m256 row;
ALWAYS_INLINE row row_load(const float *from) { return _mm256_loadu_ps(from); }
ALWAYS_INLINE void row_store(float *to, row value) { _mm256_storeu_ps(to, value); }
ALWAYS_INLINE row row_of(float value) { return _mm256_set1_ps(value); }
ALWAYS_INLINE row row_abs(row a) { return _mm256_andnot_ps(row_of(-0.0f), a); }
ALWAYS_INLINE row row_max(row a, row b) { return _mm256_max_ps(a, b); }
ALWAYS_INLINE row row_sqrt(row a) { return _mm256_sqrt_ps(a); }
ALWAYS_INLINE uint32_t row_less(row a, row b) {
    return (uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_LT_OQ));
}

#elif defined(__aarch64__) && defined(__GNUC__)

#include <arm_neon.h>
enum { ROW = 4 };
typedef float32x4_t row;
ALWAYS_INLINE row row_load(const float *from) { return vld1q_f32(from); }
ALWAYS_INLINE void row_store(float *to, row value) { vst1q_f32(to, value); }
ALWAYS_INLINE row row_of(float value) { return vdupq_n_f32(value); }
ALWAYS_INLINE row row_abs(row a) { return vabsq_f32(a); }
ALWAYS_INLINE row row_max(row a, row b) { return vmaxq_f32(a, b); }
ALWAYS_INLINE row row_sqrt(row a) { return vsqrtq_f32(a); }
ALWAYS_INLINE uint32_t row_less(row a, row b) {
    const uint32x4_t bit = {1, 2, 4, 8};
    return vaddvq_u32(vandq_u32(vcltq_f32(a, b), bit));
}

#else

enum { ROW = 1 };
typedef float row;
ALWAYS_INLINE row row_load(const float *from) { return *from; }
ALWAYS_INLINE void row_store(float *to, row value) { *to = value; }
ALWAYS_INLINE row row_of(float value) { return value; }
ALWAYS_INLINE row row_abs(row a) { return fabsf(a); }
ALWAYS_INLINE row row_max(row a, row b) { return a > b ? a : b; }
ALWAYS_INLINE row row_sqrt(row a) { return sqrtf(a); }
ALWAYS_INLINE uint32_t row_less(row a, row b) { return a < b; }

#endif

#endif
