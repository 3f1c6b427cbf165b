// Gradients of causal attention, bfloat16 or float16, after FlashAttention-2 (Dao 2023): scores are
// computed again from logSumExp. No atomics: queries' gradients in one pass, keys' and values' in
// another, each summed by one block in a fixed order, so the bits repeat. That computes scores
// twice (7 products of tiles instead of 5); the alternative, atomic additions to float32 query
// gradients, has bits that depend on the schedule.
//
// osler_attention_delta(dy, y, type, delta, queries, heads, width)
//   delta [heads, queries] = sum(dy * y) over the width. Grid: ceil(queries * heads / 8) blocks of
//   256 threads, a warp a row.
// osler_attention_dq_TYPE_W(q, k, v, dy, items, logSumExp, delta, dq, queries, heads, keyHeads,
//                           width, scale)
//   Grid: (tiles of 64 rows, key heads), 128 threads; items as in attention.cu. Key tiles of 32,
//   twice: (2 * 64 + 4 * 32) (W + 8) * 2 bytes of dynamic shared memory: 20, 36, 52, 68 KB for
//   W = 32, 64, 96, 128.
// osler_attention_dkv_TYPE_W(q, k, v, dy, items, logSumExp, delta, dk, dv, queries, heads,
//                            keyHeads, width, scale)
//   Grid: (tiles of 64 keys, key heads), 128 threads; items' start = the first key. Row tiles of
//   32, twice: the same tiles and 4 * 32 floats more: 512 bytes. Both accumulators of a key row are
//   W registers a thread, which leaves room for tiles of 32 rows, not of 64.
//
// Turing has 64 KB a block: there the short tiles of W = 128 have 16 keys or rows, 192 (W + 8) * 2
// bytes in all, 51 KB.
#include "prelude.cuh"

constexpr float log2e = 1.4426950408889634f;
constexpr int longTile = 64;
template <int W> DEV constexpr int short_tile() { return AMPERE || W < 128 ? 32 : 16; }

template <class T>
DEV void delta_row(const T *dy, const T *y, float *delta, int queries, int heads, int width)
{
    int lane = threadIdx.x & 31;
    i64 row = (i64)blockIdx.x * 8 + (threadIdx.x >> 5);
    if (row >= (i64)queries * heads) return;
    dy += row * width;
    y += row * width;
    bool wide = aligned16(dy) && aligned16(y);
    float sum = 0;
    for (int i = 8 * lane; i < width; i += 256) {
        float a[8], b[8];
        load_of(dy, i, width, wide, a);
        load_of(y, i, width, wide, b);
        for (int j = 0; j < 8; j++) sum += a[j] * b[j];
    }
    sum = warp_sum(sum);
    if (lane == 0) delta[row % heads * queries + row / heads] = sum;
}

KERNEL osler_attention_delta(
    const void *dy, const void *y, int type, float *delta, int queries, int heads, int width)
{
    if (type == F32) delta_row((const float *)dy, (const float *)y, delta, queries, heads, width);
    else if (type == BF16)
        delta_row((const bf16 *)dy, (const bf16 *)y, delta, queries, heads, width);
    else delta_row((const f16 *)dy, (const f16 *)y, delta, queries, heads, width);
}
REGISTER(osler_attention_delta)

/* c [16, 8 N] = left [16 rows from `row`, W] * right [8 N rows, W]^T */
template <int W, int N, class H>
DEV void scores_of(float (*c)[4], const H *left, int row, const H *right)
{
#pragma unroll
    for (int n = 0; n < N; n++) c[n][0] = c[n][1] = c[n][2] = c[n][3] = 0;
#pragma unroll
    for (int k = 0; k < W / 16; k++) {
        u32 a[4];
        left_operand<W>(a, left, row, 16 * k);
#pragma unroll
        for (int n = 0; n < N / 2; n++) {
            u32 b[4];
            right_of_rows<W>(b, right, 16 * n, 16 * k);
            mma_16816(H(), c[2 * n], a, b[0], b[1]);
            mma_16816(H(), c[2 * n + 1], a, b[2], b[3]);
        }
    }
}
/* c [16, W] += left [16, 8 N], in accumulators, * right [8 N rows, W] */
template <int W, int N, class H>
DEV void add_product(float (*c)[4], const float (*left)[4], const H *right)
{
#pragma unroll
    for (int k = 0; k < N / 2; k++) {
        u32 a[4];
        left_of_sums(H(), a, left, k);
#pragma unroll
        for (int n = 0; n < W / 16; n++) {
            u32 b[4];
            right_of_columns<W>(b, right, 16 * k, 16 * n);
            mma_16816(H(), c[2 * n], a, b[0], b[1]);
            mma_16816(H(), c[2 * n + 1], a, b[2], b[3]);
        }
    }
}

template <class H, int W>
DEV void query_gradients(
    H *shared, const H *q, const H *k, const H *v, const H *dy, const int *items,
    const float *logSumExp, const float *delta, H *dq, int queries, int heads, int keyHeads,
    int width, float scale)
{
    constexpr int shortTile = short_tile<W>(), columns = shortTile / 8;
    constexpr int size = shortTile * tile_stride<W>(), large = longTile * tile_stride<W>();
    H *sQ = shared, *sDY = sQ + large, *sK = sDY + large, *sV = sK + 2 * size;
    AttentionItem item = attention_item(items);
    int head = blockIdx.y, group = heads / keyHeads;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
    int rowCount = (int)smaller((i64)item.query_count * group - item.start, longTile);
    int lastRow = item.start + rowCount - 1;
    int tiles = (keys_seen(item, lastRow, group) + shortTile - 1) / shortTile;
    bool wide = aligned16(q) && aligned16(k) && aligned16(v) && aligned16(dy);
    HeadRows<const H> qRows = {q, item.query_offset, heads, head * group, group, width};
    HeadRows<const H> dyRows = {dy, item.query_offset, heads, head * group, group, width};
    HeadRows<const H> kRows = {k, item.key_offset, keyHeads, head, 1, width};
    HeadRows<const H> vRows = {v, item.key_offset, keyHeads, head, 1, width};

    int rows[2], seen[2];
    float logs[2], deltas[2];
    for (int h = 0; h < 2; h++) {
        rows[h] = item.start + 16 * warp + g + 8 * h;
        int row = rows[h] < lastRow ? rows[h] : lastRow;
        i64 at = (i64)(head * group + row % group) * queries + item.query_offset + row / group;
        seen[h] = keys_seen(item, row, group);
        logs[h] = logSumExp[at] * log2e;
        deltas[h] = delta[at];
    }
    float sums[W / 8][4];
#pragma unroll
    for (int n = 0; n < W / 8; n++) sums[n][0] = sums[n][1] = sums[n][2] = sums[n][3] = 0;

    load_tile<longTile, W>(sQ, qRows, item.start, rowCount, wide);
    load_tile<longTile, W>(sDY, dyRows, item.start, rowCount, wide);
    load_tile<shortTile, W>(sK, kRows, 0, item.key_count, wide);
    load_tile<shortTile, W>(sV, vRows, 0, item.key_count, wide);
    cp_async_commit();
    for (int j = 0; j < tiles; j++) {
        if (j + 1 < tiles) {
            int first = (j + 1) * shortTile, next = (j + 1) & 1;
            load_tile<shortTile, W>(sK + next * size, kRows, first, item.key_count - first, wide);
            load_tile<shortTile, W>(sV + next * size, vRows, first, item.key_count - first, wide);
            cp_async_commit();
            cp_async_wait<1>();
        } else {
            cp_async_wait<0>();
        }
        __syncthreads();
        const H *keys = sK + (j & 1) * size, *values = sV + (j & 1) * size;
        float s[columns][4], d[columns][4];
        scores_of<W, columns>(s, sQ, 16 * warp, keys);
        scores_of<W, columns>(d, sDY, 16 * warp, values);
#pragma unroll
        for (int n = 0; n < columns; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                bool sees = j * shortTile + 8 * n + 2 * t + (i & 1) < seen[i >> 1];
                float p = fast_exp2(s[n][i] * (scale * log2e) - logs[i >> 1]);
                s[n][i] = sees ? p * (d[n][i] - deltas[i >> 1]) : 0.0f;
            }
        add_product<W, columns>(sums, s, keys);
        __syncthreads();
    }
    HeadRows<H> out = {dq, item.query_offset, heads, head * group, group, width};
#pragma unroll
    for (int h = 0; h < 2; h++)
        if (rows[h] <= lastRow)
            store_sums<W / 8>(out.at(rows[h]), sums, h, scale, width, ((u64)dq & 3) == 0);
}

/* Scores lie on their side here: a warp has 16 keys as rows, and the 32 rows of a tile as
 * columns. */
template <class H, int W>
DEV void key_gradients(
    H *shared, const H *q, const H *k, const H *v, const H *dy, const int *items,
    const float *logSumExp, const float *delta, H *dk, H *dv, int queries, int heads,
    int keyHeads, int width, float scale)
{
    constexpr int shortTile = short_tile<W>(), columns = shortTile / 8;
    constexpr int size = shortTile * tile_stride<W>(), large = longTile * tile_stride<W>();
    H *sK = shared, *sV = sK + large, *sQ = sV + large, *sDY = sQ + 2 * size;
    float *sLogs = (float *)(sDY + 2 * size), *sDeltas = sLogs + 2 * shortTile;
    AttentionItem item = attention_item(items);
    int head = blockIdx.y, group = heads / keyHeads;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
    int keyCount = (int)smaller(item.key_count - item.start, longTile);
    /* The first query that sees the tile's first key; the group's heads begin with it. */
    int firstRow = larger(item.start - (item.key_count - item.query_count), 0) * group;
    int rowEnd = item.query_count * group;
    int tiles = (rowEnd - firstRow + shortTile - 1) / shortTile;
    bool wide = aligned16(q) && aligned16(k) && aligned16(v) && aligned16(dy);
    HeadRows<const H> qRows = {q, item.query_offset, heads, head * group, group, width};
    HeadRows<const H> dyRows = {dy, item.query_offset, heads, head * group, group, width};
    HeadRows<const H> kRows = {k, item.key_offset, keyHeads, head, 1, width};
    HeadRows<const H> vRows = {v, item.key_offset, keyHeads, head, 1, width};

    float keySums[W / 8][4], valueSums[W / 8][4];
#pragma unroll
    for (int n = 0; n < W / 8; n++)
#pragma unroll
        for (int i = 0; i < 4; i++) keySums[n][i] = valueSums[n][i] = 0;

    load_tile<longTile, W>(sK, kRows, item.start, keyCount, wide);
    load_tile<longTile, W>(sV, vRows, item.start, keyCount, wide);
    for (int j = -1; j < tiles; j++) {
        /* Round -1 only loads the first row tile. */
        if (j + 1 < tiles) {
            int first = firstRow + (j + 1) * shortTile, next = (j + 1) & 1;
            load_tile<shortTile, W>(sQ + next * size, qRows, first, rowEnd - first, wide);
            load_tile<shortTile, W>(sDY + next * size, dyRows, first, rowEnd - first, wide);
            cp_async_commit();
            if (threadIdx.x < shortTile) {
                int row = first + threadIdx.x, i = next * shortTile + threadIdx.x;
                bool valid = row < rowEnd;
                int r = valid ? row : first;
                i64 at = (i64)(head * group + r % group) * queries + item.query_offset + r / group;
                /* Infinity makes the probabilities of rows beyond the end 0. */
                sLogs[i] = valid ? logSumExp[at] * log2e : __uint_as_float(0x7F800000u);
                sDeltas[i] = valid ? delta[at] : 0.0f;
            }
            if (j < 0) continue;
            cp_async_wait<1>();
        } else {
            cp_async_wait<0>();
        }
        __syncthreads();
        const H *rowTile = sQ + (j & 1) * size, *gradients = sDY + (j & 1) * size;
        const float *logs = sLogs + (j & 1) * shortTile, *deltas = sDeltas + (j & 1) * shortTile;
        float s[columns][4], d[columns][4];
        scores_of<W, columns>(s, sK, 16 * warp, rowTile);
        scores_of<W, columns>(d, sV, 16 * warp, gradients);
        /* Rows that see all keys of the tile need no mask; it would cost a division an element. */
        int last = item.start + keyCount - 1;
        bool masked = last >= keys_seen(item, firstRow + j * shortTile, group);
#pragma unroll
        for (int n = 0; n < columns; n++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                int column = 8 * n + 2 * t + (i & 1);
                int key = item.start + 16 * warp + g + 8 * (i >> 1);
                int row = firstRow + j * shortTile + column;
                float p = fast_exp2(s[n][i] * (scale * log2e) - logs[column]);
                s[n][i] = !masked || key < keys_seen(item, row, group) ? p : 0.0f;
                d[n][i] = s[n][i] * (d[n][i] - deltas[column]);
            }
        add_product<W, columns>(valueSums, s, gradients);
        add_product<W, columns>(keySums, d, rowTile);
        __syncthreads();
    }
    HeadRows<H> keys = {dk, item.key_offset, keyHeads, head, 1, width};
    HeadRows<H> values = {dv, item.key_offset, keyHeads, head, 1, width};
    bool even = (((u64)dk | (u64)dv) & 3) == 0;
#pragma unroll
    for (int h = 0; h < 2; h++) {
        int key = 16 * warp + g + 8 * h;
        if (key >= keyCount) continue;
        store_sums<W / 8>(keys.at(item.start + key), keySums, h, scale, width, even);
        store_sums<W / 8>(values.at(item.start + key), valueSums, h, 1.0f, width, even);
    }
}

#define BACKWARD(H, W) \
    KERNEL __launch_bounds__(128) osler_attention_dq_##H##_##W( \
        const H *q, const H *k, const H *v, const H *dy, const int *items, \
        const float *logSumExp, const float *delta, H *dq, int queries, int heads, int keyHeads, \
        int width, float scale) \
    { \
        DYN_SHARED(u16, shared); \
        query_gradients<H, W>( \
            (H *)shared, q, k, v, dy, items, logSumExp, delta, dq, queries, heads, keyHeads, \
            width, scale); \
    } \
    KERNEL __launch_bounds__(128) osler_attention_dkv_##H##_##W( \
        const H *q, const H *k, const H *v, const H *dy, const int *items, \
        const float *logSumExp, const float *delta, H *dk, H *dv, int queries, int heads, \
        int keyHeads, int width, float scale) \
    { \
        DYN_SHARED(u16, shared); \
        key_gradients<H, W>( \
            (H *)shared, q, k, v, dy, items, logSumExp, delta, dk, dv, queries, heads, keyHeads, \
            width, scale); \
    }
#if AMPERE
BACKWARD(bf16, 32)
REGISTER(osler_attention_dq_bf16_32)
REGISTER(osler_attention_dkv_bf16_32)
BACKWARD(bf16, 64)
REGISTER(osler_attention_dq_bf16_64)
REGISTER(osler_attention_dkv_bf16_64)
BACKWARD(bf16, 96)
REGISTER(osler_attention_dq_bf16_96)
REGISTER(osler_attention_dkv_bf16_96)
BACKWARD(bf16, 128)
REGISTER(osler_attention_dq_bf16_128)
REGISTER(osler_attention_dkv_bf16_128)
#endif
BACKWARD(f16, 32)
REGISTER(osler_attention_dq_f16_32)
REGISTER(osler_attention_dkv_f16_32)
BACKWARD(f16, 64)
REGISTER(osler_attention_dq_f16_64)
REGISTER(osler_attention_dkv_f16_64)
BACKWARD(f16, 96)
REGISTER(osler_attention_dq_f16_96)
REGISTER(osler_attention_dkv_f16_96)
BACKWARD(f16, 128)
REGISTER(osler_attention_dq_f16_128)
REGISTER(osler_attention_dkv_f16_128)
