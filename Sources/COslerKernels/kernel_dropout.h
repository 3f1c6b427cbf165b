/* Dropout by Philox4x32-10 (Salmon et al. 2011). Eight counters run in the 64-bit lanes of one
 * vector, whose low halves the widening multiply of every instruction set takes; they give the 16
 * bits of 64 elements. */

OK_INLINE void K(philox)(uint64_t block, uint64_t stream, uint64_t seed, uint16_t bits[64])
{
    const u64x8 low = 0xFFFFFFFFu;
    u64x8 position = block + (u64x8){0, 1, 2, 3, 4, 5, 6, 7};
    u64x8 c0 = position & low, c1 = position >> 32;
    u64x8 c2 = stream & 0xFFFFFFFFu, c3 = stream >> 32;
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    /* Upper halves of c1 and c3 hold rubbish that no multiply reads: masks below are free or
     * needed. */
    for (int round = 0; round < 10; round++) {
        u64x8 even = (c0 & low) * 0xD2511F53u, odd = (c2 & low) * 0xCD9E8D57u;
        c0 = (odd >> 32) ^ c1 ^ k0;
        c2 = (even >> 32) ^ c3 ^ k1;
        c1 = odd;
        c3 = even;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    u64x8 first = (c0 & low) | (c1 << 32), second = (c2 & low) | (c3 << 32);
    u64x16 all = __builtin_shufflevector(
        first, second, 0, 8, 1, 9, 2, 10, 3, 11, 4, 12, 5, 13, 6, 14, 7, 15);
    memcpy(bits, &all, sizeof all);
}

OK_INLINE void K(dropout_step)(
    const void *x, bool xb, uint32_t threshold, float scale, const uint16_t *bits, bool adding,
    void *y, bool yb, size_t i, size_t k)
{
    u16x16 half;
    memcpy(&half, bits, sizeof half);
    i32x16 dropped = __builtin_convertvector(half, u32x16) < threshold;
    f32x16 value = K(load)(x, xb, i, k) * scale;
    value = dropped ? (f32x16)0 : value;
    if (adding) value += K(load)(y, yb, i, k);
    K(store)(value, y, yb, i, k);
}

OK_INLINE void K(dropout_as)(
    const void *x, bool xb, uint32_t threshold, float scale, uint64_t seed, uint64_t stream,
    size_t start, size_t n, bool adding, void *y, bool yb)
{
    for (size_t i = 0; i < n; i += 64) {
        uint16_t bits[64];
        K(philox)((start + i) / 8, stream, seed, bits);
        size_t left = n - i;
        if (left >= 64) {
            for (size_t j = 0; j < 64; j += 16)
                K(dropout_step)(x, xb, threshold, scale, bits + j, adding, y, yb, i + j, 16);
        } else {
            for (size_t j = 0; j < left; j += 16)
                K(dropout_step)(
                    x, xb, threshold, scale, bits + j, adding, y, yb, i + j,
                    left - j < 16 ? left - j : 16);
        }
    }
}

static void K(dropout)(
    const void *x, bool xb, uint32_t threshold, float scale, uint64_t seed, uint64_t stream,
    size_t start, size_t n, bool adding, void *y, bool yb)
{
#define OK_CASE(XB, YB) \
    case XB * 2 + YB: \
        if (adding) K(dropout_as)(x, XB, threshold, scale, seed, stream, start, n, true, y, YB); \
        else K(dropout_as)(x, XB, threshold, scale, seed, stream, start, n, false, y, YB); \
        break;
    switch (xb * 2 + yb) { OK_CASE(0, 0) OK_CASE(0, 1) OK_CASE(1, 0) OK_CASE(1, 1) }
#undef OK_CASE
}
