#pragma once
#include "GEMM.h"
#pragma clang assume_nonnull begin

/* Where one sequence lies, as Swift's SequenceTable.Entry: query i sees keys 0 ... key_count - query_count + i. */
typedef struct ok_sequence {
    int64_t query_offset, query_count, key_offset, key_count;
} ok_sequence;

/* Causal attention over flattened sequences with grouped heads. query, output [query_rows, heads, width]; key, value
 * [*, key_heads, width]; all of `type`; log_sum_exp float32 [heads, query_rows]. `width` is a multiple of 8. */
typedef struct ok_attention {
    const void *_Nullable query, *_Nullable key, *_Nullable value;
    void *_Nullable output;
    float *_Nullable log_sum_exp;
    const ok_sequence *_Nullable sequences;
    size_t sequence_count;
    size_t query_rows;
    int heads, key_heads, width;
    float scale;
    ok_type type;
} ok_attention;

/* Of the same shapes and type as what they are gradients of. Query and key counts are equal. */
typedef struct ok_attention_gradients {
    const void *output;
    void *query, *key, *value;
} ok_attention_gradients;

/* Bytes that the two passes need, aligned to 64. The tensors may be NULL here. */
size_t ok_attention_workspace(const ok_attention *attention, const ok_tile *tile, int threads);
size_t ok_attention_backward_workspace(
    const ok_attention *attention, const ok_tile *tile, int threads);

void ok_attention_forward(
    const ok_attention *attention, const ok_tile *tile, ok_pool *pool, void *workspace);
void ok_attention_backward(
    const ok_attention *attention, const ok_attention_gradients *gradients, const ok_tile *tile,
    ok_pool *pool, void *workspace);

#pragma clang assume_nonnull end
