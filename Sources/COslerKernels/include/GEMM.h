#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ISA.h"
#include "Pool.h"
#pragma clang assume_nonnull begin

typedef enum ok_type { OK_F32 = 0, OK_BF16 = 1 } ok_type;

/* The tile machinery of one instruction set and arithmetic; see gemm_tile.h. */
typedef struct ok_tile ok_tile;

/* Float32 products, or bfloat16 operands with float32 sums. The instruction set must be supported. */
const ok_tile *ok_tile_get(ok_isa isa, bool bfloat16);

/* A matrix in bitsandbytes' NF4 format, as Swift's NF4Matrix. Exactly one of `absmax` and `absmax_codes` is set. */
typedef struct ok_nf4 {
    const uint8_t *_Nullable codes;
    const float *_Nullable absmax;
    const uint8_t *_Nullable absmax_codes;
    const float *_Nullable nested_absmax;
    const float *_Nullable nested_table;
    float nested_offset;
    size_t block_size;
    size_t nested_block_size;
} ok_nf4;

/* A dense row-major matrix, or an NF4 one when `nf4` is set. `ld`: elements from a row to the next. */
typedef struct ok_matrix {
    const void *_Nullable data;
    const ok_nf4 *_Nullable nf4;
    ok_type type;
    size_t ld;
    bool transposed;
} ok_matrix;

/* scale * op(a) * op(b), op(a) [m, k], op(b) [k, n]. `a` is dense. */
typedef struct ok_product {
    ok_matrix a;
    ok_matrix b;
    size_t k;
    float scale;
} ok_product;

/* output = sum of products + addend + bias; addend and bias may be NULL (bias has `n` values). */
typedef struct ok_output {
    void *data;
    ok_type type;
    size_t ld;
    const void *_Nullable addend;
    ok_type addend_type;
    size_t addend_ld;
    const void *_Nullable bias;
    ok_type bias_type;
} ok_output;

/* Scratch that products reuse; grows to the largest need. One product at a time uses it. */
typedef struct ok_scratch ok_scratch;
ok_scratch *_Nullable ok_scratch_create(void);
void ok_scratch_destroy(ok_scratch *scratch);
/* At least `bytes` bytes, aligned to 64; the same memory at each call, contents lost when it grows. */
void *ok_scratch_reserve(ok_scratch *scratch, size_t bytes);

/* One multiplication: `output` [m, n] is the sum of `count` products with its addend and bias. */
typedef struct ok_call {
    const ok_product *_Nullable products;
    int count;
    size_t m, n;
    ok_output output;
} ok_call;

/* Runs independent multiplications together: a left operand that several of them have is packed once, and threads wait
 * for each other once. No output may overlap an operand of another call. */
void ok_gemm(
    const ok_tile *tile, ok_pool *pool, ok_scratch *scratch, const ok_call *calls, int count);

#pragma clang assume_nonnull end
