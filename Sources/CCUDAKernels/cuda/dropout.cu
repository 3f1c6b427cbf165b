// Dropout by DropoutKey's stream: the mask of the CPU backend, element by element.
//
// Grid: any number of blocks of 256 threads; a thread's step is one call of Philox, which serves 8
// elements. No shared memory.
//
// osler_dropout(x, xType, y, yType, n, threshold, scale, seed, stream, adding)
//   y = or, when `adding`, += x * scale where the element's 16 random bits are not below
//   `threshold`, else 0. y may be x.
#include "prelude.cuh"

template <class X, class Y>
DEV void dropout_as(
    const X *x, Y *y, i64 n, u32 threshold, float scale, u64 seed, u64 stream, bool adding)
{
    bool wide = aligned16(x) && aligned16(y);
    FOR_EIGHTS(i, n)
    {
        float v[8], sum[8];
        u32 words[4];
        philox((u64)i / 8, stream, seed, words);
        load_of(x, i, n, wide, v);
        for (int j = 0; j < 8; j++) {
            u32 bits = j % 2 ? words[j / 2] >> 16 : words[j / 2] & 0xFFFF;
            v[j] = bits < threshold ? 0.0f : v[j] * scale;
        }
        if (adding) {
            load_of(y, i, n, wide, sum);
            for (int j = 0; j < 8; j++) v[j] += sum[j];
        }
        store_of(y, i, n, wide, v);
    }
}

template <class H>
DEV void dropout_of(
    const void *x, int xType, void *y, int yType, i64 n, u32 t, float scale, u64 k, u64 s,
    bool adding)
{
    if (xType == F32) {
        if (yType == F32) dropout_as((const float *)x, (float *)y, n, t, scale, k, s, adding);
        else dropout_as((const float *)x, (H *)y, n, t, scale, k, s, adding);
    } else {
        if (yType == F32) dropout_as((const H *)x, (float *)y, n, t, scale, k, s, adding);
        else dropout_as((const H *)x, (H *)y, n, t, scale, k, s, adding);
    }
}

KERNEL osler_dropout(
    const void *x, int xType, void *y, int yType, i64 n, int threshold, float scale, i64 seed,
    i64 stream, int adding)
{
    u32 t = (u32)threshold;
    u64 k = (u64)seed, s = (u64)stream;
    bool add = adding != 0;
    if ((xType | yType) & F16) dropout_of<f16>(x, xType, y, yType, n, t, scale, k, s, add);
    else dropout_of<bf16>(x, xType, y, yType, n, t, scale, k, s, add);
}
REGISTER(osler_dropout)
