// A functional simulator for the kernels of Sources/CCUDAKernels: what CUDA's C++ has built in, and
// plain twins of the prelude's PTX wrappers. The kernels' own text is compiled against this header
// instead of by NVRTC.
//
// One fibre a CUDA thread, one block at a time, one launch at a time. It shows wrong indices, wrong
// barriers and wrong waits; it shows nothing about speed.
//
// - The schedule is adversarial: a warp runs ahead of the others as far as barriers let it, and the
//   next one is picked at random (a fixed seed).
// - Asynchronous copies happen either at once or not before the wait that they need: a kernel has
//   to be right both ways.
// - Shared memory is full of NaN when a block starts, and device memory when it is allocated.
// - Built with the address sanitizer, it reports what reads or writes beside device memory, dynamic
//   shared memory and a thread's own arrays (`make test-asan`). Static shared memory is one piece.
// - With CUSIM_TURING the kernels are those of cards before Ampere, and have `turing/` before their
//   names here.
#pragma once
#define CUSIM 1
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CUSIM_ASAN 1
#endif
#endif
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) uint4 {
    u32 x, y, z, w;
};

#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
/* One section, so that it can be filled with NaN before each block. */
#define __shared__ static __attribute__((section("cusim_shared"), used))
#define DEV static inline
#define KERNEL static void
#ifdef CUSIM_TURING
#define AMPERE 0
#define CUSIM_PLACE "turing/"
#else
#define AMPERE 1
#define CUSIM_PLACE ""
#endif
#define CONSTANT static const

namespace cusim {
struct Warp {
    u64 slot[32][8];
    u32 arrived, generation, size;
};
struct Copy {
    void *to;
    const void *from;
    bool valid;
};
struct Thread {
    dim3 index;
    u32 lane = 0;
    Warp *warp = nullptr;
    void *stackPointer = nullptr;
    u8 *stack = nullptr;
    bool done = false;
    u32 waitsFor = 0;
    /* Asynchronous copies under way, and where the groups of them end. */
    enum { mostCopies = 128, mostGroups = 8 };
    Copy copies[mostCopies];
    int copyCount = 0, groupEnd[mostGroups], groupCount = 0;
};
struct Block {
    dim3 grid, size, index;
    u8 *dynamic = nullptr;
    Thread *current = nullptr;
};
extern Block block;
extern bool eagerCopies;
inline Thread &me() { return *block.current; }

/* Memory that nobody may touch, as far as the address sanitizer looks. */
#ifdef CUSIM_ASAN
void guard(const void *p, size_t bytes);
void unguard(const void *p, size_t bytes);
constexpr size_t guardBytes = 4096;
#else
inline void guard(const void *, size_t) {}
inline void unguard(const void *, size_t) {}
constexpr size_t guardBytes = 0;
#endif

void syncThreads();
void syncWarp();
/* Ends the launch with an error. */
[[noreturn]] void trap(const char *why);

typedef void (*Invoke)(void **arguments);
struct Kernel {
    Invoke invoke;
    /* Of its arguments, in bytes; none is larger than 8. */
    std::vector<size_t> sizes;
};
void add(const char *name, const Kernel &kernel);
/* Null when there is none. */
const Kernel *find(const std::string &name);
template <class... A, size_t... I>
inline void call(void (*f)(A...), void **a, std::index_sequence<I...>)
{
    f(*(std::remove_reference_t<A> *)a[I]...);
}
template <class... A> inline void call(void (*f)(A...), void **a)
{
    call(f, a, std::index_sequence_for<A...>{});
}
template <class... A> std::vector<size_t> sizes(void (*)(A...)) { return {sizeof(A)...}; }
struct Registration {
    Registration(const char *name, const Kernel &kernel) { add(name, kernel); }
};
/* Whether it ran to its end; what stopped it is on standard error. */
bool launch(const char *name, dim3 grid, dim3 size, size_t sharedBytes, void **arguments);

/* Every lane gives a value and takes that of lane `source`. */
template <class T> inline T exchange(T value, u32 source)
{
    static_assert(sizeof(T) <= 64);
    Warp *w = me().warp;
    memcpy(w->slot[me().lane], &value, sizeof(T));
    syncWarp();
    T result;
    memcpy(&result, w->slot[source & 31], sizeof(T));
    syncWarp();
    return result;
}
}  // namespace cusim

#define REGISTER(k) \
    static cusim::Registration registered_##k( \
        CUSIM_PLACE #k, {[](void **a) { cusim::call(&k, a); }, cusim::sizes(&k)});
#define DYN_SHARED(T, name) T *name = (T *)cusim::block.dynamic
#define threadIdx (cusim::me().index)
#define blockIdx (cusim::block.index)
#define blockDim (cusim::block.size)
#define gridDim (cusim::block.grid)
#define __syncthreads() cusim::syncThreads()
#define __trap() cusim::trap("__trap()")

template <class T> static inline T __shfl_xor_sync(u32, T v, int mask)
{
    return cusim::exchange(v, cusim::me().lane ^ (u32)mask);
}
template <class T> static inline T __shfl_sync(u32, T v, int lane)
{
    return cusim::exchange(v, (u32)lane);
}
static inline float __uint_as_float(u32 u)
{
    float f;
    memcpy(&f, &u, 4);
    return f;
}
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fadd_rn(float a, float b) { return a + b; }

/* ---- The prelude's PTX wrappers ---- */

struct bf16 {
    u16 x;
};
struct f16 {
    u16 x;
};
static inline u32 __float_as_uint(float f)
{
    u32 u;
    memcpy(&u, &f, 4);
    return u;
}
DEV bf16 round_to(bf16, float f)
{
    u32 u = __float_as_uint(f);
    if ((u & 0x7FFFFFFF) > 0x7F800000) return bf16{0x7FFF};
    return bf16{(u16)((u + 0x7FFF + ((u >> 16) & 1)) >> 16)};
}
/* float32 has 13 bits of mantissa more than float16 and an exponent that is larger by 112. */
DEV f16 round_to(f16, float f)
{
    u32 u = __float_as_uint(f), sign = u >> 16 & 0x8000, size = u & 0x7FFFFFFF, half;
    if (size > 0x7F800000) return f16{0x7FFF};
    /* From 65520 on the nearest would be 65536. */
    if (size >= 0x477FF000) half = 0x7C00;
    /* Below 2^-14 in units of 2^-24, which are those of float32 numbers from 0.5 to 1. */
    else if (size < 0x38800000) half = __float_as_uint(fabsf(f) + 0.5f) - 0x3F000000;
    else half = (size + 0xFFF + (size >> 13 & 1) - (112u << 23)) >> 13;
    return f16{(u16)(sign | half)};
}
DEV float to_f(f16 h)
{
    u32 sign = (u32)(h.x & 0x8000) << 16, size = (u32)(h.x & 0x7FFF) << 13;
    bool finite = (h.x & 0x7C00) != 0x7C00;
    u32 wide = finite ? __float_as_uint(__uint_as_float(size) * 0x1p112f) : size | 0x7F800000;
    return __uint_as_float(sign | wide);
}
template <class H> DEV u32 pack(H h, float lo, float hi)
{
    return round_to(h, lo).x | (u32)round_to(h, hi).x << 16;
}

namespace cusim {
inline void perform(const Copy &copy)
{
    if (copy.valid) memcpy(copy.to, copy.from, 16);
    else memset(copy.to, 0, 16);
}
}  // namespace cusim
DEV void cp_async16(void *s, const void *g, bool valid)
{
    cusim::Thread &t = cusim::me();
    if (((u64)s | (valid ? (u64)g : 0)) & 15) cusim::trap("misaligned cp.async");
    if (t.copyCount >= cusim::Thread::mostCopies) cusim::trap("too many copies under way");
    cusim::Copy copy = {s, g, valid};
    if (cusim::eagerCopies || !AMPERE) cusim::perform(copy);
    t.copies[t.copyCount++] = copy;
}
DEV void cp_async_commit()
{
    cusim::Thread &t = cusim::me();
    if (t.groupCount >= cusim::Thread::mostGroups) cusim::trap("too many groups of copies");
    t.groupEnd[t.groupCount++] = t.copyCount;
}
template <int N> DEV void cp_async_wait()
{
    cusim::Thread &t = cusim::me();
    int finished = t.groupCount - N;
    if (finished <= 0) return;
    int end = t.groupEnd[finished - 1];
    if (!cusim::eagerCopies && AMPERE)
        for (int i = 0; i < end; i++) cusim::perform(t.copies[i]);
    for (int i = end; i < t.copyCount; i++) t.copies[i - end] = t.copies[i];
    t.copyCount -= end;
    for (int i = finished; i < t.groupCount; i++) t.groupEnd[i - finished] = t.groupEnd[i] - end;
    t.groupCount -= finished;
}

namespace cusim {
inline void ldmatrix(u32 *r, const void *s, bool transposed)
{
    u32 l = me().lane;
    Warp *w = me().warp;
    if ((u64)s & 15) trap("misaligned ldmatrix");
    w->slot[l][0] = (u64)s;
    syncWarp();
    for (u32 m = 0; m < 4; m++) {
        if (transposed) {
            const u16 *upper = (const u16 *)w->slot[m * 8 + l % 4 * 2][0];
            const u16 *lower = (const u16 *)w->slot[m * 8 + l % 4 * 2 + 1][0];
            r[m] = upper[l / 4] | (u32)lower[l / 4] << 16;
        } else {
            memcpy(&r[m], (const u16 *)w->slot[m * 8 + l / 4][0] + l % 4 * 2, 4);
        }
    }
    syncWarp();
}
}  // namespace cusim
DEV void ldmatrix_x4(u32 *r, const void *s) { cusim::ldmatrix(r, s, false); }
DEV void ldmatrix_x4_trans(u32 *r, const void *s) { cusim::ldmatrix(r, s, true); }

/* PTX ISA, "Matrix fragments for mma.m16n8k16 with floating point type". */
template <class H> DEV void mma_16816(H, float *c, const u32 *a, u32 b0, u32 b1)
{
    u32 l = cusim::me().lane, g = l >> 2, t = l & 3;
    cusim::Warp *w = cusim::me().warp;
    u32 *mine = (u32 *)w->slot[l];
    memcpy(mine, a, 16);
    mine[4] = b0;
    mine[5] = b1;
    cusim::syncWarp();
    for (u32 pair = 0; pair < 8; pair++) {
        /* Elements k = 2 pair and 2 pair + 1 of the sum. */
        u32 upper = pair >> 2, lane = pair & 3;
        u32 left[2], right[2];
        for (u32 i = 0; i < 2; i++) {
            left[i] = ((u32 *)w->slot[g * 4 + lane])[i + 2 * upper];
            right[i] = ((u32 *)w->slot[(2 * t + i) * 4 + lane])[4 + upper];
        }
        for (u32 i = 0; i < 4; i++) {
            u32 x = left[i >> 1], y = right[i & 1];
            c[i] += to_f(H{(u16)x}) * to_f(H{(u16)y});
            c[i] += to_f(H{(u16)(x >> 16)}) * to_f(H{(u16)(y >> 16)});
        }
    }
    cusim::syncWarp();
}
DEV float fast_exp2(float x) { return exp2f(x); }
