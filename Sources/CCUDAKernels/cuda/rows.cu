// Rows moved by number: embedding (gather from a table), gather, scatter.
//
// Grid: one block a row, 32 to 256 threads (width / 8 is enough). No shared memory.
//
// osler_gather_rows(x, xType, rows, y, yType, width, limit)    y[i] = x[rows[i]]
// osler_scatter_rows(x, xType, rows, y, yType, width, limit)   y[rows[i]] = x[i]
//   rows int32, one a block. A row number that isn't below `limit` is a fault of the caller: it
//   stops the kernel, and the host sees a launch failure.
#include "prelude.cuh"

template <class X, class Y> DEV void move_row(const X *x, Y *y, int width)
{
    bool wide = aligned16(x) && aligned16(y);
    for (int i = 8 * threadIdx.x; i < width; i += 8 * blockDim.x) {
        float v[8];
        load_of(x, i, width, wide, v);
        store_of(y, i, width, wide, v);
    }
}
/* The same type on both sides: the bits as they are, those of NaNs too. */
template <class T> DEV void move_bits(const T *x, T *y, int width)
{
    if (aligned16(x) && aligned16(y) && width % 8 == 0) {
        int chunks = width * (int)sizeof(T) / 16;
        for (int i = threadIdx.x; i < chunks; i += blockDim.x)
            ((uint4 *)y)[i] = ((const uint4 *)x)[i];
    } else {
        for (int i = threadIdx.x; i < width; i += blockDim.x) y[i] = x[i];
    }
}

template <class H>
DEV void move_of(const void *x, int xType, i64 from, void *y, int yType, i64 to, int width)
{
    const float *xf = (const float *)x + from * width;
    const H *xh = (const H *)x + from * width;
    float *yf = (float *)y + to * width;
    H *yh = (H *)y + to * width;
    if (xType == F32 && yType == F32) move_bits(xf, yf, width);
    else if (xType == F32) move_row(xf, yh, width);
    else if (yType == F32) move_row(xh, yf, width);
    else move_bits(xh, yh, width);
}
DEV void move(const void *x, int xType, i64 from, void *y, int yType, i64 to, int width)
{
    if ((xType | yType) & F16) move_of<f16>(x, xType, from, y, yType, to, width);
    else move_of<bf16>(x, xType, from, y, yType, to, width);
}

KERNEL osler_gather_rows(
    const void *x, int xType, const int *rows, void *y, int yType, int width, int limit)
{
    int row = rows[blockIdx.x];
    if (row < 0 || row >= limit) __trap();
    move(x, xType, row, y, yType, blockIdx.x, width);
}
REGISTER(osler_gather_rows)

KERNEL osler_scatter_rows(
    const void *x, int xType, const int *rows, void *y, int yType, int width, int limit)
{
    int row = rows[blockIdx.x];
    if (row < 0 || row >= limit) __trap();
    move(x, xType, blockIdx.x, y, yType, row, width);
}
REGISTER(osler_scatter_rows)
