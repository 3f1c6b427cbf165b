// Causal attention forward over flattened sequences with grouped heads, bfloat16 or float16:
// FlashAttention-2 (Dao 2023) on mma.sync.
//
// Grid: (tiles of 64 rows, key heads), the heaviest tiles first; 128 threads, 4 warps of 16 rows.
// Dynamic shared memory for padded width W: 64 (W + 8) * 2 bytes * 4 (keys and values twice: the
// next tile arrives by cp.async while this one is computed): 20, 36, 52, 68 KB for W = 32, 64, 96,
// 128. Queries pass through a place of the keys' into registers. So two blocks of W = 128 fit a
// processor of sm_80 (164 KB) and sm_90, one fits sm_86 and sm_120 (99 KB).
//
// Tiles: 64 x 64 keeps queries (W / 4 registers), scores (32) and the output (W / 2) of a row in
// registers: 128 + 32 at W = 128, under the 255 limit. 128 rows a block would halve the key traffic
// from the second-level cache and leave one block a processor; not tried without a device. wgmma
// and the tensor copy engine (sm_90 alone) are left out: one source serves all.
//
// A width between two of these is filled up with zeros, which costs time, not exactness.
//
// Turing has 64 KB a block: there W = 128 has tiles of 32 keys, and queries a place of their own,
// 192 (W + 8) * 2 bytes in all, 51 KB.
//
// osler_attention_TYPE_W(q, k, v, items, y, logSumExp, parts, partRows, queries, heads, keyHeads,
//                        width, scale)
//   q, y [queries, heads, width], k, v [*, keyHeads, width]; logSumExp float32 [heads, queries].
//   items: AttentionItem, start = first row of the tile (a row is a query and a head of its group).
//
// Few rows and many keys, as in decoding: a row tile's tiles of keys are shared out to several
// blocks, which leave unfinished results; then they are merged (Flash-Decoding, Dao et al. 2023).
// `parts` float32: for a slot and key head `partRows` rows of W sums, as many largest scores and as
// many sums of exponentials. How keys are cut depends on the sequence alone, so its bits are the
// same in any batch.
//
// osler_attention_merge(parts, partRows, items, y, yType, logSumExp, queries, heads, keyHeads,
//                       width, scale, padded)
//   Grid: (tiles of rows, key heads), 128 threads, a warp a row in turn. items' first_tile is the
//   first slot, end_tile the number of slots.
#include "prelude.cuh"

/* Softmax in base 2: exp(x) = 2^(x log2 e). */
constexpr float log2e = 1.4426950408889634f;

template <class H, int W>
DEV void attention_tile(
    H *shared, const H *q, const H *k, const H *v, const int *items, H *y, float *logSumExp,
    float *parts, int partRows, int queries, int heads, int keyHeads, int width, float scale)
{
    constexpr int rowTile = 64, keyTile = AMPERE || W < 128 ? 64 : 32;
    constexpr int size = keyTile * tile_stride<W>();
    H *sK = shared, *sV = sK + 2 * size;
    AttentionItem item = attention_item(items);
    int head = blockIdx.y, group = heads / keyHeads;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
    int rowCount = (int)smaller((i64)item.query_count * group - item.start, rowTile);
    int lastRow = item.start + rowCount - 1;
    int seenByLast = keys_seen(item, lastRow, group);
    /* The host counts tiles of 64 keys. */
    constexpr int tiles = 64 / keyTile;
    int begin = item.first_tile * tiles;
    int end = (int)smaller((seenByLast + keyTile - 1) / keyTile, (i64)item.end_tile * tiles);
    bool wide = aligned16(q) && aligned16(k) && aligned16(v);
    HeadRows<const H> qRows = {q, item.query_offset, heads, head * group, group, width};
    HeadRows<const H> kRows = {k, item.key_offset, keyHeads, head, 1, width};
    HeadRows<const H> vRows = {v, item.key_offset, keyHeads, head, 1, width};

    /* Rows that this thread holds parts of: g and g + 8 of the warp's 16. */
    int rows[2], seen[2];
    for (int h = 0; h < 2; h++) {
        rows[h] = item.start + 16 * warp + g + 8 * h;
        seen[h] = keys_seen(item, rows[h] < lastRow ? rows[h] : lastRow, group);
    }
    int seenByAll = keys_seen(item, item.start, group);

    float out[W / 8][4], largest[2], sums[2] = {0, 0};
    u32 query[W / 16][4];
    const float minus = __uint_as_float(0xFF800000u), factor = scale * log2e;
    largest[0] = largest[1] = minus;
#pragma unroll
    for (int n = 0; n < W / 8; n++) out[n][0] = out[n][1] = out[n][2] = out[n][3] = 0;

    int firstKey = begin * keyTile, current = begin & 1;
    H *sQ = keyTile == rowTile ? sK + (current ^ 1) * size : sV + 2 * size;
    load_tile<rowTile, W>(sQ, qRows, item.start, rowCount, wide);
    cp_async_commit();
    load_tile<keyTile, W>(
        sK + current * size, kRows, firstKey, item.key_count - firstKey, wide);
    load_tile<keyTile, W>(
        sV + current * size, vRows, firstKey, item.key_count - firstKey, wide);
    cp_async_commit();
    cp_async_wait<1>();
    __syncthreads();
#pragma unroll
    for (int n = 0; n < W / 16; n++) left_operand<W>(query[n], sQ, 16 * warp, 16 * n);
    /* The second tile of keys may take the queries' place. */
    __syncthreads();
    for (int j = begin; j < end; j++) {
        if (j + 1 < end) {
            int first = (j + 1) * keyTile, next = (j + 1) & 1;
            load_tile<keyTile, W>(sK + next * size, kRows, first, item.key_count - first, wide);
            load_tile<keyTile, W>(sV + next * size, vRows, first, item.key_count - first, wide);
            cp_async_commit();
            cp_async_wait<1>();
        } else {
            cp_async_wait<0>();
        }
        __syncthreads();
        const H *keys = sK + (j & 1) * size, *values = sV + (j & 1) * size;

        float s[keyTile / 8][4];
#pragma unroll
        for (int n = 0; n < keyTile / 8; n++) s[n][0] = s[n][1] = s[n][2] = s[n][3] = 0;
#pragma unroll
        for (int c = 0; c < W / 16; c++) {
#pragma unroll
            for (int n = 0; n < keyTile / 16; n++) {
                u32 b[4];
                right_of_rows<W>(b, keys, 16 * n, 16 * c);
                mma_16816(H(), s[2 * n], query[c], b[0], b[1]);
                mma_16816(H(), s[2 * n + 1], query[c], b[2], b[3]);
            }
        }
        if ((j + 1) * keyTile > seenByAll) {
#pragma unroll
            for (int n = 0; n < keyTile / 8; n++)
#pragma unroll
                for (int i = 0; i < 4; i++)
                    if (j * keyTile + 8 * n + 2 * t + (i & 1) >= seen[i >> 1])
                        s[n][i] = minus;
        }

        /* The four lanes of a row agree on its largest score. It is -inf as long as the row saw
         * none of this block's keys. */
#pragma unroll
        for (int h = 0; h < 2; h++) {
            float most = largest[h];
#pragma unroll
            for (int n = 0; n < keyTile / 8; n++)
                most = fmaxf(most, fmaxf(s[n][2 * h], s[n][2 * h + 1]));
            most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFu, most, 1));
            most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFu, most, 2));
            float base = most == minus ? 0.0f : most * factor;
            float shrink = fast_exp2(largest[h] * factor - base);
            largest[h] = most;
            sums[h] *= shrink;
#pragma unroll
            for (int n = 0; n < W / 8; n++) {
                out[n][2 * h] *= shrink;
                out[n][2 * h + 1] *= shrink;
            }
#pragma unroll
            for (int n = 0; n < keyTile / 8; n++)
#pragma unroll
                for (int i = 2 * h; i < 2 * h + 2; i++) {
                    s[n][i] = fast_exp2(s[n][i] * factor - base);
                    sums[h] += s[n][i];
                }
        }
#pragma unroll
        for (int c = 0; c < keyTile / 16; c++) {
            u32 p[4];
            left_of_sums(H(), p, s, c);
#pragma unroll
            for (int n = 0; n < W / 16; n++) {
                u32 b[4];
                right_of_columns<W>(b, values, 16 * c, 16 * n);
                mma_16816(H(), out[2 * n], p, b[0], b[1]);
                mma_16816(H(), out[2 * n + 1], p, b[2], b[3]);
            }
        }
        /* The next round's copies overwrite this round's tiles. */
        __syncthreads();
    }

    HeadRows<H> yRows = {y, item.query_offset, heads, head * group, group, width};
#pragma unroll
    for (int h = 0; h < 2; h++) {
        sums[h] += __shfl_xor_sync(0xFFFFFFFFu, sums[h], 1);
        sums[h] += __shfl_xor_sync(0xFFFFFFFFu, sums[h], 2);
    }
#pragma unroll
    for (int h = 0; h < 2; h++) {
        float sum = sums[h];
        if (rows[h] > lastRow) continue;
        if (item.slot >= 0) {
            int row = rows[h] - item.start;
            float *part = parts + ((i64)item.slot * keyHeads + head) * (partRows * (W + 2));
#pragma unroll
            for (int n = 0; n < W / 8; n++) {
                part[row * W + 8 * n + 2 * t] = out[n][2 * h];
                part[row * W + 8 * n + 2 * t + 1] = out[n][2 * h + 1];
            }
            if (t == 0) {
                part[partRows * W + row] = largest[h];
                part[partRows * (W + 1) + row] = sum;
            }
            continue;
        }
        store_sums<W / 8>(yRows.at(rows[h]), out, h, 1.0f / sum, width, ((u64)y & 3) == 0);
        int token = item.query_offset + rows[h] / group;
        if (t == 0)
            logSumExp[(i64)(head * group + rows[h] % group) * queries + token] =
                largest[h] * scale + logf(sum);
    }
}

#define ATTENTION(H, W) \
    KERNEL __launch_bounds__(128) osler_attention_##H##_##W( \
        const H *q, const H *k, const H *v, const int *items, H *y, float *logSumExp, \
        float *parts, int partRows, int queries, int heads, int keyHeads, int width, \
        float scale) \
    { \
        DYN_SHARED(u16, shared); \
        attention_tile<H, W>( \
            (H *)shared, q, k, v, items, y, logSumExp, parts, partRows, queries, heads, keyHeads, \
            width, scale); \
    }
#if AMPERE
ATTENTION(bf16, 32)
REGISTER(osler_attention_bf16_32)
ATTENTION(bf16, 64)
REGISTER(osler_attention_bf16_64)
ATTENTION(bf16, 96)
REGISTER(osler_attention_bf16_96)
ATTENTION(bf16, 128)
REGISTER(osler_attention_bf16_128)
#endif
ATTENTION(f16, 32)
REGISTER(osler_attention_f16_32)
ATTENTION(f16, 64)
REGISTER(osler_attention_f16_64)
ATTENTION(f16, 96)
REGISTER(osler_attention_f16_96)
ATTENTION(f16, 128)
REGISTER(osler_attention_f16_128)

template <class H>
DEV void merge_parts(
    const float *parts, int partRows, const int *items, H *y, float *logSumExp, int queries,
    int heads, int keyHeads, int width, float scale, int padded)
{
    AttentionItem item = attention_item(items);
    int head = blockIdx.y, group = heads / keyHeads, lane = threadIdx.x & 31;
    int rowCount = (int)smaller((i64)item.query_count * group - item.start, 64);
    i64 size = (i64)partRows * (padded + 2), step = size * keyHeads;
    const float *first = parts + (i64)item.first_tile * step + head * size;
    HeadRows<H> yRows = {y, item.query_offset, heads, head * group, group, width};
    for (int row = threadIdx.x >> 5; row < rowCount; row += attentionThreads / 32) {
        /* Every row sees key 0, in the first part. */
        float largest = first[partRows * padded + row], sum = 0, out[4] = {0, 0, 0, 0};
        for (int i = 1; i < item.end_tile; i++)
            largest = fmaxf(largest, first[i * step + partRows * padded + row]);
        for (int i = 0; i < item.end_tile; i++) {
            const float *part = first + i * step;
            float weight = fast_exp2((part[partRows * padded + row] - largest) * (scale * log2e));
            sum += weight * part[partRows * (padded + 1) + row];
            for (int c = 0; c < 4; c++)
                if (lane + 32 * c < padded) out[c] += weight * part[row * padded + lane + 32 * c];
        }
        int r = item.start + row;
        H *to = yRows.at(r);
        for (int c = 0; c < 4; c++)
            if (lane + 32 * c < width) set(to + lane + 32 * c, out[c] / sum);
        if (lane == 0)
            logSumExp[(i64)(head * group + r % group) * queries + item.query_offset + r / group] =
                largest * scale + logf(sum);
    }
}

KERNEL osler_attention_merge(
    const float *parts, int partRows, const int *items, void *y, int yType, float *logSumExp,
    int queries, int heads, int keyHeads, int width, float scale, int padded)
{
    if (yType == BF16)
        merge_parts(
            parts, partRows, items, (bf16 *)y, logSumExp, queries, heads, keyHeads, width, scale,
            padded);
    else
        merge_parts(
            parts, partRows, items, (f16 *)y, logSumExp, queries, heads, keyHeads, width, scale,
            padded);
}
REGISTER(osler_attention_merge)
