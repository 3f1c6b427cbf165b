/* Causal attention, forward and backward, as a share of the machine's multiply-add peak, measured in the same run, and
 * one token's attention over cached keys. Flops are those of the visible half: 2 products forward, 5 backward.
 * Prints one JSON object a line. Usage: attention [threads] [lengths...]; F32=1 for float32; best of 3 or of 0.3 s. */
#include "Attention.h"
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

/* Heads as Llama 8B, Qwen2 0.5B and SmolLM2 135M have them; Llama's cut to a quarter, it is only more of the same. */
typedef struct {
    const char *name;
    int heads, key_heads, width;
} shape;
static const shape shapes[] = {
    {"llama-8b/4", 8, 2, 128}, {"qwen2-0.5b", 14, 2, 64}, {"smollm2-135m", 9, 3, 64},
};

typedef struct {
    double wall, processor;
} timing;
typedef void (*pass)(void *context);

static timing best_of(pass run, void *context) {
    timing best = {1e9, 1e9};
    double total = 0;
    for (int i = 0; i < 3 || (total < 0.3 && i < 1000); i++) {
        double t = now(), processor = processor_now();
        run(context);
        t = now() - t;
        processor = processor_now() - processor;
        total += t;
        if (t < best.wall) best.wall = t;
        if (processor < best.processor) best.processor = processor;
    }
    return best;
}

typedef struct {
    ok_attention a;
    ok_attention_gradients g;
    const ok_tile *tile;
    ok_pool *pool;
    void *workspace;
} job;

static void run_forward(void *context) {
    job *j = context;
    ok_attention_forward(&j->a, j->tile, j->pool, j->workspace);
}
static void run_backward(void *context) {
    job *j = context;
    ok_attention_backward(&j->a, &j->g, j->tile, j->pool, j->workspace);
}

static void *values(size_t count, bool bfloat16) {
    void *data = aligned_alloc(64, (count * 4 + 63) & ~(size_t)63);
    for (size_t i = 0; i < count; i++) {
        if (bfloat16) ((uint16_t *)data)[i] = bf16(uniform());
        else ((float *)data)[i] = uniform();
    }
    return data;
}

static void report(
    const shape *s, size_t length, const char *what, double flops, timing t, ok_peak peak, int threads,
    size_t workspace
) {
    printf(
        "{\"shape\": \"%s\", \"length\": %zu, \"pass\": \"%s\", \"ms\": %.3f, \"gflops\": %.1f, "
        "\"share\": %.3f, \"processor_share\": %.3f, \"workspace_mib\": %.1f}\n",
        s->name, length, what, t.wall * 1e3, flops / t.wall / 1e9, flops / t.wall / peak.flops,
        threads > 1 ? NAN : flops / t.processor / peak.processor_flops, (double)workspace / 1048576);
    fflush(stdout);
}

static void measure(
    const shape *s, size_t length, const ok_tile *tile, ok_pool *pool, bool bfloat16, ok_peak peak
) {
    const int threads = ok_pool_threads(pool);
    const size_t q = length * (size_t)(s->heads * s->width);
    const size_t k = length * (size_t)(s->key_heads * s->width);
    const ok_sequence one = {0, (int64_t)length, 0, (int64_t)length};
    job j = {
        {values(q, bfloat16), values(k, bfloat16), values(k, bfloat16), values(q, bfloat16),
         values(length * (size_t)s->heads, false), &one, 1, length, s->heads, s->key_heads, s->width,
         1 / sqrtf((float)s->width), bfloat16 ? OK_BF16 : OK_F32},
        {values(q, bfloat16), values(q, bfloat16), values(k, bfloat16), values(k, bfloat16)},
        tile, pool, NULL};
    const size_t forward = ok_attention_workspace(&j.a, tile, threads);
    const size_t backward = ok_attention_backward_workspace(&j.a, tile, threads);
    j.workspace = aligned_alloc(64, (forward > backward ? forward : backward) + 64);
    const double product = (double)length * (double)(length + 1) * s->heads * s->width;
    timing f = best_of(run_forward, &j), b = best_of(run_backward, &j);
    report(s, length, "forward", 2 * product, f, peak, threads, forward);
    report(s, length, "backward", 5 * product, b, peak, threads, backward);
    const timing both = {f.wall + b.wall, f.processor + b.processor};
    report(s, length, "both", 7 * product, both, peak, threads, backward);

    const ok_sequence last = {0, 1, 0, (int64_t)length};
    j.a.sequences = &last;
    const timing d = best_of(run_forward, &j);
    printf(
        "{\"shape\": \"%s\", \"length\": %zu, \"pass\": \"one token\", \"us\": %.1f, "
        "\"cache_gb_s\": %.1f, \"processor_gb_s\": %.1f}\n",
        s->name, length, d.wall * 1e6, (double)k * (bfloat16 ? 4 : 8) / d.wall / 1e9,
        (double)k * (bfloat16 ? 4 : 8) / d.processor / 1e9);
    fflush(stdout);
    const void *all[] = {j.a.query, j.a.key, j.a.value, j.a.output, j.a.log_sum_exp, j.g.output,
                         j.g.query, j.g.key, j.g.value, j.workspace};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free((void *)all[i]);
}

int main(int argc, char **argv) {
    const int threads = argc > 1 ? atoi(argv[1]) : ok_available_cores();
    size_t lengths[16] = {256, 1024, 2048, 8192};
    int count = argc > 2 ? 0 : 4;
    for (int i = 2; i < argc && count < 16; i++) lengths[count++] = (size_t)atol(argv[i]);
    ok_pool *pool = ok_pool_create(threads);
    if (!pool) return 1;
    ok_pool_pin_caller(pool);
    const char *wanted = getenv("OSLER_ISA"), *only = getenv("SHAPE");
    ok_isa isa = ok_isa_best();
    if (wanted) isa = strcmp(wanted, "portable") == 0 ? OK_ISA_PORTABLE : OK_ISA_AVX2;
    const bool bfloat16 = getenv("F32") == NULL;
    const ok_tile *tile = ok_tile_get(isa, bfloat16);
    const ok_peak peak = ok_peak_products(pool, isa, bfloat16);
    printf("{\"isa\": %d, \"threads\": %d, \"peak_gflops\": %.1f}\n", isa, threads, peak.flops / 1e9);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int i = 0; i < count; i++)
            if (!only || strstr(shapes[s].name, only))
                measure(&shapes[s], lengths[i], tile, pool, bfloat16, peak);
    return 0;
}
