/* Products of the shapes that training runs, as a share of the machine's multiply-add peak, measured in the same run.
 * Prints one JSON object a line. Usage: gemm [threads] [rows...]; best of at least 5 runs and 0.3 s.
 * `share` is by the clock; `processor_share`, with one thread only, by the time that the thread ran.
 * Environment: SHAPE, a part of the names wanted; F32=1 for float32 products; ALL=1 for float32 weights too; OSLER_ISA. */
#include "GEMM.h"
#include "Peak.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
/* Seconds of processor time of this thread: what a machine shared with others still tells, with one thread. */
static double processor_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static uint32_t seed = 1;
static float uniform(void) {
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}
static uint16_t bf16(float x) {
    uint32_t bits;
    memcpy(&bits, &x, 4);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

typedef struct {
    const char *name;
    size_t out, in;
} shape;
static const shape shapes[] = {
    {"smollm2-135m q", 576, 576},    {"smollm2-135m kv", 192, 576},
    {"smollm2-135m up", 1536, 576},  {"smollm2-135m down", 576, 1536},
    {"smollm2-135m head", 49152, 576}, {"qwen2-1.5b q", 1536, 1536},
    {"qwen2-1.5b up", 8960, 1536},   {"qwen2-1.5b down", 1536, 8960},
    {"llama-8b q", 4096, 4096},      {"llama-8b up", 14336, 4096},
    {"llama-8b down", 4096, 14336},
};

typedef enum { WEIGHT_F32, WEIGHT_BF16, WEIGHT_NF4 } weight_kind;
static const char *const kind_names[] = {"f32", "bf16", "nf4"};

typedef struct {
    void *dense;
    ok_nf4 nf4;
} weights;

/* Fills enough random weight for the largest shape once; every kind and shape reads a part of it. */
static weights make_weights(size_t count) {
    weights w = {.dense = aligned_alloc(64, count * 4)};
    uint32_t *bits = w.dense;
    for (size_t i = 0; i < count; i++) bits[i] = bf16(uniform()) * 0x10001u;
    uint8_t *codes = aligned_alloc(64, count / 2), *absmax = aligned_alloc(64, count / 64 + 64);
    float *nested = aligned_alloc(64, (count / 64 / 256 + 16) * 64), *table = aligned_alloc(64, 1024);
    for (size_t i = 0; i < count / 2; i++) codes[i] = (uint8_t)(uniform() * 127 + 128);
    for (size_t i = 0; i < count / 64; i++) absmax[i] = (uint8_t)i;
    for (size_t i = 0; i < count / 64 / 256 + 1; i++) nested[i] = 0.5f;
    for (int i = 0; i < 256; i++) table[i] = (float)(i - 127) / 127;
    w.nf4 = (ok_nf4){codes, NULL, absmax, nested, table, 0.75f, 64, 256};
    return w;
}

int main(int argc, char **argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : ok_available_cores();
    size_t rows[16] = {1, 8, 256, 2048};
    int row_count = 4;
    if (argc > 2) row_count = 0;
    for (int i = 2; i < argc && row_count < 16; i++) rows[row_count++] = (size_t)atol(argv[i]);
    ok_pool *pool = ok_pool_create(threads);
    if (!pool) return 1;
    ok_pool_pin_caller(pool);
    const char *wanted = getenv("OSLER_ISA"), *only = getenv("SHAPE");
    ok_isa isa = ok_isa_best();
    static const char *const names[] = {"portable", "avx2", "avx512", "avx512bf16"};
    for (int i = 0; wanted && i < 4; i++)
        if (strcmp(wanted, names[i]) == 0 && ok_isa_supported((ok_isa)i)) isa = (ok_isa)i;
    ok_scratch *scratch = ok_scratch_create();
    const size_t most = (size_t)14336 * 4096, most_rows = 2048;
    weights w = make_weights(most);
    uint16_t *x = aligned_alloc(64, most_rows * 49152 * 2), *y = aligned_alloc(64, most_rows * 49152 * 2);
    for (size_t i = 0; i < most_rows * 49152; i++) x[i] = bf16(uniform());
    memset(y, 0, most_rows * 49152 * 2);
    const bool bfloat16 = getenv("F32") == NULL;
    const ok_tile *tile = ok_tile_get(isa, bfloat16);
    const ok_peak peak = ok_peak_products(pool, isa, bfloat16);
    printf("{\"isa\": %d, \"threads\": %d, \"peak_gflops\": %.1f}\n", isa, threads, peak.flops / 1e9);
    for (int r = 0; r < row_count; r++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int kind = WEIGHT_F32; kind <= WEIGHT_NF4; kind++)
                for (int backward = 0; backward < 2; backward++) {
                    const shape *shape = &shapes[s];
                    if (only && !strstr(shape->name, only)) continue;
                    if (kind == WEIGHT_F32 && bfloat16 && !getenv("ALL")) continue;
                    const size_t m = rows[r], k = backward ? shape->out : shape->in;
                    const size_t n = backward ? shape->in : shape->out;
                    ok_product product = {
                        {x, NULL, OK_BF16, k, false},
                        {w.dense, kind == WEIGHT_NF4 ? &w.nf4 : NULL,
                         kind == WEIGHT_F32 ? OK_F32 : OK_BF16, shape->in, !backward}, k, 1};
                    const ok_call call = {
                        &product, 1, m, n, {y, OK_BF16, n, NULL, OK_F32, 0, NULL, OK_F32}};
                    double best = 1e9, best_processor = 1e9, total = 0;
                    for (int run = 0; run < 5 || (total < 0.3 && run < 1000); run++) {
                        double t = now(), processor = processor_now();
                        ok_gemm(tile, pool, scratch, &call, 1);
                        t = now() - t;
                        processor = processor_now() - processor;
                        if (processor < best_processor) best_processor = processor;
                        total += t;
                        if (t < best) best = t;
                    }
                    const double gflops = 2.0 * (double)m * (double)n * (double)k / best / 1e9;
                    const double bytes = (double)(n * k) * (kind == 0 ? 4 : kind == 1 ? 2 : 0.516);
                    printf(
                        "{\"shape\": \"%s\", \"rows\": %zu, \"weight\": \"%s\", \"direction\": \"%s\", "
                        "\"gflops\": %.1f, \"share\": %.3f, \"weight_gb_s\": %.1f",
                        shape->name, m, kind_names[kind], backward ? "backward" : "forward",
                        gflops, gflops * 1e9 / peak.flops, bytes / best / 1e9);
                    if (threads == 1)
                        printf(
                            ", \"processor_share\": %.3f",
                            gflops * 1e9 * best / best_processor / peak.processor_flops);
                    printf("}\n");
                    fflush(stdout);
                }
    return 0;
}
