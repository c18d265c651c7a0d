// The size of the noise that an account gives, such as a budget; pats._budget has the equations.
#ifndef PATS_BUDGET_H
#define PATS_BUDGET_H

#include <math.h>

#include "pats.h"

enum { PATS_SPREAD, PATS_MEAN, PATS_VARIANCE, PATS_SIZE, PATS_SPENT };  // the numbers of a matrix

// The largest relative variance of an entry: 16 times their last mean, or a first guess.
static inline double budget_limit(const pats_matrix *m) {
    const double variance = m->budget[PATS_VARIANCE];
    const double most = variance > 0.0 ? 16.0 * variance : m->is_std ? 1e4 : 100.0;
    return most < m->limit ? most : m->limit;
}

// After pass 1 of a whole matrix: what has been spent, and lam and ceiling of this step.
static inline void budget_spend(pats_matrix *m) {
    double *row = m->budget;
    const double square = row[PATS_SPREAD] * row[PATS_SPREAD];
    const double variance = (double)(float)(m->variance / (double)(m->total ? m->total : 1));
    if (square > 0.0) row[PATS_SPENT] = row[PATS_SPENT] + row[PATS_SIZE] * variance / square;
    const double rest = m->most - row[PATS_SPENT], left = rest > 0.0 ? rest : 0.0;
    const int fine = m->open > 0.0 && variance > 0.0 && m->nonfinite == 0.0;
    const double size = fine ? (left * m->share * square + m->heat) / variance : 0.0;
    row[PATS_MEAN] = m->mean, row[PATS_VARIANCE] = variance, row[PATS_SIZE] = size;
    const double lam = fine ? size / m->open : 0.0;
    m->lam = m->is_std ? sqrt(lam) : lam;
    m->ceiling = sqrt(lam * (16.0 * variance < m->limit ? 16.0 * variance : m->limit));
}

#endif
