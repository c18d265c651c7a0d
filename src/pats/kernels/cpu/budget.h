// The size of the noise under a budget; pats._budget has the equations.
#ifndef PATS_BUDGET_H
#define PATS_BUDGET_H

#include <math.h>

#include "pats.h"

enum { PATS_SPREAD, PATS_MEAN, PATS_VARIANCE, PATS_SIZE, PATS_SPENT };  // the numbers of a matrix

// The largest relative variance of an entry: 16 times their last mean, or a first guess.
static inline double budget_limit(const pats_matrix *m) {
    const double variance = m->budget[PATS_VARIANCE];
    return variance > 0.0 ? 16.0 * variance : m->is_std ? 1e4 : 100.0;
}

// After pass 1 of a whole matrix: what has been spent, and lam and ceiling of this step.
static inline void budget_spend(pats_matrix *m) {
    double *row = m->budget;
    const double square = row[PATS_SPREAD] * row[PATS_SPREAD];
    const double variance = (double)(float)(m->variance / (double)(m->total ? m->total : 1));
    if (square > 0.0) row[PATS_SPENT] = row[PATS_SPENT] + row[PATS_SIZE] * variance / square;
    const double left = m->most - row[PATS_SPENT];
    const int fine = square > 0.0 && m->open > 0.0 && variance > 0.0 && m->nonfinite == 0.0 && left > 0.0;
    const double size = fine ? left * m->share * square / variance : 0.0;
    row[PATS_MEAN] = m->mean, row[PATS_VARIANCE] = variance, row[PATS_SIZE] = size;
    const double lam = fine ? size / m->open : 0.0;
    m->lam = m->is_std ? sqrt(lam) : lam;
    m->ceiling = sqrt(16.0 * lam * variance);
}

#endif
