// The fused CPU kernel of PATS: what the Python side and the instruction sets share.
//
// C11, no headers of torch or Python, no OpenMP: threads are borrowed from torch through a pointer to its
// torch_parallel_for. Everything is plain IEEE arithmetic, where the source itself says what is fused, so that every
// instruction set and every number of threads gives the same bits.
#ifndef PATS_H
#define PATS_H

#include <stdint.h>

#define PATS_ABI 6

#if defined(_WIN32)
#define PATS_EXPORT __declspec(dllexport)
#else
#define PATS_EXPORT __attribute__((visibility("default")))
#endif

enum { PATS_TILE = 512 };            // elements handled at once: all scratch stays in the first-level cache
enum { PATS_DRAW = 4 * PATS_TILE };   // elements whose open gates are drawn for at once
enum { PATS_BLOCK = 8 * PATS_DRAW };  // elements of one partial sum, and the unit of work of a thread
enum { PATS_FLOAT32 = 0, PATS_BFLOAT16 = 1 };
enum { PATS_ROUNDING = 1 };  // purpose of the stream's words for stochastic rounding
enum { PATS_PLAIN = 0, PATS_ADAMAX = 1, PATS_ADAMW = 2 };

// One parameter, or a piece of one, and what is to be done with it; pats.kernels.cpu mirrors it field by field.
typedef struct {
    void *theta;       // parameter, of `dtype`
    const void *grad;  // gradient, of `dtype`
    float *average;    // sensitivity's moving average, or null: no noise
    void *first;       // m, of `state_dtype`
    void *second;      // u of Adamax, v of AdamW, like m
    double *budget;    // the matrix's PATS_ROW numbers of a noise budget, or null: lam is given
    int64_t total;     // entries of the whole matrix
    int64_t numel;     // entries here
    int64_t run, stride;  // entry i is element start + (i / run) * stride + i % run of the whole matrix
    uint64_t start;
    uint32_t key0, key1, step, purpose;
    int32_t dtype, state_dtype;
    double grad_factor;  // -1 for maximize, over the gradient's scale
    // The noise.
    uint64_t threshold;          // T: the gate is open iff word < T; 0 is no noise
    int32_t is_signed, is_std;   // readings of Eq. 1 and of N(0, R)
    double beta, gamma, lam;
    double ceiling;             // largest sigma
    double open, most, share;   // of a budget: p, B^2, and the share of what is left that this step may spend
    double heat, limit;         // without one, what p F lam is to be; the largest relative variance
    double eps_absolute, eps_relative;  // eps of Eq. 4 is absolute + relative * |mean|
    // The base optimizer.
    int32_t base, rounding;  // rounding 1: a bfloat16 parameter is rounded stochastically
    double beta1, beta2, eps, decay;  // decay is what its rule multiplies
    double size, root;                // lr / (1 - beta1^t), and sqrt(1 - beta2^t) of AdamW (Adamax: 1)
    // Results, all of them double, so that they are read as the rows of one table.
    double sum, nonfinite;  // of pass 1: the sum of the sensitivity's average over the entries here
    double variance;        // and of a budget's relative variances, from the averages of the last step
    double mean;            // the average's mean over the whole matrix, which pass 2 reads
    double gated, zero, square, sigma_max;  // of pass 2
    double update_square, observed;         // `observed` entries make up `update_square`
} pats_matrix;

// What one block adds up to.
typedef struct {
    double sum, variance, square, sigma_max, update_square;
    int64_t nonfinite, gated, zero, observed;
} pats_partial;

// One instruction set's code: elements [begin, end) of a matrix, begin at a multiple of PATS_BLOCK; `to` holds zeros,
// and is one a block.
typedef struct {
    const char *name;
    void (*words)(uint32_t *out, uint64_t first_block, int64_t blocks, uint32_t step, uint32_t purpose,
                  uint32_t key0, uint32_t key1);
    void (*normal)(double *out, const uint32_t *word, int64_t count, uint64_t threshold);
    void (*measure)(const pats_matrix *m, int64_t begin, int64_t end, pats_partial *to);
    void (*update)(const pats_matrix *m, int64_t begin, int64_t end, pats_partial *to);
} pats_isa;

extern const pats_isa pats_isa_baseline;
extern const pats_isa pats_isa_avx2;
extern const pats_isa pats_isa_avx512;

#endif
