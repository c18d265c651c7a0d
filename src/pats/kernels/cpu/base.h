// The base optimizers' updates of one tile, with the noise added in the same rounding.
//
// Everything is formed in double and rounded once: m cancels where the gradient turns, and float32 would
// leave more than the promised error. AdamW's root of the bias correction stands on the other side of the
// fraction. `change` receives the update without the noise.
#ifndef PATS_BASE_H
#define PATS_BASE_H

static inline void adamax_tile(float *restrict theta, const float *restrict grad, float *restrict first,
                               float *restrict second, const float *restrict noise, int64_t count,
                               const pats_matrix *m, float *restrict change) {
    const double beta1 = m->beta1, rest1 = 1.0 - m->beta1, beta2 = m->beta2, eps = m->eps;
    const double decay = m->decay, factor = m->grad_factor, size = m->size;
    for (int64_t i = 0; i < count; ++i) {
        double g = (double)grad[i] * factor + decay * (double)theta[i];
        double mean = beta1 * (double)first[i] + rest1 * g;
        double faded = beta2 * (double)second[i], now = fabs(g) + eps;
        double norm = faded > now ? faded : now;
        norm = faded != faded ? faded : norm;  // a NaN stays, as torch.maximum keeps it
        double step = size * mean / norm;
        first[i] = (float)mean;
        second[i] = (float)norm;
        theta[i] = (float)((double)theta[i] - step + (double)noise[i]);
        if (change) change[i] = (float)step;
    }
}

static inline void adamw_tile(float *restrict theta, const float *restrict grad, float *restrict first,
                              float *restrict second, const float *restrict noise, int64_t count,
                              const pats_matrix *m, float *restrict change) {
    const double beta1 = m->beta1, rest1 = 1.0 - m->beta1, beta2 = m->beta2, rest2 = 1.0 - m->beta2;
    const double decay = m->decay, factor = m->grad_factor, size = m->size * m->root;
    const double eps = m->eps * m->root;
    for (int64_t i = 0; i < count; ++i) {
        double g = (double)grad[i] * factor;
        double mean = beta1 * (double)first[i] + rest1 * g;
        double spread = beta2 * (double)second[i] + rest2 * (g * g);
        double step = decay * (double)theta[i] + size * mean / (sqrt(spread) + eps);
        first[i] = (float)mean;
        second[i] = (float)spread;
        theta[i] = (float)((double)theta[i] - step + (double)noise[i]);
        if (change) change[i] = (float)step;
    }
}

static void base_tile(float *theta, const float *grad, float *first, float *second, const float *noise,
                      int64_t count, const pats_matrix *m, float *change) {
    // Four calls: the compiler vectorises each without the question for `change`.
    if (m->base == PATS_ADAMAX && change)
        adamax_tile(theta, grad, first, second, noise, count, m, change);
    else if (m->base == PATS_ADAMAX)
        adamax_tile(theta, grad, first, second, noise, count, m, NULL);
    else if (change)
        adamw_tile(theta, grad, first, second, noise, count, m, change);
    else
        adamw_tile(theta, grad, first, second, noise, count, m, NULL);
}

#endif
