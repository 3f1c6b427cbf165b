// The end of a product whose last terms are adapters': those terms, computed here, are added to the
// sums of the others in one pass, and the result is rounded once.
//
// Grid: (rows / 64, columns / 128), 128 threads, 27 KB of static shared memory. A warp takes 16
// rows, 32 columns at a time; u and b of all terms lie side by side in the tiles, as one product.
// Memory-bound: a tile reads 32 KB of sums and writes 16 or 32 KB, beside 10 KB of u and b at rank
// 16, which the second-level cache holds: so b is rounded here, and not by a kernel before.
//
// The tensor cores leave two neighbouring columns of each eight in a thread, which would read and
// write 8 and 4 bytes at a time. So the columns of b are loaded in an order (`place_of`) that leaves
// eight neighbouring ones in a thread: 16-byte accesses.
//
// osler_adapter_end_TYPE(sum, u0, b0, depth0, u1, b1, depth1, u2, b2, depth2, bType, bTransposed, scale,
//                   addend, addendType, bias, biasType, y, yType, rows, columns)
//   y = sum + scale * (u0 op(b0) + u1 op(b1) + u2 op(b2)) + addend + bias. sum float32
//   `[rows, columns]`; u of the kernel's 16-bit type `[rows, depth]`, as what isn't float32 is; b `[columns, depth]` when transposed, else
//   `[depth, columns]`; a depth of 0 for no term, 64 at most together, each filled up to a multiple
//   of 16; addend `[rows, columns]` or null, bias `[columns]` or null. y may be sum or addend.
#include "prelude.cuh"

constexpr int endRows = 64, endColumns = 128, endDepth = 64, endThreads = 128;
constexpr int endStride = endDepth + 8;

DEV int filled(int depth) { return (depth + 15) / 16 * 16; }

/* Column 8 q + 2 j + s of 32 lies in row 8 j + 2 q + s of the tile. */
DEV int place_of(int column)
{
    return (column & ~31) + (column >> 1 & 3) * 8 + (column >> 3 & 3) * 2 + (column & 1);
}

/* `all` rows of a tile, rounded, with zeros beyond `count` rows and `depth` elements. */
template <class H, class T>
DEV void load_end_rows(H *tile, const T *from, int all, int count, int depth, bool placed)
{
    bool wide = aligned16(from) && depth % 8 == 0;
    int eighths = filled(depth) / 8;
    for (int i = threadIdx.x; i < all * eighths; i += endThreads) {
        int r = i / eighths, c = i % eighths * 8;
        float v[8];
        load_some(from + (i64)r * depth + c, r < count ? depth - c : 0, wide, v);
        store8(tile + (placed ? place_of(r) : r) * endStride + c, v);
    }
}

/* The same of a matrix whose columns, `leading` in memory, are the tile's rows. */
template <class H, class T>
DEV void load_end_columns(H *tile, const T *from, i64 leading, int count, int depth)
{
    for (int i = threadIdx.x; i < endColumns * filled(depth); i += endThreads) {
        int k = i / endColumns, c = i % endColumns;
        float v = k < depth && c < count ? to_f(from[k * leading + c]) : 0.0f;
        set(tile + place_of(c) * endStride + k, v);
    }
}

template <class H, class T>
DEV void load_right(
    H *tile, const T *b, bool transposed, int first, int count, int columns, int depth)
{
    if (transposed) load_end_rows(tile, b + (i64)first * depth, endColumns, count, depth, true);
    else load_end_columns(tile, b + first, columns, count, depth);
}

template <class H>
DEV void adapter_end(
    H *left, const float *sum, const H *u0, const void *b0, int depth0, const H *u1, const void *b1,
    int depth1, const H *u2, const void *b2, int depth2, int bType, int bTransposed, float scale,
    const void *addend, int addendType, const void *bias, int biasType, void *y, int yType,
    int rows, int columns)
{
    H *right = left + endRows * endStride;
    int firstRow = blockIdx.x * endRows, firstColumn = blockIdx.y * endColumns;
    int rowCount = (int)smaller(rows - firstRow, endRows);
    int columnCount = (int)smaller(columns - firstColumn, endColumns);
    int depth = 0;
    for (int term = 0; term < 3; term++) {
        const H *u = term == 0 ? u0 : term == 1 ? u1 : u2;
        const void *b = term == 0 ? b0 : term == 1 ? b1 : b2;
        int own = term == 0 ? depth0 : term == 1 ? depth1 : depth2;
        load_end_rows(left + depth, u + (i64)firstRow * own, endRows, rowCount, own, false);
        if (bType == F32)
            load_right(
                right + depth, (const float *)b, bTransposed, firstColumn, columnCount, columns,
                own);
        else
            load_right(
                right + depth, (const H *)b, bTransposed, firstColumn, columnCount, columns,
                own);
        depth += filled(own);
    }
    __syncthreads();

    int warp = threadIdx.x >> 5, g = (threadIdx.x & 31) >> 2, t = threadIdx.x & 3;
    bool wide = aligned16(sum) && aligned16(addend) && aligned16(y) && columns % 8 == 0;
    for (int group = 0; group < columnCount; group += 32) {
        float c[4][4] = {};
        for (int k = 0; k < depth; k += 16) {
            u32 x[4], w[4];
            left_operand<endDepth>(x, left, 16 * warp, k);
#pragma unroll
            for (int pair = 0; pair < 2; pair++) {
                right_of_rows<endDepth>(w, right, group + 16 * pair, k);
                mma_16816(H(), c[2 * pair], x, w[0], w[1]);
                mma_16816(H(), c[2 * pair + 1], x, w[2], w[3]);
            }
        }
#pragma unroll
        for (int half = 0; half < 2; half++) {
            int row = 16 * warp + g + 8 * half, column = firstColumn + group + 8 * t;
            if (row >= rowCount || column >= columns) continue;
            i64 place = (i64)(firstRow + row) * columns + column;
            int count = (int)smaller(columns - column, 8);
            float v[8], w[8];
            load_some(sum + place, count, wide, v);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                v[2 * j] += scale * c[j][2 * half];
                v[2 * j + 1] += scale * c[j][2 * half + 1];
            }
            if (addend) {
                if (addendType == F32) load_some((const float *)addend + place, count, wide, w);
                else load_some((const H *)addend + place, count, wide, w);
                for (int j = 0; j < 8; j++) v[j] += w[j];
            }
            for (int j = 0; bias && j < 8; j++) {
                if (j >= count) continue;
                v[j] += biasType == F32 ? ((const float *)bias)[column + j]
                                        : to_f(((const H *)bias)[column + j]);
            }
            if (yType == F32) store_some((float *)y + place, count, wide, v);
            else store_some((H *)y + place, count, wide, v);
        }
    }
}

#define ADAPTER_END(H) \
    KERNEL osler_adapter_end_##H( \
        const float *sum, const H *u0, const void *b0, int depth0, const H *u1, const void *b1, \
        int depth1, const H *u2, const void *b2, int depth2, int bType, int bTransposed, \
        float scale, const void *addend, int addendType, const void *bias, int biasType, void *y, \
        int yType, int rows, int columns) \
    { \
        __shared__ uint4 memory[(endRows + endColumns) * endStride / 8]; \
        adapter_end( \
            (H *)memory, sum, u0, b0, depth0, u1, b1, depth1, u2, b2, depth2, bType, bTransposed, \
            scale, addend, addendType, bias, biasType, y, yType, rows, columns); \
    }

#if AMPERE
ADAPTER_END(bf16)
REGISTER(osler_adapter_end_bf16)
#endif
ADAPTER_END(f16)
REGISTER(osler_adapter_end_f16)
