/* Packing and rounding with AVX2, for the tiles of AVX2 and of AVX-512. Included where AVX2 may be used.
 *
 * A panel row is `width` lanes (rows of A, columns of B): a float32 each, or with `pairs` two bfloat16 that are neighbours
 * along k. Sources come in two orders. Lanes apart, values along k side by side: blocks of 8 lanes are transposed in
 * registers, 32-bit units at a time, so bfloat16 values move in the pairs that vdpbf16ps wants and cost two more
 * operations to be widened. Lanes side by side: widening, or interleaving two rows for pairs. */
#pragma once
#include <immintrin.h>

#include "gemm_tile.h"

#define OK_AVX2 static inline __attribute__((always_inline, unused, target("avx2,fma")))

typedef struct {
    __m256 v[8];
} block8;

/* Nearest even to bfloat16, kept in float32. NaN stays NaN. */
OK_AVX2 __m256 rounded(__m256 x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i sum = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    sum = _mm256_and_si256(sum, _mm256_set1_epi32((int)0xffff0000u));
    /* x + x is a quiet NaN, whose upper half alone is one too. */
    const __m256 nan = _mm256_cmp_ps(x, x, _CMP_UNORD_Q);
    return _mm256_blendv_ps(_mm256_castsi256_ps(sum), _mm256_add_ps(x, x), nan);
}

/* The bfloat16 bits of 8 values in the low half of each lane. */
OK_AVX2 __m256i bf16_bits(__m256 x) {
    return _mm256_srli_epi32(_mm256_castps_si256(rounded(x)), 16);
}

OK_AVX2 __m256 widened(__m128i bf16) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
}

OK_AVX2 block8 transposed8(block8 r) {
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
OK_AVX2 void store_lanes(
    float *to, __m256 value, int width, bool spill
) {
    if (width >= 8 || (width == 6 && spill)) {
        _mm256_storeu_ps(to, value);
        return;
    }
    _mm_storeu_ps(to, _mm256_castps256_ps128(value));
    if (width == 6) _mm_storel_pi((__m64 *)(to + 4), _mm256_extractf128_ps(value, 1));
}

/* The value at a panel's place, rounded as the panel wants it. */
OK_AVX2 float one_value(const void *source, ok_type type, size_t index, bool rounds) {
    const float value = ok_load(source, type, index);
    return rounds ? ok_bf16_to_f32(ok_f32_to_bf16(value)) : value;
}

/* Values k `first` ..< k, one at a time. */
OK_AVX2 void pack_slowly(
    const void *source, ok_type type, size_t lane_stride, size_t k_stride, int count, int first,
    int k, int lanes, int width, bool rounds, bool pairs, float *panel
) {
    for (int p = first; p < k; p++)
        for (int lane = 0; lane < lanes; lane++) {
            float value = 0;
            if (lane < count)
                value = one_value(
                    source, type, (size_t)lane * lane_stride + (size_t)p * k_stride, rounds);
            if (!pairs) {
                panel[(size_t)p * width + lane] = value;
                continue;
            }
            uint16_t *pair = (uint16_t *)(void *)(panel + (size_t)(p / 2) * width + lane);
            pair[p % 2] = ok_f32_to_bf16(value);
            if (p % 2 == 0) pair[1] = 0;
        }
}

/* 16 values along k as 8 pairs of bfloat16. */
OK_AVX2 __m256 load_pairs(const void *source, ok_type type, size_t index) {
    if (type == OK_BF16)
        return _mm256_loadu_ps((const float *)(const void *)((const uint16_t *)source + index));
    const __m256i first = bf16_bits(_mm256_loadu_ps((const float *)source + index));
    const __m256i second = bf16_bits(_mm256_loadu_ps((const float *)source + index + 8));
    const __m256i mixed = _mm256_packus_epi32(first, second);
    return _mm256_castsi256_ps(_mm256_permute4x64_epi64(mixed, 0xd8));
}

/* Up to 8 lanes whose values lie along k; `count` of them are there, the others are zeros. */
OK_AVX2 void pack_lanes(
    const void *source, ok_type type, size_t ld, int count, int k, int lanes, int width,
    bool rounds, bool pairs, float *panel
) {
    int p = 0;
    block8 r;
    if (type == OK_BF16 || pairs) {
        const __m256 high = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u));
        for (; p + 16 <= k; p += 16) {
            for (int lane = 0; lane < 8; lane++)
                r.v[lane] = lane < count ? load_pairs(source, type, (size_t)lane * ld + p)
                                         : _mm256_setzero_ps();
            r = transposed8(r);
            for (int pair = 0; pair < 8; pair++) {
                const int at = p + 2 * pair;
                if (pairs) {
                    store_lanes(
                        panel + (size_t)(at / 2) * width, r.v[pair], lanes, at + 2 < k);
                    continue;
                }
                float *to = panel + (size_t)at * width;
                const __m256i even = _mm256_slli_epi32(_mm256_castps_si256(r.v[pair]), 16);
                store_lanes(to, _mm256_castsi256_ps(even), lanes, true);
                store_lanes(to + width, _mm256_and_ps(r.v[pair], high), lanes, at + 2 < k);
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
                    panel + (size_t)(p + i) * width, r.v[i], lanes, p + i + 1 < k);
        }
    }
    pack_slowly(
        source, type, ld, 1, count, p, k, lanes < 8 ? lanes : 8, width, rounds, pairs, panel);
}

/* 8 values, or (lanes 4, 6) as many of them and nothing behind them, rounded. */
OK_AVX2 __m256 load_lanes(
    const void *source, ok_type type, size_t index, int lanes, bool rounds
) {
    if (type == OK_BF16) {
        const uint16_t *from = (const uint16_t *)source + index;
        if (lanes >= 8) return widened(_mm_loadu_si128((const __m128i *)from));
        const __m128i four = _mm_loadl_epi64((const __m128i *)from);
        int32_t last = 0;
        if (lanes == 6) memcpy(&last, from + 4, 4);
        return widened(_mm_insert_epi32(four, last, 2));
    }
    const float *from = (const float *)source + index;
    __m256 value;
    if (lanes >= 8) {
        value = _mm256_loadu_ps(from);
    } else {
        const __m128 four = _mm_loadu_ps(from);
        __m128 last = _mm_setzero_ps();
        if (lanes == 6) last = _mm_loadl_pi(last, (const __m64 *)(from + 4));
        value = _mm256_insertf128_ps(_mm256_castps128_ps256(four), last, 1);
    }
    return rounds ? rounded(value) : value;
}

/* Lanes lie side by side in the source: k rows of `count` values. */
OK_AVX2 void pack_rows(
    const void *source, ok_type type, size_t ld, int count, int k, int width, bool rounds,
    bool pairs, float *panel
) {
    int p = 0;
    const int step = pairs ? 2 : 1;
    for (; count == width && p + step <= k; p += step)
#pragma clang loop unroll(full)
        for (int lane = 0; lane < width; lane += 8) {
            __m256 value = load_lanes(source, type, (size_t)p * ld + lane, width - lane, rounds);
            if (pairs) {
                const __m256 next =
                    load_lanes(source, type, (size_t)(p + 1) * ld + lane, width - lane, rounds);
                const __m256i low = _mm256_srli_epi32(_mm256_castps_si256(value), 16);
                value = _mm256_or_ps(_mm256_castsi256_ps(low), next);
            }
            store_lanes(
                panel + (size_t)(p / step) * width + lane, value, width - lane, p + step < k);
        }
    pack_slowly(source, type, 1, ld, count, p, k, width, width, rounds, pairs, panel);
}

OK_AVX2 void pack(
    const void *source, ok_type type, size_t ld, bool contiguous_lanes, int count, int k, int width,
    bool rounds, bool pairs, float *panel
) {
    if (contiguous_lanes) {
        if (type == OK_BF16) pack_rows(source, OK_BF16, ld, count, k, width, rounds, pairs, panel);
        else pack_rows(source, OK_F32, ld, count, k, width, rounds, pairs, panel);
        return;
    }
    /* From the last lanes to the first: where six lanes are stored as eight, the next row's first two are wrong until
     * they are stored in turn. */
    for (int lane = (width - 1) / 8 * 8; lane >= 0; lane -= 8) {
        const int there = count - lane, lanes = width - lane;
        const char *from = (const char *)source
            + (there > 0 ? (size_t)lane * ld * ok_type_bytes(type) : 0);
        if (there >= 8)
            pack_lanes(from, type, ld, 8, k, lanes, width, rounds, pairs, panel + lane);
        else
            pack_lanes(from, type, ld, there, k, lanes, width, rounds, pairs, panel + lane);
    }
}

OK_AVX2 __m256 load8(const void *data, ok_type type, size_t index) {
    return type == OK_F32 ? _mm256_loadu_ps((const float *)data + index)
                          : widened(_mm_loadu_si128((const __m128i *)((const uint16_t *)data + index)));
}

OK_AVX2 void finish_tile(
    int nr, const ok_output *output, size_t row, size_t column, int rows, int columns, const float *sums
) {
    for (int i = 0; i < rows; i++, row++, sums += nr) {
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

/* In gemm_avx2.c. */
void ok_decode_nf4_avx2(
    const ok_nf4 *matrix, size_t start, size_t count, ok_type type, void *out);
void ok_combine_avx2(size_t count, float *x, float x_scale, const float *y, float y_scale);
