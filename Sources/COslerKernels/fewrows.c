/* Products of few rows: who computes what. Shares of one and two a thread were measured (2 cores of Zen 4, one row, share
 * of the read bandwidth): smollm2-q 0.78 and 0.85 in bfloat16, 0.56 and 0.58 in NF4; llama8b-q 0.99 and 0.98, 0.77 and 0.84;
 * with four the threads' runs become too short for the machine's prefetching. */
#include "fewrows.h"

#include <stdlib.h>

/* Rows of W whose sums exist at a time. */
#define BLOCK 64
/* Rows of W that a kernel takes side by side: shares of threads are multiples of it. */
#define STEP 4
/* Weights worth waking a thread for, in bytes. */
#define ALONE_BYTES (24u << 10)
#define MAXIMUM_PRODUCTS 8
/* Shares of W a thread: each is read in one run, and with two the one whose core reads faster helps the other. */
#define SHARES_A_THREAD 2

typedef struct {
    const ok_call *call;
    ok_few_dots dots[MAXIMUM_PRODUCTS];
    /* Rows of W that an item takes, and the call's items. */
    size_t share, items;
} plan;

typedef struct {
    const ok_few_set *set;
    plan plans[OK_FEW_CALLS];
    int count;
} job;

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }

static const ok_few_set *set_of(const ok_tile *tile) {
#if defined(__x86_64__)
    if (tile->isa >= OK_ISA_AVX512BF16 && tile->bfloat16) return &ok_few_avx512bf16;
    if (tile->isa >= OK_ISA_AVX512) return &ok_few_avx512;
    if (tile->isa >= OK_ISA_AVX2) return &ok_few_avx2;
#endif
    (void)tile;
    return &ok_few_portable;
}

static size_t row_bytes(const ok_product *product) {
    return product->b.nf4 ? product->k / 2 : product->k * ok_type_bytes(product->b.type);
}

static void share_task(void *context, size_t item, int thread) {
    (void)thread;
    const job *job = context;
    const plan *plan = job->plans;
    while (item >= plan->items) item -= plan++->items;
    const ok_call *call = plan->call;
    const size_t end = least(call->n, (item + 1) * plan->share);
    const int m = (int)call->m;
    _Alignas(64) float sums[OK_FEW_ROWS * BLOCK], more[OK_FEW_ROWS * BLOCK];
    for (size_t first = item * plan->share; first < end; first += BLOCK) {
        const size_t count = least(BLOCK, end - first);
        for (int i = 0; i < call->count; i++) {
            const float scale = call->products[i].scale;
            ok_few_dots dots = plan->dots[i];
            (dots.first = first, dots.count = count);
            (dots.sums = i == 0 ? sums : more, dots.sums_ld = BLOCK);
            job->set->dots(&dots);
            for (int row = 0; row < m; row++)
                if (i > 0)
                    job->set->combine(count, sums + row * BLOCK, more + row * BLOCK, scale);
                else if (scale != 1)
                    job->set->combine(count, sums + row * BLOCK, NULL, scale);
        }
        for (int row = 0; row < m; row++)
            job->set->finish(&call->output, (size_t)row, first, count, sums + row * BLOCK);
    }
}

static bool fits(const ok_call *call) {
    if (call->m > OK_FEW_ROWS || call->count < 1) return false;
    for (int i = 0; i < call->count; i++)
        if (call->products[i].a.transposed || !call->products[i].b.transposed) return false;
    return true;
}

/* Whether the two products' rows of x are packed to the same bytes. */
static bool same_rows(const ok_product *one, const ok_product *other) {
    const ok_nf4 *left = one->b.nf4, *right = other->b.nf4;
    return one->a.data == other->a.data && one->a.type == other->a.type && one->a.ld == other->a.ld
        && one->k == other->k && one->b.ld == other->b.ld && !left == !right
        && (!left || left->block_size == right->block_size);
}

/* Packs the rows of x for every product, those of neighbouring calls' first products once. */
static void pack_rows(job *job, char *x) {
    for (int c = 0; c < job->count; c++) {
        const ok_call *call = job->plans[c].call;
        ok_few_dots *dots = job->plans[c].dots;
        for (int i = 0; i < call->count; i++) {
            const ok_product *product = &call->products[i];
            if (c > 0 && i == 0 && call->m == job->plans[c - 1].call->m
                && same_rows(product, job->plans[c - 1].call->products)) {
                dots[0].x = job->plans[c - 1].dots[0].x;
                continue;
            }
            dots[i].x = x;
            const char *from = product->a.data;
            for (size_t row = 0; row < call->m; row++, x += dots[i].x_bytes) {
                job->set->pack(from, product->a.type, &dots[i], x);
                from += product->a.ld * ok_type_bytes(product->a.type);
            }
        }
    }
}

int ok_few_rows(
    const ok_tile *tile, ok_pool *pool, ok_scratch *scratch, const ok_call *calls, int count,
    ok_call *rest
) {
    job job;
    job.set = set_of(tile);
    job.count = 0;
    int left = 0;
    size_t bytes = 0, x_bytes = 0, items = 0;
    for (int c = 0; c < count; c++) {
        const ok_call *call = &calls[c];
        if (!fits(call)) {
            rest[left++] = *call;
            continue;
        }
        if (call->count > MAXIMUM_PRODUCTS) abort();
        if (call->m == 0 || call->n == 0) continue;
        plan *plan = &job.plans[job.count++];
        plan->call = call;
        for (int i = 0; i < call->count; i++) {
            const ok_product *product = &call->products[i];
            plan->dots[i] = (ok_few_dots){
                .tile = tile, .w = &product->b, .k = product->k, .m = (int)call->m,
                .x_bytes = job.set->x_bytes(product->k),
            };
            bytes += call->n * row_bytes(product);
            x_bytes += call->m * plan->dots[i].x_bytes;
        }
    }
    if (job.count == 0) return left;
    pack_rows(&job, ok_scratch_reserve(scratch, x_bytes));
    const size_t shares = bytes > ALONE_BYTES ? (size_t)ok_pool_threads(pool) * SHARES_A_THREAD : 1;
    for (int c = 0; c < job.count; c++) {
        plan *plan = &job.plans[c];
        plan->share = ceiling(ceiling(plan->call->n, shares), STEP) * STEP;
        plan->items = ceiling(plan->call->n, plan->share);
        items += plan->items;
    }
    if (shares > 1) ok_parallel(pool, items, share_task, &job);
    else
        for (size_t item = 0; item < items; item++) share_task(&job, item, 0);
    return left;
}
