/* Products of few rows on weights that lie in memory, beside the read bandwidth of the same run. One JSON object a
 * line. Usage: fewrows [threads] [rows...]. Environment: SHAPE, a part of the names wanted; FORM; OSLER_ISA;
 * RESIDENT=1 for one matrix again and again, from cache where it fits.
 *
 * Each shape has as many matrices as make 256 MB and they are taken in turn, so that every weight comes from memory, as
 * in a model. `share` is the rate at which weights were used, by the read bandwidth of all threads; medians. `peak_share` is the
 * share of the multiply-add peak (bfloat16 by vdpbf16ps where the machine has it). */
#include "GEMM.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <immintrin.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint64_t state = 1;
static uint32_t next_random(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(state >> 32);
}

static void *memory(size_t bytes) {
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) abort();
#if defined(MADV_HUGEPAGE)
    madvise(base, bytes, MADV_HUGEPAGE);
#endif
    return base;
}

#define BYTES ((size_t)256 << 20)
#define PARTS 64
#define PASSES 15

static void *weights;
static volatile uint64_t sink;

__attribute__((target("avx512f,evex512"))) static void read_part(void *context, size_t item, int thread) {
    (void)context, (void)thread;
    const char *from = (const char *)weights + item * (BYTES / PARTS);
    __m512i a = _mm512_setzero_si512(), b = a, c = a, d = a;
    for (size_t i = 0; i < BYTES / PARTS; i += 256) {
        a = _mm512_or_si512(a, _mm512_loadu_si512(from + i));
        b = _mm512_or_si512(b, _mm512_loadu_si512(from + i + 64));
        c = _mm512_or_si512(c, _mm512_loadu_si512(from + i + 128));
        d = _mm512_or_si512(d, _mm512_loadu_si512(from + i + 192));
    }
    sink = (uint64_t)_mm512_reduce_or_epi64(
        _mm512_or_si512(_mm512_or_si512(a, b), _mm512_or_si512(c, d)));
}

static double read_time(ok_pool *pool) {
    const double start = now();
    ok_parallel(pool, PARTS, read_part, NULL);
    return now() - start;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, ascending);
    return values[count / 2];
}

#define PEAK_STEPS 2000000
__attribute__((target("avx512f,avx512bf16,evex512"))) static void peak_part(
    void *context, size_t item, int thread
) {
    (void)context, (void)item, (void)thread;
    __m512 s[12];
    for (int i = 0; i < 12; i++) s[i] = _mm512_set1_ps((float)i);
    const __m512bh x = (__m512bh)_mm512_set1_epi16(0x3f80), y = (__m512bh)_mm512_set1_epi16((short)0x3c00);
    for (int n = 0; n < PEAK_STEPS; n++) {
#pragma clang loop unroll(full)
        for (int i = 0; i < 12; i++) {
            s[i] = _mm512_dpbf16_ps(s[i], x, y);
            __asm__ volatile("" : "+v"(s[i]));
        }
    }
    __m512 t = s[0];
    for (int i = 1; i < 12; i++) t = _mm512_add_ps(t, s[i]);
    sink = (uint64_t)_mm512_reduce_add_ps(t);
}

static double peak(ok_pool *pool, int threads) {
    double best = 1e30;
    for (int i = 0; i < 5; i++) {
        const double start = now();
        ok_parallel(pool, (size_t)threads, peak_part, NULL);
        const double time = now() - start;
        if (time < best) best = time;
    }
    return 64.0 * 12 * PEAK_STEPS * threads / best;
}

typedef struct {
    const char *name;
    size_t n, k;
} shape;

static const shape shapes[] = {
    {"smollm2-kv", 192, 576}, {"smollm2-q", 576, 576}, {"smollm2-gate", 1536, 576},
    {"smollm2-down", 576, 1536}, {"smollm2-head", 49152, 576}, {"qwen1.5b-kv", 256, 1536},
    {"qwen1.5b-q", 1536, 1536}, {"qwen1.5b-gate", 8960, 1536}, {"qwen1.5b-down", 1536, 8960},
    {"llama8b-kv", 1024, 4096}, {"llama8b-q", 4096, 4096}, {"llama8b-gate", 14336, 4096},
    {"llama8b-down", 4096, 14336},
};

static void measure(
    const ok_tile *tile, ok_pool *pool, ok_scratch *scratch, const shape *s, const char *form,
    size_t m, double peak
) {
    const bool nf4 = strncmp(form, "nf4", 3) == 0;
    const size_t values = s->n * s->k;
    const size_t matrix_bytes = nf4 ? values / 2 : values * (strcmp(form, "float32") == 0 ? 4 : 2);
    const size_t blocks = values / 64;
    const size_t scale_bytes = nf4 ? blocks + (blocks + 255) / 256 * 4 : 0;
    const size_t matrices = getenv("RESIDENT") ? 1 : BYTES / (matrix_bytes + scale_bytes + 4096);
    const size_t calls = matrices > 1 ? matrices : 1 + 2 * BYTES / values;
    static float table[256];
    for (int i = 0; i < 256; i++) table[i] = (float)(i - 128) / 128;
    float *x = memory(m * s->k * 4);
    for (size_t i = 0; i < m * s->k; i++) x[i] = 0.01f;
    float *out = memory(m * s->n * 4);
    ok_nf4 *forms = calloc(matrices, sizeof *forms);
    ok_product *products = calloc(matrices, sizeof *products);
    for (size_t i = 0; i < matrices; i++) {
        char *base = (char *)weights + i * ((matrix_bytes + scale_bytes + 4095) / 64 * 64);
        forms[i] = (ok_nf4){
            .codes = (uint8_t *)base, .absmax_codes = (uint8_t *)base + matrix_bytes,
            .nested_absmax = (float *)(void *)(base + matrix_bytes + (blocks + 63) / 64 * 64),
            .nested_table = table, .nested_offset = 1, .block_size = 64, .nested_block_size = 256,
        };
        products[i] = (ok_product){
            .a = {x, NULL, OK_F32, s->k, false},
            .b = {base, nf4 ? &forms[i] : NULL, strcmp(form, "float32") == 0 ? OK_F32 : OK_BF16, s->k, true},
            .k = s->k, .scale = 1,
        };
    }
    const ok_output output = {.data = out, .type = OK_F32, .ld = s->n};
    ok_call *multiplications = calloc(matrices, sizeof *multiplications);
    for (size_t i = 0; i < matrices; i++)
        multiplications[i] = (ok_call){&products[i], 1, m, s->n, output};
    /* Turn about, because the bandwidth of a machine that is shared changes from second to second. */
    double times[PASSES], shares[PASSES], reads[PASSES];
    for (int pass = 0; pass < PASSES; pass++) {
        const double start = now();
        for (size_t i = 0; i < calls; i++)
            ok_gemm(tile, pool, scratch, &multiplications[i % matrices], 1);
        times[pass] = (now() - start) / (double)calls;
        reads[pass] = (double)BYTES / read_time(pool);
        shares[pass] = (double)(matrix_bytes + scale_bytes) / times[pass] / reads[pass];
    }
    const double time = median(times, PASSES);
    printf(
        "{\"shape\": \"%s\", \"n\": %zu, \"k\": %zu, \"form\": \"%s\", \"rows\": %zu, \"us\": %.2f, "
        "\"gb_per_s\": %.2f, \"read_gb_per_s\": %.2f, \"share\": %.3f, \"peak_share\": %.3f}\n",
        s->name, s->n, s->k, form, m, time * 1e6,
        (double)(matrix_bytes + scale_bytes) / time / 1e9, median(reads, PASSES) / 1e9,
        median(shares, PASSES), 2.0 * (double)(values * m) / time / peak);
    fflush(stdout);
    munmap(x, m * s->k * 4);
    munmap(out, m * s->n * 4);
    free(forms);
    free(products);
    free(multiplications);
}

int main(int count, char **arguments) {
    const int threads = count > 1 ? atoi(arguments[1]) : ok_available_cores();
    const char *isa = getenv("OSLER_ISA"), *wanted = getenv("SHAPE"), *form = getenv("FORM");
    ok_isa set = ok_isa_best();
    const char *names[] = {"portable", "avx2", "avx512", "avx512bf16"};
    for (int i = 0; isa && i < 4; i++)
        if (strcmp(isa, names[i]) == 0) set = (ok_isa)i;
    const bool bfloat16 = !getenv("F32");
    ok_pool *pool = ok_pool_create(threads);
    ok_pool_pin_caller(pool);
    ok_scratch *scratch = ok_scratch_create();
    weights = memory(BYTES);
    /* Small finite numbers in every format. */
    for (size_t i = 0; i < BYTES / 4; i++) ((uint32_t *)weights)[i] = (next_random() & 0x007f007fu) | 0x3e003e00u;
    const double most = peak(pool, threads);
    printf("{\"threads\": %d, \"peak_gflop_per_s\": %.1f}\n", threads, most / 1e9);
    const char *forms[] = {"bfloat16", "nf4", "float32"};
    for (int f = 0; f < (getenv("ALL") ? 3 : 2); f++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            if (wanted && !strstr(shapes[i].name, wanted)) continue;
            if (form && strcmp(form, forms[f]) != 0) continue;
            for (int a = 2; a < (count > 2 ? count : 4); a++)
                measure(
                    ok_tile_get(set, bfloat16), pool, scratch, &shapes[i], forms[f],
                    count > 2 ? (size_t)atoi(arguments[a]) : (a == 2 ? 1 : 16), most);
        }
    ok_scratch_destroy(scratch);
    ok_pool_destroy(pool);
}
