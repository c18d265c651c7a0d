// The base optimizers' updates of one tile, with the noise added in the same rounding.
//
// What can cancel is formed in double and rounded once: m, where the gradient turns, and the sum of theta,
// update and noise. The denominator cannot, so it is float32 as torch's, and its reciprocal too: together
// they leave an update within 2.5 units of its own size. AdamW's root of the bias correction
// stands on the other side of the fraction. `change` receives the update without the noise.
#ifndef PATS_BASE_H
#define PATS_BASE_H

// Double vectors from and to float32. Conversions that read memory are the cheap ones, on AVX-512 too.
#if defined(PATS_AVX512) || defined(PATS_AVX2)
enum { WIDE = 4 };
typedef __m256d wide;
static inline wide wide_load(const float *from) { return _mm256_cvtps_pd(_mm_loadu_ps(from)); }
static inline void wide_store(float *to, wide value) { _mm_storeu_ps(to, _mm256_cvtpd_ps(value)); }
static inline wide wide_of(double value) { return _mm256_set1_pd(value); }
static inline wide plus_product(wide c, wide a, wide b) { return _mm256_fmadd_pd(a, b, c); }
static inline wide less_product(wide c, wide a, wide b) { return _mm256_fnmadd_pd(a, b, c); }
#else
enum { WIDE = 1 };
typedef double wide;
static inline wide wide_load(const float *from) { return (double)*from; }
static inline void wide_store(float *to, wide value) { *to = (float)value; }
static inline wide wide_of(double value) { return value; }
static inline wide plus_product(wide c, wide a, wide b) { return fma(a, b, c); }
static inline wide less_product(wide c, wide a, wide b) { return fma(-a, b, c); }
#endif

#if defined(__GNUC__)
#define ALWAYS_INLINE __attribute__((always_inline)) static inline
#else
#define ALWAYS_INLINE static inline
#endif

// `simple`: the gradient is taken as it is. `count` is a multiple of WIDE, at most PATS_TILE, here and below.
ALWAYS_INLINE void adamax_part(float *restrict theta, const float *restrict grad, float *restrict first,
                               float *restrict second, const float *restrict noise, int64_t count,
                               const pats_matrix *m, float *restrict change, int simple) {
    float inverse[PATS_TILE];
    const double factor = m->grad_factor, decay = m->decay;
    const float beta2 = (float)m->beta2, eps = (float)m->eps;
    // Without eps the norm may be so small that its reciprocal is too large for float32.
    const float one = eps > 0x1p-100f ? 1.0f : 0x1p-22f;
    for (int64_t i = 0; i < count; ++i) {
        float g = simple ? grad[i] : (float)((double)grad[i] * factor + decay * (double)theta[i]);
        float faded = beta2 * second[i], now = fabsf(g) + eps;
        float norm = faded > now ? faded : now;
        norm = faded != faded ? faded : norm;  // a NaN stays, as torch.maximum keeps it
        second[i] = norm;
        inverse[i] = one / norm;
    }
    const wide beta1 = wide_of(m->beta1), rest1 = wide_of(1.0 - m->beta1), size = wide_of(m->size / (double)one);
    for (int64_t i = 0; i < count; i += WIDE) {
        wide g = wide_load(grad + i), old = wide_load(theta + i), near = wide_load(inverse + i);
        if (!simple) g = g * wide_of(factor) + wide_of(decay) * old;
        wide mean = plus_product(rest1 * g, beta1, wide_load(first + i)), step = size * mean;
        wide_store(first + i, mean);
        wide_store(theta + i, less_product(old, step, near) + wide_load(noise + i));
        if (change) wide_store(change + i, step * near);
    }
}

ALWAYS_INLINE void adamw_part(float *restrict theta, const float *restrict grad, float *restrict first,
                              float *restrict second, const float *restrict noise, int64_t count,
                              const pats_matrix *m, float *restrict change) {
    float inverse[PATS_TILE], root[PATS_TILE];
    const wide two = wide_of(2.0), offset = wide_of(m->eps * m->root);
    const wide beta2 = wide_of(m->beta2), rest2 = wide_of(1.0 - m->beta2), factor = wide_of(m->grad_factor);
    for (int64_t i = 0; i < count; i += WIDE) {
        wide g = wide_load(grad + i) * factor;
        wide_store(second + i, plus_product(rest2 * (g * g), beta2, wide_load(second + i)));
    }
    const float eps = (float)(m->eps * m->root);
    for (int64_t i = 0; i < count; ++i) {
        float norm = sqrtf(second[i]);
        inverse[i] = 1.0f / (norm + eps);
        root[i] = norm == INFINITY ? 0.0f : norm;  // whose reciprocal, 0, is exact
    }
    const wide beta1 = wide_of(m->beta1), rest1 = wide_of(1.0 - m->beta1);
    const wide decay = wide_of(m->decay), size = wide_of(m->size * m->root);
    for (int64_t i = 0; i < count; i += WIDE) {
        wide old = wide_load(theta + i);
        wide mean = plus_product(rest1 * (wide_load(grad + i) * factor), beta1, wide_load(first + i));
        wide near = wide_load(inverse + i);  // one step of Newton's, with eps as it is
        wide exact = near * less_product(two, wide_load(root + i) + offset, near);
        wide step = plus_product(size * mean * exact, decay, old);
        wide_store(first + i, mean);
        wide_store(theta + i, old - step + wide_load(noise + i));
        if (change) wide_store(change + i, step);
    }
}

static void base_part(float *theta, const float *grad, float *first, float *second, const float *noise,
                       int64_t count, const pats_matrix *m, float *change) {
    // The usual cases without the questions for `change` and for what is done to the gradient.
    if (m->base == PATS_ADAMW && change)
        adamw_part(theta, grad, first, second, noise, count, m, change);
    else if (m->base == PATS_ADAMW)
        adamw_part(theta, grad, first, second, noise, count, m, NULL);
    else if (change || m->grad_factor != 1.0 || m->decay != 0.0)
        adamax_part(theta, grad, first, second, noise, count, m, change, 0);
    else
        adamax_part(theta, grad, first, second, noise, count, m, NULL, 1);
}

// The last entries of a matrix, filled up to a whole vector; fewer than WIDE.
static void base_rest(float *theta, const float *grad, float *first, float *second, const float *noise,
                      int64_t count, const pats_matrix *m, float *change) {
    float t[WIDE] = {0}, g[WIDE] = {0}, a[WIDE] = {0}, b[WIDE] = {0}, n[WIDE] = {0}, c[WIDE];
    const size_t bytes = (size_t)count * sizeof *theta;
    memcpy(t, theta, bytes), memcpy(g, grad, bytes), memcpy(n, noise, bytes);
    memcpy(a, first, bytes), memcpy(b, second, bytes);
    base_part(t, g, a, b, n, WIDE, m, c);
    memcpy(theta, t, bytes), memcpy(first, a, bytes), memcpy(second, b, bytes);
    if (change) memcpy(change, c, bytes);
}

static void base_tile(float *theta, const float *grad, float *first, float *second, const float *noise,
                      int64_t count, const pats_matrix *m, float *change) {
    int64_t whole = count / WIDE * WIDE;
    base_part(theta, grad, first, second, noise, whole, m, change);
    if (whole < count)
        base_rest(theta + whole, grad + whole, first + whole, second + whole, noise + whole, count - whole, m,
                  change ? change + whole : NULL);
}

#endif
