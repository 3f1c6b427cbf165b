/* The machine's peak, for every instruction set.
 *
 * Each loop keeps enough independent sums to fill the multiply-add pipes (latency times pipes: 8 to 10 on the x86
 * processors known, 16 on wide arm64 ones) and few enough for the registers. The factor is hidden from the compiler, which
 * would fold `1 * 1 + s` to an addition, and the sums stay finite: float32 ones stop growing at 2^24.
 * One core of a Zen 4 at 3.7 GHz, GFLOP/s: portable 55.9 (SSE2 multiplies and adds apart), AVX2 118.1, AVX-512 118.2,
 * AVX-512 BF16 236.4; reads 24 GB/s, two cores 33. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "Peak.h"
#include "Memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <time.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { STEPS = 20000, ITEMS_A_THREAD = 16, RUNS = 60, LINE = 64 };

static double seconds_of(clockid_t clock) {
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Where a loop leaves its sum, a cache line a thread: a result that nobody reads would not be computed. */
typedef struct {
    char *lines;
} sink;

static void keep(void *context, int thread, float sum) {
    *(float *)(((sink *)context)->lines + (size_t)thread * LINE) = sum;
}

typedef float vec4 __attribute__((vector_size(16)));
#if defined(__aarch64__)
enum { PORTABLE_SUMS = 24 };
#else
enum { PORTABLE_SUMS = 12 };
#endif

static void loop_portable(void *context, size_t item, int thread) {
    (void)item;
    vec4 sums[PORTABLE_SUMS] = {0}, x = {1, 1, 1, 1}, y = {1, 1, 1, 1};
    for (int s = 0; s < STEPS; s++) {
        /* Also keeps `x * y` from being computed once. */
        __asm__ volatile("" : "+m"(x), "+m"(y));
        vec4 a = x, b = y;
#pragma clang loop unroll(full)
        for (int j = 0; j < PORTABLE_SUMS; j++) {
#if defined(__x86_64__)
            __asm__("" : "+x"(a));
#endif
            sums[j] = a * b + sums[j];
        }
    }
    for (int j = 1; j < PORTABLE_SUMS; j++) sums[0] += sums[j];
    keep(context, thread, sums[0][0] + sums[0][3]);
}

#if defined(__x86_64__)
enum { SUMS_256 = 12, SUMS_512 = 16 };

__attribute__((target("avx512f,avx512bf16"))) static void loop_avx512bf16(
    void *context, size_t item, int thread) {
    (void)item;
    __m512 sums[SUMS_512];
    for (int j = 0; j < SUMS_512; j++) sums[j] = _mm512_setzero_ps();
    __m512i ones = _mm512_set1_epi32(0x3f803f80);
    __asm__("" : "+v"(ones));
    const __m512bh x = (__m512bh)ones;
    for (int s = 0; s < STEPS; s++) {
#pragma clang loop unroll(full)
        for (int j = 0; j < SUMS_512; j++) sums[j] = _mm512_dpbf16_ps(sums[j], x, x);
        __asm__ volatile("" ::: "memory");
    }
    for (int j = 1; j < SUMS_512; j++) sums[0] = _mm512_add_ps(sums[0], sums[j]);
    keep(context, thread, _mm512_reduce_add_ps(sums[0]));
}

__attribute__((target("avx512f"))) static void loop_avx512(void *context, size_t item, int thread) {
    (void)item;
    __m512 sums[SUMS_512];
    for (int j = 0; j < SUMS_512; j++) sums[j] = _mm512_setzero_ps();
    __m512 x = _mm512_set1_ps(1);
    __asm__("" : "+v"(x));
    for (int s = 0; s < STEPS; s++) {
#pragma clang loop unroll(full)
        for (int j = 0; j < SUMS_512; j++) sums[j] = _mm512_fmadd_ps(x, x, sums[j]);
        __asm__ volatile("" ::: "memory");
    }
    for (int j = 1; j < SUMS_512; j++) sums[0] = _mm512_add_ps(sums[0], sums[j]);
    keep(context, thread, _mm512_reduce_add_ps(sums[0]));
}

__attribute__((target("avx2,fma"))) static void loop_avx2(void *context, size_t item, int thread) {
    (void)item;
    __m256 sums[SUMS_256];
    for (int j = 0; j < SUMS_256; j++) sums[j] = _mm256_setzero_ps();
    __m256 x = _mm256_set1_ps(1);
    __asm__("" : "+x"(x));
    for (int s = 0; s < STEPS; s++) {
#pragma clang loop unroll(full)
        for (int j = 0; j < SUMS_256; j++) sums[j] = _mm256_fmadd_ps(x, x, sums[j]);
        __asm__ volatile("" ::: "memory");
    }
    for (int j = 1; j < SUMS_256; j++) sums[0] = _mm256_add_ps(sums[0], sums[j]);
    keep(context, thread, sums[0][0] + sums[0][7]);
}
#endif

/* The loop, and its flops a step: two an element of each sum, four where two products are added at once. */
static ok_task loop_for(ok_isa isa, bool bfloat16, double *flops) {
#if defined(__x86_64__)
    switch (isa) {
    case OK_ISA_AVX512BF16:
        if (bfloat16) {
            *flops = SUMS_512 * 16 * 4;
            return loop_avx512bf16;
        }
        /* fallthrough */
    case OK_ISA_AVX512:
        *flops = SUMS_512 * 16 * 2;
        return loop_avx512;
    case OK_ISA_AVX2:
        *flops = SUMS_256 * 8 * 2;
        return loop_avx2;
    case OK_ISA_PORTABLE:
        break;
    }
#endif
    (void)isa;
    (void)bfloat16;
    *flops = PORTABLE_SUMS * 4 * 2;
    return loop_portable;
}

ok_peak ok_peak_products(ok_pool *pool, ok_isa isa, bool bfloat16) {
    double flops;
    const ok_task loop = loop_for(isa, bfloat16, &flops);
    const size_t threads = (size_t)ok_pool_threads(pool), items = threads * ITEMS_A_THREAD;
    sink out = {aligned_alloc(LINE, LINE * threads)};
    ok_peak best = {0, 0};
    if (!out.lines) return best;
    for (int run = 0; run < RUNS; run++) {
        const double wall = seconds_of(CLOCK_MONOTONIC);
        const double processor = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        ok_parallel(pool, items, loop, &out);
        const double work = (double)items * STEPS * flops;
        const double rate = work / (seconds_of(CLOCK_MONOTONIC) - wall);
        const double own = work / (seconds_of(CLOCK_THREAD_CPUTIME_ID) - processor);
        if (rate > best.flops) best.flops = rate;
        if (threads == 1 && own > best.processor_flops) best.processor_flops = own;
    }
    free(out.lines);
    return best;
}

/* Four loads in flight an iteration; the processor's prefetchers do the rest. */
typedef uint64_t vec4u __attribute__((vector_size(32), aligned(32)));
enum { PIECE = 1 << 20, PASSES = 8 };

typedef struct {
    sink out; /* first: `keep` looks at it */
    char *bytes;
} buffer;

static void touch(void *context, size_t item, int thread) {
    (void)thread;
    uint64_t *words = (uint64_t *)(((buffer *)context)->bytes + item * PIECE);
    for (size_t i = 0; i < PIECE / 8; i++) words[i] = item + i;
}

static void read_piece(void *context, size_t item, int thread) {
    const vec4u *vectors = (const vec4u *)(((buffer *)context)->bytes + item * PIECE);
    vec4u sums[4] = {0};
    for (size_t i = 0; i < PIECE / sizeof(vec4u); i += 4)
        for (size_t j = 0; j < 4; j++) sums[j] += vectors[i + j];
    const vec4u sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    keep(context, thread, (float)(sum[0] + sum[1] + sum[2] + sum[3]));
}

double ok_peak_read(ok_pool *pool, size_t bytes) {
    const size_t pieces = bytes / PIECE;
    buffer data = {{aligned_alloc(LINE, LINE * (size_t)ok_pool_threads(pool))},
                   ok_memory_allocate(pieces * PIECE)};
    double best = 0;
    if (data.out.lines && data.bytes) {
        ok_parallel(pool, pieces, touch, &data);
        for (int pass = 0; pass < PASSES; pass++) {
            const double start = seconds_of(CLOCK_MONOTONIC);
            ok_parallel(pool, pieces, read_piece, &data);
            const double rate = (double)(pieces * PIECE) / (seconds_of(CLOCK_MONOTONIC) - start);
            if (rate > best) best = rate;
        }
    }
    free(data.out.lines);
    ok_memory_free(data.bytes);
    return best;
}
