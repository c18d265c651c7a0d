// x86-64 with AVX2 and FMA.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("avx2,fma")
#include <immintrin.h>
#define PATS_AVX2
#define PATS_ISA pats_isa_avx2
#define PATS_ISA_NAME "avx2"
#include "tile.h"
#endif
