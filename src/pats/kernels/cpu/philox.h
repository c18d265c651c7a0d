// Philox4x32-10: the words of whole blocks (four elements each), one instruction set at a time.
//
// The vector forms keep each 32-bit counter in a 64-bit lane and let the high half hold anything: the
// 32x32 multiplication ignores it, so that a round is two products, two moves of a high half and two
// exclusive ors. Independent chains hide the latency of the products. As long as the counter's low word
// does not wrap, the first two rounds have one product between them: the others are the same in all blocks,
// or grow by a constant from block to block.
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

#if defined(PATS_AVX512) || defined(PATS_AVX2)

#if defined(PATS_AVX512)
enum { PHILOX_LANES = 8, PHILOX_CHAINS = 4 };
typedef __m512i philox_vector;
#define philox_set1(x) _mm512_set1_epi64((int64_t)(x))
#define philox_times(a, b) _mm512_mul_epu32(a, b)
#define philox_add(a, b) _mm512_add_epi64(a, b)
#define philox_xor(a, b) _mm512_xor_si512(a, b)
#define philox_xor3(a, b, c) _mm512_ternarylogic_epi64(a, b, c, 0x96)
#define philox_swap(a) _mm512_shuffle_epi32(a, _MM_PERM_CDAB)  // the halves of every lane
#define philox_xor_low(a, b) _mm512_mask_xor_epi32(a, 0x5555, a, b)
// Blocks in an order that `store` undoes by interleaving the lanes of two vectors.
#define PHILOX_ORDER(m) _mm512_set_epi64(7 * m, 3 * m, 6 * m, 2 * m, 5 * m, 1 * m, 4 * m, 0)

static inline void philox_order(philox_vector *out, philox_vector front, philox_vector back) {
    out[0] = _mm512_unpacklo_epi64(front, back), out[1] = _mm512_unpackhi_epi64(front, back);
}
static inline void philox_store(uint32_t *out, philox_vector words) { _mm512_storeu_si512(out, words); }

#else
enum { PHILOX_LANES = 4, PHILOX_CHAINS = 2 };
typedef __m256i philox_vector;
#define philox_set1(x) _mm256_set1_epi64x((int64_t)(x))
#define philox_times(a, b) _mm256_mul_epu32(a, b)
#define philox_add(a, b) _mm256_add_epi64(a, b)
#define philox_xor(a, b) _mm256_xor_si256(a, b)
#define philox_xor3(a, b, c) _mm256_xor_si256(_mm256_xor_si256(a, b), c)
#define philox_swap(a) _mm256_shuffle_epi32(a, 0xB1)
#define philox_xor_low(a, b) _mm256_xor_si256(a, _mm256_blend_epi32(b, _mm256_setzero_si256(), 0xAA))
#define PHILOX_ORDER(m) _mm256_set_epi64x(3 * m, 1 * m, 2 * m, 0)

static inline void philox_order(philox_vector *out, philox_vector front, philox_vector back) {
    out[0] = _mm256_unpacklo_epi64(front, back), out[1] = _mm256_unpackhi_epi64(front, back);
}
static inline void philox_store(uint32_t *out, philox_vector words) { _mm256_storeu_si256((__m256i *)out, words); }
#endif

// What is the same in all blocks whose counters share a high word. Round r (from 0) adds k0[r] and k1[r]; those
// of the first rounds have the constant counters and products in them.
typedef struct {
    uint64_t k0[10], k1[10];
} philox_constants;

static philox_constants philox_prepare(uint32_t c1, uint32_t step, uint32_t purpose, uint32_t key0,
                                       uint32_t key1) {
    philox_constants k;
    for (uint32_t round = 0; round < 10; ++round) {
        k.k0[round] = key0 + round * PHILOX_W0;
        k.k1[round] = key1 + round * PHILOX_W1;
    }
    uint64_t p1 = (uint64_t)step * PHILOX_M1;
    uint64_t p0 = (uint64_t)((uint32_t)(p1 >> 32) ^ c1 ^ key0) * PHILOX_M0;
    k.k1[0] ^= purpose;
    k.k0[1] ^= (uint32_t)p1;
    k.k1[1] ^= p0 >> 32;
    k.k1[2] ^= (uint32_t)p0;
    return k;
}

// PHILOX_CHAINS * PHILOX_LANES blocks; `first` holds the products of their counters with M0.
static inline void philox_lanes(philox_vector out[2 * PHILOX_CHAINS], const philox_vector first[PHILOX_CHAINS],
                                const philox_constants *k) {
    const philox_vector m0 = philox_set1(PHILOX_M0), m1 = philox_set1(PHILOX_M1);
    philox_vector c0[PHILOX_CHAINS], c1[PHILOX_CHAINS], c2[PHILOX_CHAINS], c3[PHILOX_CHAINS];
    for (int chain = 0; chain < PHILOX_CHAINS; ++chain) {  // rounds 0 to 2
        philox_vector turned = philox_xor(philox_swap(first[chain]), philox_set1(k->k1[0]));
        philox_vector p1 = philox_times(turned, m1);
        c0[chain] = philox_xor(philox_swap(p1), philox_set1(k->k0[1]));
        c2[chain] = philox_xor(first[chain], philox_set1(k->k1[1]));
        philox_vector p0 = philox_times(c0[chain], m0), p2 = philox_times(c2[chain], m1);
        c0[chain] = philox_xor3(philox_swap(p2), p1, philox_set1(k->k0[2]));
        c2[chain] = philox_xor(philox_swap(p0), philox_set1(k->k1[2]));
        c1[chain] = p2;
        c3[chain] = p0;
    }
    for (int round = 3; round < 9; ++round)
        for (int chain = 0; chain < PHILOX_CHAINS; ++chain) {
            philox_vector p0 = philox_times(c0[chain], m0), p1 = philox_times(c2[chain], m1);
            c0[chain] = philox_xor3(philox_swap(p1), c1[chain], philox_set1(k->k0[round]));
            c2[chain] = philox_xor3(philox_swap(p0), c3[chain], philox_set1(k->k1[round]));
            c1[chain] = p1;
            c3[chain] = p0;
        }
    for (int chain = 0; chain < PHILOX_CHAINS; ++chain) {  // the last round leaves the high word low and the low one high
        philox_vector p0 = philox_times(c0[chain], m0), p1 = philox_times(c2[chain], m1);
        philox_vector x0 = philox_xor(c1[chain], philox_set1(k->k0[9]));
        philox_vector x1 = philox_xor(c3[chain], philox_set1(k->k1[9]));
        philox_order(out + 2 * chain, philox_xor_low(philox_swap(p1), x0), philox_xor_low(philox_swap(p0), x1));
    }
}

enum { PHILOX_TOGETHER = PHILOX_CHAINS * PHILOX_LANES };  // blocks

// Products of the counters of the first PHILOX_TOGETHER blocks with M0; returns what leads to those of the next.
static inline philox_vector philox_begin(philox_vector product[PHILOX_CHAINS], uint64_t first_block) {
    philox_vector first = philox_set1((first_block & 0xffffffffu) * PHILOX_M0);
    for (int chain = 0; chain < PHILOX_CHAINS; ++chain) {
        product[chain] = philox_add(first, PHILOX_ORDER((int64_t)PHILOX_M0));
        first = philox_add(first, philox_set1((uint64_t)PHILOX_LANES * PHILOX_M0));
    }
    return philox_set1((uint64_t)PHILOX_TOGETHER * PHILOX_M0);
}

// As many of the blocks as fill vectors; returns how many. The counter's low word must not wrap.
static int64_t philox_vectors(uint32_t *out, uint64_t first_block, int64_t blocks, uint32_t step,
                              uint32_t purpose, uint32_t key0, uint32_t key1) {
    philox_constants k = philox_prepare((uint32_t)(first_block >> 32), step, purpose, key0, key1);
    philox_vector product[PHILOX_CHAINS], words[2 * PHILOX_CHAINS];
    const philox_vector stride = philox_begin(product, first_block);
    int64_t i = 0;
    for (; i + PHILOX_TOGETHER <= blocks; i += PHILOX_TOGETHER) {
        philox_lanes(words, product, &k);
        for (int v = 0; v < 2 * PHILOX_CHAINS; ++v) philox_store(out + 4 * i + 2 * PHILOX_LANES * v, words[v]);
        for (int chain = 0; chain < PHILOX_CHAINS; ++chain) product[chain] = philox_add(product[chain], stride);
    }
    return i;
}

#else
static int64_t philox_vectors(uint32_t *out, uint64_t first_block, int64_t blocks, uint32_t step,
                              uint32_t purpose, uint32_t key0, uint32_t key1) {
    (void)out, (void)first_block, (void)blocks, (void)step, (void)purpose, (void)key0, (void)key1;
    return 0;
}
#endif

static void philox_words(uint32_t *out, uint64_t first_block, int64_t blocks, uint32_t step,
                         uint32_t purpose, uint32_t key0, uint32_t key1) {
    int64_t to_wrap = (int64_t)(0x100000000u - (first_block & 0xffffffffu));
    int64_t i = philox_vectors(out, first_block, blocks < to_wrap ? blocks : to_wrap, step, purpose, key0, key1);
    for (; i < blocks; ++i) philox_block(out + 4 * i, first_block + (uint64_t)i, step, purpose, key0, key1);
}

#endif
