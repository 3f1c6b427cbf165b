/* AdamW (Loshchilov & Hutter 2019) as torch's and bitsandbytes' 8-bit one (Dettmers et al. 2022),
 * and the gradient's square sum. */

OK_INLINE double K(sum_of_squares_as)(const void *x, bool b, size_t n)
{
    f64x16 sum = 0;
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        f64x16 a = __builtin_convertvector(K(load)(x, b, i, 16), f64x16);
        sum += a * a;
    }
    if (i < n) {
        f64x16 a = __builtin_convertvector(K(load)(x, b, i, n - i), f64x16);
        sum += a * a;
    }
    double lanes[16];
    memcpy(lanes, &sum, sizeof lanes);
    for (int width = 8; width > 0; width /= 2)
        for (int i = 0; i < width; i++) lanes[i] += lanes[i + width];
    return lanes[0];
}

static double K(sum_of_squares)(const void *x, bool bf16, size_t n)
{
    return bf16 ? K(sum_of_squares_as)(x, true, n) : K(sum_of_squares_as)(x, false, n);
}

OK_INLINE void K(adamw_step)(
    float *p, const float *g, float *m, float *v, const ok_adam_step *s, size_t i, size_t k)
{
    f32x16 gradient = K(load)(g, false, i, k) * s->gradient_scale;
    f32x16 first = K(load)(m, false, i, k), second = K(load)(v, false, i, k);
    first += (gradient - first) * s->one_minus_beta1;
    second = second * s->beta2 + gradient * gradient * s->one_minus_beta2;
    f32x16 root = __builtin_elementwise_sqrt(second);
    f32x16 denominator = root / s->root_correction2 + s->epsilon;
    f32x16 parameter = K(load)(p, false, i, k) * s->keep;
    parameter -= s->learning_rate_over_correction1 * first / denominator;
    K(store)(first, m, false, i, k);
    K(store)(second, v, false, i, k);
    K(store)(parameter, p, false, i, k);
}

static void K(adamw)(
    float *p, const float *g, float *m, float *v, size_t n, const ok_adam_step *step)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) K(adamw_step)(p, g, m, v, step, i, 16);
    if (i < n) K(adamw_step)(p, g, m, v, step, i, n - i);
}

/* The code of the value nearest to y, |y| <= 1, the lower one in a tie: the first that its leading
 * bits allow, and at most three steps on (a test proves that three are enough). */
OK_INLINE uint8_t K(nearest_code)(const ok_dynamic_map *map, float y)
{
    uint32_t bits = __builtin_bit_cast(uint32_t, y);
    int32_t cell = (int32_t)((bits & 0x7FFFFFFF) >> 17) - ((127 - 24) << 6);
    cell = cell < 0 ? 0 : cell >= OK_MAP_CELLS ? OK_MAP_CELLS - 1 : cell;
    uint32_t code = map->start[bits >> 31][cell];
    code += y > map->bounds[code];
    code += y > map->bounds[code];
    code += y > map->bounds[code];
    return (uint8_t)code;
}

/* 8-bit codes of one block; `x` is scaled by its largest magnitude. */
OK_INLINE float K(quantize_block)(
    const float *x, size_t n, const ok_dynamic_map *map, bool keeping_sign, uint8_t *codes)
{
    float absmax = K(absmax)(x, false, n);
    float inverse = absmax > 0 ? 1.0f / absmax : 0;
    for (size_t i = 0; i < n; i++) {
        uint8_t code = K(nearest_code)(map, x[i] * inverse);
        /* bitsandbytes' CUDA kernel: a small negative first moment does not become zero. */
        if (keeping_sign && x[i] < 0 && map->values[code] >= 0) code--;
        codes[i] = code;
    }
    return absmax;
}

static void K(adamw_8bit)(
    float *p, const float *g, uint8_t *m_codes, uint8_t *v_codes, float *m_absmax,
    float *v_absmax, size_t n, const ok_dynamic_map *m_map, const ok_dynamic_map *v_map,
    const ok_adam_step *s)
{
    for (size_t start = 0, block = 0; start < n; start += 256, block++) {
        size_t count = n - start < 256 ? n - start : 256;
        float first[256], second[256];
        for (size_t i = 0; i < count; i++) {
            first[i] = m_map->values[m_codes[start + i]] * m_absmax[block];
            second[i] = v_map->values[v_codes[start + i]] * v_absmax[block];
        }
        float epsilon = s->root_correction2 * s->epsilon;
        float rate = s->learning_rate_over_correction1 * s->root_correction2;
        for (size_t i = 0; i < count; i++) {
            float gradient = g[start + i] * s->gradient_scale;
            first[i] = first[i] * s->beta1 + s->one_minus_beta1 * gradient;
            second[i] = second[i] * s->beta2 + s->one_minus_beta2 * gradient * gradient;
            float update = rate * (first[i] / (__builtin_elementwise_sqrt(second[i]) + epsilon));
            p[start + i] = (p[start + i] - update) * s->keep;
        }
        m_absmax[block] = K(quantize_block)(first, count, m_map, true, m_codes + start);
        v_absmax[block] = K(quantize_block)(second, count, v_map, false, v_codes + start);
    }
}

static void K(quantize_8bit)(
    const float *x, float offset, size_t n, size_t block, const ok_dynamic_map *map,
    uint8_t *codes, float *absmax)
{
    for (size_t start = 0; start < n; start += block) {
        size_t count = n - start < block ? n - start : block;
        float most = 0;
        for (size_t i = 0; i < count; i++) {
            float a = __builtin_fabsf(x[start + i] - offset);
            most = a > most ? a : most;
        }
        float inverse = most > 0 ? 1.0f / most : 0;
        for (size_t i = 0; i < count; i++)
            codes[start + i] = K(nearest_code)(map, (x[start + i] - offset) * inverse);
        absmax[start / block] = most;
    }
}
