// Entry points: choose the instruction set, split a matrix into blocks, add the blocks up in order.
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "budget.h"
#include "pats.h"

#if defined(__x86_64__) && defined(__GNUC__)
#define PATS_DISPATCH
#endif

typedef void (*pats_range)(int64_t begin, int64_t end, void *context);
typedef int32_t (*pats_parallel)(int64_t begin, int64_t end, int64_t grain, pats_range function, void *context);

static const pats_isa *isa = &pats_isa_baseline;
static pats_parallel parallel = NULL;  // null: serial

static int usable(const char *name) {
#if defined(PATS_DISPATCH)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("fma")) return !strcmp(name, "baseline");
    if (!strcmp(name, "avx512"))
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (!strcmp(name, "avx2")) return __builtin_cpu_supports("avx2");
#endif
    return !strcmp(name, "baseline");
}

PATS_EXPORT int32_t pats_abi(void) { return PATS_ABI; }

PATS_EXPORT int64_t pats_matrix_size(void) { return (int64_t)sizeof(pats_matrix); }

PATS_EXPORT const char *pats_isa_name(void) { return isa->name; }

// Take the named instruction set, or the best one for null. Returns 0 where this processor lacks it.
PATS_EXPORT int32_t pats_choose(const char *name) {
#if defined(PATS_DISPATCH)
    const pats_isa *all[] = {&pats_isa_avx512, &pats_isa_avx2, &pats_isa_baseline};
#else
    const pats_isa *all[] = {&pats_isa_baseline};
#endif
    for (size_t i = 0; i < sizeof all / sizeof *all; ++i)
        if ((!name || !strcmp(name, all[i]->name)) && usable(all[i]->name)) {
            isa = all[i];
            return 1;
        }
    return 0;
}

// Threads: a pointer to torch_parallel_for, or null.
PATS_EXPORT void pats_threads(pats_parallel function) { parallel = function; }

// Words of `blocks` blocks of four from `first_block` on.
PATS_EXPORT void pats_words(uint32_t *out, uint64_t first_block, int64_t blocks, uint32_t step,
                            uint32_t purpose, uint32_t key0, uint32_t key1) {
    isa->words(out, first_block, blocks, step, purpose, key0, key1);
}

// Normal quantiles of words below the threshold.
PATS_EXPORT void pats_normal(double *out, const uint32_t *word, int64_t count, uint64_t threshold) {
    for (int64_t at = 0; at < count; at += PATS_TILE)
        isa->normal(out + at, word + at, count - at < PATS_TILE ? count - at : PATS_TILE, threshold);
}

typedef struct {
    const pats_matrix *matrix;
    pats_partial *partial;
    void (*function)(const pats_matrix *m, int64_t begin, int64_t end, pats_partial *to);
} pass;

static void run_blocks(int64_t begin, int64_t end, void *context) {
    const pass *p = context;
    const int64_t last = end * PATS_BLOCK, numel = p->matrix->numel;
    memset(p->partial + begin, 0, (size_t)(end - begin) * sizeof *p->partial);
    p->function(p->matrix, begin * PATS_BLOCK, last < numel ? last : numel, p->partial + begin);
}

static int64_t blocks_of(int64_t numel) { return (numel + PATS_BLOCK - 1) / PATS_BLOCK; }

// One pass over a matrix; the partial sums do not depend on the threads.
static pats_partial run_pass(pass p) {
    int64_t blocks = blocks_of(p.matrix->numel);
    if (!parallel || blocks < 2 || parallel(0, blocks, 1, run_blocks, &p)) run_blocks(0, blocks, &p);
    pats_partial total = {0};
    for (int64_t i = 0; i < blocks; ++i) {
        const pats_partial *part = p.partial + i;
        total.sum += part->sum;
        total.variance += part->variance;
        total.square += part->square;
        total.update_square += part->update_square;
        total.sigma_max = part->sigma_max > total.sigma_max ? part->sigma_max : total.sigma_max;
        total.nonfinite += part->nonfinite;
        total.gated += part->gated;
        total.zero += part->zero;
        total.observed += part->observed;
    }
    return total;
}

static void first_pass(pats_matrix *m, pats_partial *partial) {
    pats_partial total = run_pass((pass){m, partial, isa->measure});
    m->sum = total.sum;
    m->mean = (double)(float)(total.sum / (double)(m->total ? m->total : 1));
    m->nonfinite = (double)total.nonfinite;
    m->variance = total.variance;
}

static void second_pass(pats_matrix *m, pats_partial *partial) {
    pats_partial total = run_pass((pass){m, partial, isa->update});
    m->gated = (double)total.gated;
    m->zero = (double)total.zero;
    m->observed = (double)total.observed;
    m->square = total.square;
    m->sigma_max = total.sigma_max;
    m->update_square = total.update_square;
}

// Matrices one after another: pass 1 where `passes` has bit 0, pass 2 where it has bit 1. With both, each record is
// a whole matrix, and a budget sizes its noise in between; with pass 2 alone, lam and ceiling are given. Returns 0, or 1
// where there was no memory for the partial sums; nothing has been changed then.
PATS_EXPORT int32_t pats_run(pats_matrix *matrix, int64_t count, int32_t passes) {
    int64_t most = 1;
    for (int64_t i = 0; i < count; ++i) {
        int64_t blocks = blocks_of(matrix[i].numel);
        most = blocks > most ? blocks : most;
    }
    pats_partial *partial = malloc((size_t)most * sizeof *partial);
    if (!partial) return 1;
    for (int64_t i = 0; i < count; ++i) {
        if ((passes & 1) && matrix[i].average) first_pass(matrix + i, partial);
        if (passes == 3 && matrix[i].average && matrix[i].budget) budget_spend(matrix + i);
        if (passes & 2) second_pass(matrix + i, partial);
    }
    free(partial);
    return 0;
}
