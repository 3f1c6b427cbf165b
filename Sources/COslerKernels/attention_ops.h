/* The element-wise kernels of attention, in vectors of LANES float32; included once per instruction set by files that
 * define LANES and OPS (the name of the table). */
#include "attention_vectors.h"

typedef float vec8 __attribute__((ext_vector_type(8)));
typedef float loose_vec8 __attribute__((ext_vector_type(8), aligned(4)));
typedef uint32_t uvec8 __attribute__((ext_vector_type(8)));
typedef uint16_t hvec8 __attribute__((ext_vector_type(8)));
typedef uint16_t loose_hvec8 __attribute__((ext_vector_type(8), aligned(2)));

INLINE vec8 load8(const void *data, ok_type type, size_t index) {
    if (type == OK_F32) return *(const loose_vec8 *)((const float *)data + index);
    hvec8 half = *(const loose_hvec8 *)((const uint16_t *)data + index);
    return __builtin_bit_cast(vec8, __builtin_convertvector(half, uvec8) << 16);
}

INLINE hvec8 to_bf16(vec8 x) {
    uvec8 bits = __builtin_bit_cast(uvec8, x);
    uvec8 rounded = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    uvec8 nan = bits >> 16 | 0x40u;
    uvec8 is_nan = __builtin_bit_cast(uvec8, (bits & 0x7fffffffu) > 0x7f800000u);
    return __builtin_convertvector((is_nan & nan) | (~is_nan & rounded), hvec8);
}

INLINE void store8(void *data, ok_type type, size_t index, vec8 x) {
    if (type == OK_F32) *(loose_vec8 *)((float *)data + index) = x;
    else *(loose_hvec8 *)((uint16_t *)data + index) = to_bf16(x);
}

/* Rows become columns: three rounds of interleaving halves. */
INLINE void transpose8(vec8 r[8]) {
    vec8 s[8], t[8];
    for (int i = 0; i < 4; i++) {
        s[2 * i] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        s[2 * i + 1] = __builtin_shufflevector(r[2 * i], r[2 * i + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    for (int i = 0; i < 8; i += 4)
        for (int j = 0; j < 2; j++) {
            t[i + 2 * j] =
                __builtin_shufflevector(s[i + j], s[i + 2 + j], 0, 1, 8, 9, 4, 5, 12, 13);
            t[i + 2 * j + 1] =
                __builtin_shufflevector(s[i + j], s[i + 2 + j], 2, 3, 10, 11, 6, 7, 14, 15);
        }
    for (int i = 0; i < 4; i++) {
        r[i] = __builtin_shufflevector(t[i], t[i + 4], 0, 1, 2, 3, 8, 9, 10, 11);
        r[i + 4] = __builtin_shufflevector(t[i], t[i + 4], 4, 5, 6, 7, 12, 13, 14, 15);
    }
}

INLINE float sum8(vec8 x) {
    return ((x[0] + x[4]) + (x[2] + x[6])) + ((x[1] + x[5]) + (x[3] + x[7]));
}

static bool softmax(
    float *scores, int keys, int nr, float scale2, float *maximum, float *sum, float *factor
) {
    ivec changed = 0;
    for (int column = 0; column < nr; column += LANES) {
        float *s = scores + column;
        const vec before = load(maximum + column);
        /* Two chains each, to hide the latency. */
        vec top = before, top2 = before;
        int key = 0;
        for (; key + 2 <= keys; key += 2) {
            top = larger(load(s + key * nr) * scale2, top);
            top2 = larger(load(s + (key + 1) * nr) * scale2, top2);
        }
        if (key < keys) top = larger(load(s + key * nr) * scale2, top);
        top = larger(top, top2);

        vec total = 0, total2 = 0;
        for (key = 0; key + 2 <= keys; key += 2) {
            vec p = power_of_two(load(s + key * nr) * scale2 - top);
            vec p2 = power_of_two(load(s + (key + 1) * nr) * scale2 - top);
            store(s + key * nr, p);
            store(s + (key + 1) * nr, p2);
            total += p;
            total2 += p2;
        }
        if (key < keys) {
            vec p = power_of_two(load(s + key * nr) * scale2 - top);
            store(s + key * nr, p);
            total += p;
        }
        const vec shrink = power_of_two(before - top);
        store(maximum + column, top);
        store(factor + column, shrink);
        store(sum + column, load(sum + column) * shrink + (total + total2));
        changed |= shrink != 1.0f;
    }
    for (int lane = 0; lane < LANES; lane++)
        if (changed[lane]) return true;
    return false;
}

static void scale_columns(float *tile, int rows, int nr, const float *factor) {
    for (int column = 0; column < nr; column += LANES) {
        const vec f = load(factor + column);
        for (int row = 0; row < rows; row++)
            store(tile + row * nr + column, load(tile + row * nr + column) * f);
    }
}

INLINE void store_columns_as(
    const float *tile, int nr, int rows, int columns, const float *factor, void *output,
    ok_type type, size_t ld
) {
    for (int column = 0; column < columns; column += 8) {
        const int count = columns - column < 8 ? columns - column : 8;
        const vec8 f = load8(factor, OK_F32, (size_t)column);
        for (int row = 0; row < rows; row += 8) {
            vec8 r[8];
            for (int i = 0; i < 8; i++)
                r[i] = load8(tile, OK_F32, (size_t)((row + i) * nr + column)) * f;
            transpose8(r);
            for (int i = 0; i < count; i++)
                store8(output, type, (size_t)(column + i) * ld + (size_t)row, r[i]);
        }
    }
}

static void store_columns(
    const float *tile, int nr, int rows, int columns, const float *factor, void *output,
    ok_type type, size_t ld
) {
    if (type == OK_BF16) store_columns_as(tile, nr, rows, columns, factor, output, OK_BF16, ld);
    else store_columns_as(tile, nr, rows, columns, factor, output, OK_F32, ld);
}

static void gradient(
    float *scores, float *dp, int rows, int nr, float scale2, const float *log_sum,
    const float *delta
) {
    for (int row = 0; row < rows; row++)
        for (int column = 0; column < nr; column += LANES) {
            float *s = scores + row * nr + column, *g = dp + row * nr + column;
            const vec p = power_of_two(load(s) * scale2 - log_sum[row]);
            store(s, p);
            store(g, p * (load(g) - delta[row]));
        }
}

static float dot(const void *x, const void *y, ok_type type, int width) {
    vec8 sum = 0;
    for (int i = 0; i < width; i += 8)
        sum += load8(x, type, (size_t)i) * load8(y, type, (size_t)i);
    return sum8(sum);
}

/* Rows of queries that meet a key in registers: 8 sums each. */
#define ROWS_AT_ONCE (LANES == 16 ? 3 : 1)
/* Keys and values that are asked for before their turn: a head's rows lie apart, which machines don't foresee. */
#define KEYS_AHEAD 32

static void ask_for_rows(
    const void *data, ok_type type, size_t ld, int64_t first, int64_t last, int width
) {
    for (int64_t row = first; row < last; row++)
        for (size_t at = 0; at < (size_t)width * ok_type_bytes(type); at += 64)
            __builtin_prefetch((const char *)data + (size_t)row * ld * ok_type_bytes(type) + at);
}

/* Eight keys or values of a head; from `count` on the last one again, whose scores are masked. */
typedef struct {
    const char *row[8];
} eight;

INLINE eight eight_at(
    const void *data, ok_type type, size_t ld, int64_t first, int64_t last, int width
) {
    const size_t bytes = ld * ok_type_bytes(type);
    const char *base = (const char *)data + (size_t)first * bytes;
    eight e;
#pragma clang loop unroll(full)
    for (int i = 0; i < 8; i++) {
        e.row[i] = base + (size_t)(first + i < last ? i : last - 1 - first) * bytes;
    }
    const int64_t next = first + KEYS_AHEAD, end = next + 8;
    ask_for_rows(data, type, ld, next, end < last ? end : last, width);
    return e;
}

/* scores[row, 8 keys] = scale2 * query * keys. */
INLINE void eight_scores(
    const int rows, const ok_type type, const float *query, const eight *keys, int width,
    float scale2, float *scores, size_t ld
) {
    vec8 sums[ROWS_AT_ONCE][8] = {0};
    for (int c = 0; c < width; c += 8) {
        vec8 own[ROWS_AT_ONCE];
#pragma clang loop unroll(full)
        for (int row = 0; row < rows; row++)
            own[row] = load8(query, OK_F32, (size_t)(row * width + c));
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i++) {
            const vec8 key = load8(keys->row[i], type, (size_t)c);
#pragma clang loop unroll(full)
            for (int row = 0; row < rows; row++) sums[row][i] += own[row] * key;
        }
    }
#pragma clang loop unroll(full)
    for (int row = 0; row < rows; row++) {
        vec8 *s = sums[row];
        transpose8(s);
        const vec8 total = ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
        *(loose_vec8 *)(scores + (size_t)row * ld) = total * scale2;
    }
}

/* output[row] += probabilities[row, 8 keys] * values. */
INLINE void add_eight_values(
    const ok_type type, const float *probabilities, size_t ld, const eight *values, int rows,
    int width, float *output
) {
    for (int c = 0; c < width; c += 8) {
        vec8 value[8];
#pragma clang loop unroll(full)
        for (int i = 0; i < 8; i++) value[i] = load8(values->row[i], type, (size_t)c);
        for (int row = 0; row < rows; row++) {
            const float *p = probabilities + (size_t)row * ld;
            loose_vec8 *out = (loose_vec8 *)(output + row * width + c);
            vec8 sum = *out;
#pragma clang loop unroll(full)
            for (int i = 0; i < 8; i++) sum += p[i] * value[i];
            *out = sum;
        }
    }
}

/* Scores of one row to probabilities, rounded as operands are; `count` a multiple of 16. */
static void few_softmax(
    float *scores, int64_t count, int64_t visible, ok_type type, float *maximum, float *sum
) {
    vec tops = -INFINITY;
    for (int64_t i = visible < 0 ? 0 : visible; i < count; i++) scores[i] = -INFINITY;
    for (int64_t i = 0; i < count; i += LANES) tops = larger(load(scores + i), tops);
    float top = tops[0];
    for (int lane = 1; lane < LANES; lane++) top = tops[lane] > top ? tops[lane] : top;
    *maximum = top;
    /* A chunk that this row does not see: all probabilities become 0. */
    if (top == -INFINITY) top = 0;
    vec total = 0;
    for (int64_t i = 0; i < count; i += LANES) {
        const vec p = power_of_two(load(scores + i) - top);
        total += p;
        store(scores + i, p);
    }
    float lanes = 0;
    for (int lane = 0; lane < LANES; lane++) lanes += total[lane];
    *sum = lanes;
    if (type != OK_BF16) return;
    for (int64_t i = 0; i < count; i += 8) {
        const hvec8 half = to_bf16(load8(scores, OK_F32, (size_t)i));
        *(loose_vec8 *)(scores + i) =
            __builtin_bit_cast(vec8, __builtin_convertvector(half, uvec8) << 16);
    }
}

INLINE void few_queries_as(const ok_few_queries *work, const ok_type type) {
    const int64_t count = work->last - work->first;
    const size_t ld = (size_t)((count + 15) & ~(int64_t)15);
    const int width = work->width;
    const int64_t start = work->first + (count < KEYS_AHEAD ? count : KEYS_AHEAD);
    ask_for_rows(work->key, type, work->ld, work->first, start, width);
    for (int64_t key = 0; key < count; key += 8) {
        const eight keys =
            eight_at(work->key, type, work->ld, work->first + key, work->last, width);
        for (int row = 0; row < work->rows; row += ROWS_AT_ONCE) {
            const float *query = work->query + row * width;
            float *scores = work->scores + (size_t)row * ld + key;
            switch (work->rows - row) {
            case 1: eight_scores(1, type, query, &keys, width, work->scale2, scores, ld); break;
            case 2:
                if (ROWS_AT_ONCE > 1) {
                    eight_scores(2, type, query, &keys, width, work->scale2, scores, ld);
                    break;
                }
            default:
                eight_scores(ROWS_AT_ONCE, type, query, &keys, width, work->scale2, scores, ld);
            }
        }
    }
    ask_for_rows(work->value, type, work->ld, work->first, start, width);
    for (int row = 0; row < work->rows; row++)
        few_softmax(
            work->scores + (size_t)row * ld, (int64_t)ld, work->visible[row] - work->first,
            type, work->maximum + row, work->sum + row);
    memset(work->output, 0, (size_t)work->rows * (size_t)width * sizeof(float));
    for (int64_t key = 0; key < count; key += 8) {
        const eight values =
            eight_at(work->value, type, work->ld, work->first + key, work->last, width);
        add_eight_values(
            type, work->scores + key, ld, &values, work->rows, width, work->output);
    }
}

static void few_queries(const ok_few_queries *work) {
    ok_few_queries one = *work;
    const size_t head_bytes = (size_t)work->width * ok_type_bytes(work->type);
    for (int head = 0; head < work->heads; head++) {
        if (work->type == OK_BF16) few_queries_as(&one, OK_BF16);
        else few_queries_as(&one, OK_F32);
        one.query += work->rows * work->width;
        one.key = (const char *)one.key + head_bytes;
        one.value = (const char *)one.value + head_bytes;
        one.maximum += work->results_ld;
        one.sum += work->results_ld;
        one.output += work->results_ld;
    }
}

const ok_attention_ops OPS = {
    .softmax = softmax, .scale_columns = scale_columns, .store_columns = store_columns,
    .gradient = gradient, .dot = dot, .few_queries = few_queries,
};
