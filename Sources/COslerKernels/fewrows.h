/* Products of few rows, x * W^T with at most OK_FEW_ROWS rows of x: what decoding of text is made of.
 *
 * W is read once, row-major as it lies in memory, and never packed: every output is a dot product along k. Its sum has
 * the same order for any number of rows and of threads; it is another order than that of the tiles in gemm.c. */
#pragma once
#include "gemm_tile.h"
#pragma clang assume_nonnull begin

#define OK_FEW_ROWS 16

/* Dot products of the rows of x with rows first ..< first + count of W. */
typedef struct ok_few_dots {
    const ok_tile *tile;
    const ok_matrix *w;
    size_t k;
    /* What `pack` made of the rows of x, `x_bytes` apart. */
    const char *x;
    size_t x_bytes;
    int m;
    size_t first, count;
    /* [m, sums_ld]. */
    float *sums;
    size_t sums_ld;
} ok_few_dots;

/* The kernels of one instruction set and arithmetic. */
typedef struct ok_few_set {
    /* Bytes of a packed row of x, a multiple of 64. */
    size_t (*x_bytes)(size_t k);
    /* A row of x, rounded where the arithmetic is bfloat16's, in the order in which `w` is read; zeros behind it. */
    void (*pack)(const void *x, ok_type type, const ok_few_dots *work, void *out);
    void (*dots)(const ok_few_dots *work);
    /* sums = sums * scale, or sums + more * scale. */
    void (*combine)(size_t count, float *sums, const float *_Nullable more, float scale);
    /* Rounds `columns` sums of a row to the output, with addend and bias. */
    void (*finish)(
        const ok_output *output, size_t row, size_t column, size_t columns, const float *sums);
} ok_few_set;

extern const ok_few_set ok_few_portable;
#if defined(__x86_64__)
extern const ok_few_set ok_few_avx2, ok_few_avx512, ok_few_avx512bf16;
/* Parts of the AVX-512 set that AVX-512 BF16 shares. */
void ok_few_combine_avx512(size_t count, float *sums, const float *_Nullable more, float scale);
void ok_few_finish_avx512(
    const ok_output *output, size_t row, size_t column, size_t columns, const float *sums);
#endif

/* Of ok_gemm's calls, at most OK_FEW_CALLS, runs those whose products are all x * W^T with at most OK_FEW_ROWS rows;
 * puts the others into `rest` and returns their number. */
#define OK_FEW_CALLS 16
int ok_few_rows(
    const ok_tile *tile, ok_pool *pool, ok_scratch *scratch, const ok_call *calls, int count,
    ok_call *rest);

#pragma clang assume_nonnull end
