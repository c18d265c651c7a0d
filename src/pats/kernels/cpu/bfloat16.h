// Parameters and states in bfloat16: worked on as float32, a tile at a time.
#ifndef PATS_BFLOAT16_H
#define PATS_BFLOAT16_H

#include "float32.h"

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

// Round up with the probability of the part that does not fit: its bits, plus the low half of the word, cut off.
static void narrow_stochastically(uint16_t *restrict to, const float *restrict from, const uint32_t *restrict word,
                                  int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
        uint32_t bits = (uint32_t)bits_of(from[i]);
        uint32_t finite = (bits & 0x7f800000u) != 0x7f800000u;
        to[i] = finite ? (uint16_t)((bits + (word[i] & 0xffffu)) >> 16) : to_bfloat16(from[i]);
    }
}

#endif
