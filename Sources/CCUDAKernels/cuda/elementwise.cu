// copy and convert, add, zero, and the rounding at the end of a product.
//
// Grid: any number of blocks of 256 threads (the loops stride), 8 elements a thread and step; no
// shared memory. Memory-bound: 16-byte accesses where addresses allow them. One kernel serves all
// pairs of types of a launch: the branch on them is uniform and costs nothing beside the memory.
//
// osler_copy(x, xType, y, yType, n)            y = x
// osler_add(x, xType, y, yType, n)             y += x
// osler_zero(x, n)                             n bytes
// osler_epilogue(sum, addend, addendType, bias, biasType, y, yType, rows, columns)
//   y = sum + addend + bias, rounded once. sum float32 or null, addend `[rows, columns]` or null,
//   bias `[columns]` or null. y may be sum or addend.
#include "prelude.cuh"

template <class X, class Y> DEV void copy_as(const X *x, Y *y, i64 n)
{
    bool wide = aligned16(x) && aligned16(y);
    FOR_EIGHTS(i, n)
    {
        float v[8];
        load_of(x, i, n, wide, v);
        store_of(y, i, n, wide, v);
    }
}

template <class H> DEV void copy_of(const void *x, int xType, void *y, int yType, i64 n)
{
    if (xType == F32) {
        if (yType == F32) copy_as((const float *)x, (float *)y, n);
        else copy_as((const float *)x, (H *)y, n);
    } else {
        if (yType == F32) copy_as((const H *)x, (float *)y, n);
        else copy_as((const H *)x, (H *)y, n);
    }
}

KERNEL osler_copy(const void *x, int xType, void *y, int yType, i64 n)
{
    if ((xType | yType) & F16) copy_of<f16>(x, xType, y, yType, n);
    else copy_of<bf16>(x, xType, y, yType, n);
}
REGISTER(osler_copy)

template <class X, class Y> DEV void add_as(const X *x, Y *y, i64 n)
{
    bool wide = aligned16(x) && aligned16(y);
    FOR_EIGHTS(i, n)
    {
        float v[8], sum[8];
        load_of(x, i, n, wide, v);
        load_of(y, i, n, wide, sum);
        for (int j = 0; j < 8; j++) sum[j] += v[j];
        store_of(y, i, n, wide, sum);
    }
}

template <class H> DEV void add_of(const void *x, int xType, void *y, int yType, i64 n)
{
    if (xType == F32) {
        if (yType == F32) add_as((const float *)x, (float *)y, n);
        else add_as((const float *)x, (H *)y, n);
    } else {
        if (yType == F32) add_as((const H *)x, (float *)y, n);
        else add_as((const H *)x, (H *)y, n);
    }
}

KERNEL osler_add(const void *x, int xType, void *y, int yType, i64 n)
{
    if ((xType | yType) & F16) add_of<f16>(x, xType, y, yType, n);
    else add_of<bf16>(x, xType, y, yType, n);
}
REGISTER(osler_add)

KERNEL osler_zero(void *x, i64 n)
{
    u8 *bytes = (u8 *)x;
    i64 thread = (i64)blockIdx.x * blockDim.x + threadIdx.x, threads = (i64)gridDim.x * blockDim.x;
    i64 head = smaller((i64)(-(u64)x & 15), n), middle = (n - head) / 16;
    uint4 zero;
    zero.x = zero.y = zero.z = zero.w = 0;
    for (i64 i = thread; i < middle; i += threads) ((uint4 *)(bytes + head))[i] = zero;
    for (i64 i = thread; i < head; i += threads) bytes[i] = 0;
    for (i64 i = head + 16 * middle + thread; i < n; i += threads) bytes[i] = 0;
}
REGISTER(osler_zero)

template <class H, class Y>
DEV void epilogue_as(
    const float *sum, const void *addend, int addendType, const void *bias, int biasType, Y *y,
    int rows, int columns)
{
    i64 n = (i64)rows * columns;
    bool wide = aligned16(y) && aligned16(sum) && aligned16(addend);
    FOR_EIGHTS(i, n)
    {
        float v[8], a[8];
        for (int j = 0; j < 8; j++) v[j] = 0;
        if (sum) load_of(sum, i, n, wide, v);
        if (addend) {
            if (addendType == F32) load_of((const float *)addend, i, n, wide, a);
            else load_of((const H *)addend, i, n, wide, a);
            for (int j = 0; j < 8; j++) v[j] += a[j];
        }
        if (bias) {
            int column = n >> 31 ? (int)(i % columns) : (int)((u32)i % (u32)columns);
            for (int j = 0; j < 8; j++) {
                v[j] += biasType == F32 ? ((const float *)bias)[column]
                                        : to_f(((const H *)bias)[column]);
                if (++column == columns) column = 0;
            }
        }
        store_of(y, i, n, wide, v);
    }
}

template <class H>
DEV void epilogue_of(
    const float *sum, const void *addend, int addendType, const void *bias, int biasType, void *y,
    int yType, int rows, int columns)
{
    if (yType == F32)
        epilogue_as<H>(sum, addend, addendType, bias, biasType, (float *)y, rows, columns);
    else epilogue_as<H>(sum, addend, addendType, bias, biasType, (H *)y, rows, columns);
}

KERNEL osler_epilogue(
    const float *sum, const void *addend, int addendType, const void *bias, int biasType, void *y,
    int yType, int rows, int columns)
{
    if ((addendType | biasType | yType) & F16)
        epilogue_of<f16>(sum, addend, addendType, bias, biasType, y, yType, rows, columns);
    else epilogue_of<bf16>(sum, addend, addendType, bias, biasType, y, yType, rows, columns);
}
REGISTER(osler_epilogue)
