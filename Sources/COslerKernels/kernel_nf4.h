/* NF4 (QLoRA, Dettmers et al. 2023) as bitsandbytes' CUDA code: the code of x / absmax is the
 * number of bounds that lie below it, so a value on a bound goes to the lower code. */

#ifndef OK_NF4_TABLES
#define OK_NF4_TABLES
static const float nf4_table[16] = {
    -1, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
    -0.18477343022823334f, -0.09105003625154495f, 0, 0.07958029955625534f, 0.16093020141124725f,
    0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,
    0.7229568362236023f, 1,
};
/* Half of the sum of neighbours in float32, as the library has them. */
static const float nf4_bounds[15] = {
    -0x1.b239b0p-1f, -0x1.38a4e0p-1f, -0x1.d70900p-2f, -0x1.5bd4ecp-2f, -0x1.e079d8p-3f,
    -0x1.1a7178p-3f, -0x1.74f0e2p-5f, 0x1.45f5fep-5f,  0x1.ec90c4p-4f,  0x1.a0cfc0p-3f,
    0x1.2b05a8p-2f,  0x1.8ea7f2p-2f,  0x1.00da08p-1f,  0x1.491b5ep-1f,  0x1.b913b4p-1f,
};
#endif

/* Codes of 16 lanes. */
OK_INLINE u32x16 K(nf4_codes)(f32x16 y)
{
    i32x16 above = 0;
    for (int i = 0; i < 15; i++) above -= y > nf4_bounds[i];
    return __builtin_bit_cast(u32x16, above);
}

OK_INLINE void K(nf4_pack)(f32x16 scaled, uint8_t *codes, size_t k)
{
    u64x8 pairs = __builtin_bit_cast(u64x8, K(nf4_codes)(scaled));
    u64x8 bytes = (pairs << 4 | pairs >> 32) & 0xFF;
    uint8_t lanes[8];
    for (int j = 0; j < 8; j++) lanes[j] = (uint8_t)bytes[j];
    /* A lane beyond the end is 0, whose code 7 also fills the last half byte of an odd count. */
    memcpy(codes, lanes, (k + 1) / 2);
}

OK_INLINE float K(nf4_block)(
    const void *x, bool b, size_t start, size_t count, bool dividing, uint8_t *codes)
{
    const void *values = K(at)(x, b, start);
    float absmax = K(absmax)(values, b, count);
    float safe = absmax < 1e-38f ? 1e-38f : absmax, inverse = 1.0f / safe;
    size_t i = 0;
    for (; i + 16 <= count; i += 16) {
        f32x16 y = K(load)(values, b, i, 16);
        K(nf4_pack)(dividing ? y / safe : y * inverse, codes + i / 2, 16);
    }
    if (i < count) {
        f32x16 y = K(load)(values, b, i, count - i);
        K(nf4_pack)(dividing ? y / safe : y * inverse, codes + i / 2, count - i);
    }
    return absmax;
}

OK_INLINE void K(nf4_quantize_as)(
    const void *x, bool b, size_t n, size_t block, uint8_t *codes, float *absmax)
{
    size_t start = 0;
    for (; start + block <= n; start += block)
        absmax[start / block] = K(nf4_block)(x, b, start, block, false, codes + start / 2);
    if (start < n)
        absmax[start / block] = K(nf4_block)(x, b, start, n - start, true, codes + start / 2);
}

static void K(nf4_quantize)(
    const void *x, bool bf16, size_t n, size_t block, uint8_t *codes, float *absmax)
{
    if (!bf16) {
        K(nf4_quantize_as)(x, false, n, block, codes, absmax);
        return;
    }
    size_t done = 0;
#ifdef OK_NF4_QUANTIZE_BLOCKS
    if (block == 64) done = OK_NF4_QUANTIZE_BLOCKS(x, n / 64, nf4_bounds, codes, absmax);
#endif
    const uint16_t *rest = (const uint16_t *)x + done * block;
    K(nf4_quantize_as)(rest, true, n - done * block, block, codes + done * block / 2, absmax + done);
}

/* The 16 products of a block serve all its values: no multiply a value. */
OK_INLINE void K(nf4_dequantize_as)(
    const uint8_t *codes, const float *absmax, size_t n, size_t block, void *y, bool b)
{
    for (size_t start = 0; start < n; start += block) {
        float table[16], values[16];
        for (int i = 0; i < 16; i++) table[i] = nf4_table[i] * absmax[start / block];
        size_t end = n - start < block ? n : start + block;
        size_t i = start;
        for (; i + 16 <= end; i += 16) {
            for (size_t j = 0; j < 8; j++) {
                values[2 * j] = table[codes[i / 2 + j] >> 4];
                values[2 * j + 1] = table[codes[i / 2 + j] & 15];
            }
            K(store)(K(load)(values, false, 0, 16), y, b, i, 16);
        }
        for (; i < end; i++) {
            values[0] = table[i % 2 == 0 ? codes[i / 2] >> 4 : codes[i / 2] & 15];
            K(store)(K(load)(values, false, 0, 1), y, b, i, 1);
        }
    }
}

static void K(nf4_dequantize)(
    const uint8_t *codes, const float *absmax, size_t n, size_t block, void *y, bool bf16)
{
    if (bf16) K(nf4_dequantize_as)(codes, absmax, n, block, y, true);
    else K(nf4_dequantize_as)(codes, absmax, n, block, y, false);
}
