/* Products of few rows by vdpbf16ps: 32 values of k at a time, lanes summed at the end.
 *
 * Variants tried on 2 cores of Zen 4 that read 30-34 GB/s together (58 when the host is idle), one row of x, as a share
 * of that bandwidth (Benchmarks/generate/kernels):
 * - bfloat16, four rows of W side by side: 0.48-0.74 (1024 to 4096 of k), asking for memory in the order in which it
 *   lies 0.72-0.95; one row after the other with nothing asked for, as it is: 0.82-0.99; two rows side by side 0.57-0.87.
 * - NF4, codes of 64 values widened, shifted and looked up in 16 scaled values of their block (vpermw). Cycles for 64 values
 *   from the first-level cache: shifts by lane of the codes as they are 6.1, widened bytes (as it is) 5.7, one table of two
 *   blocks for two rows 5.6-6.2, tables of all scales made beforehand 5.4 and 2.3 more a table. vdpbf16ps, vpermw and
 *   shifts take a cycle each, vcvtne2ps2bf16 1.5. So two cores use up to 38 GB/s of NF4, and no more.
 *   One row after the other: 0.40-0.60, two 0.30-0.46, four (as it is) 0.56-0.84, with what is asked for a group of rows ahead
 *   brought into the second-level cache; into the first 0.48-0.70; each row for itself 0.26-0.45. Scales by
 *   gathers, or row by row, cost a tenth more. From cache, one thread, GB/s: scales made for some rows beforehand 16-17.4,
 *   looked up where they are needed (as it is) 18-20.4.
 * - 16 rows: four rows of W by four of x, of 16 sums; 0.47-0.64 of the multiply-add peak from memory, 0.77 from cache, in
 *   NF4 0.51-0.58. Sums of 16 dot products together instead of by fours, and not by way of memory: from cache 0.78 -> 0.88,
 *   NF4 0.66 -> 0.71. A chunk of 2048 of k instead of 1024 gives the same.
 */
#include "fewrows.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define ROWS 4
#define GROUP 4
/* Values of k that stay in the first-level cache between groups of rows of x. */
#define CHUNK 1024
#define INLINED static inline __attribute__((always_inline))

#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,evex512"))), \
    apply_to = function)
#include "sums_avx512.h"

static size_t x_bytes(size_t k) { return (k + 63) / 64 * 128; }

/* NF4 whose blocks begin with the rows: 64 values, 32 bytes, are decoded at a time, first the even ones, then the odd
 * ones, and x is put in the same order. */
static bool by_blocks(const ok_few_dots *work) {
    const ok_nf4 *nf4 = work->w->nf4;
    return nf4 && work->k % 64 == 0 && nf4->block_size % 64 == 0 && work->w->ld == work->k;
}

INLINED __m512i load32(const void *from, ok_type type, size_t at, size_t count) {
    if (type == OK_BF16) {
        const __mmask32 mask = count < 32 ? (1u << count) - 1 : ~0u;
        return _mm512_maskz_loadu_epi16(mask, (const uint16_t *)from + at);
    }
    const float *values = (const float *)from + at;
    const __mmask16 low = count < 16 ? (__mmask16)((1u << count) - 1) : 0xffff;
    const __mmask16 high = count <= 16 ? 0
        : count < 32 ? (__mmask16)((1u << (count - 16)) - 1) : 0xffff;
    return (__m512i)_mm512_cvtne2ps_pbh(
        _mm512_maskz_loadu_ps(high, values + 16), _mm512_maskz_loadu_ps(low, values));
}

/* `k` values in bfloat16, zeros up to a multiple of 32 behind them. */
static void convert(const void *from, ok_type type, size_t at, size_t k, uint16_t *to) {
    for (size_t p = 0; p < k; p += 32)
        _mm512_storeu_si512(to + p, load32(from, type, at + p, k - p < 32 ? k - p : 32));
}

static void pack(const void *x, ok_type type, const ok_few_dots *work, void *out) {
    if (!by_blocks(work)) {
        convert(x, type, 0, work->k, out);
        return;
    }
    _Alignas(64) static const uint16_t evens[32] = {
        0,  2,  4,  6,  8,  10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30,
        32, 34, 36, 38, 40, 42, 44, 46, 48, 50, 52, 54, 56, 58, 60, 62,
    };
    const __m512i even = _mm512_load_si512(evens);
    const __m512i odd = _mm512_add_epi16(even, _mm512_set1_epi16(1));
    for (size_t p = 0; p < work->k; p += 64) {
        const __m512i low = load32(x, type, p, 32), high = load32(x, type, p + 32, 32);
        uint16_t *to = (uint16_t *)out + p;
        _mm512_storeu_si512(to, _mm512_permutex2var_epi16(low, even, high));
        _mm512_storeu_si512(to + 32, _mm512_permutex2var_epi16(low, odd, high));
    }
}

INLINED __m512 dot(__m512 sum, __m512i x, __m512i w) {
    return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w);
}

INLINED void put(const ok_few_dots *work, size_t j, int row, int there, const __m512 *sums) {
    const __mmask8 mask = (__mmask8)((1u << there) - 1);
    _mm_mask_storeu_ps(work->sums + (size_t)row * work->sums_ld + j, mask, sums_of_4(sums));
}

/* The same for GROUP rows at once. */
INLINED void put_all(const ok_few_dots *work, size_t j, int row, int there, const __m512 *sums) {
    _Static_assert(GROUP * ROWS == 16, "one vector of sums");
    const __mmask8 mask = (__mmask8)((1u << there) - 1);
    const __m512 all = sums_of_16(sums);
    float *to = work->sums + (size_t)row * work->sums_ld + j;
    _mm_mask_storeu_ps(to, mask, _mm512_castps512_ps128(all));
    _mm_mask_storeu_ps(to + work->sums_ld, mask, _mm512_extractf32x4_ps(all, 1));
    _mm_mask_storeu_ps(to + 2 * work->sums_ld, mask, _mm512_extractf32x4_ps(all, 2));
    _mm_mask_storeu_ps(to + 3 * work->sums_ld, mask, _mm512_extractf32x4_ps(all, 3));
}

/* Bytes ahead, at least, of what is asked for; rounded up to whole groups of ROWS rows. */
#define AHEAD 4096

static size_t bytes_ahead(size_t row_bytes) {
    const size_t group = ROWS * row_bytes;
    return group == 0 ? 0 : (AHEAD + group - 1) / group * group;
}

INLINED void ask_for(const char *line) { _mm_prefetch(line, _MM_HINT_T1); }

/* A chunk of k of ROWS rows of W, of which `there` count and the first is `j`, and of rows of x from `row` on. */
typedef struct {
    const uint16_t *w[ROWS];
    const char *next, *x;
    size_t k, j;
    int row, there;
    bool begins, ends;
} chunk;

/* `kept` [c][ROWS] holds sums between chunks; after the last they go to `work`. */
INLINED void tile(
    const int c, const int lines, const ok_few_dots *work, const chunk *own_chunk, __m512 *kept
) {
    const chunk all = *own_chunk;
    const uint16_t *const *w = all.w;
    const char *x = all.x, *next = all.next;
    const size_t k = all.k, x_bytes = work->x_bytes;
    __m512 sums[GROUP][ROWS];
#pragma clang loop unroll(full)
    for (int i = 0; i < c; i++)
#pragma clang loop unroll(full)
        for (int r = 0; r < ROWS; r++)
            sums[i][r] = all.begins ? _mm512_setzero_ps() : kept[i * ROWS + r];
    size_t p = 0;
    for (; p + 32 <= k; p += 32) {
        __m512i values[ROWS];
#pragma clang loop unroll(full)
        for (int r = 0; r < ROWS; r++) {
            values[r] = _mm512_loadu_si512(w[r] + p);
            if (r < lines) ask_for(next + (size_t)r * 64 + 8 * p);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < c; i++) {
            const __m512i own = _mm512_load_si512(x + (size_t)i * x_bytes + 2 * p);
#pragma clang loop unroll(full)
            for (int r = 0; r < ROWS; r++) sums[i][r] = dot(sums[i][r], own, values[r]);
        }
    }
    if (p < k) {
#pragma clang loop unroll(full)
        for (int r = 0; r < ROWS; r++) {
            const __m512i value = load32(w[r], OK_BF16, p, k - p);
#pragma clang loop unroll(full)
            for (int i = 0; i < c; i++)
                sums[i][r] = dot(
                    sums[i][r], _mm512_load_si512(x + (size_t)i * x_bytes + 2 * p), value);
        }
    }
    if (!all.ends) {
#pragma clang loop unroll(full)
        for (int i = 0; i < c; i++)
#pragma clang loop unroll(full)
            for (int r = 0; r < ROWS; r++) kept[i * ROWS + r] = sums[i][r];
    } else if (c == GROUP) {
        put_all(work, all.j, all.row, all.there, sums[0]);
    } else {
#pragma clang loop unroll(full)
        for (int i = 0; i < c; i++) put(work, all.j, all.row + i, all.there, sums[i]);
    }
}

static void tiles(int c, int lines, const ok_few_dots *work, const chunk *all, __m512 *kept) {
#define CASE(C)                                             \
    case C:                                                 \
        if (lines == 0) tile(C, 0, work, all, kept);        \
        else if (lines == 1) tile(C, 1, work, all, kept);   \
        else tile(C, 2, work, all, kept);                   \
        break;
    switch (c) { CASE(1) CASE(2) CASE(3) CASE(4) }
#undef CASE
}

/* Bfloat16 weights and at most GROUP rows of x: one row of W after the other, in the order of memory. The machine's own
 * prefetching does that best; the sums of some rows are under way at once. */
INLINED void stream(const int c, const ok_few_dots *work) {
    const ok_matrix *w = work->w;
    const size_t whole = work->k & ~(size_t)31;
    for (size_t j = 0; j < work->count; j += ROWS) {
        const int there = work->count - j < ROWS ? (int)(work->count - j) : ROWS;
        __m512 sums[GROUP][ROWS];
#pragma clang loop unroll(full)
        for (int r = 0; r < ROWS; r++) {
            const size_t row = work->first + j + (size_t)(r < there ? r : there - 1);
            const uint16_t *from = (const uint16_t *)w->data + row * w->ld;
#pragma clang loop unroll(full)
            for (int i = 0; i < c; i++) sums[i][r] = _mm512_setzero_ps();
#pragma clang loop unroll_count(2)
            for (size_t p = 0; p < whole; p += 32) {
                const __m512i value = _mm512_loadu_si512(from + p);
#pragma clang loop unroll(full)
                for (int i = 0; i < c; i++)
                    sums[i][r] = dot(
                        sums[i][r],
                        _mm512_load_si512(work->x + (size_t)i * work->x_bytes + 2 * p), value);
            }
            if (whole == work->k) continue;
            const __m512i value = load32(from, OK_BF16, whole, work->k - whole);
#pragma clang loop unroll(full)
            for (int i = 0; i < c; i++)
                sums[i][r] = dot(
                    sums[i][r],
                    _mm512_load_si512(work->x + (size_t)i * work->x_bytes + 2 * whole), value);
        }
#pragma clang loop unroll(full)
        for (int i = 0; i < c; i++) put(work, j, i, there, sums[i]);
    }
}

/* With double quantization a scale is one of 256 while an outer block of OUTER blocks lasts: the values that codes stand
 * for in the last MAPS outer blocks. */
#define OUTER 256
#define MAPS 8

typedef struct {
    const ok_nf4 *nf4;
    size_t outer[MAPS];
    float maps[MAPS][256];
} scales;

static scales scales_of(const ok_nf4 *nf4) {
    scales s;
    s.nf4 = nf4;
    for (int i = 0; i < MAPS; i++) s.outer[i] = SIZE_MAX;
    return s;
}

static const float *map_of(scales *s, size_t outer) {
#pragma clang fp contract(off)
    float *map = s->maps[outer % MAPS];
    if (s->outer[outer % MAPS] == outer) return map;
    const __m512 factor = _mm512_set1_ps(s->nf4->nested_absmax[outer]);
    const __m512 offset = _mm512_set1_ps(s->nf4->nested_offset);
    for (int i = 0; i < 256; i += 16) {
        const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(s->nf4->nested_table + i), factor);
        _mm512_storeu_ps(map + i, _mm512_add_ps(scaled, offset));
    }
    s->outer[outer % MAPS] = outer;
    return map;
}

/* The scales of `count` runs of 64 values from value `start` on. */
static const float *scales_at(scales *s, size_t start, size_t count, float *space) {
    const ok_nf4 *nf4 = s->nf4;
    if (nf4->block_size != 64) {
        for (size_t i = 0; i < count; i++)
            space[i] = ok_nf4_absmax(nf4, (start + 64 * i) / nf4->block_size);
        return space;
    }
    const size_t first = start / 64;
    if (nf4->absmax) return nf4->absmax + first;
    for (size_t i = 0; i < count;) {
        const size_t outer = ok_quotient(first + i, nf4->nested_block_size);
        const float *map = map_of(s, outer);
        size_t end = (outer + 1) * nf4->nested_block_size - first;
        if (end > count) end = count;
        /* Gathers are slower than loads here. */
#pragma clang loop vectorize(disable) unroll_count(8)
        for (; i < end; i++) space[i] = map[nf4->absmax_codes[first + i]];
    }
    return space;
}

/* 32 bytes of codes of one block: 64 values as bfloat16, those of even index and those of odd. */
typedef struct {
    __m512i even, odd;
} decoded;

INLINED decoded decode(const uint8_t *codes, const float *scale) {
    const __m512 scaled = _mm512_mul_ps(_mm512_loadu_ps(ok_nf4_table), _mm512_set1_ps(*scale));
    /* Twice, so that the fifth bit of an index does not matter. */
    const __m512i table = (__m512i)_mm512_cvtne2ps_pbh(scaled, scaled);
    const __m512i pairs = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i *)codes));
    decoded d;
    d.even = _mm512_permutexvar_epi16(_mm512_srli_epi16(pairs, 4), table);
    d.odd = _mm512_permutexvar_epi16(pairs, table);
    return d;
}

/* Whether scales of some rows can be looked up where they are needed: their outer blocks have maps at once. */
static bool has_maps(const ok_nf4 *nf4, size_t blocks) {
    return !nf4->absmax && nf4->block_size == 64 && nf4->nested_block_size == OUTER
        && ROWS * blocks <= (MAPS - 1) * OUTER;
}

/* Scales made at a time where they can't. */
#define SCALES 1024

/* Rows of W from block `first` of the matrix on; `scale` where scales were made. */
INLINED void nf4_tile(
    const int c, const bool maps, const ok_few_dots *work, const scales *s, size_t first,
    const float *scale, size_t ahead, size_t j, int there
) {
    const size_t blocks = work->k / 64;
    __m512 sums[GROUP][ROWS];
    size_t row[ROWS];
#pragma clang loop unroll(full)
    for (int r = 0; r < ROWS; r++) {
        row[r] = (size_t)(r < there ? r : there - 1) * blocks;
#pragma clang loop unroll(full)
        for (int i = 0; i < c; i++) sums[i][r] = _mm512_setzero_ps();
    }
    const uint8_t *codes = s->nf4->codes + 32 * first;
    const uint8_t *scale_codes = maps ? s->nf4->absmax_codes + first : NULL;
    const char *next = (const char *)codes + ahead, *x = work->x;
    for (size_t q = 0; q < blocks; q++, x += 128, next += 128) {
        ask_for(next);
        ask_for(next + 64);
#pragma clang loop unroll(full)
        for (int r = 0; r < ROWS; r++) {
            const size_t at = row[r] + q;
            const float *own = maps
                ? s->maps[(first + at) / OUTER % MAPS] + scale_codes[at] : scale + at;
            const decoded d = decode(codes + 32 * at, own);
#pragma clang loop unroll(full)
            for (int i = 0; i < c; i++) {
                const char *from = x + (size_t)i * work->x_bytes;
                sums[i][r] = dot(sums[i][r], _mm512_load_si512(from), d.even);
                sums[i][r] = dot(sums[i][r], _mm512_load_si512(from + 64), d.odd);
            }
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < c; i++) put(work, j, i, there, sums[i]);
}

static void nf4_tiles(
    const bool maps, const ok_few_dots *work, const scales *s, size_t first, const float *scale,
    size_t ahead, size_t j, int there
) {
    switch (work->m) {
    case 1: nf4_tile(1, maps, work, s, first, scale, ahead, j, there); break;
    case 2: nf4_tile(2, maps, work, s, first, scale, ahead, j, there); break;
    case 3: nf4_tile(3, maps, work, s, first, scale, ahead, j, there); break;
    default: nf4_tile(4, maps, work, s, first, scale, ahead, j, there); break;
    }
}

static void nf4_few(const ok_few_dots *work, scales *s) {
    const size_t blocks = work->k / 64, ahead = bytes_ahead(32 * blocks);
    const bool maps = has_maps(s->nf4, blocks);
    float space[SCALES];
    const size_t run = maps ? ROWS : SCALES / blocks / ROWS * ROWS;
    for (size_t start = 0; start < work->count; start += run) {
        const size_t rows = work->count - start < run ? work->count - start : run;
        const size_t first = (work->first + start) * blocks, end = first + rows * blocks;
        if (maps) {
            for (size_t outer = first / OUTER; outer * OUTER < end; outer++) map_of(s, outer);
            nf4_tiles(true, work, s, first, NULL, ahead, start, (int)rows);
            continue;
        }
        const float *scale = scales_at(s, first * 64, rows * blocks, space);
        for (size_t j = 0; j < rows; j += ROWS)
            nf4_tiles(
                false, work, s, first + j * blocks, scale + j * blocks, ahead, start + j,
                rows - j < ROWS ? (int)(rows - j) : ROWS);
    }
}

/* Values first ..< first + k of a row, in the order of x. */
static void row_values(
    const ok_few_dots *work, scales *s, size_t row, size_t first, size_t k, uint16_t *to
) {
    const ok_matrix *w = work->w;
    const size_t start = row * w->ld + first;
    if (!w->nf4) {
        convert(w->data, w->type, start, k, to);
    } else if (by_blocks(work)) {
        float space[CHUNK / 64];
        const float *own = scales_at(s, start, k / 64, space);
        const size_t ahead = bytes_ahead(work->k / 2);
        for (size_t p = 0; p < k; p += 64) {
            const uint8_t *codes = w->nf4->codes + (start + p) / 2;
            ask_for((const char *)codes + ahead);
            const decoded d = decode(codes, own + p / 64);
            _mm512_storeu_si512(to + p, d.even);
            _mm512_storeu_si512(to + p + 32, d.odd);
        }
    } else {
        work->tile->decode_nf4(w->nf4, start, k, OK_BF16, to);
    }
}

static void dots(const ok_few_dots *work) {
    const ok_matrix *w = work->w;
    scales s = scales_of(w->nf4);
    if (work->m <= GROUP && by_blocks(work) && work->k > 0 && work->k * ROWS <= 64 * SCALES) {
        nf4_few(work, &s);
        return;
    }
    const bool direct = !w->nf4 && w->type == OK_BF16;
    if (direct && work->m <= GROUP) {
        switch (work->m) {
        case 1: stream(1, work); return;
        case 2: stream(2, work); return;
        case 3: stream(3, work); return;
        default: stream(4, work); return;
        }
    }
    const int lines = !direct ? 0 : work->m > 2 * GROUP ? 1 : 2;
    const size_t ahead = bytes_ahead(w->ld * 2);
    _Alignas(64) uint16_t rows[ROWS][CHUNK];
    __m512 kept[OK_FEW_ROWS * ROWS];
    for (size_t j = 0; j < work->count; j += ROWS) {
        const int there = work->count - j < ROWS ? (int)(work->count - j) : ROWS;
        size_t p = 0;
        do {
            const size_t k = work->k - p < CHUNK ? work->k - p : CHUNK;
            chunk one = {
                .k = k, .j = j, .there = there, .begins = p == 0, .ends = p + k == work->k,
            };
            const char *next =
                (const char *)w->data + (work->first + j) * w->ld * 2 + ahead + 8 * p;
            for (int r = 0; r < ROWS; r++) {
                const int own = r < there ? r : there - 1;
                const size_t row = work->first + j + (size_t)own;
                if (direct) {
                    one.w[r] = (const uint16_t *)w->data + row * w->ld + p;
                } else {
                    one.w[r] = rows[own];
                    if (r < there) row_values(work, &s, row, p, k, rows[r]);
                }
            }
            for (one.row = 0; one.row < work->m; one.row += GROUP) {
                const int group = one.row / GROUP;
                one.next = next + 64 * lines * group;
                one.x = work->x + (size_t)one.row * work->x_bytes + 2 * p;
                tiles(
                    work->m - one.row < GROUP ? work->m - one.row : GROUP,
                    group * lines < ROWS ? lines : 0, work, &one, kept + one.row * ROWS);
            }
            p += k;
        } while (p < work->k);
    }
}

#pragma clang attribute pop

const ok_few_set ok_few_avx512bf16 = {
    .x_bytes = x_bytes, .pack = pack, .dots = dots, .combine = ok_few_combine_avx512,
    .finish = ok_few_finish_avx512,
};
#endif
