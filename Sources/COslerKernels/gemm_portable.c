/* The plain twin of the vector kernels, and the path of machines that have none of them.
 *
 * 6x8 tiles of the compiler's 4-lane vectors: 12 of SSE2's 16 registers hold sums, and of NEON's 32. Arrays and plain
 * loops instead were left in memory by the compiler and ran at 7-8 GFLOP/s where this runs at 25-28 (SSE2, one
 * core of a busy Zen 3). */
#include "gemm_tile.h"

#define MR 6
#define NR 8

const float ok_nf4_table[16] = {
    -1.0f, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f,
    -0.28444138169288635f, -0.18477343022823334f, -0.09105003625154495f, 0.0f,
    0.07958029955625534f, 0.16093020141124725f, 0.24611230194568634f, 0.33791524171829224f,
    0.44070982933044434f, 0.5626170039176941f, 0.7229568362236023f, 1.0f,
};

void ok_decode_nf4_portable(
    const ok_nf4 *matrix, size_t start, size_t count, ok_type type, void *out
) {
    float scaled[16];
    size_t next = start;
    for (size_t i = 0; i < count; i++) {
        size_t index = start + i;
        if (index == next) {
            size_t block = index / matrix->block_size;
            next = (block + 1) * matrix->block_size;
            float absmax = ok_nf4_absmax(matrix, block);
            for (int code = 0; code < 16; code++) scaled[code] = ok_nf4_table[code] * absmax;
        }
        uint8_t byte = matrix->codes[index / 2];
        ok_store(out, type, i, scaled[index % 2 ? byte & 15 : byte >> 4]);
    }
}

/* `lane_stride`, `k_stride`: elements between neighbours in a panel row and along k. */
static inline __attribute__((always_inline)) void pack_as(
    const void *source, ok_type type, size_t lane_stride, size_t k_stride, int count, int width,
    int k, bool rounds, float *panel
) {
    for (int p = 0; p < k; p++)
        for (int lane = 0; lane < width; lane++) {
            float value = 0;
            if (lane < count)
                value = ok_load(source, type, (size_t)lane * lane_stride + (size_t)p * k_stride);
            if (rounds && type == OK_F32) value = ok_bf16_to_f32(ok_f32_to_bf16(value));
            panel[p * width + lane] = value;
        }
}

static void pack(
    const void *source, ok_type type, size_t lane_stride, size_t k_stride, int count, int width,
    int k, bool rounds, float *panel
) {
    if (type == OK_BF16)
        pack_as(source, OK_BF16, lane_stride, k_stride, count, width, k, rounds, panel);
    else pack_as(source, OK_F32, lane_stride, k_stride, count, width, k, rounds, panel);
}

static void pack_a_f32(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, transposed ? 1 : ld, transposed ? ld : 1, count, MR, k, false, panel);
}

static void pack_a_bf16(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, transposed ? 1 : ld, transposed ? ld : 1, count, MR, k, true, panel);
}

static void pack_b_f32(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, transposed ? ld : 1, transposed ? 1 : ld, count, NR, k, false, panel);
}

static void pack_b_bf16(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, transposed ? ld : 1, transposed ? 1 : ld, count, NR, k, true, panel);
}

typedef float f32x4 __attribute__((ext_vector_type(4)));

static inline f32x4 load4(const float *from) {
    f32x4 value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void put4(float *to, f32x4 value, bool accumulate) {
    if (accumulate) value += load4(to);
    memcpy(to, &value, sizeof value);
}

static void kernel(
    int k, const void *a_panel, const void *b_panel, float *c, size_t ldc, bool accumulate, int rows, int columns
) {
    (void)columns;
    const float *a = a_panel, *b = b_panel;
    f32x4 left[MR] = {0}, right[MR] = {0};
    for (int p = 0; p < k; p++, a += MR, b += NR) {
        const f32x4 b0 = load4(b), b1 = load4(b + 4);
#pragma clang loop unroll(full)
        for (int i = 0; i < MR; i++) {
            left[i] += a[i] * b0;
            right[i] += a[i] * b1;
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < MR; i++) {
        if (i >= rows) break;
        put4(c + (size_t)i * ldc, left[i], accumulate);
        put4(c + (size_t)i * ldc + 4, right[i], accumulate);
    }
}

static void combine(size_t count, float *x, float x_scale, const float *y, float y_scale) {
    if (y)
        for (size_t i = 0; i < count; i++) x[i] = x[i] * x_scale + y[i] * y_scale;
    else
        for (size_t i = 0; i < count; i++) x[i] *= x_scale;
}

static void finish(
    const ok_output *output, size_t row, size_t column, int rows, int columns, const float *sums
) {
    for (int i = 0; i < rows; i++, row++)
        for (int j = 0; j < columns; j++) {
            float value = sums[i * NR + j];
            if (output->addend)
                value += ok_load(
                    output->addend, output->addend_type, row * output->addend_ld + column + j);
            if (output->bias) value += ok_load(output->bias, output->bias_type, column + j);
            ok_store(output->data, output->type, row * output->ld + column + j, value);
        }
}

#define TILE(ROUNDS, PACK_A, PACK_B)                                                         \
    {                                                                                        \
        .isa = OK_ISA_PORTABLE, .bfloat16 = ROUNDS, .mr = MR, .nr = NR, .k_step = 1,         \
        .element_bytes = 4, .piece = 256, .pack_a = PACK_A, .pack_b = PACK_B,               \
        .kernel = kernel, .decode_nf4 = ok_decode_nf4_portable, .combine = combine,          \
        .finish = finish,                                                                    \
    }
const ok_tile ok_tile_portable_f32 = TILE(false, pack_a_f32, pack_b_f32);
const ok_tile ok_tile_portable_bf16 = TILE(true, pack_a_bf16, pack_b_bf16);
