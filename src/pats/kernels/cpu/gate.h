// The open gates of a tile: picked out before the draw, which is costly, and put back after it.
//
// `where` remembers them: a mask for every 16 entries with AVX-512, their positions elsewhere.
#ifndef PATS_GATE_H
#define PATS_GATE_H

// How many marks a tile has in `where`.
static inline int64_t marks(int64_t count, int64_t found) {
#if defined(PATS_AVX512)
    (void)found;
    return (count + 15) / 16;
#else
    (void)count;
    return found;
#endif
}

#if defined(PATS_AVX512)
// Words and averages of the open gates among 16; returns how many.
static inline int64_t pick_vector(uint16_t *where, uint32_t *open, float *chosen, __mmask16 mask, __m512i word,
                                  __m512 average) {
    _mm512_storeu_si512(open, _mm512_maskz_compress_epi32(mask, word));
    _mm512_storeu_ps(chosen, _mm512_maskz_compress_ps(mask, average));
    *where = mask;
    return __builtin_popcount(mask);
}
#endif

// Words of the open gates (word <= limit) and the averages that stand there; returns how many.
static int64_t pick_open(uint16_t *restrict where, uint32_t *restrict open, float *restrict chosen,
                         const uint32_t *restrict word, const float *restrict average, int64_t count,
                         uint32_t limit) {
    int64_t found = 0;
#if defined(PATS_AVX512)
    const __m512i top = _mm512_set1_epi32((int32_t)limit);
    for (int64_t i = 0; i < count; i += 16) {
        __mmask16 valid = count - i < 16 ? (__mmask16)((1u << (count - i)) - 1u) : (__mmask16)0xffff;
        __m512i w = _mm512_maskz_loadu_epi32(valid, word + i);
        __mmask16 mask = _mm512_mask_cmple_epu32_mask(valid, w, top);
        __m512 value = _mm512_maskz_loadu_ps(valid, average + i);
        found += pick_vector(where + i / 16, open + found, chosen + found, mask, w, value);
    }
#else
    for (int64_t i = 0; i < count; ++i) {
        where[found] = (uint16_t)i;
        open[found] = word[i];
        chosen[found] = average[i];
        found += word[i] <= limit;
    }
#endif
    return found;
}

// The picked values where the gate is open, else -0, which changes nothing that it is added to. `noise` has room for
// whole vectors, and `picked` may be read a vector beyond its end.
static void put_back(float *restrict noise, const uint16_t *restrict where, const float *restrict picked,
                     int64_t count, int64_t found) {
#if defined(PATS_AVX512)
    const __m512 nothing = _mm512_set1_ps(-0.0f);
    (void)found;
    for (int64_t i = 0; i < count; i += 16) {
        __mmask16 mask = where[i / 16];
        _mm512_storeu_ps(noise + i, _mm512_mask_expand_ps(nothing, mask, _mm512_loadu_ps(picked)));
        picked += __builtin_popcount(mask);
    }
#else
    for (int64_t i = 0; i < count; ++i) noise[i] = -0.0f;
    for (int64_t k = 0; k < found; ++k) noise[where[k]] = picked[k];
#endif
}

#endif
