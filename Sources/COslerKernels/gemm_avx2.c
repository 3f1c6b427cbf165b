/* AVX2 with FMA: 6x16 tiles of float32, bfloat16 operands rounded and held as float32 in the panels. */
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
#pragma clang loop unroll_count(4)
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
    int k, const void *a, const void *b, float *c, size_t ldc, bool accumulate, int rows
) {
    switch (rows) {
    case 1: kernel_rows(1, k, a, b, c, ldc, accumulate); break;
    case 2: kernel_rows(2, k, a, b, c, ldc, accumulate); break;
    case 3: kernel_rows(3, k, a, b, c, ldc, accumulate); break;
    case 4: kernel_rows(4, k, a, b, c, ldc, accumulate); break;
    case 5: kernel_rows(5, k, a, b, c, ldc, accumulate); break;
    default: kernel_rows(6, k, a, b, c, ldc, accumulate); break;
    }
}

static inline __m256i both(__m128i half) { return _mm256_broadcastsi128_si256(half); }

/* `count` codes of one block, a multiple of 64 from an even value on, to bfloat16: the 16 products of the block are
 * rounded once, then byte shuffles look up their halves. */
static inline void decode_block_bf16(const uint8_t *codes, int count, float absmax, uint16_t *out) {
    const __m256 scale = _mm256_set1_ps(absmax);
    const __m256i first = bf16_bits(_mm256_mul_ps(_mm256_loadu_ps(ok_nf4_table), scale));
    const __m256i second = bf16_bits(_mm256_mul_ps(_mm256_loadu_ps(ok_nf4_table + 8), scale));
    const __m256i order = _mm256_permute4x64_epi64(_mm256_packus_epi32(first, second), 0xd8);
    const __m128i front = _mm256_castsi256_si128(order);
    const __m128i back = _mm256_extracti128_si256(order, 1);
    const __m128i byte = _mm_set1_epi16(0xff);
    const __m256i low_table =
        both(_mm_packus_epi16(_mm_and_si128(front, byte), _mm_and_si128(back, byte)));
    const __m256i high_table =
        both(_mm_packus_epi16(_mm_srli_epi16(front, 8), _mm_srli_epi16(back, 8)));
    const __m256i nibble = _mm256_set1_epi8(15);
    for (int i = 0; i < count; i += 64, codes += 32, out += 64) {
        const __m256i pairs = _mm256_loadu_si256((const __m256i *)codes);
        const __m256i even = _mm256_and_si256(_mm256_srli_epi16(pairs, 4), nibble);
        const __m256i odd = _mm256_and_si256(pairs, nibble);
        for (int half = 0; half < 2; half++) {
            const __m256i index = half ? _mm256_unpackhi_epi8(even, odd)
                                       : _mm256_unpacklo_epi8(even, odd);
            const __m256i low = _mm256_shuffle_epi8(low_table, index);
            const __m256i high = _mm256_shuffle_epi8(high_table, index);
            const __m256i a = _mm256_unpacklo_epi8(low, high), b = _mm256_unpackhi_epi8(low, high);
            uint16_t *to = out + 16 * half;
            _mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(a, b, 0x20));
            _mm256_storeu_si256((__m256i *)(to + 32), _mm256_permute2x128_si256(a, b, 0x31));
        }
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
        const size_t whole = index % 2 ? 0 : piece & ~(size_t)63;
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
        .pack_a = PACK_A, .pack_b = PACK_B, .kernel = kernel, .decode_nf4 = ok_decode_nf4_avx2,            \
        .combine = ok_combine_avx2, .finish = finish,                                                      \
    }
const ok_tile ok_tile_avx2_f32 = TILE(false, pack_a_f32, pack_b_f32);
const ok_tile ok_tile_avx2_bf16 = TILE(true, pack_a_bf16, pack_b_bf16);
#endif
