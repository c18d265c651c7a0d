// Stand-alone driver of the C kernel for the sanitizers: odd sizes, both dtypes, every instruction set, real
// threads. Buffers are allocated to the byte, so that a step outside is seen. `make sanitize` builds and runs it.
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/pats/kernels/cpu/pats.h"

typedef void (*range)(int64_t begin, int64_t end, void *context);
typedef int32_t (*parallel)(int64_t begin, int64_t end, int64_t grain, range function, void *context);

int32_t pats_choose(const char *name);
void pats_threads(parallel function);
int32_t pats_run(pats_matrix *matrix, int64_t count, int32_t passes);
void pats_words(uint32_t *out, uint64_t first_block, int64_t blocks, uint32_t step, uint32_t purpose, uint32_t key0,
                uint32_t key1);
void pats_normal(double *out, const uint32_t *word, int64_t count, uint64_t threshold);

enum { THREADS = 4 };

typedef struct {
    int64_t begin, end;
    range function;
    void *context;
} share;

static void *work(void *argument) {
    share *s = argument;
    if (s->begin < s->end) s->function(s->begin, s->end, s->context);
    return NULL;
}

static int32_t on_threads(int64_t begin, int64_t end, int64_t grain, range function, void *context) {
    pthread_t thread[THREADS];
    share part[THREADS];
    (void)grain;
    for (int t = 0; t < THREADS; ++t) {
        part[t] = (share){begin + (end - begin) * t / THREADS, begin + (end - begin) * (t + 1) / THREADS,
                          function, context};
        if (pthread_create(&thread[t], NULL, work, &part[t])) abort();
    }
    for (int t = 0; t < THREADS; ++t) pthread_join(thread[t], NULL);
    return 0;
}

static void *room(int64_t count, int64_t size, int dtype, float scale) {
    char *bytes = malloc((size_t)(count * size ? count * size : 1));
    for (int64_t i = 0; i < count; ++i) {
        float value = scale * ((float)(rand() % 2001) / 1000.0f - 1.0f);
        uint32_t bits;
        memcpy(&bits, &value, 4);
        uint16_t half = (uint16_t)(bits >> 16);
        memcpy(bytes + i * size, dtype ? (void *)&half : (void *)&value, (size_t)size);
    }
    return bytes;
}

static double run(int64_t count, int dtype, int base, double p, int bad, int usual, int planned, int threads) {
    int64_t size = dtype ? 2 : 4;
    srand(1);
    pats_matrix m = {.numel = count, .total = count, .run = count, .dtype = dtype, .base = base,
                     .threshold = (uint64_t)(p * 4294967296.0),
                     .key0 = 1, .key1 = 2, .step = 3, .lam = 2e-6, .ceiling = INFINITY, .open = p, .most = 0.0016, .share = 0.01, .gamma = 2e-3, .eps_relative = 1e-2,
                     .grad_factor = 1.0, .beta = 0.75, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8,
                     .decay = usual ? (base == 2 ? 1e-4 : 0.0) : 0.5, .size = 1e-3, .root = 0.5};
    void *theta = m.theta = room(count, size, dtype, 0.05f), *grad = room(count, size, dtype, 1e-3f);
    m.grad = grad;
    m.average = room(count, 4, 0, 0.0f);
    double budget[] = {0.05, 0.0, 0.0, 0.0, 0.0};
    m.budget = planned ? budget : NULL;
    m.first = room(count, 4, 0, 0.0f);
    m.second = room(count, 4, 0, 0.0f);
    if (bad && count && !dtype) ((float *)grad)[count - 1] = bad == 1 ? NAN : INFINITY;
    pats_threads(threads ? on_threads : NULL);
    for (int step = 0; step < 3; ++step) {
        m.step = (uint32_t)step + 1u;
        if (pats_run(&m, 1, 3)) abort();
    }
    double sum = m.square + m.sigma_max + m.mean + budget[1] + budget[2] + budget[3] + budget[4];
    for (int64_t i = 0; i < count && !dtype && !bad; ++i) sum += (double)((float *)theta)[i] * (double)(i % 7);
    free(theta), free(grad), free(m.average), free(m.first), free(m.second);
    return sum;
}

// The stream and its quantiles by themselves: the sum of so many.
static double drawn(int64_t blocks, int64_t count) {
    uint32_t *words = malloc(blocks ? (size_t)blocks * 16 : 1);
    double *normal = malloc(count ? (size_t)count * 8 : 1), sum = 0.0;
    pats_words(words, 7, blocks, 3, 0, 1, 2);
    pats_normal(normal, words, count, (uint64_t)1 << 32);
    for (int64_t i = 0; i < count; ++i) sum += normal[i];
    free(words), free(normal);
    return sum;
}

int main(void) {
    uint64_t digest = 0;  // of everything that was computed: the same on every processor
    const char *sets[] = {"baseline", "avx2", "avx512"};
    const int64_t counts[] = {0, 1, 3, 15, 16, 17, 511, 513, 2049, 16383, 16385, 82001};
    const double ps[] = {0.0, 1.0 / 4096.0, 0.2, 1.0};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; ++c)
        for (int dtype = 0; dtype < 2; ++dtype)
            for (int base = 0; base < 3; ++base)
                for (size_t k = 0; k < sizeof ps / sizeof *ps; ++k)
                    for (int kind = 0; kind < 8; ++kind) {  // gradients finite or not, settings usual or not; a budget
                        const int planned = kind / 6, bad = kind % 3 * !planned;
                        const int usual = planned ? kind % 2 : kind / 3;
                        pats_choose("baseline");
                        double expected = run(counts[c], dtype, base, ps[k], bad, usual, planned, 0);
                        uint64_t bits;
                        memcpy(&bits, &expected, sizeof bits);
                        digest = digest * 1099511628211u + bits;
                        for (int s = 0; s < 3; ++s)
                            for (int threads = 0; threads < 2; ++threads) {
                                if (!pats_choose(sets[s])) continue;
                                double found = run(counts[c], dtype, base, ps[k], bad, usual, planned, threads);
                                if (memcmp(&found, &expected, sizeof found)) {
                                    fprintf(stderr, "%s differs: %lld entries, dtype %d, base %d, p %g\n",
                                            sets[s], (long long)counts[c], dtype, base, ps[k]);
                                    return 1;
                                }
                            }
                    }
    for (size_t c = 0; c + 1 < sizeof counts / sizeof *counts; ++c) {
        pats_choose("baseline");
        const int64_t blocks = (counts[c] + 3) / 4;
        const double expected = drawn(blocks, counts[c]);
        for (int s = 0; s < 3; ++s)
            if (pats_choose(sets[s]) && drawn(blocks, counts[c]) != expected) {
                fprintf(stderr, "%s draws differ: %lld\n", sets[s], (long long)counts[c]);
                return 1;
            }
    }
    printf("clean %016llx\n", (unsigned long long)digest);
    return 0;
}
