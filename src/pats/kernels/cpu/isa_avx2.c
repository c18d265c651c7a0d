// x86-64 with AVX2 and FMA.
#if defined(__x86_64__) && defined(__GNUC__)
#include <float.h>
#include <immintrin.h>
#include <math.h>
#include <string.h>
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC target("avx2,fma")
#endif
#define PATS_AVX2
#define PATS_ISA pats_isa_avx2
#define PATS_ISA_NAME "avx2"
#include "tile.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#endif
