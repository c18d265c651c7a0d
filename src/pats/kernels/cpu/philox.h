// Philox4x32-10: the words of whole blocks (four elements each), one instruction set at a time.
//
// The vector forms keep each 32-bit counter in a 64-bit lane and let the high half hold anything: the
// 32x32 multiplication ignores it, so that a round is two products, two shifts and two exclusive ors.
#ifndef PATS_PHILOX_H
#define PATS_PHILOX_H

#define PHILOX_M0 0xD2511F53u
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u
#define PHILOX_W1 0xBB67AE85u

static void philox_block(uint32_t out[4], uint64_t block, uint32_t step, uint32_t purpose, uint32_t key0,
                         uint32_t key1) {
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = step, c3 = purpose;
    for (int round = 0; round < 10; ++round) {
        uint64_t p0 = (uint64_t)c0 * PHILOX_M0, p1 = (uint64_t)c2 * PHILOX_M1;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ key0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ key1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        key0 += PHILOX_W0;
        key1 += PHILOX_W1;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

#if defined(PATS_AVX512)
enum { PHILOX_LANES = 8 };

static inline void philox_lanes(uint32_t *out, uint64_t block, uint32_t step, uint32_t purpose,
                                const uint64_t key[20]) {
    const __m512i m0 = _mm512_set1_epi64(PHILOX_M0), m1 = _mm512_set1_epi64(PHILOX_M1);
    __m512i c0 = _mm512_add_epi64(_mm512_set1_epi64((int64_t)block), _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0));
    __m512i c1 = _mm512_srli_epi64(c0, 32);
    __m512i c2 = _mm512_set1_epi64(step), c3 = _mm512_set1_epi64(purpose);
    for (int round = 0; round < 10; ++round) {
        __m512i p0 = _mm512_mul_epu32(c0, m0), p1 = _mm512_mul_epu32(c2, m1);
        __m512i k0 = _mm512_set1_epi64((int64_t)key[2 * round]), k1 = _mm512_set1_epi64((int64_t)key[2 * round + 1]);
        c0 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1, k0, 0x96);
        c2 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3, k1, 0x96);
        c1 = p1;
        c3 = p0;
    }
    __m512i a = _mm512_mask_blend_epi32(0xAAAA, c0, _mm512_slli_epi64(c1, 32));
    __m512i b = _mm512_mask_blend_epi32(0xAAAA, c2, _mm512_slli_epi64(c3, 32));
    const __m512i front = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
    const __m512i back = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
    _mm512_storeu_si512(out, _mm512_permutex2var_epi64(a, front, b));
    _mm512_storeu_si512(out + 16, _mm512_permutex2var_epi64(a, back, b));
}

#elif defined(PATS_AVX2)
enum { PHILOX_LANES = 4 };

static inline void philox_lanes(uint32_t *out, uint64_t block, uint32_t step, uint32_t purpose,
                                const uint64_t key[20]) {
    const __m256i m0 = _mm256_set1_epi64x(PHILOX_M0), m1 = _mm256_set1_epi64x(PHILOX_M1);
    __m256i c0 = _mm256_add_epi64(_mm256_set1_epi64x((int64_t)block), _mm256_set_epi64x(3, 2, 1, 0));
    __m256i c1 = _mm256_srli_epi64(c0, 32);
    __m256i c2 = _mm256_set1_epi64x(step), c3 = _mm256_set1_epi64x(purpose);
    for (int round = 0; round < 10; ++round) {
        __m256i p0 = _mm256_mul_epu32(c0, m0), p1 = _mm256_mul_epu32(c2, m1);
        __m256i k0 = _mm256_set1_epi64x((int64_t)key[2 * round]), k1 = _mm256_set1_epi64x((int64_t)key[2 * round + 1]);
        c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1), k0);
        c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3), k1);
        c1 = p1;
        c3 = p0;
    }
    __m256i a = _mm256_blend_epi32(c0, _mm256_slli_epi64(c1, 32), 0xAA);
    __m256i b = _mm256_blend_epi32(c2, _mm256_slli_epi64(c3, 32), 0xAA);
    __m256i even = _mm256_unpacklo_epi64(a, b), odd = _mm256_unpackhi_epi64(a, b);
    _mm256_storeu_si256((__m256i *)out, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256((__m256i *)(out + 8), _mm256_permute2x128_si256(even, odd, 0x31));
}

#else
enum { PHILOX_LANES = 1 };

static inline void philox_lanes(uint32_t *out, uint64_t block, uint32_t step, uint32_t purpose,
                                const uint64_t key[20]) {
    philox_block(out, block, step, purpose, (uint32_t)key[0], (uint32_t)key[1]);
}
#endif

static void philox_words(uint32_t *out, uint64_t first_block, int64_t blocks, uint32_t step,
                         uint32_t purpose, uint32_t key0, uint32_t key1) {
    uint64_t key[20];
    for (uint32_t round = 0; round < 10; ++round) {
        key[2 * round] = key0 + round * PHILOX_W0;
        key[2 * round + 1] = key1 + round * PHILOX_W1;
    }
    int64_t i = 0;
    for (; i + PHILOX_LANES <= blocks; i += PHILOX_LANES)
        philox_lanes(out + 4 * i, first_block + (uint64_t)i, step, purpose, key);
    for (; i < blocks; ++i) philox_block(out + 4 * i, first_block + (uint64_t)i, step, purpose, key0, key1);
}

#endif
