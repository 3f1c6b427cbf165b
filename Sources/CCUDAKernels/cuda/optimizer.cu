// The gradient's square sum, AdamW (Loshchilov & Hutter 2019) as torch's and bitsandbytes' 8-bit
// one (Dettmers et al. 2022).
//
// osler_sum_of_squares(x, type, n, partials)
//   Grid: ceil(n / 32768) blocks of 256 threads; partials[block] is the sum of the block's 32768
//   elements in double precision, in an order that only n decides. 256 bytes of shared memory.
// osler_sum_partials(partials, count, total)
//   Grid: 1 block of 256 threads.
// osler_adamw(p, g, m, v, n, rate, root2, beta1, beta2, oneMinus1, oneMinus2, epsilon, keep, scale)
//   Grid: any number of blocks of 256 threads. rate = lr / (1 - beta1^t), root2 =
//   sqrt(1 - beta2^t), keep = 1 - lr * decay.
// osler_adamw8bit(p, g, mCodes, vCodes, mAbsmax, vAbsmax, mMap, vMap, n, (the numbers of adamw))
//   Grid: ceil(n / 2048) blocks of 256 threads: one warp a quantization block of 256 values, eight
//   a lane, so that its largest magnitude needs no barrier. mMap, vMap: the 256 values of the
//   signed and the unsigned dynamic map. 4 KB of shared memory: the maps and the bounds between
//   their values, searched by halving (8 steps).
#include "prelude.cuh"

template <class T> DEV double squares(const T *x, i64 start, i64 end)
{
    double sum = 0;
    bool wide = aligned16(x);
    for (i64 i = start + 8 * threadIdx.x; i < end; i += 8 * blockDim.x) {
        float v[8];
        load_of(x, i, end, wide, v);
        for (int j = 0; j < 8; j++) sum += (double)v[j] * v[j];
    }
    return sum;
}

KERNEL osler_sum_of_squares(const void *x, int type, i64 n, double *partials)
{
    __shared__ double scratch[32];
    i64 start = (i64)blockIdx.x << 15, end = smaller(start + (1 << 15), n);
    double sum = type == F32  ? squares((const float *)x, start, end)
               : type == BF16 ? squares((const bf16 *)x, start, end)
                              : squares((const f16 *)x, start, end);
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}
REGISTER(osler_sum_of_squares)

KERNEL osler_sum_partials(const double *partials, int count, double *total)
{
    __shared__ double scratch[32];
    double sum = 0;
    for (int i = threadIdx.x; i < count; i += blockDim.x) sum += partials[i];
    sum = block_sum(sum, scratch);
    if (threadIdx.x == 0) *total = sum;
}
REGISTER(osler_sum_partials)

KERNEL osler_adamw(
    float *p, const float *g, float *m, float *v, i64 n, float rate, float root2, float beta1,
    float beta2, float oneMinus1, float oneMinus2, float epsilon, float keep, float scale)
{
    bool wide = aligned16(p) && aligned16(g) && aligned16(m) && aligned16(v);
    FOR_EIGHTS(i, n)
    {
        float x[8], d[8], first[8], second[8];
        load_of(p, i, n, wide, x);
        load_of(g, i, n, wide, d);
        load_of(m, i, n, wide, first);
        load_of(v, i, n, wide, second);
        for (int j = 0; j < 8; j++) {
            float gradient = d[j] * scale;
            first[j] += (gradient - first[j]) * oneMinus1;
            second[j] = second[j] * beta2 + gradient * gradient * oneMinus2;
            float denominator = sqrtf(second[j]) / root2 + epsilon;
            x[j] = x[j] * keep - rate * first[j] / denominator;
        }
        store_of(p, i, n, wide, x);
        store_of(m, i, n, wide, first);
        store_of(v, i, n, wide, second);
    }
}
REGISTER(osler_adamw)

/* The code of the nearest value, the lower one in a tie: how many of the 255 bounds lie below. */
DEV int nearest_code(const float *bounds, float y)
{
    int low = 0;
    for (int step = 128; step; step >>= 1)
        if (y > bounds[low + step - 1]) low += step;
    return low;
}

DEV void decode8(const u8 *codes, int count, const float *map, float absmax, float *v)
{
    if (count == 8 && ((u64)codes & 7) == 0) {
        u64 all = *(const u64 *)codes;
        for (int j = 0; j < 8; j++) v[j] = map[all >> 8 * j & 255] * absmax;
    } else {
        for (int j = 0; j < 8; j++) v[j] = j < count ? map[codes[j]] * absmax : 0.0f;
    }
}

/* Codes of the warp's 256 values; returns their largest magnitude. */
DEV float encode8(
    const float *v, int count, const float *map, const float *bounds, bool keepingSign, u8 *codes)
{
    float most = 0;
    for (int j = 0; j < 8; j++) most = fmaxf(most, fabsf(v[j]));
    most = warp_max(most);
    float inverse = most > 0 ? 1.0f / most : 0.0f;
    u64 all = 0;
    for (int j = 0; j < 8; j++) {
        int code = nearest_code(bounds, v[j] * inverse);
        /* As bitsandbytes: a small negative first moment does not become zero. */
        if (keepingSign && v[j] < 0 && map[code] >= 0) code--;
        all |= (u64)code << 8 * j;
    }
    if (count == 8 && ((u64)codes & 7) == 0) {
        *(u64 *)codes = all;
    } else {
        for (int j = 0; j < 8; j++)
            if (j < count) codes[j] = (u8)(all >> 8 * j);
    }
    return most;
}

KERNEL osler_adamw8bit(
    float *p, const float *g, u8 *mCodes, u8 *vCodes, float *mAbsmax, float *vAbsmax,
    const float *mMap, const float *vMap, i64 n, float rate, float root2, float beta1, float beta2,
    float oneMinus1, float oneMinus2, float epsilon, float keep, float scale)
{
    __shared__ float maps[2][256], bounds[2][256];
    for (int i = threadIdx.x; i < 256; i += blockDim.x) {
        maps[0][i] = mMap[i];
        maps[1][i] = vMap[i];
        bounds[0][i] = i < 255 ? (mMap[i] + mMap[i + 1]) * 0.5f : 0.0f;
        bounds[1][i] = i < 255 ? (vMap[i] + vMap[i + 1]) * 0.5f : 0.0f;
    }
    __syncthreads();
    i64 block = (i64)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
    if (block * 256 >= n) return;
    i64 i = block * 256 + 8 * (threadIdx.x & 31);
    int count = (int)smaller(n - i, 8);
    count = larger(count, 0);
    bool wide = aligned16(p) && aligned16(g);

    float first[8], second[8], x[8], d[8];
    decode8(mCodes + i, count, maps[0], mAbsmax[block], first);
    decode8(vCodes + i, count, maps[1], vAbsmax[block], second);
    load_some(p + i, count, wide, x);
    load_some(g + i, count, wide, d);
    for (int j = 0; j < 8; j++) {
        float gradient = d[j] * scale;
        first[j] = first[j] * beta1 + oneMinus1 * gradient;
        second[j] = second[j] * beta2 + oneMinus2 * gradient * gradient;
        float update = rate * root2 * (first[j] / (sqrtf(second[j]) + root2 * epsilon));
        x[j] = (x[j] - update) * keep;
    }
    store_some(p + i, count, wide, x);
    /* All lanes have read the scales before one writes them: the collectives within order that. */
    float most1 = encode8(first, count, maps[0], bounds[0], true, mCodes + i);
    float most2 = encode8(second, count, maps[1], bounds[1], false, vCodes + i);
    if ((threadIdx.x & 31) == 0) {
        mAbsmax[block] = most1;
        vAbsmax[block] = most2;
    }
}
REGISTER(osler_adamw8bit)
