/* What a matrix product on tiles is made of: packed panels and a micro-kernel, for one instruction set.
 *
 * A panel of A holds `mr` rows: value (row i, k) at [k / k_step][i][k % k_step]. A panel of B holds `nr` columns:
 * value (k, column j) at [k / k_step][j][k % k_step]. Values are float32 or (k_step 2) bfloat16, `element_bytes` wide.
 * Rows, columns and k beyond the matrix are zeros. A panel takes ok_panel_bytes(); all panels are aligned to 64 bytes
 * when their first one is and k is a multiple of 16.
 *
 * The micro-kernel's sum is one chain of fused multiply-adds over k for each output value, in order of k, from zero; an
 * accumulating call adds it to C. So cutting rows or columns into other tiles does not change a bit; cutting k does,
 * and products are cut at multiples of `piece` always (see gemm.c) (which also keeps the error of long sums down).
 *
 * In bfloat16 arithmetic operands are rounded to bfloat16 (nearest even) when packed. vdpbf16ps (AVX512BF16) flushes
 * denormal operands and results to zero and adds a pair's two products without rounding between; the others keep
 * denormals. */
#pragma once
#include <stdint.h>
#include <string.h>

#include "GEMM.h"
#pragma clang assume_nonnull begin

typedef void (*ok_pack)(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel);

struct ok_tile {
    ok_isa isa;
    bool bfloat16;
    int mr, nr;
    int k_step;
    int element_bytes;
    /* Sums over k are cut at multiples of this, a multiple of 32. */
    int piece;
    /* `count` <= mr rows and k columns of op(A): value (i, k) at source[i * ld + k], or [k * ld + i] transposed. */
    ok_pack pack_a;
    /* k rows and `count` <= nr columns of op(B): value (k, j) at source[k * ld + j], or [j * ld + k] transposed. */
    ok_pack pack_b;
    /* c[i * ldc + j] (+)= sum over k of a * b for i < rows <= mr, j < columns <= nr; up to column nr c may hold
     * anything afterwards. */
    void (*kernel)(
        int k, const void *a, const void *b, float *c, size_t ldc, bool accumulate, int rows, int columns);
    /* Values start ..< start + count of the flattened matrix as bfloat16 or float32, row-major. */
    void (*decode_nf4)(const ok_nf4 *matrix, size_t start, size_t count, ok_type type, void *out);
    /* Faster: `rows` times as much, each row `step` values behind the one before it and right behind it in `out`. False,
     * and nothing done, where it doesn't know the case. */
    bool (*_Nullable decode_nf4_rows)(
        const ok_nf4 *matrix, size_t start, size_t step, size_t rows, size_t count, ok_type type,
        void *out);
    /* x = x * x_scale + y * y_scale, or x * x_scale without y. */
    void (*combine)(size_t count, float *x, float x_scale, const float *_Nullable y, float y_scale);
    /* Writes `rows` x `columns` sums (row stride nr) at row, column of the output, with addend and bias. */
    void (*finish)(
        const ok_output *output, size_t row, size_t column, int rows, int columns, const float *sums);
};

static inline size_t ok_panel_bytes(const ok_tile *tile, int width, int k) {
    return (size_t)width * (size_t)((k + tile->k_step - 1) / tile->k_step * tile->k_step)
        * (size_t)tile->element_bytes;
}

static inline float ok_bf16_to_f32(uint16_t value) {
    uint32_t bits = (uint32_t)value << 16;
    float result;
    memcpy(&result, &bits, 4);
    return result;
}

/* Nearest even; a NaN stays one. */
static inline uint16_t ok_f32_to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40u);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

static inline size_t ok_type_bytes(ok_type type) { return type == OK_F32 ? 4 : 2; }

static inline float ok_load(const void *data, ok_type type, size_t index) {
    return type == OK_F32 ? ((const float *)data)[index]
                          : ok_bf16_to_f32(((const uint16_t *)data)[index]);
}

static inline void ok_store(void *data, ok_type type, size_t index, float value) {
    if (type == OK_F32) ((float *)data)[index] = value;
    else ((uint16_t *)data)[index] = ok_f32_to_bf16(value);
}

/* The 16 values of NF4 (QLoRA, appendix E), as bitsandbytes has them. */
extern const float ok_nf4_table[16];

/* a / b, by a shift where it can be: block sizes are powers of two in every file seen. */
static inline size_t ok_quotient(size_t a, size_t b) {
    return (b & (b - 1)) == 0 ? a >> __builtin_ctzl(b) : a / b;
}

/* The scale of a block: bitsandbytes multiplies and then adds, each rounded to float32. */
static inline float ok_nf4_absmax(const ok_nf4 *matrix, size_t block) {
#pragma clang fp contract(off)
    if (matrix->absmax) return matrix->absmax[block];
    float scaled = matrix->nested_table[matrix->absmax_codes[block]]
        * matrix->nested_absmax[ok_quotient(block, matrix->nested_block_size)];
    return scaled + matrix->nested_offset;
}

/* Plain C, for any instruction set. */
void ok_decode_nf4_portable(
    const ok_nf4 *matrix, size_t start, size_t count, ok_type type, void *out);

extern const ok_tile ok_tile_portable_f32, ok_tile_portable_bf16;
#if defined(__x86_64__)
extern const ok_tile ok_tile_avx2_f32, ok_tile_avx2_bf16;
extern const ok_tile ok_tile_avx512_f32, ok_tile_avx512_bf16, ok_tile_avx512bf16_bf16;
#endif

#pragma clang assume_nonnull end
