// x86-64 with AVX-512 F, BW, DQ and VL, and FMA.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC target("fma,avx512f,avx512bw,avx512dq,avx512vl,prefer-vector-width=512")
#include <immintrin.h>
#define PATS_AVX512
#define PATS_ISA pats_isa_avx512
#define PATS_ISA_NAME "avx512"
#include "tile.h"
#endif
