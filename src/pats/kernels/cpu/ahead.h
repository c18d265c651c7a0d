// What will be read soon: the first lines of a tile in every array, as a hint. The processor reads ahead by itself,
// but not into pages that it has not seen. More than this takes longer. Inlined always: GCC drops the call of a
// function that only hints.
#ifndef PATS_AHEAD_H
#define PATS_AHEAD_H

#include "vector.h"

enum { LINE = 64 };

ALWAYS_INLINE void touch(const void *array, int64_t at, int32_t dtype, int lines) {
#if defined(__GNUC__)
    const char *from = (const char *)array + at * (dtype == PATS_BFLOAT16 ? 2 : 4);
    for (int line = 0; line < lines; ++line) __builtin_prefetch(from + line * LINE);
#else
    (void)array, (void)at, (void)dtype, (void)lines;
#endif
}

// Before pass 1 comes to the tile at `at`.
ALWAYS_INLINE void measured_soon(const pats_matrix *m, int64_t at) {
    touch(m->theta, at, m->dtype, 1), touch(m->grad, at, m->dtype, 1), touch(m->average, at, PATS_FLOAT32, 1);
}

// While the noise of a tile is drawn, which hardly reads, before the tile is updated.
ALWAYS_INLINE void updated_soon(const pats_matrix *m, int64_t at) {
    touch(m->theta, at, m->dtype, 2);
    if (m->base == PATS_PLAIN) return;
    touch(m->grad, at, m->dtype, 2);
    touch(m->first, at, m->state_dtype, 2), touch(m->second, at, m->state_dtype, 2);
}

#endif
