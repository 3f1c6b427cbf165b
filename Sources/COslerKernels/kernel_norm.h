/* RMS norm (Zhang & Sennrich 2019), a row at a time; the second pass over a row finds it in the
 * first cache. */

OK_INLINE float K(sum_squares_row)(const void *x, bool xb, size_t width)
{
    f32x16 s0 = 0, s1 = 0;
    size_t i = 0;
    for (; i + 32 <= width; i += 32) {
        f32x16 a = K(load)(x, xb, i, 16), b = K(load)(x, xb, i + 16, 16);
        s0 += a * a;
        s1 += b * b;
    }
    for (; i < width; i += 16) {
        f32x16 a = K(load)(x, xb, i, width - i < 16 ? width - i : 16);
        s0 += a * a;
    }
    return K(sum)(s0 + s1);
}

OK_INLINE void K(norm_as)(
    const void *x, bool xb, const float *w, float epsilon, size_t rows, size_t width, void *y,
    bool yb, float *inverse_rms)
{
    for (size_t t = 0; t < rows; t++) {
        const void *xt = K(at)(x, xb, t * width);
        void *yt = K(to)(y, yb, t * width);
        float mean = K(sum_squares_row)(xt, xb, width) / (float)width;
        float inverse = 1.0f / __builtin_elementwise_sqrt(mean + epsilon);
        inverse_rms[t] = inverse;
        size_t i = 0;
        for (; i + 16 <= width; i += 16)
            K(store)(K(load)(xt, xb, i, 16) * inverse * K(load)(w, false, i, 16), yt, yb, i, 16);
        if (i < width) {
            size_t k = width - i;
            K(store)(K(load)(xt, xb, i, k) * inverse * K(load)(w, false, i, k), yt, yb, i, k);
        }
    }
}

static void K(rms_norm)(
    const void *x, bool xb, const float *w, float epsilon, size_t rows, size_t width, void *y,
    bool yb, float *inverse_rms)
{
    if (xb && yb) K(norm_as)(x, true, w, epsilon, rows, width, y, true, inverse_rms);
    else if (xb) K(norm_as)(x, true, w, epsilon, rows, width, y, false, inverse_rms);
    else if (yb) K(norm_as)(x, false, w, epsilon, rows, width, y, true, inverse_rms);
    else K(norm_as)(x, false, w, epsilon, rows, width, y, false, inverse_rms);
}

/* sum of w * dy * x */
OK_INLINE float K(norm_dot)(
    const void *dy, bool db, const void *x, bool xb, const float *w, size_t n)
{
    f32x16 sum = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        sum += K(load)(w, false, i, 16) * K(load)(dy, db, i, 16) * K(load)(x, xb, i, 16);
    if (i < n) {
        size_t k = n - i;
        sum += K(load)(w, false, i, k) * K(load)(dy, db, i, k) * K(load)(x, xb, i, k);
    }
    return K(sum)(sum);
}

OK_INLINE void K(norm_backward_step)(
    const void *dy, bool db, const void *x, bool xb, const float *w, float inverse, float mean,
    bool accumulating, void *dx, bool gb, size_t i, size_t k)
{
    f32x16 wdy = K(load)(w, false, i, k) * K(load)(dy, db, i, k);
    f32x16 g = inverse * (wdy - K(load)(x, xb, i, k) * mean);
    if (accumulating) g += K(load)(dx, gb, i, k);
    K(store)(g, dx, gb, i, k);
}

OK_INLINE void K(norm_backward_as)(
    const void *dy, bool db, const void *x, bool xb, const float *w, const float *inverse_rms,
    size_t rows, size_t width, bool accumulating, void *dx, bool gb)
{
    for (size_t t = 0; t < rows; t++) {
        const void *dyt = K(at)(dy, db, t * width), *xt = K(at)(x, xb, t * width);
        void *dxt = K(to)(dx, gb, t * width);
        float inverse = inverse_rms[t];
        float mean = inverse * inverse * (K(norm_dot)(dyt, db, xt, xb, w, width) / (float)width);
        size_t i = 0;
        for (; i + 16 <= width; i += 16)
            K(norm_backward_step)(dyt, db, xt, xb, w, inverse, mean, accumulating, dxt, gb, i, 16);
        if (i < width)
            K(norm_backward_step)(
                dyt, db, xt, xb, w, inverse, mean, accumulating, dxt, gb, i, width - i);
    }
}

static void K(rms_norm_backward)(
    const void *dy, bool db, const void *x, bool xb, const float *w, const float *inverse_rms,
    size_t rows, size_t width, bool accumulating, void *dx, bool gb)
{
#define OK_CASE(DB, XB, GB) \
    case DB * 4 + XB * 2 + GB: \
        K(norm_backward_as)(dy, DB, x, XB, w, inverse_rms, rows, width, accumulating, dx, GB); \
        break;
    switch (db * 4 + xb * 2 + gb) {
        OK_CASE(0, 0, 0) OK_CASE(0, 0, 1) OK_CASE(0, 1, 0) OK_CASE(0, 1, 1)
        OK_CASE(1, 0, 0) OK_CASE(1, 0, 1) OK_CASE(1, 1, 0) OK_CASE(1, 1, 1)
    }
#undef OK_CASE
}
