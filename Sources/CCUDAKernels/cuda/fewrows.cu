// x W^T for up to 16 rows of x: what decoding text is made of. Bound by reading W once.
//
// Grid: ceil(columns / 8) blocks of 256 threads; the block's 8 warps share 8 columns of the output
// (rows of W) and split K among them, 32 at a time, and add their sums up in order. 4160 bytes of
// static shared memory. The bits of a row don't depend on how many rows there are.
//
// The products run on mma.sync m16n8k16 with the weight as the 8-column operand. A sum over k may
// take k in any order as long as both operands do, so lane (g, t) takes the 8 consecutive elements
// k + 8t ... of row g: one 16-byte load of 16-bit elements (or 4 bytes of NF4 codes) straight into
// operand registers, no shared memory, no ldmatrix.
//
// Four steps' loads are under way at a time: 4 x 16 bytes a lane (NF4: 4 x 4), at 16 warps 32 KB
// (8) a processor, about what memory needs to stay busy. Not measured yet.
//
// Variants considered: a warp a column with shuffles (16 rows make 16 dot products a lane: bound by
// arithmetic from 4 rows on); staging x in shared memory (K 14336 of 16 rows is 448 KB: it does not
// fit; the first-level cache serves the 8 warps as well).
//
// osler_few_rows_TYPE(x, xType, rows, K, w, wType, absmax, nested, table, offset, nestedBlock,
//                     blockSize, columns, scale, prior, addend, addendType, bias, biasType, y,
//                     yType)
//   y = scale * x w^T + prior + addend + bias, rounded once; x, w rounded to TYPE. wType 3: NF4
//   codes with the scales of the next five arguments. prior float32 `[rows, columns]` (the other
//   products of the sum) or null, addend and bias or null; y may be prior or addend.
#include "prelude.cuh"

enum { NF4 = 3 };

/* Elements p[0 ..< count], count <= 8, as four pairs of H. */
template <class H> DEV void pack8(H, const H *p, int count, bool wide, u32 *r)
{
    if (wide && count >= 8) {
        uint4 a = *(const uint4 *)p;
        r[0] = a.x, r[1] = a.y, r[2] = a.z, r[3] = a.w;
    } else {
        for (int j = 0; j < 4; j++) {
            u32 low = 2 * j < count ? p[2 * j].x : 0, high = 2 * j + 1 < count ? p[2 * j + 1].x : 0;
            r[j] = low | high << 16;
        }
    }
}
template <class H> DEV void pack8(H h, const float *p, int count, bool wide, u32 *r)
{
    float v[8];
    load_some(p, count, wide, v);
    for (int j = 0; j < 4; j++) r[j] = pack(h, v[2 * j], v[2 * j + 1]);
}

/* Where an operand's elements come from: row `row` of `[*, width]`, columns k ..< k + 8, as pairs
 * of H. `load` only loads, so that several loads are under way before the first `unpack`. */
template <class H, class T> struct DenseRows {
    const T *base;
    i64 width;
    bool wide;
    struct Loaded {
        u32 pairs[4];
    };
    __device__ Loaded load(i64 row, i64 k) const
    {
        Loaded result;
        pack8(H(), base + row * width + k, (int)smaller(width - k, 8), wide, result.pairs);
        return result;
    }
    __device__ void unpack(const Loaded &loaded, u32 *r) const
    {
        for (int j = 0; j < 4; j++) r[j] = loaded.pairs[j];
    }
};
template <class H> struct NF4Rows {
    const u8 *codes;
    NF4Scales scales;
    i64 width;
    /* Eight elements are four aligned bytes of codes with one scale. */
    bool wide;
    const float *values;
    struct Loaded {
        u32 codes;
        float scale;
        i64 row, k;
    };
    __device__ Loaded load(i64 row, i64 k) const
    {
        Loaded result = {0, 0, row, k};
        if (wide) {
            i64 e = row * width + k;
            result.scale = nf4_scale(scales, e);
            result.codes = *(const u32 *)(codes + e / 2);
        }
        return result;
    }
    __device__ void unpack(const Loaded &loaded, u32 *r) const
    {
        float v[8];
        for (int j = 0; j < 8; j++) {
            if (wide) {
                u32 code = loaded.codes >> (j % 2 ? 4 * j - 4 : 4 * j + 4) & 15;
                v[j] = values[code] * loaded.scale;
            } else if (loaded.k + j < width) {
                i64 e = loaded.row * width + loaded.k + j;
                int code = e % 2 ? codes[e / 2] & 15 : codes[e / 2] >> 4;
                v[j] = values[code] * nf4_scale(scales, e);
            } else {
                v[j] = 0;
            }
        }
        for (int j = 0; j < 4; j++) r[j] = pack(H(), v[2 * j], v[2 * j + 1]);
    }
};

/* This warp's share of the sums. Four steps at a time: their loads of the weight are all under way
 * before the first is used, which NF4's short loads need to fill the memory's pipe. */
template <class H, class X, class W>
DEV void accumulate(const X &x, const W &w, int rows, int columns, int K, float *sums)
{
    constexpr int steps = 4;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, g = lane >> 2, t = lane & 3;
    int column = blockIdx.x * 8 + g, stride = 32 * (blockDim.x >> 5);
    float c[4] = {0, 0, 0, 0};
    for (i64 k0 = 32 * warp + 8 * t; k0 - 8 * t < K; k0 += steps * stride) {
        typename W::Loaded weights[steps];
#pragma unroll
        for (int i = 0; i < steps; i++) {
            i64 k = k0 + i * stride;
            if (k < K && column < columns) weights[i] = w.load(column, k);
        }
#pragma unroll
        for (int i = 0; i < steps; i++) {
            i64 k = k0 + i * stride;
            u32 b[4] = {0, 0, 0, 0}, upper[4] = {0, 0, 0, 0}, lower[4] = {0, 0, 0, 0};
            if (k < K) {
                if (column < columns) w.unpack(weights[i], b);
                if (g < rows) x.unpack(x.load(g, k), upper);
                if (g + 8 < rows) x.unpack(x.load(g + 8, k), lower);
            }
            u32 first[4] = {upper[0], lower[0], upper[1], lower[1]};
            u32 second[4] = {upper[2], lower[2], upper[3], lower[3]};
            mma_16816(H(), c, first, b[0], b[1]);
            mma_16816(H(), c, second, b[2], b[3]);
        }
    }
    float *mine = sums + 128 * warp;
    mine[g * 8 + 2 * t] = c[0];
    mine[g * 8 + 2 * t + 1] = c[1];
    mine[(g + 8) * 8 + 2 * t] = c[2];
    mine[(g + 8) * 8 + 2 * t + 1] = c[3];
}

template <class H, class X>
DEV void accumulate_with(
    const X &x, int rows, int K, const void *w, int wType, const NF4Scales &scales,
    int columns, float *sums, const float *values)
{
    bool wide = aligned16(w) && K % 8 == 0;
    if (wType == F32) {
        DenseRows<H, float> b = {(const float *)w, K, wide};
        accumulate<H>(x, b, rows, columns, K, sums);
    } else if (wType == NF4) {
        bool fast = K % 8 == 0 && scales.block % 8 == 0 && ((u64)w & 3) == 0;
        NF4Rows<H> b = {(const u8 *)w, scales, K, fast, values};
        accumulate<H>(x, b, rows, columns, K, sums);
    } else {
        DenseRows<H, H> b = {(const H *)w, K, wide};
        accumulate<H>(x, b, rows, columns, K, sums);
    }
}

template <class H> DEV float element(const void *p, int type, i64 i)
{
    return type == F32 ? ((const float *)p)[i] : to_f(((const H *)p)[i]);
}

template <class H>
DEV void few_rows(
    float *sums, float *values, const void *x, int xType, int rows, int K, const void *w,
    int wType, const void *absmax, const float *nested, const float *table, float offset,
    int nestedBlock, int blockSize, int columns, float scale, const float *prior,
    const void *addend, int addendType, const void *bias, int biasType, void *y, int yType)
{
    if (threadIdx.x < 16) values[threadIdx.x] = nf4_values[threadIdx.x];
    __syncthreads();
    NF4Scales scales = nf4_scales(absmax, nested, table, offset, nestedBlock, blockSize);
    bool wide = aligned16(x) && K % 8 == 0;
    if (xType == F32) {
        DenseRows<H, float> a = {(const float *)x, K, wide};
        accumulate_with<H>(a, rows, K, w, wType, scales, columns, sums, values);
    } else {
        DenseRows<H, H> a = {(const H *)x, K, wide};
        accumulate_with<H>(a, rows, K, w, wType, scales, columns, sums, values);
    }
    __syncthreads();

    int row = threadIdx.x >> 3, column = blockIdx.x * 8 + (threadIdx.x & 7);
    if (row >= rows || row >= 16 || column >= columns) return;
    float sum = 0;
    for (int warp = 0; warp < 8; warp++) sum += sums[128 * warp + threadIdx.x];
    i64 i = (i64)row * columns + column;
    sum *= scale;
    if (prior) sum += prior[i];
    if (addend) sum += element<H>(addend, addendType, i);
    if (bias) sum += element<H>(bias, biasType, column);
    if (yType == F32) set((float *)y + i, sum);
    else set((H *)y + i, sum);
}

#define FEW_ROWS(H) \
    KERNEL osler_few_rows_##H( \
        const void *x, int xType, int rows, int K, const void *w, int wType, const void *absmax, \
        const float *nested, const float *table, float offset, int nestedBlock, int blockSize, \
        int columns, float scale, const float *prior, const void *addend, int addendType, \
        const void *bias, int biasType, void *y, int yType) \
    { \
        __shared__ float sums[8 * 128], values[16]; \
        few_rows<H>( \
            sums, values, x, xType, rows, K, w, wType, absmax, nested, table, offset, \
            nestedBlock, blockSize, columns, scale, prior, addend, addendType, bias, biasType, y, \
            yType); \
    }
#if AMPERE
FEW_ROWS(bf16)
REGISTER(osler_few_rows_bf16)
#endif
FEW_ROWS(f16)
REGISTER(osler_few_rows_f16)
