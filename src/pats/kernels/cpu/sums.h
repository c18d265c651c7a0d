// Sums in double over a fixed number of lanes: the same on every instruction set, so that rounding is the same too.
#ifndef PATS_SUMS_H
#define PATS_SUMS_H

enum { LANES = 16 };

static double add_up(const double lane[LANES]) {
    double half[LANES / 2], sum = 0.0;
    for (int l = 0; l < LANES / 2; ++l) half[l] = lane[l] + lane[l + LANES / 2];
    for (int l = 0; l < LANES / 2; ++l) sum += half[l];
    return sum;
}

static double sum_of(const float *restrict value, int64_t count) {
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; ++l) lane[l] += (double)value[i + l];
    for (int l = 0; i < count; ++i, ++l) lane[l] += (double)value[i];
    return add_up(lane);
}

static double square_of(const double *restrict value, int64_t count) {
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; ++l) lane[l] += value[i + l] * value[i + l];
    for (int l = 0; i < count; ++i, ++l) lane[l] += value[i] * value[i];
    return add_up(lane);
}

static double sum_squares(const float *restrict value, int64_t count) {
    double lane[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; ++l) lane[l] += (double)value[i + l] * (double)value[i + l];
    for (int l = 0; i < count; ++i, ++l) lane[l] += (double)value[i] * (double)value[i];
    return add_up(lane);
}

#endif
