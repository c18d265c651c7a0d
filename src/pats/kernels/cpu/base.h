// The base optimizers' updates of one tile, in torch's order of operations; each returns the sum of the
// squared updates.
#ifndef PATS_BASE_H
#define PATS_BASE_H

static double adamax_tile(float *restrict theta, const float *restrict grad, float *restrict first,
                          float *restrict second, int64_t count, const pats_matrix *m) {
    float change[PATS_TILE];
    const float weight = (float)(1.0 - m->beta1), beta2 = (float)m->beta2, eps = (float)m->eps;
    const float decay = (float)m->decay, factor = (float)m->grad_factor, size = (float)m->size;
    for (int64_t i = 0; i < count; ++i) {
        float g = grad[i] * factor + decay * theta[i];
        float mean = first[i] + weight * (g - first[i]);
        float faded = beta2 * second[i], now = fabsf(g) + eps;
        float norm = faded > now ? faded : now;
        norm = faded != faded ? faded : norm;  // a NaN stays, as torch.maximum keeps it
        first[i] = mean;
        second[i] = norm;
        change[i] = size * mean / norm;
        theta[i] -= change[i];
    }
    return sum_squares(change, count);
}

static double adamw_tile(float *restrict theta, const float *restrict grad, float *restrict first,
                         float *restrict second, int64_t count, const pats_matrix *m) {
    float change[PATS_TILE];
    const float weight = (float)(1.0 - m->beta1), beta2 = (float)m->beta2, eps = (float)m->eps;
    const float rest2 = (float)(1.0 - m->beta2), factor = (float)m->grad_factor;
    const float decay = (float)m->decay, size = (float)m->size, root = (float)m->root;
    for (int64_t i = 0; i < count; ++i) {
        float g = grad[i] * factor;
        float mean = first[i] + weight * (g - first[i]);
        float spread = beta2 * second[i] + rest2 * g * g;
        first[i] = mean;
        second[i] = spread;
        change[i] = decay * theta[i] + size * mean / (sqrtf(spread) / root + eps);
        theta[i] -= change[i];
    }
    return sum_squares(change, count);
}

static double base_tile(float *theta, const float *grad, float *first, float *second, int64_t count,
                        const pats_matrix *m) {
    return (m->base == PATS_ADAMAX ? adamax_tile : adamw_tile)(theta, grad, first, second, count, m);
}

#endif
