/* One row of the loss, and of exponentials; included once an instruction set by crossentropy.c. */
#include "vectors.h"

OK_INLINE float K(largest)(const float *x, size_t n)
{
    f32x16 most = (f32x16)-__builtin_inff();
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        f32x16 a = K(load)(x, false, i, 16);
        most = a > most ? a : most;
    }
    float result = K(max_lane)(most);
    for (; i < n; i++) result = x[i] > result ? x[i] : result;
    return result;
}

/* `x` with zeros from lane `k` on. */
OK_INLINE f32x16 K(first_lanes)(f32x16 x, size_t k)
{
    if (k < 16) {
        float tail[16] = {0};
        memcpy(tail, &x, k * sizeof(float));
        memcpy(&x, tail, sizeof x);
    }
    return x;
}

/* exp(x - largest), whose sum and whose sum times x - largest are added up; kept in `x` when `keep`. */
OK_INLINE void K(exponentials)(
    float *x, size_t i, size_t k, float largest, bool keep, f32x16 *sum, f32x16 *weighted)
{
    f32x16 d = K(load)(x, false, i, k) - largest;
    d = d < -87.0f ? (f32x16)-87.0f : d;
    f32x16 e = K(exp)(d);
    if (keep) K(store)(e, x, false, i, k);
    e = K(first_lanes)(e, k);
    *sum += e;
    *weighted += e * d;
}

static void K(cross_entropy_row)(const ok_cross_entropy *job, size_t row)
{
    const size_t n = job->vocabulary, target = (size_t)job->targets[row];
    float *x = job->logits + row * n;
    const float largest = K(largest)(x, n), own = x[target];
    size_t before = 0;
    if (own == largest)
        while (x[before] != largest) before++;
    job->is_top[row] = own == largest && before == target ? 1 : 0;

    f32x16 sums = 0, weighted = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16)
        K(exponentials)(x, i, 16, largest, job->gradient, &sums, &weighted);
    if (i < n) K(exponentials)(x, i, n - i, largest, job->gradient, &sums, &weighted);
    const float sum = K(sum)(sums), log_sum = logf(sum);
    const float log_probability = own - largest - log_sum;
    job->log_probabilities[row] = log_probability;
    job->entropies[row] = log_sum - K(sum)(weighted) / sum;

    if (!job->gradient) return;
    const float weight = job->weighted ? expf(log_probability) : 1;
    const float factor = weight / sum;
    for (i = 0; i + 16 <= n; i += 16)
        K(store)(K(load)(x, false, i, 16) * factor, x, false, i, 16);
    for (; i < n; i++) x[i] *= factor;
    x[target] -= weight;
}

typedef double K(f64x16) __attribute__((ext_vector_type(16)));

static double K(exponential_sum)(const float *x, size_t n, float top, float scale, float *out)
{
    K(f64x16) sums = 0;
    for (size_t i = 0; i < n; i += 16) {
        const size_t k = n - i < 16 ? n - i : 16;
        f32x16 e = K(exp)((K(load)(x, false, i, k) - top) * scale);
        if (out) K(store)(e, out, false, i, k);
        e = K(first_lanes)(e, k);
        sums += __builtin_convertvector(e, K(f64x16));
    }
    double sum = 0;
    for (int lane = 0; lane < 16; lane++) sum += sums[lane];
    return sum;
}
