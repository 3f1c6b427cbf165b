/* Attention of few queries over cached bfloat16 keys and values, by vdpbf16ps.
 *
 * Scores: a key's row is multiplied with a query's 32 columns at a time, and the lanes of 16 keys are summed together.
 * Values: two keys' rows are interleaved, so that a lane holds both values of a column and meets both probabilities.
 *
 * Variants on 2 cores of Zen 4 which together read 30-36 GB/s, one token of SmolLM2's shape over 640 keys of 30 layers
 * that come from memory, GB/s of keys and values by one thread and by two; from cache one thread uses 24:
 * - converted to float32, 8 lanes at a time, a head of 128 keys an item (attention_ops.h): 4.2, 8.8;
 * - as it is, but head after head, 32 rows of which are asked for ahead: 7.5, 14; all heads' rows by the first head: 10, 17;
 * - all heads of 16 keys together, rows asked for in one go into the first-level cache: 8.3, 14.5; nothing asked for:
 *   7.8, 13.5; a few rows at a time between the products, into the first 14, 20, into the second 13-17, 19-29. */
#if defined(__x86_64__)
#define LANES 16
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,evex512"))), \
    apply_to = function)
#include "attention_vectors.h"
#include "sums_avx512.h"

/* Keys whose lanes are summed together. */
#define KEYS 16
/* Columns of values at a time, and rows of queries that they meet. */
#define COLUMNS 64
#define ROWS 4

INLINE __mmask32 first_of_32(int count) {
    return count >= 32 ? ~(__mmask32)0 : count <= 0 ? 0 : ((__mmask32)1 << count) - 1;
}

/* Asks for one of `parts` of the 16 rows, all heads wide, that come after those from `first` on: keys, then values. */
static void ask_ahead(
    const ok_few_queries *work, bool of_values, int64_t first, int part, int parts
) {
    const int64_t count = work->last - work->first;
    first += KEYS;
    if (first >= count && !of_values) (first = 0, of_values = true);
    const int64_t end = attention_min(count, first + KEYS * (part + 1) / parts);
    const char *rows = (const char *)(of_values ? work->value : work->key);
    for (int64_t row = first + KEYS * part / parts; row < end; row++)
        for (int at = 0; at < work->heads * work->width * 2; at += 64)
            _mm_prefetch(rows + (size_t)(work->first + row) * work->ld * 2 + at, _MM_HINT_T1);
}

/* scores[row, 16 keys] = scale2 * query * keys for a head's rows; from `last` on the last key's again, which nobody
 * sees. */
static void scores_of_16(
    const ok_few_queries *work, int head, const char *keys, int64_t first, size_t ld
) {
    const size_t row_bytes = work->ld * 2;
    const int64_t last = work->last - work->first - 1;
    const char *key[KEYS];
    for (int i = 0; i < KEYS; i++)
        key[i] = keys + (size_t)attention_min(first + i, last) * row_bytes
            + 2 * (size_t)(head * work->width);
    for (int row = head * work->rows; row < (head + 1) * work->rows; row++) {
        ask_ahead(work, false, first, row, work->heads * work->rows);
        const float *query = work->query + row * work->width;
        __m512 sums[KEYS];
#pragma clang loop unroll(full)
        for (int i = 0; i < KEYS; i++) sums[i] = _mm512_setzero_ps();
        for (int c = 0; c < work->width; c += 32) {
            const __mmask32 mask = first_of_32(work->width - c);
            const __m512bh own = _mm512_cvtne2ps_pbh(
                _mm512_maskz_loadu_ps((__mmask16)(mask >> 16), query + c + 16),
                _mm512_maskz_loadu_ps((__mmask16)mask, query + c));
#pragma clang loop unroll(full)
            for (int i = 0; i < KEYS; i++)
                sums[i] = _mm512_dpbf16_ps(
                    sums[i], own, (__m512bh)_mm512_maskz_loadu_epi16(mask, key[i] + 2 * c));
        }
        _mm512_storeu_ps(
            work->scores + (size_t)row * ld + first,
            _mm512_mul_ps(sums_of_16(sums), _mm512_set1_ps(work->scale2)));
    }
}

/* `count` scores of one row, a multiple of 16, to bfloat16 probabilities in their place. */
static void few_softmax(float *scores, int64_t count, int64_t visible, float *maximum, float *sum) {
    vec tops = -INFINITY, total = 0;
    for (int64_t i = attention_max(visible, 0); i < count; i++) scores[i] = -INFINITY;
    for (int64_t i = 0; i < count; i += LANES) tops = larger(load(scores + i), tops);
    float top = _mm512_reduce_max_ps(tops);
    *maximum = top;
    /* A chunk that this row does not see: all probabilities become 0. */
    if (top == -INFINITY) top = 0;
    for (int64_t i = 0; i < count; i += LANES) {
        const vec p = power_of_two(load(scores + i) - top);
        total += p;
        _mm256_storeu_si256(
            (__m256i *)((uint16_t *)scores + i), (__m256i)_mm512_cvtneps_pbh(p));
    }
    *sum = _mm512_reduce_add_ps(total);
}

/* Adds probabilities * values of keys `first` ..< `first + KEYS` to `rows` rows of COLUMNS columns. Sums stand interleaved
 * as unpacking does it: see `put_in_order`. */
INLINE void add_values(
    const int rows, const char *values, size_t row_bytes, int64_t first, int64_t count, int columns,
    const uint16_t *probabilities, size_t ld, float *sums
) {
    const __mmask32 low = first_of_32(columns), high = first_of_32(columns - 32);
    const int64_t end = attention_min(first + KEYS, count);
    __m512 own[ROWS][4];
#pragma clang loop unroll(full)
    for (int i = 0; i < 4 * rows; i++)
        own[i / 4][i % 4] = first == 0 ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + 16 * i);
    for (int64_t key = first; key < end; key += 2) {
        const char *one = values + (size_t)key * row_bytes;
        const char *other = key + 1 < count ? one + row_bytes : one;
        const __m512i a = _mm512_maskz_loadu_epi16(low, one);
        const __m512i b = _mm512_maskz_loadu_epi16(low, other);
        const __m512i c = _mm512_maskz_loadu_epi16(high, one + 64);
        const __m512i d = _mm512_maskz_loadu_epi16(high, other + 64);
        const __m512i pairs[4] = {
            _mm512_unpacklo_epi16(a, b), _mm512_unpackhi_epi16(a, b), _mm512_unpacklo_epi16(c, d),
            _mm512_unpackhi_epi16(c, d),
        };
#pragma clang loop unroll(full)
        for (int row = 0; row < rows; row++) {
            int32_t both;
            memcpy(&both, probabilities + (size_t)row * ld * 2 + key, sizeof both);
            const __m512bh weights = (__m512bh)_mm512_set1_epi32(both);
#pragma clang loop unroll(full)
            for (int i = 0; i < 4; i++)
                own[row][i] = _mm512_dpbf16_ps(own[row][i], weights, (__m512bh)pairs[i]);
        }
    }
#pragma clang loop unroll(full)
    for (int i = 0; i < 4 * rows; i++) _mm512_storeu_ps(sums + 16 * i, own[i / 4][i % 4]);
}

/* The sums of a row's COLUMNS columns, in their order. */
INLINE void put_in_order(const float *sums, int columns, float *output) {
    const __m512i before =
        _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    const __m512i behind = _mm512_add_epi32(before, _mm512_set1_epi32(8));
#pragma clang loop unroll(full)
    for (int i = 0; i < COLUMNS; i += 32) {
        const __mmask32 mask = first_of_32(columns - i);
        const __m512 x = _mm512_loadu_ps(sums + i), y = _mm512_loadu_ps(sums + i + 16);
        _mm512_mask_storeu_ps(
            output + i, (__mmask16)mask, _mm512_permutex2var_ps(x, before, y));
        _mm512_mask_storeu_ps(
            output + i + 16, (__mmask16)(mask >> 16), _mm512_permutex2var_ps(x, behind, y));
    }
}

static void add_values_of_16(
    const ok_few_queries *work, int head, const char *values, int64_t first, size_t ld
) {
    const size_t row_bytes = work->ld * 2;
    const int64_t count = work->last - work->first;
    const int blocks = (work->width + COLUMNS - 1) / COLUMNS, rows = work->rows;
    ask_ahead(work, true, first, head, work->heads);
    for (int block = 0; block < blocks; block++) {
        const int column = block * COLUMNS, columns = work->width - column;
        const char *from = values + 2 * (size_t)(head * work->width + column);
        for (int row = 0; row < rows; row += ROWS) {
            const uint16_t *p = (const uint16_t *)(work->scores + (size_t)(head * rows + row) * ld);
            float *sums = work->sums + (size_t)((head * blocks + block) * rows + row) * COLUMNS;
#define CASE(N) add_values(N, from, row_bytes, first, count, columns, p, ld, sums)
            switch (rows - row) {
            case 1: CASE(1); break;
            case 2: CASE(2); break;
            case 3: CASE(3); break;
            default: CASE(ROWS);
            }
#undef CASE
        }
    }
}

static void finish(const ok_few_queries *work, int head) {
    const int blocks = (work->width + COLUMNS - 1) / COLUMNS, rows = work->rows;
    for (int block = 0; block < blocks; block++)
        for (int row = 0; row < rows; row++)
            put_in_order(
                work->sums + (size_t)((head * blocks + block) * rows + row) * COLUMNS,
                work->width - block * COLUMNS,
                work->output + (size_t)head * work->results_ld
                    + (size_t)(row * work->width + block * COLUMNS));
}

void ok_few_queries_avx512bf16(const ok_few_queries *work) {
    const int64_t count = work->last - work->first;
    const size_t ld = (size_t)((count + 15) & ~(int64_t)15), row_bytes = work->ld * 2;
    const char *keys = (const char *)work->key + (size_t)work->first * row_bytes;
    const char *values = (const char *)work->value + (size_t)work->first * row_bytes;
    ask_ahead(work, false, -KEYS, 0, 1);
    for (int64_t key = 0; key < count; key += KEYS)
        for (int head = 0; head < work->heads; head++) scores_of_16(work, head, keys, key, ld);
    for (int head = 0; head < work->heads; head++)
        for (int row = 0; row < work->rows; row++)
            few_softmax(
                work->scores + (size_t)(head * work->rows + row) * ld, (int64_t)ld,
                work->visible[row] - work->first,
                work->maximum + (size_t)head * work->results_ld + row,
                work->sum + (size_t)head * work->results_ld + row);
    for (int64_t key = 0; key < count; key += KEYS)
        for (int head = 0; head < work->heads; head++)
            add_values_of_16(work, head, values, key, ld);
    for (int head = 0; head < work->heads; head++) finish(work, head);
}
#pragma clang attribute pop
#endif
