// The base optimizers' updates of one tile, with the noise added.
//
// Float32 is enough where theta is much larger than update and noise, which is nearly everywhere: the errors of the
// update then weigh little. With e, what is new in m,
//
//     e = rest1 (g - m),  m' = m + e,  scale = size / norm,  change = m' scale,  theta' = theta + (q - change)
//
// (AdamW: norm = sqrt(v') + eps, and the decay is part of the change) the rounding of m' scale is within 11 units of
// (|m'| + |e|) scale, and theta' within 4 units of |theta| where
//
//     2.5 (|m'| + |e|) scale + |q| < |theta| / 2.
//
// Every other entry (small, not finite, of a huge norm, or beside what is denormal) is done in double, by exact.h. Each
// entry is judged by itself, so that the bits do not depend on the tile or shard that it lies in. Nothing is fused.
#ifndef PATS_BASE_H
#define PATS_BASE_H

#include "exact.h"
#include "gate.h"

enum { EASY = (int)((1u << ROW) - 1u) };  // all entries of a row
enum { GROUP = ROW < 4 ? ROW : 4 };       // entries that are done again together

// The entries of a row that are not easy, in double; the others keep their `quick` results in float32.
static void settle(float *theta, const float *grad, float *first, float *second, const float *noise, float *change,
                   const pats_matrix *m, uint32_t easy, float quick[4][ROW]) {
    float precise[4][ROW];
    memcpy(precise[0], theta, sizeof *precise), memcpy(precise[1], first, sizeof *precise);
    memcpy(precise[2], second, sizeof *precise);
    for (int at = 0; at < ROW; at += GROUP)
        if ((~easy >> at) & ((1u << GROUP) - 1u))
            exact(precise[0] + at, grad + at, precise[1] + at, precise[2] + at, noise + at, GROUP, m, precise[3] + at);
    for (int l = 0; l < ROW; ++l) {
        const int is_easy = easy >> l & 1u;
        theta[l] = is_easy ? quick[0][l] : precise[0][l];
        first[l] = is_easy ? quick[1][l] : precise[1][l];
        second[l] = is_easy ? quick[2][l] : precise[2][l];
        if (change) change[l] = is_easy ? quick[3][l] : precise[3][l];
    }
}

ALWAYS_INLINE void base_rows(float *restrict theta, const float *restrict grad, float *restrict first,
                             float *restrict second, noise *n, const float *restrict dense, int64_t count,
                             const pats_matrix *m, float *restrict change, int adamw) {
    const row beta2 = row_of((float)m->beta2), rest2 = row_of((float)(1.0 - m->beta2));
    const row rest1 = row_of((float)(1.0 - m->beta1)), eps = row_of((float)(m->eps * m->root));
    const row size = row_of((float)(m->size * m->root)), decay = row_of((float)m->decay);
    const row sign = row_of((float)m->grad_factor);  // 1, or -1 to maximize
    const row one = row_of(1.0f), half = row_of(0.5f), weight = row_of(2.5f), least = row_of(0x1p-120f);
    const row most = row_of(adamw ? 0x1p100f : 0x1p50f);  // so that scale does not become denormal
    for (int64_t i = 0; i < count; i += ROW) {
        row g = sign * row_load(grad + i), old = row_load(theta + i), q = noise_row(n, dense + i);
        row mean = row_load(first + i), norm = row_load(second + i), inverse;
        if (adamw) {
            norm = norm + rest2 * (g * g - norm);
            inverse = one / (row_sqrt(norm) + eps);
        } else {
            norm = row_max(row_abs(g) + eps, beta2 * norm);
            inverse = one / norm;
        }
        row turn = rest1 * (g - mean), scale = size * inverse;
        mean = mean + turn;
        row step = mean * scale;
        row large = (row_abs(mean) + (row_abs(turn) + least)) * scale;  // m' may be off by what is denormal
        if (adamw) step = step + decay * old;
        row next = old + (q - step);
        uint32_t easy = row_less(weight * large + row_abs(q), half * row_abs(old));
        easy &= row_less(norm, most);
        if (easy != EASY) {
            float quick[4][ROW], here[ROW];
            row_store(quick[0], next), row_store(quick[1], mean), row_store(quick[2], norm), row_store(quick[3], step);
            row_store(here, q);
            settle(theta + i, grad + i, first + i, second + i, here, change ? change + i : NULL, m, easy, quick);
            continue;
        }
        row_store(theta + i, next), row_store(first + i, mean), row_store(second + i, norm);
        if (change) row_store(change + i, step);
    }
}

// Whether float32 can be enough: the settings are the usual ones, AdamW's eps far above the root of what is denormal.
static int in_rows(const pats_matrix *m) {
    const int adamax = m->base == PATS_ADAMAX && m->decay == 0.0;
    const int adamw = m->base == PATS_ADAMW && m->beta2 >= 0.875 && m->decay >= 0.0 && m->decay <= 0x1p-6 &&
                      m->eps * m->root >= 0x1p-40;
    return (adamax || adamw) && fabs(m->grad_factor) == 1.0 && m->size * m->root >= 0x1p-70;
}

static void base_part(float *theta, const float *grad, float *first, float *second, noise *n, const float *dense,
                      int64_t count, const pats_matrix *m, float *change, int rows) {
    // The usual cases without the question for `change`.
    if (!rows)
        exact(theta, grad, first, second, dense, count, m, change);
    else if (m->base == PATS_ADAMW && change)
        base_rows(theta, grad, first, second, n, dense, count, m, change, 1);
    else if (m->base == PATS_ADAMW)
        base_rows(theta, grad, first, second, n, dense, count, m, NULL, 1);
    else if (change)
        base_rows(theta, grad, first, second, n, dense, count, m, change, 0);
    else
        base_rows(theta, grad, first, second, n, dense, count, m, NULL, 0);
}

// The last entries of a matrix, filled up to a whole row; fewer than ROW.
static void base_rest(float *theta, const float *grad, float *first, float *second, noise *n, const float *dense,
                      int64_t count, const pats_matrix *m, float *change, int rows) {
    float t[ROW] = {0}, g[ROW] = {0}, a[ROW] = {0}, b[ROW] = {0}, q[ROW] = {0}, c[ROW];
    const size_t bytes = (size_t)count * sizeof *theta;
    memcpy(t, theta, bytes), memcpy(g, grad, bytes), memcpy(q, dense, bytes);
    memcpy(a, first, bytes), memcpy(b, second, bytes);
    base_part(t, g, a, b, n, q, ROW, m, c, rows);
    memcpy(theta, t, bytes), memcpy(first, a, bytes), memcpy(second, b, bytes);
    if (change) memcpy(change, c, bytes);
}

// One tile; `n` is used where `rows` and GATE_MASKS, `dense` else.
static void base_tile(float *theta, const float *grad, float *first, float *second, noise n, const float *dense,
                      int64_t count, const pats_matrix *m, float *change, int rows) {
    int64_t whole = count / ROW * ROW;
    base_part(theta, grad, first, second, &n, dense, whole, m, change, rows);
    if (whole < count)
        base_rest(theta + whole, grad + whole, first + whole, second + whole, &n, dense + whole, count - whole, m,
                  change ? change + whole : NULL, rows);
}

#endif
