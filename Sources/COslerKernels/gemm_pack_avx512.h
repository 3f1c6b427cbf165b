/* Packing, NF4 decoding and writing of results for the AVX-512 BF16 tile: bfloat16 in pairs along k. Panels of `width`
 * lanes (12 or 32): pair p of lane j is the 32-bit unit at [p][j].
 *
 * The instructions that round (vcvtneps2bf16) take denormals for zeros, as the product does.
 *
 * Cycles a value on a Zen 4 core, values in the second-level cache: lanes along k 0.2 (the AVX2 version 0.24), rows of
 * lanes 0.06 (0.1 to 0.2), NF4 decoding 0.13 more (0.6). */
#pragma once
#include "gemm_tile.h"

#define OK_PAIRS                                                                                     \
    __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,fma,evex512"), always_inline)) \
    static inline

typedef struct {
    __m512i v[16];
} block16;

/* 16 x 16 units: interleave neighbours, then pairs of them, then quarters. */
OK_PAIRS block16 transposed16(block16 r) {
    block16 s, t;
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i += 2) {
        s.v[i] = _mm512_unpacklo_epi32(r.v[i], r.v[i + 1]);
        s.v[i + 1] = _mm512_unpackhi_epi32(r.v[i], r.v[i + 1]);
    }
    /* t[i + j]: within each quarter, unit j of rows i ..< i + 4. */
#pragma clang loop unroll(full)
    for (int i = 0; i < 16; i += 4) {
        t.v[i] = _mm512_unpacklo_epi64(s.v[i], s.v[i + 2]);
        t.v[i + 1] = _mm512_unpackhi_epi64(s.v[i], s.v[i + 2]);
        t.v[i + 2] = _mm512_unpacklo_epi64(s.v[i + 1], s.v[i + 3]);
        t.v[i + 3] = _mm512_unpackhi_epi64(s.v[i + 1], s.v[i + 3]);
    }
#pragma clang loop unroll(full)
    for (int j = 0; j < 4; j++) {
        const __m512i low02 = _mm512_shuffle_i32x4(t.v[j], t.v[4 + j], 0x88);
        const __m512i low13 = _mm512_shuffle_i32x4(t.v[j], t.v[4 + j], 0xdd);
        const __m512i high02 = _mm512_shuffle_i32x4(t.v[8 + j], t.v[12 + j], 0x88);
        const __m512i high13 = _mm512_shuffle_i32x4(t.v[8 + j], t.v[12 + j], 0xdd);
        r.v[j] = _mm512_shuffle_i32x4(low02, high02, 0x88);
        r.v[8 + j] = _mm512_shuffle_i32x4(low02, high02, 0xdd);
        r.v[4 + j] = _mm512_shuffle_i32x4(low13, high13, 0x88);
        r.v[12 + j] = _mm512_shuffle_i32x4(low13, high13, 0xdd);
    }
    return r;
}

/* `count` <= 32 values along k as pairs, zeros behind them. */
OK_PAIRS __m512i pairs_along_k(const void *source, ok_type type, size_t index, int count) {
    const __mmask32 there = count >= 32 ? ~(__mmask32)0 : ((__mmask32)1 << count) - 1;
    if (type == OK_BF16) return _mm512_maskz_loadu_epi16(there, (const uint16_t *)source + index);
    const float *from = (const float *)source + index;
    const __m512 low = _mm512_maskz_loadu_ps((__mmask16)there, from);
    const __m512 high = _mm512_maskz_loadu_ps((__mmask16)(there >> 16), from + 16);
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

/* Up to 16 lanes whose values lie along k, of which `count` are there: panel units [p][lane], lanes of `stored`. */
OK_PAIRS void pack_lanes16(
    const void *source, ok_type type, size_t ld, int count, int k, int width, __mmask16 stored,
    uint32_t *panel
) {
    for (int p = 0; p < k; p += 32) {
        const int there = k - p < 32 ? k - p : 32;
        block16 r;
        if (count == 16 && there == 32) {
#pragma clang loop unroll(full)
            for (int lane = 0; lane < 16; lane++)
                r.v[lane] = pairs_along_k(source, type, (size_t)lane * ld + (size_t)p, 32);
        } else {
#pragma clang loop unroll(full)
            for (int lane = 0; lane < 16; lane++)
                r.v[lane] = lane < count
                    ? pairs_along_k(source, type, (size_t)lane * ld + (size_t)p, there)
                    : _mm512_setzero_si512();
        }
        r = transposed16(r);
        uint32_t *to = panel + (size_t)(p / 2) * (size_t)width;
        const int pairs = (there + 1) / 2;
#pragma clang loop unroll(full)
        for (int i = 0; i < 16; i++)
            if (i < pairs) _mm512_mask_storeu_epi32(to + i * width, stored, r.v[i]);
    }
}

/* Rows p and p + 1 of up to 16 lanes that lie side by side, interleaved to pairs. */
OK_PAIRS __m512i pairs_of_rows(
    const void *source, ok_type type, size_t ld, size_t p, int lane, __mmask16 there, bool second
) {
    const size_t at = p * ld + (size_t)lane;
    const __mmask16 also = second ? there : 0;
    if (type == OK_BF16) {
        const uint16_t *from = (const uint16_t *)source + at;
        const __m512i first = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(there, from));
        const __m512i next =
            _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(also, from + (second ? ld : 0)));
        return _mm512_or_si512(first, _mm512_slli_epi32(next, 16));
    }
    const float *from = (const float *)source + at;
    const __m512 first = _mm512_maskz_loadu_ps(there, from);
    const __m512 next = _mm512_maskz_loadu_ps(also, from + (second ? ld : 0));
    const __m512i low = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(first));
    const __m512i high = _mm512_cvtepu16_epi32((__m256i)_mm512_cvtneps_pbh(next));
    return _mm512_or_si512(low, _mm512_slli_epi32(high, 16));
}

OK_PAIRS void pack_rows16(
    const void *source, ok_type type, size_t ld, int lane, int count, int k, int width,
    __mmask16 stored, uint32_t *panel
) {
    const __mmask16 there = count >= 16 ? 0xffff : count <= 0 ? 0 : (__mmask16)((1u << count) - 1);
    int p = 0;
    for (; p + 2 <= k; p += 2, panel += width)
        _mm512_mask_storeu_epi32(
            panel, stored, pairs_of_rows(source, type, ld, (size_t)p, lane, there, true));
    if (p < k)
        _mm512_mask_storeu_epi32(
            panel, stored, pairs_of_rows(source, type, ld, (size_t)p, lane, there, false));
}

OK_PAIRS void pack_typed(
    const void *source, ok_type type, size_t ld, bool lanes_side_by_side, int count, int k,
    int width, uint32_t *panel
) {
    for (int lane = 0; lane < width; lane += 16) {
        const int left = count - lane;
        const __mmask16 stored = width - lane >= 16 ? 0xffff : (__mmask16)((1u << (width - lane)) - 1);
        if (lanes_side_by_side) {
            pack_rows16(source, type, ld, lane, left, k, width, stored, panel + lane);
        } else {
            const char *from = source;
            if (left > 0) from += (size_t)lane * ld * ok_type_bytes(type);
            pack_lanes16(
                from, type, ld, left > 16 ? 16 : left, k, width, stored, panel + lane);
        }
    }
}

OK_PAIRS void pack_pairs(
    const void *source, ok_type type, size_t ld, bool lanes_side_by_side, int count, int k,
    int width, void *panel
) {
    if (type == OK_BF16)
        pack_typed(source, OK_BF16, ld, lanes_side_by_side, count, k, width, panel);
    else
        pack_typed(source, OK_F32, ld, lanes_side_by_side, count, k, width, panel);
}

/* The 16 values of a block as bfloat16, twice. */
OK_PAIRS __m512i nf4_values(float absmax) {
    const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(ok_nf4_table), _mm512_set1_ps(absmax));
    return _mm512_broadcast_i64x4((__m256i)_mm512_cvtneps_pbh(scaled));
}

/* `count` codes of one block, a multiple of 32 from an even value on. A byte's high half comes first; the lookup of
 * vpermw uses five bits, of which the fifth doesn't matter as the table stands twice. */
OK_PAIRS void decode_block_pairs(const uint8_t *codes, int count, __m512i values, uint16_t *out) {
    for (int i = 0; i < count; i += 32, codes += 16, out += 32) {
        const __m512i bytes = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)codes));
        const __m512i index =
            _mm512_or_si512(_mm512_srli_epi32(bytes, 4), _mm512_slli_epi32(bytes, 16));
        _mm512_storeu_si512(out, _mm512_permutexvar_epi16(index, values));
    }
}

OK_PAIRS void decode_nf4_pairs(
    const ok_nf4 *matrix, size_t start, size_t count, uint16_t *out
) {
    size_t done = 0;
    while (done < count) {
        const size_t index = start + done, block = ok_quotient(index, matrix->block_size);
        size_t piece = (block + 1) * matrix->block_size - index;
        if (piece > count - done) piece = count - done;
        const size_t whole = index % 2 ? 0 : piece & ~(size_t)31;
        if (whole)
            decode_block_pairs(
                matrix->codes + index / 2, (int)whole, nf4_values(ok_nf4_absmax(matrix, block)),
                out + done);
        if (whole < piece)
            ok_decode_nf4_portable(
                matrix, index + whole, piece - whole, OK_BF16, out + done + whole);
        done += piece;
    }
}

/* The usual case of many short rows: blocks of 64, all at multiples of 32 values. False where it is another one. */
OK_PAIRS bool decode_nf4_rows_pairs(
    const ok_nf4 *matrix, size_t start, size_t step, size_t rows, size_t count, uint16_t *out
) {
    if (matrix->block_size != 64 || (start | step | count) % 32 != 0) return false;
    /* A copy, which no store changes. */
    const ok_nf4 own = *matrix;
    for (size_t row = 0; row < rows; row++, start += step)
        for (size_t index = start; index < start + count;) {
            const __m512i values = nf4_values(ok_nf4_absmax(&own, index / 64));
            decode_block_pairs(own.codes + index / 2, 32, values, out);
            (index += 32, out += 32);
            if (index % 64 == 0 || index == start + count) continue;
            decode_block_pairs(own.codes + index / 2, 32, values, out);
            (index += 32, out += 32);
        }
    return true;
}

OK_PAIRS __m512 load16(const void *data, ok_type type, size_t index, __mmask16 there) {
    if (type == OK_F32) return _mm512_maskz_loadu_ps(there, (const float *)data + index);
    const __m256i half = _mm256_maskz_loadu_epi16(there, (const uint16_t *)data + index);
    return (__m512)_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16);
}

/* `rows` x `columns` sums (row stride nr) with addend and bias, rounded once. */
OK_PAIRS void finish_rows(
    int nr, const ok_output *output, size_t row, size_t column, int rows, int columns, const float *sums
) {
    for (int i = 0; i < rows; i++, row++, sums += nr)
        for (int j = 0; j < columns; j += 16) {
            const int left = columns - j;
            const __mmask16 there = left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
            const size_t at = column + (size_t)j, to = row * output->ld + at;
            __m512 value = _mm512_maskz_loadu_ps(there, sums + j);
            if (output->addend)
                value = _mm512_add_ps(
                    value, load16(output->addend, output->addend_type,
                                  row * output->addend_ld + at, there));
            if (output->bias)
                value = _mm512_add_ps(value, load16(output->bias, output->bias_type, at, there));
            if (output->type == OK_F32)
                _mm512_mask_storeu_ps((float *)output->data + to, there, value);
            else
                _mm256_mask_storeu_epi16(
                    (uint16_t *)output->data + to, there, (__m256i)_mm512_cvtneps_pbh(value));
        }
}
