/* AVX-512: 12x32 tiles, 24 of 32 registers hold sums, two a row of B. Float32 by fused multiply-adds; bfloat16 by
 * vdpbf16ps on pairs along k where the machine has it, else rounded and held as float32.
 *
 * The kernel for pairs alone on one Zen 4 core, as a share of a loop of vdpbf16ps (235 GFLOP/s), panel of B and panels
 * of A of k values each, A 256 KB in the second-level cache: k 128 0.98, 256 0.99, 576 0.98, 1024 1.00, 4096 0.98; A 4 MB
 * in the third-level cache 0.95-0.99; A 16 MB 0.83-0.86 when a panel of A is read for one panel of B, 0.92-0.96 for four.
 * So sums may run over 1024 values and more in one go, and panels of B need not fit the first-level cache. */
#include "gemm_tile.h"

#if defined(__x86_64__)
#include "gemm_pack_avx2.h"
#include "gemm_pack_avx512.h"

#define MR 12
#define NR 32

#define OK_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,evex512")))
#define OK_AVX512BF16 \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma,evex512")))
#define OK_USES_AVX2 __attribute__((target("avx2,fma")))
#define OK_INLINED static inline __attribute__((always_inline))

OK_USES_AVX2 static void pack_a_f32(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, transposed, count, k, MR, false, false, panel);
}

OK_USES_AVX2 static void pack_a_bf16(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, transposed, count, k, MR, true, false, panel);
}

OK_AVX512BF16 static void pack_a_pairs(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack_pairs(source, type, ld, transposed, count, k, MR, panel);
}

OK_USES_AVX2 static void pack_b_f32(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, !transposed, count, k, NR, false, false, panel);
}

OK_USES_AVX2 static void pack_b_bf16(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, !transposed, count, k, NR, true, false, panel);
}

OK_AVX512BF16 static void pack_b_pairs(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack_pairs(source, type, ld, !transposed, count, k, NR, panel);
}

/* A panel unit is a float32 or a pair of bfloat16: `steps` of them along k. `wide`: all 32 columns, else the first 16. */
OK_INLINED OK_AVX512 void f32_rows(
    const int rows, const bool wide, int steps, const float *a, const float *b, float *c, size_t ldc,
    bool accumulate
) {
    __m512 left[MR], right[MR];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) left[i] = right[i] = _mm512_setzero_ps();
#pragma clang loop unroll_count(2)
    for (int p = 0; p < steps; p++, a += MR, b += NR) {
        const __m512 b0 = _mm512_loadu_ps(b), b1 = wide ? _mm512_loadu_ps(b + 16) : b0;
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const __m512 x = _mm512_set1_ps(a[i]);
            left[i] = _mm512_fmadd_ps(x, b0, left[i]);
            if (wide) right[i] = _mm512_fmadd_ps(x, b1, right[i]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *to = c + (size_t)i * ldc;
        if (accumulate) {
            left[i] = _mm512_add_ps(left[i], _mm512_loadu_ps(to));
            if (wide) right[i] = _mm512_add_ps(right[i], _mm512_loadu_ps(to + 16));
        }
        _mm512_storeu_ps(to, left[i]);
        if (wide) _mm512_storeu_ps(to + 16, right[i]);
    }
}

OK_INLINED OK_AVX512BF16 void pairs_rows(
    const int rows, const bool wide, int steps, const float *a, const float *b, float *c, size_t ldc,
    bool accumulate
) {
    __m512 left[MR], right[MR];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) left[i] = right[i] = _mm512_setzero_ps();
#pragma clang loop unroll_count(2)
    for (int p = 0; p < steps; p++, a += MR, b += NR) {
        const __m512 b0 = _mm512_loadu_ps(b), b1 = wide ? _mm512_loadu_ps(b + 16) : b0;
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const __m512bh x = (__m512bh)_mm512_set1_ps(a[i]);
            left[i] = _mm512_dpbf16_ps(left[i], x, (__m512bh)b0);
            if (wide) right[i] = _mm512_dpbf16_ps(right[i], x, (__m512bh)b1);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *to = c + (size_t)i * ldc;
        if (accumulate) {
            left[i] = _mm512_add_ps(left[i], _mm512_loadu_ps(to));
            if (wide) right[i] = _mm512_add_ps(right[i], _mm512_loadu_ps(to + 16));
        }
        _mm512_storeu_ps(to, left[i]);
        if (wide) _mm512_storeu_ps(to + 16, right[i]);
    }
}

/* One copy of the loop for each number of rows. */
#define EACH_NUMBER_OF_ROWS(LOOP, WIDE)                                                            \
    switch (rows) {                                                                                \
    case 1: LOOP(1, WIDE, steps, a, b, c, ldc, accumulate); break;                                 \
    case 2: LOOP(2, WIDE, steps, a, b, c, ldc, accumulate); break;                                 \
    case 3: LOOP(3, WIDE, steps, a, b, c, ldc, accumulate); break;                                 \
    case 4: LOOP(4, WIDE, steps, a, b, c, ldc, accumulate); break;                                 \
    case 5: LOOP(5, WIDE, steps, a, b, c, ldc, accumulate); break;                                 \
    case 6: LOOP(6, WIDE, steps, a, b, c, ldc, accumulate); break;                                 \
    case 7: LOOP(7, WIDE, steps, a, b, c, ldc, accumulate); break;                                 \
    case 8: LOOP(8, WIDE, steps, a, b, c, ldc, accumulate); break;                                 \
    case 9: LOOP(9, WIDE, steps, a, b, c, ldc, accumulate); break;                                 \
    case 10: LOOP(10, WIDE, steps, a, b, c, ldc, accumulate); break;                               \
    case 11: LOOP(11, WIDE, steps, a, b, c, ldc, accumulate); break;                               \
    default: LOOP(12, WIDE, steps, a, b, c, ldc, accumulate); break;                               \
    }

OK_AVX512 static void f32_kernel(
    int k, const void *a, const void *b, float *c, size_t ldc, bool accumulate, int rows, int columns
) {
    const int steps = k;
    if (columns > 16) EACH_NUMBER_OF_ROWS(f32_rows, true)
    else EACH_NUMBER_OF_ROWS(f32_rows, false)
}

OK_AVX512BF16 static void pairs_kernel(
    int k, const void *a, const void *b, float *c, size_t ldc, bool accumulate, int rows, int columns
) {
    const int steps = (k + 1) / 2;
    if (columns > 16) EACH_NUMBER_OF_ROWS(pairs_rows, true)
    else EACH_NUMBER_OF_ROWS(pairs_rows, false)
}

OK_AVX512BF16 static void decode_pairs(
    const ok_nf4 *matrix, size_t start, size_t count, ok_type type, void *out
) {
    if (type == OK_BF16) decode_nf4_pairs(matrix, start, count, out);
    else ok_decode_nf4_avx2(matrix, start, count, type, out);
}

OK_AVX512BF16 static bool decode_rows_pairs(
    const ok_nf4 *matrix, size_t start, size_t step, size_t rows, size_t count, ok_type type, void *out
) {
    return type == OK_BF16 && decode_nf4_rows_pairs(matrix, start, step, rows, count, out);
}

OK_USES_AVX2 static void finish(
    const ok_output *output, size_t row, size_t column, int rows, int columns, const float *sums
) {
    finish_tile(NR, output, row, column, rows, columns, sums);
}

OK_AVX512BF16 static void finish_pairs(
    const ok_output *output, size_t row, size_t column, int rows, int columns, const float *sums
) {
    finish_rows(NR, output, row, column, rows, columns, sums);
}

#define TILE(ISA, BF16, PACK_A, PACK_B, KERNEL)                                                    \
    {                                                                                              \
        .isa = ISA, .bfloat16 = BF16, .mr = MR, .nr = NR, .k_step = 1, .element_bytes = 4,         \
        .piece = 256, .pack_a = PACK_A, .pack_b = PACK_B, .kernel = KERNEL,                        \
        .decode_nf4 = ok_decode_nf4_avx2, .combine = ok_combine_avx2, .finish = finish,            \
    }
const ok_tile ok_tile_avx512_f32 =
    TILE(OK_ISA_AVX512, false, pack_a_f32, pack_b_f32, f32_kernel);
const ok_tile ok_tile_avx512_bf16 =
    TILE(OK_ISA_AVX512, true, pack_a_bf16, pack_b_bf16, f32_kernel);
const ok_tile ok_tile_avx512bf16_bf16 = {
    .isa = OK_ISA_AVX512BF16, .bfloat16 = true, .mr = MR, .nr = NR, .k_step = 2, .element_bytes = 2,
    .piece = 512, .pack_a = pack_a_pairs, .pack_b = pack_b_pairs, .kernel = pairs_kernel,
    .decode_nf4 = decode_pairs, .decode_nf4_rows = decode_rows_pairs, .combine = ok_combine_avx2, .finish = finish_pairs,
};
#endif
