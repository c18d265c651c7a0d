// The open gates of a tile: picked out before the draw, which is costly, and put back after it.
//
// `where` remembers them: a mask for every row on x86-64 with vectors, their positions elsewhere.
#ifndef PATS_GATE_H
#define PATS_GATE_H

#include "vector.h"

// The noise of a tile: what was drawn for its open gates, one after another, and where they are.
typedef struct {
    const float *picked;  // may be read a row beyond its end
    const uint16_t *where;
    int64_t gates;  // that are open
} noise;

#if defined(PATS_AVX512)

enum { GATE_MASKS = 1 };

// Words and averages of the open gates of a row; returns how many. Up to 8, as nearly always while few gates are open,
// are stored by half a vector: a whole one reaches into the next cache line.
static inline int64_t pick_vector(uint16_t *where, uint32_t *open, float *chosen, __mmask16 mask, __m512i word,
                                  __m512 average) {
    const __m512i words = _mm512_maskz_compress_epi32(mask, word);
    const __m512 averages = _mm512_maskz_compress_ps(mask, average);
    const int gates = ones(mask);
    _mm256_storeu_si256((__m256i *)open, _mm512_castsi512_si256(words));
    _mm256_storeu_ps(chosen, _mm512_castps512_ps256(averages));
    if (gates > 8) {
        _mm256_storeu_si256((__m256i *)open + 1, _mm512_extracti64x4_epi64(words, 1));
        _mm256_storeu_ps(chosen + 8, _mm512_extractf32x8_ps(averages, 1));
    }
    *where = mask;
    return gates;
}

static inline int64_t pick_row(uint16_t *where, uint32_t *open, float *chosen, const uint32_t *word,
                               const float *average, uint32_t limit) {
    const __m512i words = _mm512_loadu_si512(word);
    const __mmask16 mask = _mm512_cmple_epu32_mask(words, _mm512_set1_epi32((int32_t)limit));
    return pick_vector(where, open, chosen, mask, words, row_load(average));
}

static inline row put_back_row(uint32_t mask, const float *picked) {
    return _mm512_mask_expand_ps(row_of(-0.0f), (__mmask16)mask, row_load(picked));
}

#elif defined(PATS_AVX2)

enum { GATE_MASKS = 1 };

// Bytes that bring the chosen ones of four lanes to the front, and those that bring them back.
#define L(l) 4 * l, 4 * l + 1, 4 * l + 2, 4 * l + 3
#define NONE 128, 128, 128, 128
static const _Alignas(16) uint8_t TO_FRONT[16][16] = {
    {NONE, NONE, NONE, NONE}, {L(0), NONE, NONE, NONE}, {L(1), NONE, NONE, NONE}, {L(0), L(1), NONE, NONE},
    {L(2), NONE, NONE, NONE}, {L(0), L(2), NONE, NONE}, {L(1), L(2), NONE, NONE}, {L(0), L(1), L(2), NONE},
    {L(3), NONE, NONE, NONE}, {L(0), L(3), NONE, NONE}, {L(1), L(3), NONE, NONE}, {L(0), L(1), L(3), NONE},
    {L(2), L(3), NONE, NONE}, {L(0), L(2), L(3), NONE}, {L(1), L(2), L(3), NONE}, {L(0), L(1), L(2), L(3)}};
static const _Alignas(16) uint8_t FROM_FRONT[16][16] = {
    {NONE, NONE, NONE, NONE}, {L(0), NONE, NONE, NONE}, {NONE, L(0), NONE, NONE}, {L(0), L(1), NONE, NONE},
    {NONE, NONE, L(0), NONE}, {L(0), NONE, L(1), NONE}, {NONE, L(0), L(1), NONE}, {L(0), L(1), L(2), NONE},
    {NONE, NONE, NONE, L(0)}, {L(0), NONE, NONE, L(1)}, {NONE, L(0), NONE, L(1)}, {L(0), L(1), NONE, L(2)},
    {NONE, NONE, L(0), L(1)}, {L(0), NONE, L(1), L(2)}, {NONE, L(0), L(1), L(2)}, {L(0), L(1), L(2), L(3)}};
#undef L
#undef NONE

static inline __m128i shuffled(const uint8_t table[16], __m128i value) {
    return _mm_shuffle_epi8(value, _mm_load_si128((const __m128i *)table));
}

// Words and averages of the open gates of a row; returns how many.
static inline int64_t pick_row(uint16_t *where, uint32_t *open, float *chosen, const uint32_t *word,
                               const float *average, uint32_t limit) {
    const __m256i words = _mm256_loadu_si256((const __m256i *)word), top = _mm256_set1_epi32((int32_t)limit);
    const __m256i is_open = _mm256_cmpeq_epi32(_mm256_max_epu32(words, top), top);
    const uint32_t mask = (uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(is_open));
    const int low = ones(mask & 15u);
    const __m256i averages = _mm256_castps_si256(row_load(average));
    _mm_storeu_si128((__m128i *)open, shuffled(TO_FRONT[mask & 15u], _mm256_castsi256_si128(words)));
    _mm_storeu_si128((__m128i *)chosen, shuffled(TO_FRONT[mask & 15u], _mm256_castsi256_si128(averages)));
    _mm_storeu_si128((__m128i *)(open + low), shuffled(TO_FRONT[mask >> 4], _mm256_extracti128_si256(words, 1)));
    _mm_storeu_si128((__m128i *)(chosen + low), shuffled(TO_FRONT[mask >> 4], _mm256_extracti128_si256(averages, 1)));
    *where = (uint16_t)mask;
    return ones(mask);
}

static inline row put_back_row(uint32_t mask, const float *picked) {
    const int low = ones(mask & 15u);
    const __m128i front = _mm_loadu_si128((const __m128i *)picked);
    const __m128i back = _mm_loadu_si128((const __m128i *)(picked + low));
    const __m256i values = _mm256_inserti128_si256(_mm256_castsi128_si256(shuffled(FROM_FRONT[mask & 15u], front)),
                                                  shuffled(FROM_FRONT[mask >> 4], back), 1);
    const __m256i bit = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i is_open = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int32_t)mask), bit), bit);
    return _mm256_blendv_ps(row_of(-0.0f), _mm256_castsi256_ps(values), _mm256_castsi256_ps(is_open));
}

#else

enum { GATE_MASKS = 0 };
static inline int64_t pick_row(uint16_t *where, uint32_t *open, float *chosen, const uint32_t *word,
                               const float *average, uint32_t limit) {
    (void)where, (void)open, (void)chosen, (void)word, (void)average, (void)limit;
    return 0;
}
static inline row put_back_row(uint32_t mask, const float *picked) {
    (void)mask;
    return row_load(picked);
}

#endif

// How many marks a tile has in `where`.
static inline int64_t marks(int64_t count, int64_t gates) {
    return GATE_MASKS ? (count + ROW - 1) / ROW : gates;
}

// Words of the open gates (word <= limit) and the averages that belong to them; returns how many.
static int64_t pick_open(uint16_t *restrict where, uint32_t *restrict open, float *restrict chosen,
                         const uint32_t *restrict word, const float *restrict average, int64_t count,
                         uint32_t limit) {
    int64_t gates = 0, i = 0;
    if (GATE_MASKS) {
        for (; i + ROW <= count; i += ROW)
            gates += pick_row(where + i / ROW, open + gates, chosen + gates, word + i, average + i, limit);
        if (i == count) return gates;
        uint32_t last[ROW];  // filled up with gates that are closed; limit is below the largest word, or all are open
        float rest[ROW] = {0};
        memcpy(rest, average + i, (size_t)(count - i) * sizeof *rest);
        for (int l = 0; l < ROW; ++l) last[l] = i + l < count ? word[i + l] : UINT32_MAX;
        const int64_t all = pick_row(where + i / ROW, open + gates, chosen + gates, last, rest, limit);
        const uint32_t valid = (1u << (count - i)) - 1u;
        where[i / ROW] &= (uint16_t)valid;
        return gates + (limit == UINT32_MAX ? count - i : all);
    }
    for (; i < count; ++i) {
        where[gates] = (uint16_t)i;
        open[gates] = word[i];
        chosen[gates] = average[i];
        gates += word[i] <= limit;
    }
    return gates;
}

// The noise of a tile, entry by entry: -0 where the gate is closed, which changes nothing that it is added to.
// `dense` has room for whole rows.
static void put_back(float *restrict dense, noise n, int64_t count) {
    if (GATE_MASKS) {
        for (int64_t i = 0; i < count; i += ROW) {
            const uint32_t mask = n.where[i / ROW];
            row_store(dense + i, put_back_row(mask, n.picked));
            n.picked += ones(mask);
        }
        return;
    }
    for (int64_t i = 0; i < count; ++i) dense[i] = -0.0f;
    for (int64_t k = 0; k < n.gates; ++k) dense[n.where[k]] = n.picked[k];
}

// The noise of the next row of a tile: from the picked values themselves, or as it was put back.
static inline row noise_row(noise *n, const float *dense) {
    if (!GATE_MASKS) return row_load(dense);
    const uint32_t mask = *n->where++;
    const row q = put_back_row(mask, n->picked);
    n->picked += ones(mask);
    return q;
}

#endif
