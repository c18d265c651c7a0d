// The two passes, one tile at a time; included once by every instruction set.
#include <float.h>
#include <math.h>
#include <string.h>

#include "pats.h"
#include "base.h"
#include "bfloat16.h"
#include "budget.h"
#include "draw.h"

// Eq. 1 and 2 of one tile: the new average, and how many entries were not finite or have a square that is not.
static int32_t average_tile(float *restrict average, const float *restrict theta, const float *restrict grad,
                            int64_t count, float factor, float beta, float rest, int32_t sign_mask) {
    int32_t nonfinite = 0;
    for (int64_t i = 0; i < count; ++i) {
        float s = float_of(bits_of(theta[i] * (grad[i] * factor)) & sign_mask);
        float updated = rest * s + beta * average[i];
        int32_t finite = fabsf(s) < 0x1p64f;
        average[i] = finite ? updated : average[i];
        nonfinite += 1 - finite;
    }
    return nonfinite;
}

// The relative variances of one tile under a budget, from the averages of the last step; their sum.
static double variance_tile(const float *restrict average, int64_t count, const pats_matrix *m) {
    const double mean = m->budget[PATS_MEAN];
    const float top = (float)mean, eps = (float)(m->eps_absolute + m->eps_relative * fabs(mean));
    const float gamma = (float)m->gamma, limit = (float)budget_limit(m);
    float relative[PATS_TILE];
    for (int64_t i = 0; i < count; ++i) {
        const float below = average[i] + eps, above = top / below - gamma;
        relative[i] = below != 0.0f && above > 0.0f ? above : 0.0f;  // false for NaN
    }
    if (m->is_std)
        for (int64_t i = 0; i < count; ++i) relative[i] *= relative[i];
    for (int64_t i = 0; i < count; ++i) relative[i] = relative[i] < limit ? relative[i] : limit;
    return sum_of(relative, count);
}

// Pass 1 of some blocks; `to` is one a block.
static void measure(const pats_matrix *m, int64_t begin, int64_t end, pats_partial *to) {
    float room[2][PATS_TILE];
    const int32_t sign_mask = m->is_signed ? -1 : 0x7fffffff;
    for (int64_t at = begin; at < end; at += PATS_TILE) {
        int64_t count = end - at < PATS_TILE ? end - at : PATS_TILE;
        pats_partial *sums = to + (at - begin) / PATS_BLOCK;
        if (at + 2 * PATS_TILE < end) measured_soon(m, at + 2 * PATS_TILE);
        const float *theta = opened(room[0], m->theta, at, count, m->dtype);
        const float *grad = opened(room[1], m->grad, at, count, m->dtype);
        if (m->budget) sums->variance += variance_tile(m->average + at, count, m);
        sums->nonfinite += average_tile(m->average + at, theta, grad, count, (float)m->grad_factor,
                                        (float)m->beta, (float)(1.0 - m->beta), sign_mask);
        sums->sum += sum_of(m->average + at, count);
    }
}

static void add_tile(float *restrict theta, const float *restrict dense, int64_t count) {
    for (int64_t i = 0; i < count; ++i) theta[i] += dense[i];
}

// The base optimizer's update of one tile, with the noise, as `base_tile` takes it.
static void update_tile(const pats_matrix *m, noise n, const float *dense, int rows, int64_t at, int64_t count,
                        pats_partial *to, int observed) {
    float room[4][PATS_TILE], changes[PATS_TILE];
    float *theta = opened(room[0], m->theta, at, count, m->dtype);
    if (m->base == PATS_PLAIN) {
        add_tile(theta, dense, count);
    } else {
        const float *grad = opened(room[1], m->grad, at, count, m->dtype);
        float *first = opened(room[2], m->first, at, count, m->state_dtype);
        float *second = opened(room[3], m->second, at, count, m->state_dtype);
        base_tile(theta, grad, first, second, n, dense, count, m, observed ? changes : NULL, rows);
        if (observed) {
            to->update_square += sum_squares(changes, count);
            to->observed += count;
        }
        if (m->state_dtype == PATS_BFLOAT16) {
            narrow((uint16_t *)m->first + at, first, count);
            narrow((uint16_t *)m->second + at, second, count);
        }
    }
    if (m->dtype == PATS_BFLOAT16 && m->rounding) {
        uint32_t words[PATS_TILE + PAD];
        const uint32_t *word = tile_words(words, m, at, count, PATS_ROUNDING);
        narrow_stochastically((uint16_t *)m->theta + at, theta, word, count);
    } else if (m->dtype == PATS_BFLOAT16) {
        narrow((uint16_t *)m->theta + at, theta, count);
    }
}

// Pass 2 of some blocks, the base optimizer's update and the noise; `to` is one a block.
static void update(const pats_matrix *m, int64_t begin, int64_t end, pats_partial *to) {
    const int noisy = m->average && m->threshold && m->lam != 0.0 && m->mean != 0.0 && m->nonfinite == 0.0;
    if (m->base == PATS_PLAIN && !noisy) return;
    const int rows = in_rows(m);
    static const uint16_t closed[PATS_TILE / ROW];
    draws d;
    float dense[PATS_TILE + PAD];
    noise n = {dense, closed, 0};
    for (int64_t i = 0; i < PATS_TILE; ++i) dense[i] = -0.0f;
    for (int64_t at = begin; at < end;) {
        const int64_t drawn = noisy ? draw(&d, m, at, end, to + (at - begin) / PATS_BLOCK) : end;
        if (noisy) n.picked = d.q, n.where = d.where;
        for (int64_t tile = 0; at < drawn; ++tile) {
            int64_t count = drawn - at < PATS_TILE ? drawn - at : PATS_TILE;
            n.gates = noisy ? d.gates[tile] : 0;
            if (noisy && !(GATE_MASKS && rows)) put_back(dense, n, count);
            // The telemetry of the update looks at one tile of a block.
            update_tile(m, n, dense, rows, at, count, to + (at - begin) / PATS_BLOCK, at % PATS_BLOCK == 0);
            if (noisy) n.where += marks(count, n.gates), n.picked += n.gates;
            at += count;
        }
    }
}

const pats_isa PATS_ISA = {PATS_ISA_NAME, philox_words, normal_quantile, measure, update};
