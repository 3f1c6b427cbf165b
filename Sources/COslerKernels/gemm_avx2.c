/* AVX2 with FMA: 6x16 tiles of float32, bfloat16 operands rounded and held as float32 in the panels. */
#include "gemm_tile.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define MR 6
#define NR 16

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

typedef struct {
    __m256 v[8];
} block8;

/* Nearest even to bfloat16, kept in float32. NaN stays NaN. */
static inline __m256 rounded(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    sum = _mm256_and_si256(sum, _mm256_set1_epi32((int)0xffff0000u));
    /* x + x is a quiet NaN, whose upper half alone is one too. */
    const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_blendv_ps(_mm256_castsi256_ps(sum), _mm256_add_ps(x, x), nan);
}

/* The bfloat16 bits of 8 values in the low half of each lane. */
static inline __m256i bf16_bits(__m256 x) {
    return _mm256_srli_epi32(_mm256_castps_si256(rounded(x)), 16);
}

static inline __m256 widened(__m128i bf16) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
}

static inline block8 transposed8(block8 r) {
    block8 t, u;
    for (int i = 0; i < 4; i++) {
        t.v[2 * i] = _mm256_unpacklo_ps(r.v[2 * i], r.v[2 * i + 1]);
        t.v[2 * i + 1] = _mm256_unpackhi_ps(r.v[2 * i], r.v[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        u.v[4 * i] = _mm256_shuffle_ps(t.v[4 * i], t.v[4 * i + 2], 0x44);
        u.v[4 * i + 1] = _mm256_shuffle_ps(t.v[4 * i], t.v[4 * i + 2], 0xee);
        u.v[4 * i + 2] = _mm256_shuffle_ps(t.v[4 * i + 1], t.v[4 * i + 3], 0x44);
        u.v[4 * i + 3] = _mm256_shuffle_ps(t.v[4 * i + 1], t.v[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        t.v[i] = _mm256_permute2f128_ps(u.v[i], u.v[i + 4], 0x20);
        t.v[i + 4] = _mm256_permute2f128_ps(u.v[i], u.v[i + 4], 0x31);
    }
    return t;
}

/* Stores `width` (4, 6, 8 or more) of the 8 values. Six are written as eight when `spill`: the next row's follow. */
static inline __attribute__((always_inline)) void store_lanes(
    float *to, __m256 value, int width, bool spill
) {
    if (width >= 8 || (width == 6 && spill)) {
        _mm256_storeu_ps(to, value);
        return;
    }
    _mm_storeu_ps(to, _mm256_castps256_ps128(value));
    if (width == 6) _mm_storel_pi((__m64 *)(to + 4), _mm256_extractf128_ps(value, 1));
}

/* One group of up to 8 lanes whose values lie along k in `rows[lane]`; lanes from `count` on are zeros. */
static inline __attribute__((always_inline)) void pack_lanes(
    const void *source, ok_type type, size_t ld, int count, int k, int width, int stride,
    bool rounds, float *panel
) {
    int p = 0;
    block8 r;
    if (type == OK_BF16) {
        const uint16_t *from = source;
        const __m256 high = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u));
        for (; p + 16 <= k; p += 16) {
            for (int lane = 0; lane < 8; lane++)
                r.v[lane] = lane < count
                    ? _mm256_loadu_ps((const float *)(const void *)(from + (size_t)lane * ld + p))
                    : _mm256_setzero_ps();
            r = transposed8(r);
            for (int pair = 0; pair < 8; pair++) {
                float *to = panel + (size_t)(p + 2 * pair) * stride;
                const __m256i even = _mm256_slli_epi32(_mm256_castps_si256(r.v[pair]), 16);
                store_lanes(to, _mm256_castsi256_ps(even), width, true);
                store_lanes(
                    to + stride, _mm256_and_ps(r.v[pair], high), width, p + 2 * pair + 2 < k);
            }
        }
    } else {
        const float *from = source;
        for (; p + 8 <= k; p += 8) {
            for (int lane = 0; lane < 8; lane++) {
                r.v[lane] = lane < count ? _mm256_loadu_ps(from + (size_t)lane * ld + p)
                                         : _mm256_setzero_ps();
                if (rounds) r.v[lane] = rounded(r.v[lane]);
            }
            r = transposed8(r);
            for (int i = 0; i < 8; i++)
                store_lanes(
                    panel + (size_t)(p + i) * stride, r.v[i], width, p + i + 1 < k);
        }
    }
    for (; p < k; p++)
        for (int lane = 0; lane < width && lane < 8; lane++) {
            float value = lane < count ? ok_load(source, type, (size_t)lane * ld + p) : 0;
            if (rounds && type == OK_F32) value = ok_bf16_to_f32(ok_f32_to_bf16(value));
            panel[(size_t)p * stride + lane] = value;
        }
}

/* 8 values, or (width 6) six of them and nothing behind them, rounded. */
static inline __attribute__((always_inline)) __m256 load_lanes(
    const void *source, ok_type type, size_t index, int width, bool rounds
) {
    if (type == OK_BF16) {
        const uint16_t *from = (const uint16_t *)source + index;
        if (width >= 8) return widened(_mm_loadu_si128((const __m128i *)from));
        const __m128i four = _mm_loadl_epi64((const __m128i *)from);
        int32_t last = 0;
        if (width == 6) memcpy(&last, from + 4, 4);
        return widened(_mm_insert_epi32(four, last, 2));
    }
    const float *from = (const float *)source + index;
    __m256 value;
    if (width >= 8) {
        value = _mm256_loadu_ps(from);
    } else {
        const __m128 four = _mm_loadu_ps(from);
        __m128 last = _mm_setzero_ps();
        if (width == 6) last = _mm_loadl_pi(last, (const __m64 *)(from + 4));
        value = _mm256_insertf128_ps(_mm256_castps128_ps256(four), last, 1);
    }
    return rounds ? rounded(value) : value;
}

/* Lanes lie side by side in the source: k rows of `count` values. */
static inline __attribute__((always_inline)) void pack_rows(
    const void *source, ok_type type, size_t ld, int count, int k, int width, bool rounds,
    float *panel
) {
    if (count == width) {
        for (int p = 0; p < k; p++)
#pragma clang loop unroll(full)
            for (int lane = 0; lane < width; lane += 8)
                store_lanes(
                    panel + (size_t)p * width + lane,
                    load_lanes(source, type, (size_t)p * ld + lane, width - lane, rounds),
                    width - lane, p + 1 < k);
        return;
    }
    for (int p = 0; p < k; p++)
        for (int lane = 0; lane < width; lane++) {
            float value = lane < count ? ok_load(source, type, (size_t)p * ld + lane) : 0;
            if (rounds && type == OK_F32) value = ok_bf16_to_f32(ok_f32_to_bf16(value));
            panel[(size_t)p * width + lane] = value;
        }
}

static inline __attribute__((always_inline)) void pack(
    const void *source, ok_type type, size_t ld, bool contiguous_lanes, int count, int k, int width,
    bool rounds, float *panel
) {
    if (contiguous_lanes) {
        if (type == OK_BF16) pack_rows(source, OK_BF16, ld, count, k, width, rounds, panel);
        else pack_rows(source, OK_F32, ld, count, k, width, rounds, panel);
        return;
    }
    for (int lane = 0; lane < width; lane += 8) {
        const int valid = count - lane;
        const char *from = (const char *)source
            + (valid > 0 ? (size_t)lane * ld * ok_type_bytes(type) : 0);
        if (valid >= 8)
            pack_lanes(from, type, ld, 8, k, width - lane, width, rounds, panel + lane);
        else
            pack_lanes(from, type, ld, valid, k, width - lane, width, rounds, panel + lane);
    }
}

static void pack_a_f32(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, transposed, count, k, MR, false, panel);
}

static void pack_a_bf16(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, transposed, count, k, MR, true, panel);
}

static void pack_b_f32(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, !transposed, count, k, NR, false, panel);
}

static void pack_b_bf16(
    const void *source, ok_type type, size_t ld, bool transposed, int count, int k, void *panel
) {
    pack(source, type, ld, !transposed, count, k, NR, true, panel);
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

static void decode_nf4(
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

static void combine(size_t count, float *x, float x_scale, const float *y, float y_scale) {
    if (y)
        for (size_t i = 0; i < count; i++) x[i] = x[i] * x_scale + y[i] * y_scale;
    else
        for (size_t i = 0; i < count; i++) x[i] *= x_scale;
}

static inline __m256 load8(const void *data, ok_type type, size_t index) {
    return type == OK_F32 ? _mm256_loadu_ps((const float *)data + index)
                          : widened(_mm_loadu_si128((const __m128i *)((const uint16_t *)data + index)));
}

static void finish(
    const ok_output *output, size_t row, size_t column, int rows, int columns, const float *sums
) {
    for (int i = 0; i < rows; i++, row++, sums += NR) {
        const size_t to = row * output->ld + column;
        const size_t from = row * output->addend_ld + column;
        int j = 0;
        for (; j + 8 <= columns; j += 8) {
            __m256 value = _mm256_loadu_ps(sums + j);
            if (output->addend)
                value = _mm256_add_ps(
                    value, load8(output->addend, output->addend_type, from + j));
            if (output->bias)
                value = _mm256_add_ps(value, load8(output->bias, output->bias_type, column + j));
            if (output->type == OK_F32) {
                _mm256_storeu_ps((float *)output->data + to + j, value);
            } else {
                const __m256i bits = bf16_bits(value);
                const __m128i packed = _mm_packus_epi32(
                    _mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
                _mm_storeu_si128((__m128i *)((uint16_t *)output->data + to + j), packed);
            }
        }
        for (; j < columns; j++) {
            float value = sums[j];
            if (output->addend) value += ok_load(output->addend, output->addend_type, from + j);
            if (output->bias) value += ok_load(output->bias, output->bias_type, column + j);
            ok_store(output->data, output->type, to + j, value);
        }
    }
}

#pragma clang attribute pop

#define TILE(BF16, PACK_A, PACK_B)                                                                 \
    {                                                                                              \
        .isa = OK_ISA_AVX2, .bfloat16 = BF16, .mr = MR, .nr = NR, .k_step = 1, .element_bytes = 4, \
        .pack_a = PACK_A, .pack_b = PACK_B, .kernel = kernel, .decode_nf4 = decode_nf4,            \
        .combine = combine, .finish = finish,                                                      \
    }
const ok_tile ok_tile_avx2_f32 = TILE(false, pack_a_f32, pack_b_f32);
const ok_tile ok_tile_avx2_bf16 = TILE(true, pack_a_bf16, pack_b_bf16);
#endif
