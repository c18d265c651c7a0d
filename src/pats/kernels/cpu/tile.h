// The two passes, one tile at a time; included once by every instruction set.
#include <float.h>
#include <math.h>
#include <string.h>

#include "pats.h"
#include "philox.h"
#include "gate.h"
#include "normal.h"

#if defined(__GNUC__)
#define PREFETCH(line) __builtin_prefetch(line, 0, 2)
#else
#define PREFETCH(line) ((void)(line))
#endif

enum { LANES = 16 };  // of a sum: the same on every instruction set, so that rounding is the same too
enum { PAD = 16 };    // room behind a tile, written by whole vectors

// Round to the nearest bfloat16, ties to even; a NaN stays one.
static inline uint16_t to_bfloat16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    uint32_t rounded = (bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16;
    uint32_t nan = (bits >> 16) | 0x40u;
    return (uint16_t)((bits & 0x7fffffffu) > 0x7f800000u ? nan : rounded);
}

static inline float from_bfloat16(uint16_t value) {
    return float_of((int32_t)((uint32_t)value << 16));
}

static void widen(float *restrict to, const uint16_t *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = from_bfloat16(from[i]);
}

static void narrow(uint16_t *restrict to, const float *restrict from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) to[i] = to_bfloat16(from[i]);
}

// A tile as float32: itself, or a copy in `room`.
static float *opened(float *room, const void *from, int64_t at, int64_t count, int32_t dtype) {
    if (dtype == PATS_FLOAT32) return (float *)from + at;
    widen(room, (const uint16_t *)from + at, count);
    return room;
}

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

// Eq. 1 and 2 of one tile: the new average, and how many entries were not finite.
static int32_t average_tile(float *restrict average, const float *restrict theta, const float *restrict grad,
                            int64_t count, float factor, float beta, float rest, int32_t sign_mask) {
    int32_t nonfinite = 0;
    for (int64_t i = 0; i < count; ++i) {
        float s = float_of(bits_of(theta[i] * (grad[i] * factor)) & sign_mask);
        float updated = rest * s + beta * average[i];
        int32_t finite = fabsf(s) <= FLT_MAX;
        average[i] = finite ? updated : average[i];
        nonfinite += 1 - finite;
    }
    return nonfinite;
}

static void measure(const pats_matrix *m, int64_t begin, int64_t end, pats_partial *to) {
    float room[2][PATS_TILE];
    const int32_t sign_mask = m->is_signed ? -1 : 0x7fffffff;
    for (int64_t at = begin; at < end; at += PATS_TILE) {
        int64_t count = end - at < PATS_TILE ? end - at : PATS_TILE;
        const float *theta = opened(room[0], m->theta, at, count, m->dtype);
        const float *grad = opened(room[1], m->grad, at, count, m->dtype);
        to->nonfinite += average_tile(m->average + at, theta, grad, count, (float)m->grad_factor,
                                      (float)m->beta, (float)(1.0 - m->beta), sign_mask);
        to->sum += sum_of(m->average + at, count);
    }
}

// Eq. 4 as it stands: sigma of each of `count` averages, for every reading and range.
static void intensity_exact(double *restrict sigma, const float *restrict average, int64_t count,
                            const pats_matrix *m) {
    const double mean = m->mean, eps = m->eps_absolute + m->eps_relative * fabs(mean);
    const double gamma = m->gamma, lam = m->lam;
    for (int64_t k = 0; k < count; ++k) {
        double r = (mean / ((double)average[k] + eps) - gamma) * lam;
        r = r > 0.0 ? r : 0.0;       // false for NaN
        sigma[k] = r <= DBL_MAX ? r : 0.0;  // as any other r that is not finite
    }
    if (!m->is_std)
        for (int64_t k = 0; k < count; ++k) sigma[k] = sqrt(sigma[k]);
}

// The same for the variance reading, without a division or root in double:
//
//     a = 4 (average + eps) / (lam mean),  b = 1 - a gamma lam / 4,  sigma = 2 sqrt(b / a) = 2 b / sqrt(a b)
//
// where 1 / sqrt(a b) comes from float32 by a step of Newton's: sigma is exact to 2^-45 or so. Returns 0 where
// some a b is beyond float32; `sigma` is no good then.
static int intensity_fast(double *restrict sigma, const float *restrict average, int64_t count,
                          const pats_matrix *m) {
    const double slope = 4.0 / (m->lam * m->mean);
    const double offset = (m->eps_absolute + m->eps_relative * fabs(m->mean)) * slope;
    const double share = 0.25 * m->gamma * m->lam;
    float root[PATS_TILE];
    int32_t beyond = 0;
    for (int64_t k = 0; k < count; ++k) {
        double a = (double)average[k] * slope + offset;
        float product = (float)(a * (1.0 - a * share));
        // Signed bits: what is negative has no noise; zero, what is denormal, infinite or NaN is beyond.
        int32_t bits = bits_of(product);
        beyond |= (bits >= 0) & ((bits < 0x00800000) | (bits >= 0x7f800000));
        root[k] = 1.0f / sqrtf(product);
    }
    for (int64_t k = 0; k < count; ++k) {
        double a = (double)average[k] * slope + offset, b = 1.0 - a * share, p = a * b;
        double near = (double)root[k];
        double value = b * near * (3.0 - p * (near * near));
        sigma[k] = p > 0.0 ? value : 0.0;
    }
    return !beyond;
}

// Eq. 4: z becomes q = sigma z; 0 from `found` on to `whole`, a multiple of LANES. Returns the largest sigma and
// counts those that are 0.
static double scale_draws(double *restrict z, const float *restrict average, int64_t found, int64_t whole,
                          const pats_matrix *m, int64_t *zero) {
    double sigma[PATS_TILE];
    int64_t top = 0;  // as bits: they order like the values, which are not negative
    int64_t none = found - whole;
    if (m->is_std || m->gamma < 0.0 || !intensity_fast(sigma, average, whole, m))
        intensity_exact(sigma, average, whole, m);
    for (int64_t k = found; k < whole; ++k) sigma[k] = 0.0;
    for (int64_t k = 0; k < whole; ++k) {
        int64_t bits;
        memcpy(&bits, sigma + k, sizeof bits);
        top = bits > top ? bits : top;
        none += bits == 0;
        z[k] *= sigma[k];
    }
    *zero += none;
    double largest;
    memcpy(&largest, &top, sizeof largest);
    return largest;
}

// Words of the entries [at, at + count) of a matrix. `room` holds PATS_TILE + PAD; returns where they begin.
static const uint32_t *tile_words(uint32_t *room, const pats_matrix *m, int64_t at, int64_t count,
                                  uint32_t purpose) {
    if (m->run >= m->numel) {
        uint64_t first = m->start + (uint64_t)at;
        philox_words(room, first / 4, ((int64_t)(first % 4) + count + 3) / 4, m->step, purpose, m->key0, m->key1);
        return room + first % 4;
    }
    uint32_t part[PATS_TILE + PAD];
    for (int64_t done = 0; done < count;) {  // a shard: run by run
        int64_t row = (at + done) / m->run, within = (at + done) % m->run;
        int64_t length = m->run - within < count - done ? m->run - within : count - done;
        uint64_t first = m->start + (uint64_t)(row * m->stride + within);
        philox_words(part, first / 4, ((int64_t)(first % 4) + length + 3) / 4, m->step, purpose, m->key0, m->key1);
        memcpy(room + done, part + first % 4, (size_t)length * sizeof *room);
        done += length;
    }
    return room;
}

// Ask for the next tile of an array, while the arithmetic of the draws leaves the memory idle.
static void fetch_ahead(const void *array, int64_t at, int64_t numel, int32_t dtype) {
    if (!array) return;
    const int64_t size = dtype == PATS_BFLOAT16 ? 2 : 4;
    int64_t end = at + 2 * PATS_TILE < numel ? at + 2 * PATS_TILE : numel;
    for (int64_t line = (at + PATS_TILE) * size; line < end * size; line += 64) PREFETCH((const char *)array + line);
}

// The noise of one tile: q where the gate is open, else -0, which changes nothing that it is added to.
static void noise_tile(float *restrict noise, const float *restrict average, int64_t at, int64_t count,
                       const pats_matrix *m, pats_partial *to) {
    uint32_t room[PATS_TILE + PAD], open[PATS_TILE + PAD];
    uint16_t where[PATS_TILE + PAD];
    float chosen[PATS_TILE + PAD], picked[PATS_TILE + PAD];
    double q[PATS_TILE];
    fetch_ahead(m->first, at, m->numel, m->state_dtype);
    const uint32_t *word = tile_words(room, m, at, count, m->purpose);
    fetch_ahead(m->second, at, m->numel, m->state_dtype);
    int64_t found = pick_open(where, open, chosen, word, average, count, (uint32_t)(m->threshold - 1));
    fetch_ahead(m->theta, at, m->numel, m->dtype);
    // Whole vectors only: what fills the last one repeats the first draw, to which no noise is given.
    int64_t whole = (found + PAD - 1) / PAD * PAD;
    for (int64_t k = found; k < whole; ++k) open[k] = open[0], chosen[k] = chosen[0];
    normal_quantile(q, open, whole, m->threshold);
    fetch_ahead(m->grad, at, m->numel, m->dtype);
    double sigma = scale_draws(q, chosen, found, whole, m, &to->zero);
    fetch_ahead(m->average, at, m->numel, PATS_FLOAT32);
    for (int64_t k = 0; k < whole; ++k) picked[k] = (float)q[k];
    for (int64_t k = whole; k < whole + PAD; ++k) picked[k] = 0.0f;  // put_back reads ahead
    put_back(noise, where, picked, count, found);
    to->gated += found;
    to->square += square_of(q, whole);
    to->sigma_max = sigma > to->sigma_max ? sigma : to->sigma_max;
}

static void add_tile(float *restrict theta, const float *restrict noise, int64_t count) {
    for (int64_t i = 0; i < count; ++i) theta[i] += noise[i];
}

#include "base.h"

// Round up with the probability of the part that does not fit: its bits, plus the low half of the word, cut off.
static void narrow_stochastically(uint16_t *restrict to, const float *restrict from, const uint32_t *restrict word,
                                  int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        uint32_t bits = (uint32_t)bits_of(from[i]);
        uint32_t finite = (bits & 0x7f800000u) != 0x7f800000u;
        to[i] = finite ? (uint16_t)((bits + (word[i] & 0xffffu)) >> 16) : to_bfloat16(from[i]);
    }
}

// Pass 2: the base optimizer's update and the noise, of one block.
static void update(const pats_matrix *m, int64_t begin, int64_t end, pats_partial *to) {
    float room[4][PATS_TILE], noise[PATS_TILE + PAD], changes[PATS_TILE];
    const int noisy = m->average && m->threshold && m->lam != 0.0 && m->mean != 0.0 && !m->nonfinite;
    if (m->base == PATS_PLAIN && !noisy) return;
    for (int64_t i = 0; i < PATS_TILE; ++i) noise[i] = -0.0f;
    for (int64_t at = begin; at < end; at += PATS_TILE) {
        int64_t count = end - at < PATS_TILE ? end - at : PATS_TILE;
        float *theta = opened(room[0], m->theta, at, count, m->dtype);
        if (noisy) noise_tile(noise, m->average + at, at, count, m, to);
        if (m->base == PATS_PLAIN) {
            add_tile(theta, noise, count);
        } else {
            const float *grad = opened(room[1], m->grad, at, count, m->dtype);
            float *first = opened(room[2], m->first, at, count, m->state_dtype);
            float *second = opened(room[3], m->second, at, count, m->state_dtype);
            // The telemetry of the update looks at one tile of a block.
            float *change = at == begin ? changes : NULL;
            base_tile(theta, grad, first, second, noise, count, m, change);
            if (change) {
                to->update_square += sum_squares(change, count);
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
}

const pats_isa PATS_ISA = {PATS_ISA_NAME, philox_words, normal_quantile, measure, update};
