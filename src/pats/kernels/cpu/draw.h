// The noise of some blocks: where the gates are open, the normal draws z there, and sigma of Eq. 4.
//
// Draws are arithmetic, the update that follows is memory: the draws of as many blocks as there is room for are made
// before their update, because the processor reads ahead only as long as it is kept reading.
#ifndef PATS_DRAW_H
#define PATS_DRAW_H

#include "ahead.h"
#include "float32.h"
#include "gate.h"
#include "normal.h"
#include "philox.h"
#include "sums.h"

enum { PAD = 16 };                    // room behind what is written by whole vectors
enum { MOST_BLOCKS = 16 };             // drawn for before their update
enum { MOST_DRAWS = 3 * PATS_BLOCK };  // of them all; another block is begun while it surely fits
enum { TILES = MOST_BLOCKS * (PATS_BLOCK / PATS_TILE) };

// How many gates of each tile are open and where, and q of all tiles one after another; what waits for the next draw.
typedef struct {
    int64_t gates[TILES];
    uint16_t where[MOST_DRAWS + PAD];
    _Alignas(64) float q[MOST_DRAWS + 2 * PAD];
    int64_t waiting;
    _Alignas(64) uint32_t word[PATS_DRAW + PAD];
    _Alignas(64) float average[PATS_DRAW + PAD];
} draws;

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

// Eq. 4 as it is written: sigma of each of `count` averages, for every reading and range.
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
    _Alignas(64) double product[PATS_DRAW];
    _Alignas(64) float root[PATS_DRAW];
    int32_t beyond = 0;
    for (int64_t k = 0; k < count; ++k) {
        double a = fma((double)average[k], slope, offset), b = fma(-a, share, 1.0), p = a * b;
        // Signed bits: what is negative has no noise; zero, what is denormal, infinite or NaN is beyond.
        int32_t bits = bits_of((float)p);
        beyond |= (bits >= 0) & ((bits < 0x00800000) | (bits >= 0x7f800000));
        root[k] = 1.0f / sqrtf((float)p);
        sigma[k] = b;
        product[k] = p;
    }
    for (int64_t k = 0; k < count; ++k) {
        double p = product[k], near = (double)root[k];
        double value = sigma[k] * near * fma(-p, near * near, 3.0);
        sigma[k] = p > 0.0 ? value : 0.0;
    }
    return !beyond;
}

// Eq. 4: z becomes q = sigma z; 0 from `drawn` on to `whole`, a multiple of LANES. Returns the largest sigma and
// counts those that are 0.
static double scale_draws(double *restrict z, const float *restrict average, int64_t drawn, int64_t whole,
                          const pats_matrix *m, int64_t *zero) {
    _Alignas(64) double sigma[PATS_DRAW];
    int64_t top = 0;  // as bits: they order like the values, which are not negative
    int64_t none = drawn - whole;
    if (m->is_std || m->gamma < 0.0 || !intensity_fast(sigma, average, whole, m))
        intensity_exact(sigma, average, whole, m);
    for (int64_t k = drawn; k < whole; ++k) sigma[k] = 0.0;
    const double ceiling = m->ceiling;
    for (int64_t k = 0; k < whole; ++k) {
        int64_t bits;
        sigma[k] = sigma[k] < ceiling ? sigma[k] : ceiling;
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

// z of what waits, and q = sigma z; returns how many there were.
static int64_t draw_waiting(draws *d, float *restrict to, const pats_matrix *m, pats_partial *sums) {
    _Alignas(64) double q[PATS_DRAW];
    const int64_t drawn = d->waiting;
    // Whole vectors only: what fills the last one repeats the first draw, to which no noise is given.
    int64_t whole = (drawn + PAD - 1) / PAD * PAD;
    for (int64_t k = drawn; k < whole; ++k) d->word[k] = d->word[0], d->average[k] = d->average[0];
    normal_quantile(q, d->word, whole, m->threshold);
    double sigma = scale_draws(q, d->average, drawn, whole, m, &sums->zero);
    for (int64_t k = 0; k < whole; ++k) to[k] = (float)q[k];
    for (int64_t k = whole; k < whole + PAD; ++k) to[k] = 0.0f;  // put_back reads ahead
    sums->gated += drawn;
    sums->square += square_of(q, whole);
    sums->sigma_max = sigma > sums->sigma_max ? sigma : sums->sigma_max;
    d->waiting = 0;
    return drawn;
}

// The open gates of a tile. With AVX-512 they are picked from the words as these are made.
static int64_t pick_tile(uint16_t *where, uint32_t *open, float *chosen, int64_t at, int64_t count,
                         const pats_matrix *m) {
    const uint32_t limit = (uint32_t)(m->threshold - 1);
    const float *average = m->average + at;
#if defined(PATS_AVX512)
    const uint64_t first = m->start + (uint64_t)at, block = first / 4;
    const int wraps = (uint32_t)block > UINT32_MAX - PATS_TILE / 4;
    if (count == PATS_TILE && m->run >= m->numel && first % 4 == 0 && !wraps) {
        const philox_constants k = philox_prepare((uint32_t)(block >> 32), m->step, m->purpose, m->key0, m->key1);
        const __m512i top = _mm512_set1_epi32((int32_t)limit);
        philox_vector product[PHILOX_CHAINS], word[2 * PHILOX_CHAINS];
        const philox_vector stride = philox_begin(product, block);
        int64_t gates = 0;
        for (int64_t i = 0; i < PATS_TILE;) {
            philox_lanes(word, product, &k);
            for (int c = 0; c < PHILOX_CHAINS; ++c) product[c] = philox_add(product[c], stride);
            for (int v = 0; v < 2 * PHILOX_CHAINS; ++v, i += ROW)
                gates += pick_vector(where + i / ROW, open + gates, chosen + gates,
                                     _mm512_cmple_epu32_mask(word[v], top), word[v], _mm512_loadu_ps(average + i));
        }
        return gates;
    }
#endif
    uint32_t room[PATS_TILE + PAD];
    const uint32_t *word = tile_words(room, m, at, count, m->purpose);
    return pick_open(where, open, chosen, word, average, count, limit);
}

// The noise of the blocks from `begin` on; returns where those end that there was room for. `sums` are one a block.
static int64_t draw(draws *d, const pats_matrix *m, int64_t begin, int64_t end, pats_partial *sums) {
    float *q = d->q;
    uint16_t *where = d->where;
    int64_t at = begin;
    d->waiting = 0;
    for (int64_t tile = 0; at < end; ++tile) {
        if (at % PATS_BLOCK == 0 && (tile == TILES || q - d->q > MOST_DRAWS - PATS_BLOCK)) break;
        int64_t count = end - at < PATS_TILE ? end - at : PATS_TILE;
        updated_soon(m, at);
        int64_t gates = pick_tile(where, d->word + d->waiting, d->average + d->waiting, at, count, m);
        where += marks(count, gates);
        d->gates[tile] = gates;
        d->waiting += gates;
        at += count;
        if (at % PATS_DRAW == 0 || at == end) q += draw_waiting(d, q, m, sums + (at - 1 - begin) / PATS_BLOCK);
    }
    return at;
}

#endif
