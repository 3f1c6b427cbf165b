// RMS norm (Zhang & Sennrich 2019) over rows, forward and backward.
//
// Grid: one block a row; whole warps, up to 512 threads (width / 8 is enough). 128 bytes of static
// shared memory. Two passes over the row: the second finds it in the first-level cache (a row of
// 8192 float32 is 32 KB). Keeping the row in registers would fix the width at compile time.
//
// osler_rmsnorm(x, xType, weight, epsilon, y, yType, inverses, width)
//   inverse = 1 / sqrt(mean(x^2) + epsilon), y = x * inverse * weight.
// osler_rmsnorm_backward(dy, dyType, x, xType, weight, inverses, dx, dxType, width, accumulating)
//   dx = or, when `accumulating`, += inverse * (w dy - x inverse^2 mean(w dy x)).
#include "prelude.cuh"

template <class X> DEV float square_sum(const X *x, int width, bool wide)
{
    float sum = 0, v[8];
    for (int i = 8 * threadIdx.x; i < width; i += 8 * blockDim.x) {
        load_of(x, i, width, wide, v);
        for (int j = 0; j < 8; j++) sum += v[j] * v[j];
    }
    return sum;
}

template <class X, class Y>
DEV void norm_row(
    const X *x, const float *weight, float epsilon, Y *y, float *inverses, int width,
    float *scratch)
{
    x += (i64)blockIdx.x * width;
    y += (i64)blockIdx.x * width;
    bool wide = aligned16(x) && aligned16(y) && aligned16(weight);
    float mean = block_sum(square_sum(x, width, wide), scratch) / (float)width;
    float inverse = 1.0f / sqrtf(mean + epsilon);
    if (threadIdx.x == 0) inverses[blockIdx.x] = inverse;
    for (int i = 8 * threadIdx.x; i < width; i += 8 * blockDim.x) {
        float v[8], w[8];
        load_of(x, i, width, wide, v);
        load_of(weight, i, width, wide, w);
        for (int j = 0; j < 8; j++) v[j] = v[j] * inverse * w[j];
        store_of(y, i, width, wide, v);
    }
}

template <class H>
DEV void norm_row_of(
    const void *x, int xType, const float *weight, float epsilon, void *y, int yType,
    float *inverses, int width, float *scratch)
{
    const float *xf = (const float *)x;
    const H *xh = (const H *)x;
    float *yf = (float *)y;
    H *yh = (H *)y;
    if (xType == F32 && yType == F32)
        norm_row(xf, weight, epsilon, yf, inverses, width, scratch);
    else if (xType == F32) norm_row(xf, weight, epsilon, yh, inverses, width, scratch);
    else if (yType == F32) norm_row(xh, weight, epsilon, yf, inverses, width, scratch);
    else norm_row(xh, weight, epsilon, yh, inverses, width, scratch);
}

KERNEL osler_rmsnorm(
    const void *x, int xType, const float *weight, float epsilon, void *y, int yType,
    float *inverses, int width)
{
    __shared__ float scratch[32];
    if ((xType | yType) & F16)
        norm_row_of<f16>(x, xType, weight, epsilon, y, yType, inverses, width, scratch);
    else norm_row_of<bf16>(x, xType, weight, epsilon, y, yType, inverses, width, scratch);
}
REGISTER(osler_rmsnorm)

template <class D, class X, class G>
DEV void norm_row_backward(
    const D *dy, const X *x, const float *weight, float inverse, G *dx, int width,
    bool accumulating, float *scratch)
{
    dy += (i64)blockIdx.x * width;
    x += (i64)blockIdx.x * width;
    dx += (i64)blockIdx.x * width;
    bool wide = aligned16(dy) && aligned16(x) && aligned16(dx) && aligned16(weight);
    float dot = 0, d[8], v[8], w[8], g[8];
    for (int i = 8 * threadIdx.x; i < width; i += 8 * blockDim.x) {
        load_of(dy, i, width, wide, d);
        load_of(x, i, width, wide, v);
        load_of(weight, i, width, wide, w);
        for (int j = 0; j < 8; j++) dot += w[j] * d[j] * v[j];
    }
    float mean = inverse * inverse * (block_sum(dot, scratch) / (float)width);
    for (int i = 8 * threadIdx.x; i < width; i += 8 * blockDim.x) {
        load_of(dy, i, width, wide, d);
        load_of(x, i, width, wide, v);
        load_of(weight, i, width, wide, w);
        if (accumulating) load_of(dx, i, width, wide, g);
        for (int j = 0; j < 8; j++) {
            float gradient = inverse * (w[j] * d[j] - v[j] * mean);
            g[j] = accumulating ? g[j] + gradient : gradient;
        }
        store_of(dx, i, width, wide, g);
    }
}

template <class H, class D, class X>
DEV void norm_backward_to(
    const D *dy, const X *x, const float *weight, const float *inverses, void *dx, int dxType,
    int width, bool accumulating, float *scratch)
{
    float inverse = inverses[blockIdx.x];
    if (dxType == F32)
        norm_row_backward(dy, x, weight, inverse, (float *)dx, width, accumulating, scratch);
    else norm_row_backward(dy, x, weight, inverse, (H *)dx, width, accumulating, scratch);
}

template <class H>
DEV void norm_backward_of(
    const void *dy, int dyType, const void *x, int xType, const float *weight,
    const float *inverses, void *dx, int dxType, int width, bool add, float *scratch)
{
    const float *df = (const float *)dy, *xf = (const float *)x;
    const H *dh = (const H *)dy, *xh = (const H *)x;
    if (dyType == F32 && xType == F32)
        norm_backward_to<H>(df, xf, weight, inverses, dx, dxType, width, add, scratch);
    else if (dyType == F32)
        norm_backward_to<H>(df, xh, weight, inverses, dx, dxType, width, add, scratch);
    else if (xType == F32)
        norm_backward_to<H>(dh, xf, weight, inverses, dx, dxType, width, add, scratch);
    else norm_backward_to<H>(dh, xh, weight, inverses, dx, dxType, width, add, scratch);
}

KERNEL osler_rmsnorm_backward(
    const void *dy, int dyType, const void *x, int xType, const float *weight,
    const float *inverses, void *dx, int dxType, int width, int accumulating)
{
    __shared__ float scratch[32];
    bool add = accumulating != 0;
    if ((dyType | xType | dxType) & F16)
        norm_backward_of<f16>(
            dy, dyType, x, xType, weight, inverses, dx, dxType, width, add, scratch);
    else
        norm_backward_of<bf16>(
            dy, dyType, x, xType, weight, inverses, dx, dxType, width, add, scratch);
}
REGISTER(osler_rmsnorm_backward)
