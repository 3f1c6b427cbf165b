// Causal attention in float32, forward and backward: the reference mode's, plain rather than fast.
// A warp a row (forward, query gradients) or a key (the others): each lane scores one of 32 keys or
// rows, then owns every 32nd element of the output.
//
// Grids, tables and arguments as in attention.cu and attention_backward.cu with float32 tensors,
// 128 threads, no shared memory; a block's 4 warps take the 64 rows or keys of its tile in turn.
// Widths up to 128.
//
// osler_attention_f32(q, k, v, items, y, logSumExp, queries, heads, keyHeads, width, scale)
// osler_attention_dq_f32(q, k, v, dy, items, logSumExp, delta, dq, queries, heads, keyHeads, width,
//                        scale)
// osler_attention_dkv_f32(q, k, v, dy, items, logSumExp, delta, dk, dv, queries, heads, keyHeads,
//                         width, scale)
#include "prelude.cuh"

DEV float dot_of(const float *a, const float *b, int width)
{
    float sum[4] = {0, 0, 0, 0};
    for (int c = 0; c < width; c += 4)
        for (int i = 0; i < 4; i++) sum[i] += a[c + i] * b[c + i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}
/* sums += weight of each of `count` lanes * that lane's row, lane by lane. */
DEV void add_rows(
    float *sums, float weight, const HeadRows<const float> &rows, int first, int count)
{
    int lane = threadIdx.x & 31;
    for (int j = 0; j < count; j++) {
        float w = __shfl_sync(0xFFFFFFFFu, weight, j);
        const float *row = rows.at(first + j);
        for (int i = 0; i < 4; i++)
            if (lane + 32 * i < rows.width) sums[i] += w * row[lane + 32 * i];
    }
}
DEV void store_row(float *row, const float *sums, float scale, int width)
{
    int lane = threadIdx.x & 31;
    for (int i = 0; i < 4; i++)
        if (lane + 32 * i < width) row[lane + 32 * i] = sums[i] * scale;
}

KERNEL osler_attention_f32(
    const float *q, const float *k, const float *v, const int *items, float *y, float *logSumExp,
    int queries, int heads, int keyHeads, int width, float scale)
{
    AttentionItem item = attention_item(items);
    int head = blockIdx.y, group = heads / keyHeads, lane = threadIdx.x & 31;
    HeadRows<const float> qRows = {q, item.query_offset, heads, head * group, group, width};
    HeadRows<const float> kRows = {k, item.key_offset, keyHeads, head, 1, width};
    HeadRows<const float> vRows = {v, item.key_offset, keyHeads, head, 1, width};
    HeadRows<float> yRows = {y, item.query_offset, heads, head * group, group, width};
    int end = (int)smaller(item.start + 64, (i64)item.query_count * group);
    for (int row = item.start + (threadIdx.x >> 5); row < end; row += 4) {
        int seen = keys_seen(item, row, group);
        const float minus = __uint_as_float(0xFF800000u);
        float largest = minus, sum = 0, out[4] = {0, 0, 0, 0};
        for (int first = 0; first < seen; first += 32) {
            int count = (int)smaller(seen - first, 32);
            float s = lane < count
                ? dot_of(qRows.at(row), kRows.at(first + lane), width) * scale
                : minus;
            float most = fmaxf(largest, warp_max(s)), shrink = expf(largest - most);
            float p = expf(s - most);
            sum = sum * shrink + warp_sum(p);
            for (int i = 0; i < 4; i++) out[i] *= shrink;
            add_rows(out, p, vRows, first, count);
            largest = most;
        }
        store_row(yRows.at(row), out, 1.0f / sum, width);
        int token = item.query_offset + row / group;
        if (lane == 0)
            logSumExp[(i64)(head * group + row % group) * queries + token] = largest + logf(sum);
    }
}
REGISTER(osler_attention_f32)

KERNEL osler_attention_dq_f32(
    const float *q, const float *k, const float *v, const float *dy, const int *items,
    const float *logSumExp, const float *delta, float *dq, int queries, int heads, int keyHeads,
    int width, float scale)
{
    AttentionItem item = attention_item(items);
    int head = blockIdx.y, group = heads / keyHeads, lane = threadIdx.x & 31;
    HeadRows<const float> qRows = {q, item.query_offset, heads, head * group, group, width};
    HeadRows<const float> dyRows = {dy, item.query_offset, heads, head * group, group, width};
    HeadRows<const float> kRows = {k, item.key_offset, keyHeads, head, 1, width};
    HeadRows<const float> vRows = {v, item.key_offset, keyHeads, head, 1, width};
    HeadRows<float> out = {dq, item.query_offset, heads, head * group, group, width};
    int end = (int)smaller(item.start + 64, (i64)item.query_count * group);
    for (int row = item.start + (threadIdx.x >> 5); row < end; row += 4) {
        i64 at = (i64)(head * group + row % group) * queries + item.query_offset + row / group;
        int seen = keys_seen(item, row, group);
        float sums[4] = {0, 0, 0, 0};
        for (int first = 0; first < seen; first += 32) {
            int count = (int)smaller(seen - first, 32);
            float ds = 0;
            if (lane < count) {
                const float *key = kRows.at(first + lane);
                float p = expf(dot_of(qRows.at(row), key, width) * scale - logSumExp[at]);
                ds = p * (dot_of(dyRows.at(row), vRows.at(first + lane), width) - delta[at]);
            }
            add_rows(sums, ds, kRows, first, count);
        }
        store_row(out.at(row), sums, scale, width);
    }
}
REGISTER(osler_attention_dq_f32)

KERNEL osler_attention_dkv_f32(
    const float *q, const float *k, const float *v, const float *dy, const int *items,
    const float *logSumExp, const float *delta, float *dk, float *dv, int queries, int heads,
    int keyHeads, int width, float scale)
{
    AttentionItem item = attention_item(items);
    int head = blockIdx.y, group = heads / keyHeads, lane = threadIdx.x & 31;
    HeadRows<const float> qRows = {q, item.query_offset, heads, head * group, group, width};
    HeadRows<const float> dyRows = {dy, item.query_offset, heads, head * group, group, width};
    HeadRows<const float> kRows = {k, item.key_offset, keyHeads, head, 1, width};
    HeadRows<const float> vRows = {v, item.key_offset, keyHeads, head, 1, width};
    HeadRows<float> keys = {dk, item.key_offset, keyHeads, head, 1, width};
    HeadRows<float> values = {dv, item.key_offset, keyHeads, head, 1, width};
    int end = (int)smaller(item.start + 64, item.key_count), rowEnd = item.query_count * group;
    for (int key = item.start + (threadIdx.x >> 5); key < end; key += 4) {
        int firstRow = larger(key - (item.key_count - item.query_count), 0) * group;
        float keySums[4] = {0, 0, 0, 0}, valueSums[4] = {0, 0, 0, 0};
        for (int first = firstRow; first < rowEnd; first += 32) {
            int count = (int)smaller(rowEnd - first, 32), row = first + lane;
            float p = 0, ds = 0;
            if (lane < count) {
                i64 at =
                    (i64)(head * group + row % group) * queries + item.query_offset + row / group;
                float s = dot_of(qRows.at(row), kRows.at(key), width) * scale;
                p = expf(s - logSumExp[at]);
                ds = p * (dot_of(dyRows.at(row), vRows.at(key), width) - delta[at]);
            }
            add_rows(valueSums, p, dyRows, first, count);
            add_rows(keySums, ds, qRows, first, count);
        }
        store_row(keys.at(key), keySums, scale, width);
        store_row(values.at(key), valueSums, 1.0f, width);
    }
}
REGISTER(osler_attention_dkv_f32)
