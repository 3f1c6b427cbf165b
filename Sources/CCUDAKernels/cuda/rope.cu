// Rotary embedding (Su et al. 2021) in place; element i of a head is paired with i + half.
//
// Grid: one block a token, 32 to 256 threads (heads * ceil(half / 8) is enough). A thread turns
// eight pairs at a time. No shared memory.
//
// osler_rope(x, type, positions, cosine, sine, heads, half, inverse, limit)
//   x [tokens, heads, 2 half]; cosine, sine float32 [limit, half]; positions int32 [tokens]. A
//   position that isn't below `limit` stops the kernel.
#include "prelude.cuh"

template <class T>
DEV void rope_token(T *x, const float *cosine, const float *sine, int heads, int half, float sign)
{
    bool wide = half % 8 == 0 && aligned16(x) && aligned16(cosine) && aligned16(sine);
    int groups = (half + 7) / 8;
    for (int k = threadIdx.x; k < heads * groups; k += blockDim.x) {
        int head = k / groups, i = k % groups * 8, count = (int)smaller(half - i, 8);
        T *low = x + head * 2 * half + i, *high = low + half;
        float a[8], b[8], c[8], s[8], u[8];
        load_some(low, count, wide, a);
        load_some(high, count, wide, b);
        load_some(cosine + i, count, wide, c);
        load_some(sine + i, count, wide, s);
        for (int j = 0; j < 8; j++) {
            float turned = sign * s[j];
            u[j] = a[j] * c[j] - b[j] * turned;
            b[j] = b[j] * c[j] + a[j] * turned;
        }
        store_some(low, count, wide, u);
        store_some(high, count, wide, b);
    }
}

KERNEL osler_rope(
    void *x, int type, const int *positions, const float *cosine, const float *sine, int heads,
    int half, int inverse, int limit)
{
    int position = positions[blockIdx.x];
    if (position < 0 || position >= limit) __trap();
    i64 start = (i64)blockIdx.x * heads * 2 * half;
    const float *c = cosine + (i64)position * half, *s = sine + (i64)position * half;
    float sign = inverse ? -1.0f : 1.0f;
    if (type == F32) rope_token((float *)x + start, c, s, heads, half, sign);
    else if (type == BF16) rope_token((bf16 *)x + start, c, s, heads, half, sign);
    else rope_token((f16 *)x + start, c, s, heads, half, sign);
}
REGISTER(osler_rope)
