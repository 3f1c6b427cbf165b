/* Attention backward (FlashAttention-2, Dao 2023, algorithm 2) in products of packed tiles.
 *
 * An item is a block of keys of one key head. It owns dK and dV of its keys, which it sums over queries and the heads
 * of the group in a fixed order, so five products suffice where two passes (one that owns dQ, one that owns dK and dV)
 * need seven. dQ has many writers: they take turns in the order of key blocks, through a counter for each block of
 * queries. Items are handed out by falling length, block 0 of every sequence first, and walk queries from the last to
 * the first, so a block follows its predecessor one step behind (how long it waits is not measured for many threads).
 * A thread waits for items handed out before its own only, so some thread can always go on.
 *
 * Scores stand as [queries, nr keys]: P and dS are the right operands of dV^T += dO^T P and dK^T += Q^T dS as they
 * stand; only dS is transposed, for dQ^T += K^T dS^T. Rows of a tile that see none of its keys are left out.
 *
 * Measured as the forward pass: 69% and 70-72% of peak at 2048 tokens, 62-66% at 256. Blocks of keys by queries tried
 * at 1024 tokens, one to three runs each on a loaded machine (the same code up to 15 points apart, so no ranking but of
 * the first): 64x64 50-55%, 128x32 58-67%, 128x48 50-68%, 128x64 65-67%, 128x96 59-70%, 192x48 54-72%, 256x64 63-67%.
 * Of the equal ones 128x64: small key blocks spread over more threads.
 */
#include "attention.h"

#include <sched.h>

/* 128 keys of width 128 in three packed forms with two gradients are 320 KiB. */
#define KEY_BLOCK 128
/* Queries in four packed forms of width 128 are 128 KiB. */
#define QUERY_BLOCK 64

typedef struct {
    int32_t sequence, head, block;
} work_item;

typedef struct {
    /* As right operands: K^T, V^T [width, keys]; as left ones: K^T [width, keys], rows of Q and dO, Q^T, dO^T. */
    char *key, *value, *key_left;
    char *query, *gradient, *query_left, *gradient_left;
    /* dK^T, dV^T: [width, nr] for each panel of keys. */
    float *key_gradient, *value_gradient;
    /* One panel of scores and dP, [queries, nr], as panels, and dS^T as panels of queries. */
    float *scores, *dp;
    void *probabilities, *ds;
    char *ds_transposed;
    float *log_sum, *delta, *factor;
} thread_scratch;

typedef struct {
    ok_attention a;
    ok_attention_gradients g;
    const ok_tile *tile;
    const ok_attention_ops *ops;
    int group, key_block, query_block;
    size_t ld, key_ld;
    /* Bytes of one panel: width deep, of nr or mr; a key block or a query block deep, of mr or nr. */
    size_t wide_right, wide_left, key_deep_left, key_deep_right, query_deep_left;
    int64_t *first_block;
    int64_t blocks;
    work_item *items;
    size_t item_count;
    float *delta, *query_sums;
    size_t query_sums_size;
    atomic_uint *turns;
    thread_scratch *scratch;
    size_t bytes;
} backward;

static void take_scratch(backward *b, attention_arena *arena, thread_scratch *s, bool writes) {
    const ok_tile *tile = b->tile;
    const size_t key_panels = (size_t)(b->key_block / tile->nr);
    const size_t query_panels = (size_t)attention_ceil(b->query_block, tile->mr);
    const size_t width_panels = (size_t)attention_ceil(b->a.width, tile->mr);
    const size_t tile_bytes = (size_t)(b->query_block * tile->nr) * 4;
    const size_t gradient_bytes = (size_t)(b->key_block * b->a.width) * 4;
    const bool same = attention_tile_is_panel(tile);
    const size_t query_deep_right = ok_panel_bytes(tile, tile->nr, b->query_block);
    thread_scratch t;
    t.key = attention_take(arena, key_panels * b->wide_right);
    t.value = attention_take(arena, key_panels * b->wide_right);
    t.key_left = attention_take(arena, width_panels * b->key_deep_left);
    t.query = attention_take(arena, query_panels * b->wide_left);
    t.gradient = attention_take(arena, query_panels * b->wide_left);
    t.query_left = attention_take(arena, width_panels * b->query_deep_left);
    t.gradient_left = attention_take(arena, width_panels * b->query_deep_left);
    t.key_gradient = attention_take(arena, gradient_bytes);
    t.value_gradient = attention_take(arena, gradient_bytes);
    t.scores = attention_take(arena, tile_bytes);
    t.dp = attention_take(arena, tile_bytes);
    t.probabilities = same ? t.scores : attention_take(arena, query_deep_right);
    t.ds = same ? t.dp : attention_take(arena, query_deep_right);
    t.ds_transposed =
        attention_take(arena, (size_t)(b->query_block / tile->nr) * b->key_deep_right);
    t.log_sum = attention_take(arena, (size_t)b->query_block * 4);
    t.delta = attention_take(arena, (size_t)b->query_block * 4);
    t.factor = attention_take(arena, (size_t)tile->nr * 4);
    if (writes) *s = t;
}

static backward plan(
    const ok_attention *a, const ok_tile *tile, int threads, void *workspace
) {
    backward b = {.a = *a, .tile = tile, .ops = ok_attention_ops_get(tile->isa)};
    b.group = a->heads / a->key_heads;
    b.key_block = KEY_BLOCK / tile->nr * tile->nr;
    b.query_block = QUERY_BLOCK / tile->nr * tile->nr;
    b.ld = (size_t)a->heads * (size_t)a->width;
    b.key_ld = (size_t)a->key_heads * (size_t)a->width;
    b.wide_right = ok_panel_bytes(tile, tile->nr, a->width);
    b.wide_left = ok_panel_bytes(tile, tile->mr, a->width);
    b.key_deep_left = ok_panel_bytes(tile, tile->mr, b.key_block);
    b.key_deep_right = ok_panel_bytes(tile, tile->nr, b.key_block);
    b.query_deep_left = ok_panel_bytes(tile, tile->mr, b.query_block);
    b.query_sums_size = (size_t)(b.query_block * a->width);
    for (size_t s = 0; s < a->sequence_count; s++) {
        b.blocks += attention_ceil(a->sequences[s].query_count, b.query_block);
        b.item_count += (size_t)(attention_ceil(a->sequences[s].key_count, b.key_block)
                                 * a->key_heads);
    }
    const size_t head_blocks = (size_t)b.blocks * (size_t)a->heads;
    attention_arena arena = {(uintptr_t)workspace};
    b.first_block = attention_take(&arena, a->sequence_count * sizeof(int64_t));
    b.items = attention_take(&arena, b.item_count * sizeof(work_item));
    b.delta = attention_take(&arena, (size_t)a->heads * a->query_rows * 4);
    b.query_sums = attention_take(&arena, head_blocks * b.query_sums_size * 4);
    b.turns = attention_take(&arena, head_blocks * sizeof(atomic_uint));
    b.scratch = attention_take(&arena, (size_t)threads * sizeof(thread_scratch));
    for (int t = 0; t < threads; t++)
        take_scratch(&b, &arena, workspace ? &b.scratch[t] : NULL, workspace != NULL);
    b.bytes = arena.next - (uintptr_t)workspace;
    return b;
}

static void list_items(backward *b) {
    const ok_attention *a = &b->a;
    int64_t first = 0, most = 0;
    for (size_t s = 0; s < a->sequence_count; s++) {
        b->first_block[s] = first;
        first += attention_ceil(a->sequences[s].query_count, b->query_block);
        most = attention_max(most, attention_ceil(a->sequences[s].key_count, b->key_block));
    }
    size_t count = 0;
    for (int64_t rest = most; rest > 0; rest--)
        for (size_t s = 0; s < a->sequence_count; s++) {
            const int64_t blocks = attention_ceil(a->sequences[s].key_count, b->key_block);
            if (blocks < rest) continue;
            for (int head = 0; head < a->key_heads; head++)
                b->items[count++] = (work_item){(int32_t)s, head, (int32_t)(blocks - rest)};
        }
    for (size_t i = 0; i < (size_t)b->blocks * (size_t)a->heads; i++) atomic_init(&b->turns[i], 0);
}

/* delta = rowsum(dO * O) for a block of queries, and all heads. */
static void find_delta(void *context, size_t index, int thread) {
    const backward *b = context;
    const ok_attention *a = &b->a;
    (void)thread;
    const size_t end = attention_min((int64_t)a->query_rows, ((int64_t)index + 1) * 16);
    for (size_t t = index * 16; t < end; t++)
        for (int head = 0; head < a->heads; head++) {
            const size_t at = t * b->ld + (size_t)head * (size_t)a->width;
            b->delta[(size_t)head * a->query_rows + t] = b->ops->dot(
                attention_at(a->output, a->type, at), attention_at(b->g.output, a->type, at),
                a->type, a->width);
        }
}

/* Keys `first ..< first + count` of the item's sequence. */
typedef struct {
    const work_item *item;
    const ok_sequence *sequence;
    thread_scratch *scratch;
    int64_t first;
    int count, panels;
} key_block;

/* Queries `first ..< first + count` of one head. */
typedef struct {
    int head, count;
    int64_t first;
} query_block;

static void pack_keys(const backward *b, const key_block *k) {
    const ok_attention *a = &b->a;
    const int nr = b->tile->nr, width = a->width;
    const size_t at = (size_t)(k->sequence->key_offset + k->first) * b->key_ld
        + (size_t)k->item->head * (size_t)width;
    for (int panel = 0; panel < k->panels; panel++) {
        const size_t from = at + (size_t)(panel * nr) * b->key_ld;
        const int count = (int)attention_min(nr, k->count - panel * nr);
        const size_t to = (size_t)panel * b->wide_right;
        b->tile->pack_b(
            attention_at(a->key, a->type, from), a->type, b->key_ld, true, count, width,
            k->scratch->key + to);
        b->tile->pack_b(
            attention_at(a->value, a->type, from), a->type, b->key_ld, true, count, width,
            k->scratch->value + to);
    }
    attention_pack_a(
        b->tile, attention_at(a->key, a->type, at), a->type, b->key_ld, true, width, k->count,
        k->scratch->key_left);
}

static void pack_queries(const backward *b, const key_block *k, const query_block *q) {
    const ok_attention *a = &b->a;
    const ok_tile *tile = b->tile;
    const thread_scratch *scratch = k->scratch;
    const size_t t = (size_t)(k->sequence->query_offset + q->first);
    const size_t at = t * b->ld + (size_t)q->head * (size_t)a->width;
    const void *query = attention_at(a->query, a->type, at);
    const void *gradient = attention_at(b->g.output, a->type, at);
    attention_pack_a(tile, query, a->type, b->ld, false, q->count, a->width, scratch->query);
    attention_pack_a(tile, gradient, a->type, b->ld, false, q->count, a->width, scratch->gradient);
    attention_pack_a(tile, query, a->type, b->ld, true, a->width, q->count, scratch->query_left);
    attention_pack_a(
        tile, gradient, a->type, b->ld, true, a->width, q->count, scratch->gradient_left);
    const size_t row = (size_t)q->head * a->query_rows + t;
    for (int i = 0; i < q->count; i++) {
        scratch->log_sum[i] = a->log_sum_exp[row + (size_t)i] * ATTENTION_LOG2E;
        scratch->delta[i] = b->delta[row + (size_t)i];
    }
}

/* Panels of left operands from row `first` on, a multiple of what a panel's k can be cut at. */
static const char *deeper(const ok_tile *tile, const char *panels, int width, int first) {
    return panels + (size_t)first * (size_t)width * (size_t)tile->element_bytes;
}

/* One panel of keys with a block of queries: its parts of dV^T and dK^T, and dS^T for the queries. */
static void visit_panel(
    const backward *b, const key_block *k, const query_block *q, int panel, bool accumulate
) {
    const ok_tile *tile = b->tile;
    const thread_scratch *scratch = k->scratch;
    const int nr = tile->nr, width = b->a.width, unit = tile->mr * tile->k_step;
    /* Key `first` of the panel is the `diagonal`th query of the block: queries before it see none of its keys. */
    const int64_t diagonal = k->first + panel * nr - q->first;
    if (diagonal >= q->count) return;
    const int skipped = (int)attention_max(0, diagonal) / unit * unit;
    const int rows = q->count - skipped;
    float *scores = scratch->scores + skipped * nr, *dp = scratch->dp + skipped * nr;
    const size_t from = (size_t)(skipped / tile->mr) * b->wide_left;
    const size_t right = (size_t)panel * b->wide_right;
    attention_multiply(
        tile, rows, width, scratch->query + from, b->wide_left, scratch->key + right, scores, false);
    attention_multiply(
        tile, rows, width, scratch->gradient + from, b->wide_left, scratch->value + right, dp, false);
    for (int64_t row = skipped; row < attention_min(q->count, diagonal + nr - 1); row++)
        for (int64_t i = attention_max(0, row - diagonal + 1); i < nr; i++)
            scratch->scores[row * nr + i] = -INFINITY;
    b->ops->gradient(
        scores, dp, rows, nr, b->a.scale * ATTENTION_LOG2E, scratch->log_sum + skipped,
        scratch->delta + skipped);

    const void *p = scores, *ds = dp;
    if (scratch->probabilities != scratch->scores) {
        tile->pack_b(scores, OK_F32, (size_t)nr, false, nr, rows, scratch->probabilities);
        tile->pack_b(dp, OK_F32, (size_t)nr, false, nr, rows, scratch->ds);
        (p = scratch->probabilities, ds = scratch->ds);
    }
    /* Left panels of this query block are as deep as it has queries. */
    const size_t deep = ok_panel_bytes(tile, tile->mr, q->count);
    const size_t sums = (size_t)(panel * nr * width);
    attention_multiply(
        tile, width, rows, deeper(tile, scratch->gradient_left, tile->mr, skipped), deep, p,
        scratch->value_gradient + sums, accumulate);
    attention_multiply(
        tile, width, rows, deeper(tile, scratch->query_left, tile->mr, skipped), deep, ds,
        scratch->key_gradient + sums, accumulate);

    const int first = (int)attention_max(0, diagonal) / nr * nr;
    if (skipped > first)
        memset(scratch->dp + first * nr, 0, (size_t)((skipped - first) * nr) * sizeof(float));
    for (int row = first; row < q->count; row += nr)
        tile->pack_b(
            scratch->dp + row * nr, OK_F32, (size_t)nr, true,
            (int)attention_min(nr, q->count - row), nr,
            scratch->ds_transposed + (size_t)(row / nr) * b->key_deep_right
                + (size_t)panel * ok_panel_bytes(tile, nr, nr));
}

/* Until `turn` key blocks have added their parts to a block of queries. */
static void await_turn(atomic_uint *word, unsigned turn) {
    for (int spins = 0; atomic_load_explicit(word, memory_order_acquire) != turn; spins++) {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#endif
        if (spins >= 64) sched_yield();
    }
}

/* dQ^T += K^T dS^T for a block of queries, in turn; the last key block that they see writes dQ. */
static void add_query_gradient(const backward *b, const key_block *k, const query_block *q) {
    const ok_attention *a = &b->a;
    const ok_tile *tile = b->tile;
    const thread_scratch *scratch = k->scratch;
    const int nr = tile->nr;
    const int64_t block = b->first_block[k->item->sequence] + q->first / b->query_block;
    const size_t index = (size_t)block * (size_t)a->heads + (size_t)q->head;
    const unsigned turn = (unsigned)k->item->block;
    const bool is_last = (q->first + q->count - 1) / b->key_block == k->item->block;
    await_turn(&b->turns[index], turn);
    for (int row = 0; row < q->count; row += nr) {
        const int count = (int)attention_min(nr, q->count - row);
        const int64_t seen = attention_min(k->count, q->first + row + count - k->first);
        float *sums = b->query_sums + index * b->query_sums_size + (size_t)(row * a->width);
        if (seen > 0)
            attention_multiply(
                tile, a->width, (int)seen, scratch->key_left,
                ok_panel_bytes(tile, tile->mr, k->count),
                scratch->ds_transposed + (size_t)(row / nr) * b->key_deep_right, sums, turn > 0);
        if (!is_last) continue;
        const size_t at = (size_t)(k->sequence->query_offset + q->first + row) * b->ld
            + (size_t)q->head * (size_t)a->width;
        b->ops->store_columns(
            sums, nr, a->width, count, scratch->factor,
            (char *)b->g.query + at * ok_type_bytes(a->type), a->type, b->ld);
    }
    atomic_store_explicit(&b->turns[index], turn + 1, memory_order_release);
}

static void store_keys(const backward *b, const key_block *k) {
    const ok_attention *a = &b->a;
    thread_scratch *scratch = k->scratch;
    const int nr = b->tile->nr;
    for (int panel = 0; panel < k->panels; panel++) {
        const int count = (int)attention_min(nr, k->count - panel * nr);
        const size_t at = (size_t)(k->sequence->key_offset + k->first + panel * nr) * b->key_ld
            + (size_t)k->item->head * (size_t)a->width;
        const size_t sums = (size_t)(panel * nr * a->width), bytes = at * ok_type_bytes(a->type);
        b->ops->store_columns(
            scratch->key_gradient + sums, nr, a->width, count, scratch->factor,
            (char *)b->g.key + bytes, a->type, b->key_ld);
        float ones[64];
        for (int i = 0; i < nr; i++) ones[i] = 1;
        b->ops->store_columns(
            scratch->value_gradient + sums, nr, a->width, count, ones,
            (char *)b->g.value + bytes, a->type, b->key_ld);
    }
}

static void visit_keys(void *context, size_t index, int thread) {
    const backward *b = context;
    const work_item *item = &b->items[index];
    const ok_sequence *sequence = &b->a.sequences[item->sequence];
    const int64_t first = (int64_t)item->block * b->key_block;
    const int count = (int)attention_min(b->key_block, sequence->key_count - first);
    const key_block k = {
        item, sequence, &b->scratch[thread], first, count, (int)attention_ceil(count, b->tile->nr)};
    for (int i = 0; i < b->tile->nr; i++) k.scratch->factor[i] = b->a.scale;
    pack_keys(b, &k);
    const size_t gradients = (size_t)(k.panels * b->tile->nr * b->a.width) * sizeof(float);
    memset(k.scratch->key_gradient, 0, gradients);
    memset(k.scratch->value_gradient, 0, gradients);
    const int64_t last = (sequence->query_count - 1) / b->query_block;
    for (int64_t block = last; block >= first / b->query_block; block--)
        for (int head = 0; head < b->group; head++) {
            const int64_t from = block * b->query_block;
            const query_block q = {
                item->head * b->group + head,
                (int)attention_min(b->query_block, sequence->query_count - from), from};
            pack_queries(b, &k, &q);
            for (int panel = 0; panel < k.panels; panel++) visit_panel(b, &k, &q, panel, true);
            add_query_gradient(b, &k, &q);
        }
    store_keys(b, &k);
}

size_t ok_attention_backward_workspace(
    const ok_attention *attention, const ok_tile *tile, int threads
) {
    return plan(attention, tile, threads, NULL).bytes;
}

void ok_attention_backward(
    const ok_attention *attention, const ok_attention_gradients *gradients, const ok_tile *tile,
    ok_pool *pool, void *workspace
) {
    backward b = plan(attention, tile, ok_pool_threads(pool), workspace);
    b.g = *gradients;
    list_items(&b);
    ok_parallel(pool, (attention->query_rows + 15) / 16, find_delta, &b);
    ok_parallel(pool, b.item_count, visit_keys, &b);
}
