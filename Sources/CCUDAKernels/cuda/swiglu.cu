// silu(gate) * up (Shazeer 2020), forward and backward.
//
// Grid: any number of blocks of 256 threads, 8 elements a thread and step; no shared memory. A
// thread reads all inputs of its elements before it writes, so outputs may be inputs.
//
// osler_swiglu(gate, up, y, type, n)
// osler_swiglu_backward(dy, gate, up, dgate, dup, type, n)
#include "prelude.cuh"

template <class T> DEV void swiglu_as(const T *gate, const T *up, T *y, i64 n)
{
    bool wide = aligned16(gate) && aligned16(up) && aligned16(y);
    FOR_EIGHTS(i, n)
    {
        float g[8], u[8];
        load_of(gate, i, n, wide, g);
        load_of(up, i, n, wide, u);
        for (int j = 0; j < 8; j++) g[j] = g[j] / (1.0f + expf(-g[j])) * u[j];
        store_of(y, i, n, wide, g);
    }
}

KERNEL osler_swiglu(const void *gate, const void *up, void *y, int type, i64 n)
{
    if (type == F32) swiglu_as((const float *)gate, (const float *)up, (float *)y, n);
    else if (type == BF16) swiglu_as((const bf16 *)gate, (const bf16 *)up, (bf16 *)y, n);
    else swiglu_as((const f16 *)gate, (const f16 *)up, (f16 *)y, n);
}
REGISTER(osler_swiglu)

template <class T>
DEV void swiglu_backward_as(const T *dy, const T *gate, const T *up, T *dgate, T *dup, i64 n)
{
    bool wide = aligned16(dy) && aligned16(gate) && aligned16(up) && aligned16(dgate) &&
        aligned16(dup);
    FOR_EIGHTS(i, n)
    {
        float d[8], g[8], u[8], s[8];
        load_of(dy, i, n, wide, d);
        load_of(gate, i, n, wide, g);
        load_of(up, i, n, wide, u);
        for (int j = 0; j < 8; j++) {
            float sigmoid = 1.0f / (1.0f + expf(-g[j])), silu = g[j] * sigmoid;
            s[j] = d[j] * silu;
            g[j] = d[j] * u[j] * (sigmoid + silu * (1.0f - sigmoid));
        }
        store_of(dgate, i, n, wide, g);
        store_of(dup, i, n, wide, s);
    }
}

KERNEL osler_swiglu_backward(
    const void *dy, const void *gate, const void *up, void *dgate, void *dup, int type, i64 n)
{
    if (type == F32)
        swiglu_backward_as(
            (const float *)dy, (const float *)gate, (const float *)up, (float *)dgate,
            (float *)dup, n);
    else if (type == BF16)
        swiglu_backward_as(
            (const bf16 *)dy, (const bf16 *)gate, (const bf16 *)up, (bf16 *)dgate, (bf16 *)dup, n);
    else
        swiglu_backward_as(
            (const f16 *)dy, (const f16 *)gate, (const f16 *)up, (f16 *)dgate, (f16 *)dup, n);
}
REGISTER(osler_swiglu_backward)
