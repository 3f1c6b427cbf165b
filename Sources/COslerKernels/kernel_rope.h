/* Rotary embedding (Su et al. 2021) in place, element i of a head paired with i + half. */

OK_INLINE void K(rope_step)(
    void *low, void *high, bool b, const float *cosine, const float *sine, float sign, size_t i,
    size_t k)
{
    f32x16 x = K(load)(low, b, i, k), y = K(load)(high, b, i, k);
    f32x16 c = K(load)(cosine, false, i, k), s = K(load)(sine, false, i, k) * sign;
    K(store)(x * c - y * s, low, b, i, k);
    K(store)(y * c + x * s, high, b, i, k);
}

OK_INLINE void K(rope_as)(
    void *x, bool b, const int32_t *positions, const float *cosine, const float *sine,
    float sign, size_t rows, size_t heads, size_t half)
{
    for (size_t t = 0; t < rows; t++) {
        const float *c = cosine + (size_t)positions[t] * half;
        const float *s = sine + (size_t)positions[t] * half;
        for (size_t head = 0; head < heads; head++) {
            void *low = K(to)(x, b, (t * heads + head) * 2 * half);
            void *high = K(to)(low, b, half);
            size_t i = 0;
            for (; i + 16 <= half; i += 16) K(rope_step)(low, high, b, c, s, sign, i, 16);
            if (i < half) K(rope_step)(low, high, b, c, s, sign, i, half - i);
        }
    }
}

static void K(rope)(
    void *x, bool bf16, const int32_t *positions, const float *cosine, const float *sine,
    bool inverse, size_t rows, size_t heads, size_t half)
{
    float sign = inverse ? -1.0f : 1.0f;
    if (bf16) K(rope_as)(x, true, positions, cosine, sine, sign, rows, heads, half);
    else K(rope_as)(x, false, positions, cosine, sine, sign, rows, heads, half);
}
