// NF4 (QLoRA, Dettmers et al. 2023) to numbers, for products of many rows: a panel of the weight is
// decoded, then multiplied.
//
// Grid: any number of blocks of 256 threads; a thread's step is 8 values: one 4-byte load of codes,
// one scale and a 16-byte store, which keeps a warp's accesses contiguous. 64 bytes of shared
// memory: the 16 values, in 16 banks, so that lanes with different codes don't collide.
//
// osler_nf4_decode(codes, absmax, nested, table, offset, nestedBlock, blockSize, start, y, yType,
//                  n)
//   Values start ... start + n of the flattened matrix. absmax float32; or uint8 with nested
//   float32, table float32 [256] and offset, when nested isn't null.
#include "prelude.cuh"

template <class Y>
DEV void decode_as(
    const u8 *codes, const NF4Scales &scales, i64 start, Y *y, i64 n,
    const float *values)
{
    bool fast = scales.block % 8 == 0 && start % 8 == 0 && ((u64)codes & 3) == 0;
    bool wide = aligned16(y);
    FOR_EIGHTS(i, n)
    {
        float v[8];
        i64 e = start + i;
        if (fast && n - i >= 8) {
            float scale = nf4_scale(scales, e);
            u32 word = *(const u32 *)(codes + e / 2);
            for (int j = 0; j < 8; j++) {
                u32 code = word >> (j % 2 ? 4 * j - 4 : 4 * j + 4) & 15;
                v[j] = values[code] * scale;
            }
        } else {
            for (int j = 0; j < 8; j++, e++) {
                if (i + j >= n) continue;
                int code = e % 2 ? codes[e / 2] & 15 : codes[e / 2] >> 4;
                v[j] = values[code] * nf4_scale(scales, e);
            }
        }
        store_of(y, i, n, wide, v);
    }
}

KERNEL osler_nf4_decode(
    const u8 *codes, const void *absmax, const float *nested, const float *table, float offset,
    int nestedBlock, int blockSize, i64 start, void *y, int yType, i64 n)
{
    __shared__ float values[16];
    if (threadIdx.x < 16) values[threadIdx.x] = nf4_values[threadIdx.x];
    __syncthreads();
    NF4Scales scales = nf4_scales(absmax, nested, table, offset, nestedBlock, blockSize);
    if (yType == F32) decode_as(codes, scales, start, (float *)y, n, values);
    else if (yType == BF16) decode_as(codes, scales, start, (bf16 *)y, n, values);
    else decode_as(codes, scales, start, (f16 *)y, n, values);
}
REGISTER(osler_nf4_decode)
