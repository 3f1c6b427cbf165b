/* AVX2 with FMA: 6x16 tiles, 12 of 16 registers hold sums; bfloat16 operands are rounded and held as float32 in panels.
 *
 * Micro-kernel alone, k = 256, A from the second-level cache, as a share of one Zen 3 core's multiply-add peak
 * (103.7 GFLOP/s): not unrolled 0.989, unrolled by 2 and 3 0.989, by 4 0.982, by 8 0.89; with prefetches of A 0.98;
 * starting at C instead of adding it at the end costs nothing but makes long sums 5-10 times less exact.
 * Packing, ns a value: bfloat16 [N, K] 0.065, [K, N] a group of panels at a time 0.1, NF4 decoding 0.15 more; a value
 * of 256 rows is worth 5 ns of products. */
#include "gemm_tile.h"

#if defined(__x86_64__)
#include "gemm_pack_avx2.h"

#define MR 6
#define NR 16

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

static void pack_a_f32(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, transposed, count, k, MR, false, false, panel);
}

static void pack_a_bf16(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, transposed, count, k, MR, true, false, panel);
}

static void pack_b_f32(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, !transposed, count, k, NR, false, false, panel);
}

static void pack_b_bf16(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, !transposed, count, k, NR, true, false, panel);
}

static inline __attribute__((always_inline)) void kernel_rows(
    const int rows, int k, const float *a, const float *b, float *c, size_t ldc, bool accumulate
) {
    __m256 left[MR], right[MR];
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        left[i] = _mm256_setzero_ps();
        right[i] = _mm256_setzero_ps();
    }
#pragma clang loop unroll(disable)
    for (int p = 0; p < k; p++, a += MR, b += NR) {
        const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma clang loop unroll(full)
        for (int i = 0; i < rows; i++) {
            const __m256 x = _mm256_broadcast_ss(a + i);
            left[i] = _mm256_fmadd_ps(x, b0, left[i]);
            right[i] = _mm256_fmadd_ps(x, b1, right[i]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < rows; i++) {
        float *to = c + (size_t)i * ldc;
        if (accumulate) {
            left[i] = _mm256_add_ps(left[i], _mm256_loadu_ps(to));
            right[i] = _mm256_add_ps(right[i], _mm256_loadu_ps(to + 8));
        }
        _mm256_storeu_ps(to, left[i]);
        _mm256_storeu_ps(to + 8, right[i]);
    }
}

static void kernel(
    int k, const void *a, const void *b, float *c, size_t ldc, bool accumulate, int rows, int columns
) {
    (void)columns;
    switch (rows) {
    case 1: kernel_rows(1, k, a, b, c, ldc, accumulate); break;
    case 2: kernel_rows(2, k, a, b, c, ldc, accumulate); break;
    case 3: kernel_rows(3, k, a, b, c, ldc, accumulate); break;
    case 4: kernel_rows(4, k, a, b, c, ldc, accumulate); break;
    case 5: kernel_rows(5, k, a, b, c, ldc, accumulate); break;
    default: kernel_rows(6, k, a, b, c, ldc, accumulate); break;
    }
}

/* The 16 values of a block as bfloat16, low and high bytes apart, in both halves of a register. Scales are finite, so
 * rounding need not mind NaN. */
typedef struct {
    __m256i low, high;
} byte_tables;

static inline __m256i rounded_bits(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    return _mm256_srli_epi32(sum, 16);
}

static inline byte_tables tables_of(float absmax) {
    const __m256 scale = _mm256_set1_ps(absmax);
    const __m256i first = rounded_bits(_mm256_mul_ps(_mm256_loadu_ps(ok_nf4_table), scale));
    const __m256i second = rounded_bits(_mm256_mul_ps(_mm256_loadu_ps(ok_nf4_table + 8), scale));
    /* Values 0-3, 8-11 | 4-7, 12-15; then bytes: low ones of the first, high ones of the first | of the second. */
    const __m256i mixed = _mm256_packus_epi32(first, second);
    const __m256i lows = _mm256_and_si256(mixed, _mm256_set1_epi16(0xff));
    const __m256i bytes = _mm256_packus_epi16(lows, _mm256_srli_epi16(mixed, 8));
    /* 32-bit units: low 0-3, low 8-11, high 0-3, high 8-11 | low 4-7, low 12-15, high 4-7, high 12-15. */
    byte_tables tables;
    tables.low = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5));
    tables.high = _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(2, 6, 3, 7, 2, 6, 3, 7));
    return tables;
}

/* `count` codes of one block, a multiple of 32 from an even value on: two byte shuffles look up 32 of them. */
static inline void decode_block_bf16(const uint8_t *codes, int count, float absmax, uint16_t *out) {
    const byte_tables tables = tables_of(absmax);
    const __m128i nibble = _mm_set1_epi8(15);
    for (int i = 0; i < count; i += 32, codes += 16, out += 32) {
        const __m128i pairs = _mm_loadu_si128((const __m128i *)codes);
        const __m128i even = _mm_and_si128(_mm_srli_epi16(pairs, 4), nibble);
        const __m128i odd = _mm_and_si128(pairs, nibble);
        /* Values 0-7, 16-23 | 8-15, 24-31, so that both results below are in order. */
        const __m256i wide = _mm256_set_m128i(
            _mm_unpackhi_epi8(even, odd), _mm_unpacklo_epi8(even, odd));
        const __m256i index = _mm256_permute4x64_epi64(wide, 0xd8);
        const __m256i low = _mm256_shuffle_epi8(tables.low, index);
        const __m256i high = _mm256_shuffle_epi8(tables.high, index);
        _mm256_storeu_si256((__m256i *)out, _mm256_unpacklo_epi8(low, high));
        _mm256_storeu_si256((__m256i *)(out + 16), _mm256_unpackhi_epi8(low, high));
    }
}

static inline void decode_block_f32(const uint8_t *codes, int count, float absmax, float *out) {
    const __m256 scale = _mm256_set1_ps(absmax);
    const __m256 low = _mm256_mul_ps(_mm256_loadu_ps(ok_nf4_table), scale);
    const __m256 high = _mm256_mul_ps(_mm256_loadu_ps(ok_nf4_table + 8), scale);
    const __m128i nibble = _mm_set1_epi8(15);
    for (int i = 0; i < count; i += 16, codes += 8, out += 16) {
        const __m128i pairs = _mm_loadl_epi64((const __m128i *)codes);
        const __m128i even = _mm_and_si128(_mm_srli_epi16(pairs, 4), nibble);
        const __m128i indices = _mm_unpacklo_epi8(even, _mm_and_si128(pairs, nibble));
        for (int half = 0; half < 2; half++) {
            const __m256i index = _mm256_cvtepu8_epi32(
                half ? _mm_unpackhi_epi64(indices, indices) : indices);
            const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(index, 28));
            _mm256_storeu_ps(
                out + 8 * half, _mm256_blendv_ps(
                                    _mm256_permutevar8x32_ps(low, index),
                                    _mm256_permutevar8x32_ps(high, index), upper));
        }
    }
}

void ok_decode_nf4_avx2(
    const ok_nf4 *matrix, size_t start, size_t count, ok_type type, void *out
) {
    size_t done = 0;
    while (done < count) {
        const size_t index = start + done, block = ok_quotient(index, matrix->block_size);
        size_t piece = (block + 1) * matrix->block_size - index;
        if (piece > count - done) piece = count - done;
        void *to = (char *)out + done * ok_type_bytes(type);
        const size_t whole = index % 2 ? 0 : piece & ~(size_t)31;
        if (whole) {
            const float absmax = ok_nf4_absmax(matrix, block);
            const uint8_t *codes = matrix->codes + index / 2;
            if (type == OK_BF16) decode_block_bf16(codes, (int)whole, absmax, to);
            else decode_block_f32(codes, (int)whole, absmax, to);
        }
        if (whole < piece)
            ok_decode_nf4_portable(
                matrix, index + whole, piece - whole, type,
                (char *)to + whole * ok_type_bytes(type));
        done += piece;
    }
}

void ok_combine_avx2(size_t count, float *x, float x_scale, const float *y, float y_scale) {
    if (y)
        for (size_t i = 0; i < count; i++) x[i] = x[i] * x_scale + y[i] * y_scale;
    else
        for (size_t i = 0; i < count; i++) x[i] *= x_scale;
}

static void finish(
    const ok_output *output, size_t row, size_t column, int rows, int columns, const float *sums
) {
    finish_tile(NR, output, row, column, rows, columns, sums);
}

#pragma clang attribute pop

#define TILE(BF16, PACK_A, PACK_B)                                                                 \
    {                                                                                              \
        .isa = OK_ISA_AVX2, .bfloat16 = BF16, .mr = MR, .nr = NR, .k_step = 1, .element_bytes = 4, \
        .piece = 256, .pack_a = PACK_A, .pack_b = PACK_B, .kernel = kernel, .decode_nf4 = ok_decode_nf4_avx2,            \
        .combine = ok_combine_avx2, .finish = finish,                                                      \
    }
const ok_tile ok_tile_avx2_f32 = TILE(false, pack_a_f32, pack_b_f32);
const ok_tile ok_tile_avx2_bf16 = TILE(true, pack_a_bf16, pack_b_bf16);
#endif
