// x86-64 with AVX-512 F, BW, DQ and VL, and FMA.
#if defined(__x86_64__) && defined(__GNUC__)
#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma"))), apply_to = function)
#else
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")
#endif
#define PATS_AVX512
#define PATS_ISA pats_isa_avx512
#define PATS_ISA_NAME "avx512"
#include "tile.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
