/* Attention forward (FlashAttention-2, Dao 2023) in products of packed tiles.
 *
 * A key block's scores stand transposed, [keys, nr queries] for one panel of nr queries: the softmax then runs down
 * columns without a sum across a vector, the probabilities are the right operand of O^T += V^T P^T as they stand, and
 * the tile (8 KiB) and the panel's O^T stay in the first-level cache between the two products. Panels of the query
 * heads that share a key head go together, so that a block of keys and values in the second-level cache serves about
 * 128 rows. Keys and values are packed once, before.
 *
 * Measured on one shared Zen 3 core in float32 by processor time, 2048 tokens, width 128 and 64: 75% and 68-72% of the
 * multiply-add peak, counting visible scores only; 256 tokens 62-69%. Key blocks tried at 1024 tokens: 64 46-59%,
 * 128 64-75%, 192 53-77%, 256 64-67%; 64, 128 and 256 rows 64-75%. One to four runs each on a loaded machine, where the
 * same code came out up to 15 points apart: this ranks 64 last and no more. One token over a cache of 2048 tokens
 * reads 11-18 GB/s a core.
 */
#include "attention.h"

#include <stdlib.h>

/* Keys in a block, rounded down to whole panels: 128 keys and values of width 128 are 128 KiB. */
#define KEY_BLOCK 128
/* Rows (queries times heads of a group) that share one reading of a key block. */
#define ROWS 128
/* Keys that one item of the path for few queries reads: few enough to keep the threads level in short texts. */
#define CHUNK 128
/* So many outputs of that path are put together faster by one thread than by all. */
#define ALONE_ROWS 64

typedef struct {
    int32_t sequence, head, block;
    bool few;
} work_item;

typedef struct {
    void *query;
    float *output, *maximum, *sum, *factor, *scores;
    void *probabilities;
    /* For few queries. */
    float *few_query, *few_scores, *few_sums;
    int64_t *visible;
} thread_scratch;

typedef struct {
    ok_attention a;
    const ok_tile *tile;
    const ok_attention_ops *ops;
    void (*few_queries)(const ok_few_queries *work);
    int threads, group, key_block, queries, few_rows, few_heads;
    size_t ld, key_ld;
    size_t key_panel, value_panel, key_bytes, value_bytes, query_panel;
    int64_t *first_block, *first_chunk;
    int64_t blocks, chunks;
    work_item *packs, *items;
    size_t pack_count, item_count;
    char *keys, *values;
    float *partial;
    size_t partial_ld;
    thread_scratch *scratch;
    size_t bytes;
} forward;

/* Key heads that an item of the path for few queries takes: all, whose rows lie side by side, while there is enough for
 * every thread. */
static int heads_an_item(int64_t chunks, int key_heads, int threads) {
    int64_t groups = chunks == 0 ? 1 : attention_ceil(2 * threads, chunks);
    if (groups > key_heads) groups = key_heads;
    return (int)attention_ceil(key_heads, groups);
}

static bool is_few(const ok_sequence *s) { return s->query_count <= ATTENTION_FEW_QUERIES; }

static void take_scratch(forward *f, attention_arena *arena, thread_scratch *s, bool writes) {
    const ok_tile *tile = f->tile;
    const size_t nr = (size_t)tile->nr, width = (size_t)f->a.width;
    const size_t panels = (size_t)(f->group * attention_ceil(f->queries, tile->nr));
    thread_scratch t;
    t.query = attention_take(arena, panels * f->query_panel);
    t.output = attention_take(arena, panels * nr * width * 4);
    t.maximum = attention_take(arena, panels * nr * 4);
    t.sum = attention_take(arena, panels * nr * 4);
    t.factor = attention_take(arena, nr * 4);
    t.scores = attention_take(arena, (size_t)f->key_block * nr * 4);
    t.probabilities = attention_tile_is_panel(tile)
        ? t.scores : attention_take(arena, ok_panel_bytes(tile, tile->nr, f->key_block));
    const size_t rows = (size_t)(f->few_heads * f->few_rows);
    t.few_query = attention_take(arena, rows * width * 4);
    t.few_scores = attention_take(arena, rows * CHUNK * 4);
    t.few_sums = attention_take(arena, rows * (size_t)attention_ceil(f->a.width, 64) * 64 * 4);
    t.visible = attention_take(arena, rows * sizeof(int64_t));
    if (writes) *s = t;
}

static void (*few_queries_of(const forward *f))(const ok_few_queries *) {
#if defined(__x86_64__)
    if (f->a.type == OK_BF16 && f->tile->isa >= OK_ISA_AVX512BF16) return ok_few_queries_avx512bf16;
#endif
    return f->ops->few_queries;
}

/* Sizes, and where everything lies in the workspace (NULL: sizes only). */
static forward plan(
    const ok_attention *a, const ok_tile *tile, int threads, void *workspace
) {
    forward f = {.a = *a, .tile = tile, .ops = ok_attention_ops_get(tile->isa), .threads = threads};
    f.few_queries = few_queries_of(&f);
    const size_t width = (size_t)a->width;
    f.group = a->heads / a->key_heads;
    f.key_block = KEY_BLOCK / tile->mr * tile->mr;
    const int per_head = ROWS / f.group / tile->nr * tile->nr;
    f.queries = per_head > tile->nr ? per_head : tile->nr;
    (f.ld = (size_t)a->heads * width, f.key_ld = (size_t)a->key_heads * width);
    f.key_panel = ok_panel_bytes(tile, tile->mr, a->width);
    f.key_bytes = f.key_panel * (size_t)(f.key_block / tile->mr);
    f.value_panel = ok_panel_bytes(tile, tile->mr, f.key_block);
    f.value_bytes = f.value_panel * (size_t)attention_ceil(a->width, tile->mr);
    f.query_panel = ok_panel_bytes(tile, tile->nr, a->width);

    for (size_t s = 0; s < a->sequence_count; s++) {
        const ok_sequence *q = &a->sequences[s];
        if (q->query_count == 0) continue;
        if (is_few(q)) {
            const int rows = (int)q->query_count * f.group;
            if (rows > f.few_rows) f.few_rows = rows;
            f.chunks += attention_ceil(q->key_count, CHUNK);
            f.item_count += (size_t)a->key_heads;
        } else {
            f.blocks += attention_ceil(q->key_count, f.key_block);
            f.item_count += (size_t)(attention_ceil(q->query_count, f.queries) * a->key_heads);
        }
    }
    f.pack_count = (size_t)((f.blocks + f.chunks) * a->key_heads);
    f.few_heads = heads_an_item(f.chunks, a->key_heads, threads);
    f.partial_ld = (width + 2) * (size_t)f.few_rows;

    attention_arena arena = {(uintptr_t)workspace};
    f.first_block = attention_take(&arena, a->sequence_count * sizeof(int64_t));
    f.first_chunk = attention_take(&arena, a->sequence_count * sizeof(int64_t));
    f.packs = attention_take(&arena, f.pack_count * sizeof(work_item));
    f.items = attention_take(&arena, f.item_count * sizeof(work_item));
    f.keys = attention_take(&arena, (size_t)(f.blocks * a->key_heads) * f.key_bytes);
    f.values = attention_take(&arena, (size_t)(f.blocks * a->key_heads) * f.value_bytes);
    f.partial = attention_take(&arena, (size_t)(f.chunks * a->key_heads) * f.partial_ld * 4);
    f.scratch = attention_take(&arena, (size_t)threads * sizeof(thread_scratch));
    for (int t = 0; t < threads; t++)
        take_scratch(&f, &arena, workspace ? &f.scratch[t] : NULL, workspace != NULL);
    f.bytes = arena.next - (uintptr_t)workspace;
    return f;
}

/* Lists the items, those with the most keys first: what is left at the end is short. */
static void list_items(forward *f) {
    const ok_attention *a = &f->a;
    int64_t block = 0, chunk = 0, most = 0;
    size_t packs = 0, items = 0;
    for (size_t s = 0; s < a->sequence_count; s++) {
        const ok_sequence *q = &a->sequences[s];
        if (q->query_count == 0) continue;
        const bool few = is_few(q);
        const int64_t pieces = attention_ceil(q->key_count, few ? CHUNK : f->key_block);
        if (few) f->first_chunk[s] = chunk;
        else f->first_block[s] = block;
        *(few ? &chunk : &block) += pieces;
        for (int64_t piece = 0; piece < pieces; piece++)
            for (int head = 0; head < a->key_heads; head += few ? f->few_heads : 1)
                f->packs[packs++] = (work_item){(int32_t)s, head, (int32_t)piece, few};
        most = attention_max(most, few ? 1 : attention_ceil(q->query_count, f->queries));
    }
    f->pack_count = packs;
    for (int64_t rest = most; rest > 0; rest--)
        for (size_t s = 0; s < a->sequence_count; s++) {
            const ok_sequence *q = &a->sequences[s];
            const bool few = is_few(q);
            const int64_t blocks =
                few ? q->query_count > 0 : attention_ceil(q->query_count, f->queries);
            if (blocks < rest) continue;
            for (int head = 0; head < a->key_heads; head++)
                f->items[items++] = (work_item){(int32_t)s, head, (int32_t)(rest - 1), few};
        }
}

static float *partial_at(const forward *f, const work_item *item, int64_t chunk) {
    const int64_t at = (f->first_chunk[item->sequence] + chunk) * f->a.key_heads + item->head;
    return f->partial + (size_t)at * f->partial_ld;
}

/* One chunk of some heads' keys against the few queries of a sequence; rows are (query, head of the group). */
static void few_chunk(const forward *f, const work_item *item, thread_scratch *scratch) {
    const ok_attention *a = &f->a;
    const ok_sequence *q = &a->sequences[item->sequence];
    const int width = a->width, rows = (int)q->query_count * f->group;
    const int heads = (int)attention_min(f->few_heads, a->key_heads - item->head);
    const int64_t first = (int64_t)item->block * CHUNK;
    const int64_t last = attention_min(first + CHUNK, q->key_count);
    float *query = scratch->few_query;
    for (int head = item->head; head < item->head + heads; head++)
        for (int row = 0; row < rows; row++, query += width) {
            const size_t from = (size_t)(q->query_offset + row / f->group) * f->ld
                + (size_t)(head * f->group + row % f->group) * (size_t)width;
            for (int c = 0; c < width; c++) query[c] = ok_load(a->query, a->type, from + (size_t)c);
        }
    for (int row = 0; row < rows; row++)
        scratch->visible[row] =
            attention_min(q->key_count - q->query_count + row / f->group + 1, last);
    const size_t at =
        (size_t)q->key_offset * f->key_ld + (size_t)item->head * (size_t)width;
    float *partial = partial_at(f, item, item->block);
    const ok_few_queries work = {
        scratch->few_query, attention_at(a->key, a->type, at), attention_at(a->value, a->type, at),
        a->type, f->key_ld, heads, rows, width, first, last, scratch->visible,
        a->scale * ATTENTION_LOG2E, scratch->few_scores,
        scratch->few_sums, partial, partial + f->few_rows, partial + 2 * f->few_rows, f->partial_ld,
    };
    f->few_queries(&work);
}

/* Chunks to one output, in their order. */
static void few_combine(const forward *f, const work_item *item) {
    const ok_attention *a = &f->a;
    const ok_sequence *q = &a->sequences[item->sequence];
    const int rows = (int)q->query_count * f->group;
    const int64_t chunks = attention_ceil(q->key_count, CHUNK);
    for (int row = 0; row < rows; row++) {
        float top = -INFINITY, total = 0;
        for (int64_t chunk = 0; chunk < chunks; chunk++)
            top = fmaxf(top, partial_at(f, item, chunk)[row]);
        float *sums = partial_at(f, item, 0) + 2 * f->few_rows + (size_t)row * (size_t)a->width;
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            const float *partial = partial_at(f, item, chunk);
            const float weight = exp2f(partial[row] - top);
            total += partial[f->few_rows + row] * weight;
            const float *more = partial + 2 * f->few_rows + (size_t)row * (size_t)a->width;
            if (chunk == 0)
                for (int c = 0; c < a->width; c++) sums[c] *= weight;
            else
                for (int c = 0; c < a->width; c++) sums[c] += more[c] * weight;
        }
        const int64_t t = q->query_offset + row / f->group;
        const int head = item->head * f->group + row % f->group;
        const size_t to = (size_t)t * f->ld + (size_t)head * (size_t)a->width;
        for (int c = 0; c < a->width; c++)
            ok_store(a->output, a->type, to + (size_t)c, sums[c] / total);
        a->log_sum_exp[(size_t)head * a->query_rows + (size_t)t] =
            top * ATTENTION_LN2 + logf(total);
    }
}

static size_t block_index(const forward *f, const work_item *item, int64_t block) {
    return (size_t)((f->first_block[item->sequence] + block) * f->a.key_heads + item->head);
}

static void prepare(void *context, size_t index, int thread) {
    const forward *f = context;
    const work_item *item = &f->packs[index];
    if (item->few) {
        few_chunk(f, item, &f->scratch[thread]);
        return;
    }
    const ok_attention *a = &f->a;
    const ok_sequence *q = &a->sequences[item->sequence];
    const int64_t first = (int64_t)item->block * f->key_block;
    const int keys = (int)attention_min(f->key_block, q->key_count - first);
    const size_t at = (size_t)(q->key_offset + first) * f->key_ld
        + (size_t)item->head * (size_t)a->width;
    const size_t block = block_index(f, item, item->block);
    attention_pack_a(
        f->tile, attention_at(a->key, a->type, at), a->type, f->key_ld, false, keys, a->width,
        f->keys + block * f->key_bytes);
    attention_pack_a(
        f->tile, attention_at(a->value, a->type, at), a->type, f->key_ld, true, a->width, keys,
        f->values + block * f->value_bytes);
}

/* Queries of one head, `nr` at most, with their softmax and output so far. */
typedef struct {
    int head, count;
    int64_t first;
    void *query;
    float *output, *maximum, *sum;
} query_panel;

static query_panel panel_at(
    const forward *f, const work_item *item, const thread_scratch *scratch, int panel
) {
    const ok_tile *tile = f->tile;
    const ok_sequence *q = &f->a.sequences[item->sequence];
    const int per_head = f->queries / tile->nr;
    query_panel p;
    p.head = item->head * f->group + panel / per_head;
    p.first = (int64_t)item->block * f->queries + (int64_t)(panel % per_head) * tile->nr;
    p.count = (int)attention_max(0, attention_min(tile->nr, q->query_count - p.first));
    p.query = (char *)scratch->query + (size_t)panel * f->query_panel;
    p.output = scratch->output + (size_t)panel * (size_t)(tile->nr * f->a.width);
    p.maximum = scratch->maximum + panel * tile->nr;
    p.sum = scratch->sum + panel * tile->nr;
    return p;
}

static void begin_panel(const forward *f, const ok_sequence *q, const query_panel *p) {
    const size_t at = (size_t)(q->query_offset + p->first) * f->ld
        + (size_t)p->head * (size_t)f->a.width;
    f->tile->pack_b(
        attention_at(f->a.query, f->a.type, at), f->a.type, f->ld, true, p->count, f->a.width,
        p->query);
    for (int i = 0; i < f->tile->nr; i++) (p->maximum[i] = -INFINITY, p->sum[i] = 0);
}

/* Queries of a panel meet the keys of a block. */
static void visit_block(
    const forward *f, const work_item *item, const thread_scratch *scratch, const query_panel *p,
    int64_t block
) {
    const ok_tile *tile = f->tile;
    const ok_sequence *q = &f->a.sequences[item->sequence];
    const int nr = tile->nr, width = f->a.width;
    const int64_t first = block * f->key_block;
    const int block_keys = (int)attention_min(f->key_block, q->key_count - first);
    /* The panel's first query sees keys up to `limit` of this block, the next one key more. */
    const int64_t limit = q->key_count - q->query_count + p->first - first;
    const int keys = (int)attention_min(block_keys, limit + p->count);
    if (keys <= 0) return;
    const size_t index = block_index(f, item, block);
    float *scores = scratch->scores;
    attention_multiply(
        tile, keys, width, f->keys + index * f->key_bytes, f->key_panel, p->query, scores, false);
    for (int64_t key = attention_max(0, limit + 1); key < keys; key++)
        for (int64_t i = 0; i < attention_min(nr, key - limit); i++)
            scores[key * nr + i] = -INFINITY;
    const bool rescale = f->ops->softmax(
        scores, keys, nr, f->a.scale * ATTENTION_LOG2E, p->maximum, p->sum, scratch->factor);
    if (block > 0 && rescale) f->ops->scale_columns(p->output, width, nr, scratch->factor);
    if (scratch->probabilities != scores)
        tile->pack_b(scores, OK_F32, (size_t)nr, false, nr, keys, scratch->probabilities);
    attention_multiply(
        tile, width, keys, f->values + index * f->value_bytes,
        ok_panel_bytes(tile, tile->mr, block_keys), scratch->probabilities, p->output, block > 0);
}

static void finish_panel(
    const forward *f, const ok_sequence *q, const thread_scratch *scratch, const query_panel *p
) {
    const ok_attention *a = &f->a;
    const size_t t = (size_t)(q->query_offset + p->first);
    for (int i = 0; i < f->tile->nr; i++) scratch->factor[i] = 1 / p->sum[i];
    for (int i = 0; i < p->count; i++)
        a->log_sum_exp[(size_t)p->head * a->query_rows + t + (size_t)i] =
            p->maximum[i] * ATTENTION_LN2 + logf(p->sum[i]);
    const size_t at = t * f->ld + (size_t)p->head * (size_t)a->width;
    f->ops->store_columns(
        p->output, f->tile->nr, a->width, p->count, scratch->factor,
        (char *)a->output + at * ok_type_bytes(a->type), a->type, f->ld);
}

static void attend(void *context, size_t index, int thread) {
    const forward *f = context;
    const work_item *item = &f->items[index];
    if (item->few) {
        few_combine(f, item);
        return;
    }
    const ok_sequence *q = &f->a.sequences[item->sequence];
    const thread_scratch *scratch = &f->scratch[thread];
    const int panels = f->group * (f->queries / f->tile->nr);
    const int64_t last_query =
        attention_min(q->query_count, ((int64_t)item->block + 1) * f->queries) - 1;
    const int64_t keys = q->key_count - q->query_count + last_query + 1;
    for (int panel = 0; panel < panels; panel++) {
        const query_panel p = panel_at(f, item, scratch, panel);
        if (p.count > 0) begin_panel(f, q, &p);
    }
    for (int64_t block = 0; block * f->key_block < keys; block++)
        for (int panel = 0; panel < panels; panel++) {
            const query_panel p = panel_at(f, item, scratch, panel);
            if (p.count > 0) visit_block(f, item, scratch, &p, block);
        }
    for (int panel = 0; panel < panels; panel++) {
        const query_panel p = panel_at(f, item, scratch, panel);
        if (p.count > 0) finish_panel(f, q, scratch, &p);
    }
}

size_t ok_attention_workspace(const ok_attention *attention, const ok_tile *tile, int threads) {
    return plan(attention, tile, threads, NULL).bytes;
}

void ok_attention_forward(
    const ok_attention *attention, const ok_tile *tile, ok_pool *pool, void *workspace
) {
    forward f = plan(attention, tile, ok_pool_threads(pool), workspace);
    list_items(&f);
    ok_parallel(pool, f.pack_count, prepare, &f);
    if (f.blocks == 0 && f.item_count * (size_t)f.few_rows <= ALONE_ROWS)
        for (size_t item = 0; item < f.item_count; item++) attend(&f, item, 0);
    else ok_parallel(pool, f.item_count, attend, &f);
}

const ok_attention_ops *ok_attention_ops_get(ok_isa isa) {
#if defined(__x86_64__)
    if (isa >= OK_ISA_AVX512) return &ok_attention_avx512;
    if (isa >= OK_ISA_AVX2) return &ok_attention_avx2;
#endif
    (void)isa;
    return &ok_attention_portable;
}
