// The base optimizers' updates with the noise, in double and rounded once: for what float32 would not do (see base.h).
// Adamax's norm is float32 as torch's, and as that of base.h.
//
// `change` receives the update without the noise, and may be null.
#ifndef PATS_EXACT_H
#define PATS_EXACT_H

#include "vector.h"

// A NaN stays one, as torch.maximum keeps it.
ALWAYS_INLINE float larger(float a, float b) { return a > b || a != a ? a : b; }

ALWAYS_INLINE void adamax_exact(float *restrict theta, const float *restrict grad, float *restrict first,
                                float *restrict second, const float *restrict noise, int64_t count,
                                const pats_matrix *m, float *restrict change) {
    const double factor = m->grad_factor, decay = m->decay, size = m->size, beta1 = m->beta1, rest1 = 1.0 - beta1;
    const float beta2 = (float)m->beta2, eps = (float)m->eps;
    for (int64_t i = 0; i < count; ++i) {
        double old = theta[i], g = (double)grad[i] * factor;
        if (decay != 0.0) g += decay * old;
        double mean = beta1 * (double)first[i] + rest1 * g;
        first[i] = (float)mean;
        second[i] = larger(beta2 * second[i], fabsf((float)g) + eps);
        double step = size * mean / (double)second[i];
        theta[i] = (float)(old - step + (double)noise[i]);
        if (change) change[i] = (float)step;
    }
}

ALWAYS_INLINE void adamw_exact(float *restrict theta, const float *restrict grad, float *restrict first,
                               float *restrict second, const float *restrict noise, int64_t count,
                               const pats_matrix *m, float *restrict change) {
    const double factor = m->grad_factor, decay = m->decay, eps = m->eps * m->root, size = m->size * m->root;
    const double beta1 = m->beta1, rest1 = 1.0 - beta1, beta2 = m->beta2, rest2 = 1.0 - beta2;
    for (int64_t i = 0; i < count; ++i) {
        double old = theta[i], g = (double)grad[i] * factor;
        double mean = beta1 * (double)first[i] + rest1 * g, square = beta2 * (double)second[i] + rest2 * (g * g);
        first[i] = (float)mean;
        second[i] = (float)square;
        square = second[i] <= FLT_MAX ? square : second[i];  // beyond float32 it is infinite, as torch's
        double step = size * mean / (sqrt(square) + eps) + decay * old;
        theta[i] = (float)(old - step + (double)noise[i]);
        if (change) change[i] = (float)step;
    }
}

ALWAYS_INLINE void exact(float *restrict theta, const float *restrict grad, float *restrict first,
                         float *restrict second, const float *restrict noise, int64_t count, const pats_matrix *m,
                         float *restrict change) {
    if (m->base == PATS_ADAMW)
        adamw_exact(theta, grad, first, second, noise, count, m, change);
    else
        adamax_exact(theta, grad, first, second, noise, count, m, change);
}

#endif
