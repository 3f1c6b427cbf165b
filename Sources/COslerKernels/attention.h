/* What the attention passes share: element-wise kernels for one instruction set, and small helpers. */
#pragma once
#include <math.h>
#include <stdatomic.h>

#include "Attention.h"
#include "gemm_tile.h"

#define ATTENTION_LOG2E 1.4426950408889634f
#define ATTENTION_LN2 0.6931471805599453f
/* Sequences of this many queries at most take the path that streams keys and values once. */
#define ATTENTION_FEW_QUERIES 4

/* Rows of queries over one chunk of keys: `rows` of them share each of `heads` key heads, which lie side by side. Row r of
 * a head sees keys below visible[r]. `query` is float32 [heads, rows, width]; `scores` is scratch [heads * rows, last -
 * first rounded up to 16], `sums` too [heads * rows, width rounded up to 64]. A head's results, which are `results_ld`
 * apart, are maximum, sum [rows] in units of log2, and output [rows, width] = sum of exp2(score - maximum) * value. */
typedef struct ok_few_queries {
    const float *query;
    const void *key, *value;
    ok_type type;
    size_t ld;
    int heads, rows, width;
    int64_t first, last;
    const int64_t *visible;
    float scale2;
    float *scores, *sums;
    float *maximum, *sum, *output;
    size_t results_ld;
} ok_few_queries;

/* The part of attention that is not a product. Tiles have `nr` columns, a multiple of 8, densely. Scores are in units
 * of log2: `scale2` is scale * log2(e), and exponentials are powers of two. */
typedef struct ok_attention_ops {
    /* One step of the online softmax (Milakov & Gimelshein 2018) down the columns of scores [keys, nr]: scores become
     * exp2(scale2 * score - maximum), `maximum` and `sum` [nr] go on, `factor` [nr] is what earlier sums are to be
     * multiplied with. False when that is 1 everywhere. */
    bool (*softmax)(
        float *scores, int keys, int nr, float scale2, float *maximum, float *sum, float *factor);
    /* tile [rows, nr] *= factor [nr]. */
    void (*scale_columns)(float *tile, int rows, int nr, const float *factor);
    /* output[column * ld + row] = tile[row, column] * factor[column] for column < columns, row < rows (of 8). */
    void (*store_columns)(
        const float *tile, int nr, int rows, int columns, const float *factor, void *output,
        ok_type type, size_t ld);
    /* With a = exp2(scale2 * score - log_sum[row]): score becomes a, dp becomes a * (dp - delta[row]). */
    void (*gradient)(
        float *scores, float *dp, int rows, int nr, float scale2, const float *log_sum,
        const float *delta);
    /* Sum of x * y over `width` values. */
    float (*dot)(const void *x, const void *y, ok_type type, int width);
    /* Attention of few rows over keys first ..< last, unnormalised; see ok_few_queries. */
    void (*few_queries)(const ok_few_queries *work);
} ok_attention_ops;

const ok_attention_ops *ok_attention_ops_get(ok_isa isa);
extern const ok_attention_ops ok_attention_portable;
#if defined(__x86_64__)
extern const ok_attention_ops ok_attention_avx2, ok_attention_avx512;
/* Of bfloat16 keys and values. */
void ok_few_queries_avx512bf16(const ok_few_queries *work);
#endif

/* Memory cut from one block; with base 0 it only counts. */
typedef struct {
    uintptr_t next;
} attention_arena;

static inline void *attention_take(attention_arena *arena, size_t bytes) {
    void *result = (void *)arena->next;
    arena->next += (bytes + 63) & ~(size_t)63;
    return result;
}

static inline int64_t attention_ceil(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline int64_t attention_min(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t attention_max(int64_t a, int64_t b) { return a > b ? a : b; }

static inline const void *attention_at(const void *data, ok_type type, size_t index) {
    return (const char *)data + index * ok_type_bytes(type);
}

/* True when a float32 tile of nr columns is a panel of B as it stands. */
static inline bool attention_tile_is_panel(const ok_tile *tile) {
    return tile->k_step == 1 && tile->element_bytes == 4 && !tile->bfloat16;
}

/* Packs `rows` rows of source as panels of A, one after the other. */
static inline void attention_pack_a(
    const ok_tile *tile, const void *source, ok_type type, size_t ld, bool transposed, int rows,
    int k, void *panels
) {
    const size_t bytes = ok_panel_bytes(tile, tile->mr, k);
    for (int row = 0; row < rows; row += tile->mr)
        tile->pack_a(
            attention_at(source, type, transposed ? (size_t)row : (size_t)row * ld), type, ld,
            transposed, (int)attention_min(tile->mr, rows - row), k,
            (char *)panels + (size_t)(row / tile->mr) * bytes);
}

/* c [rows, nr] (+)= A * B for panels of A in a row, `a_bytes` apart, and one panel of B. */
static inline void attention_multiply(
    const ok_tile *tile, int rows, int k, const void *a, size_t a_bytes, const void *b, float *c,
    bool accumulate
) {
    for (int row = 0; row < rows; row += tile->mr)
        tile->kernel(
            k, (const char *)a + (size_t)(row / tile->mr) * a_bytes, b, c + row * tile->nr,
            (size_t)tile->nr, accumulate, (int)attention_min(tile->mr, rows - row), tile->nr);
}
