// What every kernel file starts from. No CUDA header is needed: everything beyond what NVRTC has
// built in is inline PTX, and only here.
//
// For the host side: kernels live in Sources/CCUDAKernels/cuda/*.cu and reach Swift as text through
// the C target CCUDAKernels (`ccuda_prelude`, `ccuda_kernel_files`): give NVRTC the prelude as the
// in-memory header "prelude.cuh" and compile each .cu as a module of its own. Arguments are
// pointers, int, float and long long, in the order that each file's head comment gives. An argument
// called `...Type` is the element type of the pointer before it: 0 float32, 1 bfloat16, 2 float16.
// Beside float32 a launch has one 16-bit type, written `H` where code serves both; products in it
// have a kernel a type, with the type in its name. Dynamic shared memory beyond 48 KB (attention)
// needs cuFuncSetAttribute.
//
// Compute capability 7.5 (Turing) has no bfloat16 in hardware, no asynchronous copies, and half as
// deep an mma: it is served where `AMPERE` is 0, in float16 alone.
//
// The simulator (Sources/CudaSim) defines CUSIM and has plain twins of the PTX wrappers. For it
// kernels keep these rules: `__shared__` variables only in the body of a KERNEL, dynamic shared
// memory by DYN_SHARED, warp collectives by whole warps, each kernel named once by REGISTER.
#pragma once

#ifndef CUSIM
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
#define DEV static __device__ __forceinline__
#define KERNEL extern "C" __global__ void
#define CONSTANT static __constant__ const
#define DYN_SHARED(T, name) extern __shared__ __align__(16) T name[]
#define REGISTER(name)
#define AMPERE (__CUDA_ARCH__ >= 800)

struct bf16 {
    u16 x;
};
struct f16 {
    u16 x;
};

/* Rounding to nearest even; what is too large for float16 becomes infinite. The first argument only
 * says which type is meant. */
DEV bf16 round_to(bf16, float f)
{
    bf16 r;
#if AMPERE
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(r.x) : "f"(f));
#else
    u32 u = __float_as_uint(f);
    r.x = (u & 0x7FFFFFFF) > 0x7F800000 ? 0x7FFF : (u16)((u + 0x7FFF + (u >> 16 & 1)) >> 16);
#endif
    return r;
}
DEV f16 round_to(f16, float f)
{
    f16 r;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r.x) : "f"(f));
    return r;
}
DEV float to_f(f16 h)
{
    float f;
    asm("cvt.f32.f16 %0, %1;" : "=f"(f) : "h"(h.x));
    return f;
}
/* Two values side by side, `lo` in the lower half. */
#if AMPERE
DEV u32 pack(bf16, float lo, float hi)
{
    u32 r;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
    return r;
}
DEV u32 pack(f16, float lo, float hi)
{
    u32 r;
    asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
    return r;
}
#else
template <class H> DEV u32 pack(H h, float lo, float hi)
{
    return round_to(h, lo).x | (u32)round_to(h, hi).x << 16;
}
#endif

DEV u32 shared_address(const void *p)
{
    u32 a;
    asm("{ .reg .u64 t; cvta.to.shared.u64 t, %1; cvt.u32.u64 %0, t; }" : "=r"(a) : "l"(p));
    return a;
}
#if AMPERE
/* Copies 16 bytes from global to shared memory, both aligned to 16; zeros when not `valid`. */
DEV void cp_async16(void *s, const void *g, bool valid)
{
    int bytes = valid ? 16 : 0;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(s)), "l"(g),
                 "r"(bytes)
                 : "memory");
}
DEV void cp_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
/* Waits until at most N of this thread's groups are under way. */
template <int N> DEV void cp_async_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory");
}
#else
/* Done at once; the barrier after a wait shows it to the other threads. */
DEV void cp_async16(void *s, const void *g, bool valid)
{
    uint4 zero;
    zero.x = zero.y = zero.z = zero.w = 0;
    *(uint4 *)s = valid ? *(const uint4 *)g : zero;
}
DEV void cp_async_commit() {}
template <int N> DEV void cp_async_wait() {}
#endif

/* Four 8x8 matrices of 16-bit elements; lane l gives the address of row l % 8 of matrix l / 8. */
DEV void ldmatrix_x4(u32 *r, const void *s)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(s))
                 : "memory");
}
DEV void ldmatrix_x4_trans(u32 *r, const void *s)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(s))
                 : "memory");
}
/* c [16, 8] += a [16, 16] * b [16, 8]: operands of the 16-bit type that the first argument has,
 * float32 sums. With g = lane / 4 and t = lane % 4, c holds (g, 2t), (g, 2t + 1), (g + 8, 2t),
 * (g + 8, 2t + 1); a the pairs at (g, 2t), (g + 8, 2t), (g, 2t + 8), (g + 8, 2t + 8); b the pairs
 * at rows 2t and 2t + 8 of column g. */
#if AMPERE
DEV void mma_16816(bf16, float *c, const u32 *a, u32 b0, u32 b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
DEV void mma_16816(f16, float *c, const u32 *a, u32 b0, u32 b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
#else
/* By eight of k at a time, whose operands are laid out as each half of those above. */
DEV void mma_1688(float *c, u32 a0, u32 a1, u32 b)
{
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, "
                 "{%4,%5}, {%6}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a0), "r"(a1), "r"(b));
}
DEV void mma_16816(f16, float *c, const u32 *a, u32 b0, u32 b1)
{
    mma_1688(c, a[0], a[1], b0);
    mma_1688(c, a[2], a[3], b1);
}
#endif
/* 2^x to 2 ulp, denormal results as zero. */
DEV float fast_exp2(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}
#endif

/* ---- Shared by the device and the simulator ---- */

enum { F32 = 0, BF16 = 1, F16 = 2 };

DEV float to_f(bf16 h) { return __uint_as_float((u32)h.x << 16); }
DEV float to_f(float f) { return f; }
/* The halves of a pair as numbers. */
template <class H> DEV void unpack(H, u32 pair, float *v)
{
    H low = {(u16)pair}, high = {(u16)(pair >> 16)};
    v[0] = to_f(low);
    v[1] = to_f(high);
}
DEV void set(float *p, float v) { *p = v; }
template <class H> DEV void set(H *p, float v) { *p = round_to(H(), v); }

DEV bool aligned16(const void *p) { return ((u64)p & 15) == 0; }
DEV i64 smaller(i64 a, i64 b) { return a < b ? a : b; }
DEV int larger(int a, int b) { return a > b ? a : b; }

/* Eight elements at an address aligned to 16 bytes. */
DEV void load8(const float *p, float *v)
{
    float4 a = ((const float4 *)p)[0], b = ((const float4 *)p)[1];
    v[0] = a.x, v[1] = a.y, v[2] = a.z, v[3] = a.w;
    v[4] = b.x, v[5] = b.y, v[6] = b.z, v[7] = b.w;
}
template <class H> DEV void load8(const H *p, float *v)
{
    uint4 a = *(const uint4 *)p;
    unpack(H(), a.x, v), unpack(H(), a.y, v + 2);
    unpack(H(), a.z, v + 4), unpack(H(), a.w, v + 6);
}
DEV void store8(float *p, const float *v)
{
    float4 a, b;
    a.x = v[0], a.y = v[1], a.z = v[2], a.w = v[3];
    b.x = v[4], b.y = v[5], b.z = v[6], b.w = v[7];
    ((float4 *)p)[0] = a;
    ((float4 *)p)[1] = b;
}
template <class H> DEV void store8(H *p, const float *v)
{
    uint4 a;
    a.x = pack(H(), v[0], v[1]), a.y = pack(H(), v[2], v[3]);
    a.z = pack(H(), v[4], v[5]), a.w = pack(H(), v[6], v[7]);
    *(uint4 *)p = a;
}
/* Up to eight elements (`count` of them): by 16-byte accesses when all eight are there and `wide`
 * says that the address allows it, else one at a time. Elements beyond `count` read as 0. */
template <class T> DEV void load_some(const T *p, int count, bool wide, float *v)
{
    if (wide && count >= 8) {
        load8(p, v);
    } else {
        for (int j = 0; j < 8; j++) v[j] = j < count ? to_f(p[j]) : 0.0f;
    }
}
template <class T> DEV void store_some(T *p, int count, bool wide, const float *v)
{
    if (wide && count >= 8) {
        store8(p, v);
    } else {
        for (int j = 0; j < 8; j++)
            if (j < count) set(p + j, v[j]);
    }
}
/* Eight elements from i of n. */
template <class T> DEV void load_of(const T *p, i64 i, i64 n, bool wide, float *v)
{
    load_some(p + i, (int)smaller(n - i, 8), wide, v);
}
template <class T> DEV void store_of(T *p, i64 i, i64 n, bool wide, const float *v)
{
    store_some(p + i, (int)smaller(n - i, 8), wide, v);
}

/* Loops of one-pass kernels: i runs over this thread's groups of eight elements. */
#define FOR_EIGHTS(i, n) \
    for (i64 i = 8 * ((i64)blockIdx.x * blockDim.x + threadIdx.x); i < (n); \
         i += 8 * (i64)gridDim.x * blockDim.x)

/* All lanes get the result. */
DEV float warp_max(float v)
{
    for (int o = 16; o; o >>= 1) {
        float w = __shfl_xor_sync(0xFFFFFFFFu, v, o);
        v = w > v ? w : v;
    }
    return v;
}
template <class T> DEV T warp_sum(T v)
{
    for (int o = 16; o; o >>= 1) v += __shfl_xor_sync(0xFFFFFFFFu, v, o);
    return v;
}
/* The sum over the block, the same bits in every thread; `scratch` holds 32 values, and the block
 * is made of whole warps. */
template <class T> DEV T block_sum(T v, T *scratch)
{
    int warps = blockDim.x >> 5;
    v = warp_sum(v);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) scratch[threadIdx.x >> 5] = v;
    __syncthreads();
    T sum = scratch[0];
    for (int w = 1; w < warps; w++) sum += scratch[w];
    return sum;
}

/* Philox4x32-10 (Salmon et al. 2011): four random words for a counter and a key, low ones first. */
DEV void philox(u64 position, u64 stream, u64 seed, u32 *words)
{
    u32 c0 = (u32)position, c1 = (u32)(position >> 32);
    u32 c2 = (u32)stream, c3 = (u32)(stream >> 32);
    u32 k0 = (u32)seed, k1 = (u32)(seed >> 32);
    for (int round = 0; round < 10; round++) {
        u64 even = (u64)c0 * 0xD2511F53u, odd = (u64)c2 * 0xCD9E8D57u;
        c0 = (u32)(odd >> 32) ^ c1 ^ k0;
        c2 = (u32)(even >> 32) ^ c3 ^ k1;
        c1 = (u32)odd;
        c3 = (u32)even;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    words[0] = c0, words[1] = c1, words[2] = c2, words[3] = c3;
}

/* The values of NF4's codes (QLoRA, Dettmers et al. 2023). */
CONSTANT float nf4_values[16] = {
    -1, -0.6961928009986877f, -0.5250730514526367f, -0.39491748809814453f, -0.28444138169288635f,
    -0.18477343022823334f, -0.09105003625154495f, 0, 0.07958029955625534f, 0.16093020141124725f,
    0.24611230194568634f, 0.33791524171829224f, 0.44070982933044434f, 0.5626170039176941f,
    0.7229568362236023f, 1,
};

/* The scales of an NF4 matrix, one a block of the flattened values: float32, or 8-bit codes when
 * `nested` isn't null. */
struct NF4Scales {
    const void *absmax;
    const float *nested;
    const float *table;
    float offset;
    int block, nested_block;
    /* Their logarithms where they are powers of two, else -1: a 64-bit division takes longer than
     * the memory that a kernel waits for. */
    int shift, nested_shift;
};
DEV int power_of_two(int n)
{
    for (int shift = 0; shift < 31; shift++)
        if (n == 1 << shift) return shift;
    return -1;
}
DEV NF4Scales nf4_scales(
    const void *absmax, const float *nested, const float *table, float offset, int nestedBlock,
    int block)
{
    NF4Scales s = {
        absmax, nested, table, offset, block, nestedBlock, power_of_two(block),
        power_of_two(nestedBlock)};
    return s;
}
DEV float nf4_scale(const NF4Scales &s, i64 element)
{
    i64 block = s.shift >= 0 ? element >> s.shift : element / s.block;
    if (!s.nested) return ((const float *)s.absmax)[block];
    float code = s.table[((const u8 *)s.absmax)[block]];
    i64 outer = s.nested_shift >= 0 ? block >> s.nested_shift : block / s.nested_block;
    /* No fused multiply-add: the CPU's bits. */
    return __fadd_rn(__fmul_rn(code, s.nested[outer]), s.offset);
}

/* ---- Attention: what its forward and backward files share ---- */

/* One block's piece of work, eight ints in a table that the host makes from the sequences: where
 * the sequence's queries and keys lie, and the first row or key of the block's tile within it.
 * Forward alone: which tiles of keys to go over, and where to leave an unfinished result (-1:
 * finish it).
 *
 * Query heads that read one key head are rows of one tile: row r of a sequence is query r / group,
 * head r % group of that group. So a key tile is loaded once for all of them, decoding has `group`
 * rows instead of one, and gradients of keys sum over the group inside a block. */
struct AttentionItem {
    int query_offset, query_count, key_offset, key_count, start, first_tile, end_tile, slot;
};
DEV AttentionItem attention_item(const int *items)
{
    const int *p = items + 8 * blockIdx.x;
    AttentionItem item = {p[0], p[1], p[2], p[3], p[4], p[5], p[6], p[7]};
    return item;
}
/* How many keys the query of row `row` sees. */
DEV int keys_seen(const AttentionItem &item, int row, int group)
{
    return item.key_count - item.query_count + row / group + 1;
}

/* Rows of `[tokens, heads, width]`: row r is token `token` + r / group, head `head` + r % group. */
template <class T> struct HeadRows {
    T *base;
    int token, heads, head, group, width;
    __device__ T *at(int row) const
    {
        int t = group == 1 ? row : row / group, h = group == 1 ? 0 : row - t * group;
        return base + ((i64)(token + t) * heads + head + h) * width;
    }
};

/* Attention's blocks have 128 threads: 4 warps, 16 rows of a tile each. */
constexpr int attentionThreads = 128;

/* Tiles in shared memory: rows of W elements (the width, filled up with zeros) and 8 more, so that
 * the 8 rows that ldmatrix reads at a time lie in different banks. */
template <int W> DEV constexpr int tile_stride() { return W + 8; }

/* Starts the copy of rows first ..< first + count (of ROWS; the others and the columns from `width`
 * on become zeros). `wide`: all addresses are aligned to 16 bytes; else copied at once. */
template <int ROWS, int W, class H>
DEV void load_tile(H *s, const HeadRows<const H> &rows, int first, int count, bool wide)
{
#pragma unroll
    for (int n = 0; n < ROWS * (W / 8) / attentionThreads; n++) {
        int i = threadIdx.x + n * attentionThreads;
        int r = i / (W / 8), c = i % (W / 8) * 8;
        bool valid = r < count && c < rows.width;
        H *to = s + r * tile_stride<W>() + c;
        const H *from = valid ? rows.at(first + r) + c : rows.base;
        if (wide) {
            cp_async16(to, from, valid);
        } else {
            H zero = {0};
            for (int j = 0; j < 8; j++) to[j] = valid ? from[j] : zero;
        }
    }
}

/* Operands of mma_16816 out of a tile. Left: rows row ..< row + 16, columns k ..< k + 16. */
template <int W, class H> DEV void left_operand(u32 *a, const H *tile, int row, int k)
{
    int lane = threadIdx.x & 31;
    ldmatrix_x4(a, tile + (row + (lane & 15)) * tile_stride<W>() + k + (lane >> 4) * 8);
}
/* Right, the tile's rows being the product's columns: two operands for rows row ..< row + 8 and
 * row + 8 ..< row + 16 over columns k ..< k + 16. */
template <int W, class H> DEV void right_of_rows(u32 *b, const H *tile, int row, int k)
{
    int lane = threadIdx.x & 31;
    ldmatrix_x4(
        b, tile + (row + (lane & 7) + (lane >> 4) * 8) * tile_stride<W>() + k +
            (lane >> 3 & 1) * 8);
}
/* Right, the sum running over the tile's rows k ..< k + 16: two operands for columns
 * column ..< column + 8 and column + 8 ..< column + 16. */
template <int W, class H> DEV void right_of_columns(u32 *b, const H *tile, int k, int column)
{
    int lane = threadIdx.x & 31;
    ldmatrix_x4_trans(b, tile + (k + (lane & 15)) * tile_stride<W>() + column + (lane >> 4) * 8);
}
/* Accumulators of columns 16 n ..< 16 n + 16 as the left operand of the next product. */
template <class H> DEV void left_of_sums(H h, u32 *a, const float (*c)[4], int n)
{
    a[0] = pack(h, c[2 * n][0], c[2 * n][1]);
    a[1] = pack(h, c[2 * n][2], c[2 * n][3]);
    a[2] = pack(h, c[2 * n + 1][0], c[2 * n + 1][1]);
    a[3] = pack(h, c[2 * n + 1][2], c[2 * n + 1][3]);
}
/* One row of accumulators (half 0: row g, half 1: row g + 8) times `scale` into a row of memory. */
template <int N, class H>
DEV void store_sums(H *row, const float (*c)[4], int half, float scale, int width, bool wide)
{
    int t = threadIdx.x & 3;
#pragma unroll
    for (int n = 0; n < N; n++) {
        int column = 8 * n + 2 * t;
        if (column >= width) continue;
        float low = c[n][2 * half] * scale, high = c[n][2 * half + 1] * scale;
        if (wide) {
            *(u32 *)(row + column) = pack(H(), low, high);
        } else {
            set(row + column, low);
            set(row + column + 1, high);
        }
    }
}
