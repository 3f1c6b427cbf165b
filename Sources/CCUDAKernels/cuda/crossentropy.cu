// Log-softmax, loss and logit gradient of a chunk of rows whose logits exist.
//
// Grid: one block a row, 512 threads; 256 bytes of static shared memory. One pass finds the largest
// logit, its place, the sum of exponentials and their sum weighted by x - largest (for the entropy)
// at once, rescaled as the largest grows; a second pass writes the gradient. A row of 128 k logits
// is 512 KB: the second pass finds most of it in the second-level cache.
//
// osler_cross_entropy(logits, targets, vocabulary, weighted, logProbabilities, entropies, isTop,
//                     gradient, gradientType, gradientScale)
//   logits float32 `[rows, vocabulary]`. gradient `[rows, vocabulary]`: gradientScale * weight *
//   (p - onehot), with weight 1, or p(target) when `weighted` (dft); float32, then it may be
//   `logits`, or a 16-bit type; or null. A target outside the vocabulary stops the kernel.
#include "prelude.cuh"

/* Of some logits: the largest and where it is first, sum of e^(x - largest), and of
 * e^(x - largest) (x - largest). */
struct RowSums {
    float largest, sum, weighted;
    int place;
};

DEV RowSums merged(const RowSums &a, const RowSums &b)
{
    RowSums r;
    bool second = b.largest > a.largest || (b.largest == a.largest && b.place < a.place);
    r.largest = second ? b.largest : a.largest;
    r.place = second ? b.place : a.place;
    float da = a.largest - r.largest, db = b.largest - r.largest;
    float fa = expf(da), fb = expf(db);
    r.sum = a.sum * fa + b.sum * fb;
    r.weighted = fa * (a.weighted + a.sum * da) + fb * (b.weighted + b.sum * db);
    return r;
}

DEV RowSums warp_merged(RowSums s)
{
    for (int o = 16; o; o >>= 1) {
        RowSums other;
        other.largest = __shfl_xor_sync(0xFFFFFFFFu, s.largest, o);
        other.sum = __shfl_xor_sync(0xFFFFFFFFu, s.sum, o);
        other.weighted = __shfl_xor_sync(0xFFFFFFFFu, s.weighted, o);
        other.place = __shfl_xor_sync(0xFFFFFFFFu, s.place, o);
        s = merged(s, other);
    }
    return s;
}

DEV RowSums thread_sums(const float *x, int n, bool wide)
{
    /* Finite, so that differences of it are numbers. */
    RowSums s = {-3.0e38f, 0, 0, n};
    for (int i = 8 * threadIdx.x; i < n; i += 8 * blockDim.x) {
        float v[8];
        int count = (int)smaller(n - i, 8), place = s.place;
        load_some(x + i, count, wide, v);
        float largest = s.largest;
        for (int j = 0; j < 8; j++) {
            if (j < count && v[j] > largest) {
                largest = v[j];
                place = i + j;
            }
        }
        if (largest > s.largest) {
            float d = s.largest - largest, f = expf(d);
            s.weighted = f * (s.weighted + s.sum * d);
            s.sum *= f;
            s.largest = largest;
            s.place = place;
        }
        for (int j = 0; j < 8; j++) {
            if (j >= count) continue;
            /* A logit of -inf has no share in the entropy; a NaN stays one. */
            float d = v[j] - largest < -87.0f ? -87.0f : v[j] - largest, e = expf(d);
            s.sum += e;
            s.weighted += e * d;
        }
    }
    return s;
}

template <class G>
DEV void write_gradient(
    const float *x, G *gradient, int n, int target, float largest, float factor, float weight)
{
    bool wide = aligned16(x) && aligned16(gradient);
    for (int i = 8 * threadIdx.x; i < n; i += 8 * blockDim.x) {
        float v[8];
        load_of(x, i, n, wide, v);
        for (int j = 0; j < 8; j++) {
            v[j] = expf(v[j] - largest) * factor;
            if (i + j == target) v[j] -= weight;
        }
        store_of(gradient, i, n, wide, v);
    }
}

KERNEL osler_cross_entropy(
    const float *logits, const int *targets, int vocabulary, int weighted, float *logProbabilities,
    float *entropies, float *isTop, void *gradient, int gradientType,
    float gradientScale)
{
    __shared__ RowSums parts[32];
    i64 row = blockIdx.x, start = row * vocabulary;
    int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, target = targets[row];
    if (target < 0 || target >= vocabulary) __trap();
    const float *x = logits + start;
    float own = x[target];
    RowSums s = warp_merged(thread_sums(x, vocabulary, aligned16(x)));
    if (lane == 0) parts[warp] = s;
    /* Also: every thread has its target's logit before the gradient replaces it. */
    __syncthreads();
    s = parts[0];
    for (int w = 1; w < (int)(blockDim.x >> 5); w++) s = merged(s, parts[w]);

    float logSum = logf(s.sum), logProbability = own - s.largest - logSum;
    if (threadIdx.x == 0) {
        logProbabilities[row] = logProbability;
        entropies[row] = logSum - s.weighted / s.sum;
        isTop[row] = s.place == target ? 1.0f : 0.0f;
    }
    if (!gradient) return;
    float weight = gradientScale * (weighted ? expf(logProbability) : 1.0f);
    float factor = weight / s.sum;
    float *gf = (float *)gradient + start;
    bf16 *gb = (bf16 *)gradient + start;
    f16 *gh = (f16 *)gradient + start;
    if (gradientType == F32) write_gradient(x, gf, vocabulary, target, s.largest, factor, weight);
    else if (gradientType == BF16)
        write_gradient(x, gb, vocabulary, target, s.largest, factor, weight);
    else write_gradient(x, gh, vocabulary, target, s.largest, factor, weight);
}
REGISTER(osler_cross_entropy)
