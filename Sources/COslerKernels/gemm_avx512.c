/* AVX-512: 12x32 tiles, 24 of 32 registers hold sums, two a row of B. Float32 by fused multiply-adds; bfloat16 by
 * vdpbf16ps on pairs along k where the machine has it, else rounded and held as float32.
 *
 * A plain C probe of this tile reached 75-95% of one Zen 4 core's bfloat16 peak. Scripts/check-avx512 compiles this
 * file with SIMDe (-DOK_SIMDE) and compares it with the plain twin on machines without AVX-512. */
#include "gemm_tile.h"

#if defined(__x86_64__)
#include "gemm_pack_avx2.h"

#define MR 12
#define NR 32

#if defined(OK_SIMDE)
#include <simde/x86/avx512.h>
#define V(name) simde_mm512_##name
typedef simde__m512 f512;
typedef simde__m512bh bf512;
#define OK_AVX512 __attribute__((target("avx2,fma")))
#define OK_AVX512BF16 __attribute__((target("avx2,fma")))
#else
#define V(name) _mm512_##name
typedef __m512 f512;
typedef __m512bh bf512;
#define OK_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,evex512")))
#define OK_AVX512BF16 \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma,evex512")))
#endif
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

OK_USES_AVX2 static void pack_a_pairs(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, transposed, count, k, MR, true, true, panel);
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

OK_USES_AVX2 static void pack_b_pairs(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, !transposed, count, k, NR, true, true, panel);
}

/* A panel unit is a float32 or a pair of bfloat16: `steps` of them along k. */
OK_INLINED OK_AVX512 void f32_rows(
    const int rows, int steps, const float *a, const float *b, float *c, size_t ldc, bool accumulate
) {
    f512 left[MR], right[MR];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) left[i] = right[i] = V(setzero_ps)();
#pragma clang loop unroll_count(2)
    for (int p = 0; p < steps; p++, a += MR, b += NR) {
        const f512 b0 = V(loadu_ps)(b), b1 = V(loadu_ps)(b + 16);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const f512 x = V(set1_ps)(a[i]);
            left[i] = V(fmadd_ps)(x, b0, left[i]);
            right[i] = V(fmadd_ps)(x, b1, right[i]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *to = c + (size_t)i * ldc;
        if (accumulate) {
            left[i] = V(add_ps)(left[i], V(loadu_ps)(to));
            right[i] = V(add_ps)(right[i], V(loadu_ps)(to + 16));
        }
        V(storeu_ps)(to, left[i]);
        V(storeu_ps)(to + 16, right[i]);
    }
}

OK_INLINED OK_AVX512BF16 void pairs_rows(
    const int rows, int steps, const float *a, const float *b, float *c, size_t ldc, bool accumulate
) {
    f512 left[MR], right[MR];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) left[i] = right[i] = V(setzero_ps)();
#pragma clang loop unroll_count(2)
    for (int p = 0; p < steps; p++, a += MR, b += NR) {
        const f512 b0 = V(loadu_ps)(b), b1 = V(loadu_ps)(b + 16);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const f512 x = V(set1_ps)(a[i]);
            left[i] = V(dpbf16_ps)(left[i], (bf512)x, (bf512)b0);
            right[i] = V(dpbf16_ps)(right[i], (bf512)x, (bf512)b1);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *to = c + (size_t)i * ldc;
        if (accumulate) {
            left[i] = V(add_ps)(left[i], V(loadu_ps)(to));
            right[i] = V(add_ps)(right[i], V(loadu_ps)(to + 16));
        }
        V(storeu_ps)(to, left[i]);
        V(storeu_ps)(to + 16, right[i]);
    }
}

OK_AVX512 static void f32_kernel(
    int k, const void *a, const void *b, float *c, size_t ldc, bool accumulate, int rows
) {
    const int steps = k;
    switch (rows) {
    case 1: f32_rows(1, steps, a, b, c, ldc, accumulate); break;
    case 2: f32_rows(2, steps, a, b, c, ldc, accumulate); break;
    case 3: f32_rows(3, steps, a, b, c, ldc, accumulate); break;
    case 4: f32_rows(4, steps, a, b, c, ldc, accumulate); break;
    case 5: f32_rows(5, steps, a, b, c, ldc, accumulate); break;
    case 6: f32_rows(6, steps, a, b, c, ldc, accumulate); break;
    case 7: f32_rows(7, steps, a, b, c, ldc, accumulate); break;
    case 8: f32_rows(8, steps, a, b, c, ldc, accumulate); break;
    case 9: f32_rows(9, steps, a, b, c, ldc, accumulate); break;
    case 10: f32_rows(10, steps, a, b, c, ldc, accumulate); break;
    case 11: f32_rows(11, steps, a, b, c, ldc, accumulate); break;
    default: f32_rows(12, steps, a, b, c, ldc, accumulate); break;
    }
}

OK_AVX512BF16 static void pairs_kernel(
    int k, const void *a, const void *b, float *c, size_t ldc, bool accumulate, int rows
) {
    const int steps = (k + 1) / 2;
    switch (rows) {
    case 1: pairs_rows(1, steps, a, b, c, ldc, accumulate); break;
    case 2: pairs_rows(2, steps, a, b, c, ldc, accumulate); break;
    case 3: pairs_rows(3, steps, a, b, c, ldc, accumulate); break;
    case 4: pairs_rows(4, steps, a, b, c, ldc, accumulate); break;
    case 5: pairs_rows(5, steps, a, b, c, ldc, accumulate); break;
    case 6: pairs_rows(6, steps, a, b, c, ldc, accumulate); break;
    case 7: pairs_rows(7, steps, a, b, c, ldc, accumulate); break;
    case 8: pairs_rows(8, steps, a, b, c, ldc, accumulate); break;
    case 9: pairs_rows(9, steps, a, b, c, ldc, accumulate); break;
    case 10: pairs_rows(10, steps, a, b, c, ldc, accumulate); break;
    case 11: pairs_rows(11, steps, a, b, c, ldc, accumulate); break;
    default: pairs_rows(12, steps, a, b, c, ldc, accumulate); break;
    }
}

OK_USES_AVX2 static void finish(
    const ok_output *output, size_t row, size_t column, int rows, int columns, const float *sums
) {
    finish_tile(NR, output, row, column, rows, columns, sums);
}

#define TILE(ISA, BF16, STEP, BYTES, PACK_A, PACK_B, KERNEL)                                       \
    {                                                                                              \
        .isa = ISA, .bfloat16 = BF16, .mr = MR, .nr = NR, .k_step = STEP, .element_bytes = BYTES,  \
        .pack_a = PACK_A, .pack_b = PACK_B, .kernel = KERNEL, .decode_nf4 = ok_decode_nf4_avx2,    \
        .combine = ok_combine_avx2, .finish = finish,                                              \
    }
const ok_tile ok_tile_avx512_f32 =
    TILE(OK_ISA_AVX512, false, 1, 4, pack_a_f32, pack_b_f32, f32_kernel);
const ok_tile ok_tile_avx512_bf16 =
    TILE(OK_ISA_AVX512, true, 1, 4, pack_a_bf16, pack_b_bf16, f32_kernel);
const ok_tile ok_tile_avx512bf16_bf16 =
    TILE(OK_ISA_AVX512BF16, true, 2, 2, pack_a_pairs, pack_b_pairs, pairs_kernel);
#endif
