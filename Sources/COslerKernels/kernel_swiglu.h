/* silu(gate) * up (Shazeer 2020). A step loads all its inputs before it stores, so outputs may be
 * inputs. */

OK_INLINE void K(swiglu_step)(
    const void *gate, const void *up, void *y, bool b, size_t i, size_t k)
{
    f32x16 g = K(load)(gate, b, i, k), u = K(load)(up, b, i, k);
    K(store)(g / (1.0f + K(exp)(-g)) * u, y, b, i, k);
}

OK_INLINE void K(swiglu_as)(const void *gate, const void *up, void *y, bool b, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) K(swiglu_step)(gate, up, y, b, i, 16);
    if (i < n) K(swiglu_step)(gate, up, y, b, i, n - i);
}

static void K(swiglu)(const void *gate, const void *up, void *y, bool bf16, size_t n)
{
    if (bf16) K(swiglu_as)(gate, up, y, true, n);
    else K(swiglu_as)(gate, up, y, false, n);
}

OK_INLINE void K(swiglu_backward_step)(
    const void *dy, const void *gate, const void *up, void *dgate, void *dup, bool b, size_t i,
    size_t k)
{
    f32x16 d = K(load)(dy, b, i, k), g = K(load)(gate, b, i, k), u = K(load)(up, b, i, k);
    f32x16 sigmoid = 1.0f / (1.0f + K(exp)(-g));
    f32x16 silu = g * sigmoid;
    K(store)(d * u * (sigmoid + silu * (1.0f - sigmoid)), dgate, b, i, k);
    K(store)(d * silu, dup, b, i, k);
}

OK_INLINE void K(swiglu_backward_as)(
    const void *dy, const void *gate, const void *up, void *dgate, void *dup, bool b, size_t n)
{
    size_t i = 0;
    for (; i + 16 <= n; i += 16) K(swiglu_backward_step)(dy, gate, up, dgate, dup, b, i, 16);
    if (i < n) K(swiglu_backward_step)(dy, gate, up, dgate, dup, b, i, n - i);
}

static void K(swiglu_backward)(
    const void *dy, const void *gate, const void *up, void *dgate, void *dup, bool bf16, size_t n)
{
    if (bf16) K(swiglu_backward_as)(dy, gate, up, dgate, dup, true, n);
    else K(swiglu_backward_as)(dy, gate, up, dgate, dup, false, n);
}
