/* Matrix products over packed tiles, the part that is the same for every instruction set.
 *
 * Left operands are packed first, all calls' in one go and each once. Then every task takes a group of column panels
 * of one call, packs these panels of the right operand (weights stay as they are in their file, so one copy serves
 * x * W^T and dy * W; NF4 is decoded here), and runs them against all rows. A tile's sums stay in the first-level cache
 * from the first value of k to the last, through all products, and are rounded and written once. Where the panels of
 * all k don't fit the second-level cache they are packed in runs, with the sums in memory in between.
 *
 * k is cut at multiples of the tile's `piece`, but not close to its end, and nowhere else, so neither rows, columns, runs nor threads change a bit
 * of a value.
 *
 * Where rows of the left operand are long (K = 14336, or a vocabulary), packing as few of them as the third-level cache
 * holds would pack the right operand once for each few. Then k is cut into slabs instead, one after the other, and the
 * sums of all tiles wait in memory between two: 2 x 16 MB a slab against repacking (decoding) the whole weight.
 *
 * Tried before: tasks that packed 256 values of k for 264 rows at a time packed weights six times for 1440 rows and kept
 * sums in the second-level cache: 23% of a training step's time went to packing and to writing results. */
#include "fewrows.h"
#include "gemm_tile.h"

#include <stdio.h>
#include <stdlib.h>

#define BACKWARD_ROWS 32
#define DECODED_VALUES 256
#define MAXIMUM_PRODUCTS 8
#define MAXIMUM_CALLS 16
#define MAXIMUM_PANELS 8
#define MAXIMUM_SEGMENTS 32
/* Packed rows of left operands that are kept at a time, in bytes: part of the third-level cache. */
#define PACKED_BYTES (8u << 20)
/* Packing right operands again is worth it from so many rows on, whatever their bytes. */
#define LEAST_ROWS 264
/* With slabs of k: the most rows at a time, and bytes of sums that wait between slabs. */
#define SLAB_ROWS 1056
#define SLAB_SUMS_BYTES (16u << 20)
/* Packed panels of right operands that a task keeps: part of the second-level cache. */
#define RUN_BYTES (384u << 10)
/* Tiles at a run's end among which the fetching for the next one is spread, and a quarter of them where that is more:
 * what is fetched early in a long run has left the second-level cache before it is used. */
#define FETCHING_TILES 192
/* Row panels that an item of packing takes. */
#define PACK_PANELS 8
/* Tasks a thread, so that threads end together. */
#define TASKS_A_THREAD 8

/* The next product and piece of it that a call has to sum. */
typedef struct {
    int product;
    size_t k;
} cursor;

/* A left operand from k `first` to `end`, packed: pieces of k outermost, so that the panels of one lie together. */
typedef struct {
    const ok_matrix *matrix;
    size_t m, k, first, end;
    size_t rows, row_panels, items;
    char *packed;
} operand;

/* How a call, or a slab of its k, is cut into tasks. */
typedef struct plan {
    const ok_call *call;
    cursor from, end;
    int operands[MAXIMUM_PRODUCTS];
    size_t rows, row_panels, chunk_panels, chunks;
    size_t column_panels, group_panels, groups;
    bool one_run;
    /* Sums of all tiles, those of a column panel together, where this is not the call's only slab. */
    float *sums;
} plan;

typedef struct {
    const ok_tile *tile;
    int threads;
    /* The first row of this block. */
    size_t row;
    operand operands[MAXIMUM_CALLS * MAXIMUM_PRODUCTS];
    int operand_count;
    plan plans[MAXIMUM_CALLS];
    int plan_count;
    /* Values of k in a slab; SIZE_MAX: all. */
    size_t slab;
    char *thread_scratch;
    size_t thread_bytes, panels_bytes, decoded_bytes, tile_bytes;
} job;

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t most(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static inline size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }

/* k is cut into pieces of `piece` values; less than half a piece goes with the one before it. */
static inline size_t pieces(const ok_tile *tile, size_t k) {
    const size_t piece = (size_t)tile->piece;
    return k == 0 ? 0 : most(1, (k + piece / 2) / piece);
}

static inline int piece_length(const ok_tile *tile, size_t k, size_t piece) {
    const size_t first = piece * (size_t)tile->piece;
    return (int)(piece + 1 == pieces(tile, k) ? k - first : (size_t)tile->piece);
}

static size_t piece_count(const ok_tile *tile, const operand *a) {
    const size_t piece = (size_t)tile->piece;
    const size_t end = a->end == a->k ? pieces(tile, a->k) : a->end / piece;
    return end - least(end, a->first / piece);
}

static const void *element(const ok_matrix *matrix, size_t row, size_t column) {
    const size_t index = matrix->transposed ? column * matrix->ld + row : row * matrix->ld + column;
    return (const char *)matrix->data + index * ok_type_bytes(matrix->type);
}

// MARK: Left operands

static char *packed_panel(const ok_tile *tile, const operand *a, size_t piece, size_t panel) {
    const int length = piece_length(tile, a->k, piece);
    const size_t before = piece - a->first / (size_t)tile->piece;
    return a->packed + before * a->row_panels * ok_panel_bytes(tile, tile->mr, tile->piece)
        + panel * ok_panel_bytes(tile, tile->mr, length);
}

static void pack_task(void *context, size_t item, int thread) {
    (void)thread;
    const job *job = context;
    const ok_tile *tile = job->tile;
    const operand *a = job->operands;
    while (item >= a->items) item -= a++->items;
    const size_t runs = ceiling(a->row_panels, PACK_PANELS);
    const size_t piece = a->first / (size_t)tile->piece + item / runs, first = item % runs * PACK_PANELS;
    const size_t k = piece * (size_t)tile->piece, mr = (size_t)tile->mr;
    const int length = piece_length(tile, a->k, piece);
    for (size_t panel = first; panel < least(first + PACK_PANELS, a->row_panels); panel++)
        tile->pack_a(
            element(a->matrix, job->row + panel * mr, k), a->matrix->type, a->matrix->ld,
            a->matrix->transposed, (int)least(mr, a->rows - panel * mr), length,
            packed_panel(tile, a, piece, panel));
}

/* The place of a left operand among those to pack, each of which stands there once. */
static int operand_index(job *job, operand one) {
    for (int i = 0; i < job->operand_count; i++) {
        const operand *other = &job->operands[i];
        if (other->m == one.m && other->k == one.k && other->first == one.first
            && other->end == one.end && other->matrix->data == one.matrix->data
            && other->matrix->type == one.matrix->type && other->matrix->ld == one.matrix->ld
            && other->matrix->transposed == one.matrix->transposed)
            return i;
    }
    job->operands[job->operand_count] = one;
    return job->operand_count++;
}

// MARK: Right operands

/* What one task works on: row panels and column panels of a call. */
typedef struct part {
    size_t row_panel, row_panels;
    size_t column, columns, panels;
} part;

/* One piece of k of one product. */
typedef struct {
    const ok_matrix *b;
    const operand *a;
    size_t piece, k;
    int length;
    float scale;
    /* Where its panels begin, and from one to the next. */
    char *panels;
    size_t panel_bytes;
} segment;

/* `rows` rows of `count` values of an NF4 matrix, from the one at `start` on. */
static void decode_rows(
    const ok_tile *tile, const ok_matrix *b, size_t start, size_t rows, size_t count, ok_type type,
    char *to
) {
    if (tile->decode_nf4_rows && tile->decode_nf4_rows(b->nf4, start, b->ld, rows, count, type, to))
        return;
    for (size_t row = 0; row < rows; row++)
        tile->decode_nf4(
            b->nf4, start + row * b->ld, count, type, to + row * count * ok_type_bytes(type));
}

/* Packs [N, K] rows, panel by panel; an NF4 matrix is decoded to rows first, a few values of each at a time. */
static void pack_forward(const ok_tile *tile, const part *part, const segment *segment, char *decoded) {
    const ok_matrix *b = segment->b;
    const ok_type type = tile->bfloat16 ? OK_BF16 : OK_F32;
    const size_t nr = (size_t)tile->nr;
    for (size_t j = 0; j < part->columns; j += nr) {
        const int count = (int)least(nr, part->columns - j);
        char *panel = segment->panels + j / nr * segment->panel_bytes;
        for (int k = 0; k < segment->length; k += DECODED_VALUES) {
            const size_t length = least(DECODED_VALUES, (size_t)(segment->length - k));
            const size_t at = segment->k + (size_t)k;
            char *to = panel + ok_panel_bytes(tile, tile->nr, k);
            if (!b->nf4) {
                tile->pack_b(
                    element(b, at, part->column + j), b->type, b->ld, true, count, (int)length, to);
                continue;
            }
            decode_rows(
                tile, b, (part->column + j) * b->ld + at, (size_t)count, length, type, decoded);
            tile->pack_b(decoded, type, length, true, count, (int)length, to);
        }
    }
}

/* Packs [K, N] rows, a few rows of the whole group at a time: a panel is narrower than a cache line, and rows a power
 * of two apart would push each other out before its neighbour is packed. */
static void pack_backward(const ok_tile *tile, const part *part, const segment *segment, char *decoded) {
    const ok_matrix *b = segment->b;
    const ok_type type = tile->bfloat16 ? OK_BF16 : OK_F32;
    const size_t nr = (size_t)tile->nr;
    for (int p = 0; p < segment->length; p += BACKWARD_ROWS) {
        const int rows = (int)least(BACKWARD_ROWS, (size_t)(segment->length - p));
        const size_t k = segment->k + (size_t)p;
        ok_matrix dense = {decoded, NULL, type, part->columns, false};
        if (b->nf4)
            decode_rows(
                tile, b, k * b->ld + part->column, (size_t)rows, part->columns, type, decoded);
        else
            dense = (ok_matrix){element(b, k, part->column), NULL, b->type, b->ld, false};
        for (size_t j = 0; j < part->columns; j += nr)
            tile->pack_b(
                element(&dense, 0, j), dense.type, dense.ld, false,
                (int)least(nr, part->columns - j), rows,
                segment->panels + j / nr * segment->panel_bytes + ok_panel_bytes(tile, tile->nr, p));
    }
}

// MARK: Fetching ahead

/* Steps over what has no values left. */
static bool at_end(const ok_call *call, cursor end, cursor *at) {
    while (at->product < call->count && at->k >= call->products[at->product].k)
        *at = (cursor){at->product + 1, 0};
    return at->product > end.product || (at->product == end.product && at->k >= end.k);
}

/* Rows of a right operand that the next run will pack. They lie too far apart for the hardware to see them coming, so
 * they are asked for while this run's tiles are computed. */
typedef struct {
    const ok_matrix *b;
    size_t row, rows, column, columns;
} ahead;

static ahead ahead_of(const plan *plan, cursor at, const part *part, size_t limit) {
    const ok_call *call = plan->call;
    if (at_end(call, plan->end, &at)) return (ahead){0};
    const ok_matrix *b = &call->products[at.product].b;
    const size_t length = least(limit, call->products[at.product].k - at.k);
    if (b->transposed) return (ahead){b, part->column, part->columns, at.k, length};
    return (ahead){b, at.k, length, part->column, part->columns};
}

/* Asks for the share of one of `count` tiles. */
static void fetch(const ahead *next, size_t tile, size_t count) {
    const ok_matrix *b = next->b;
    const size_t end = next->row + next->rows * (tile + 1) / count;
    for (size_t row = next->row + next->rows * tile / count; row < end; row++) {
        const size_t index = row * b->ld + next->column;
        const char *from, *last;
        if (b->nf4) {
            const size_t block = ok_quotient(index, b->nf4->block_size);
            from = (const char *)b->nf4->codes + index / 2;
            last = from + next->columns / 2;
            __builtin_prefetch(
                b->nf4->absmax ? (const void *)(b->nf4->absmax + block)
                               : (const void *)(b->nf4->absmax_codes + block),
                0, 2);
        } else {
            from = (const char *)b->data + index * ok_type_bytes(b->type);
            last = from + next->columns * ok_type_bytes(b->type);
        }
        for (; from < last; from += 64) __builtin_prefetch(from, 0, 2);
    }
}

static void fetch_tile(
    const void *data, ok_type type, size_t ld, size_t row, size_t column, int rows, int columns
) {
    const size_t width = ok_type_bytes(type);
    for (int i = 0; i < rows; i++) {
        const char *from = (const char *)data + ((row + (size_t)i) * ld + column) * width;
        for (size_t line = 0; line < (size_t)columns * width; line += 64)
            __builtin_prefetch(from + line, 0, 3);
    }
}

/* Asks for the lines that a tile's end will read and write where it waits for them: its rows lie too far apart, too. */
static void fetch_output(const ok_output *output, size_t row, size_t column, int rows, int columns) {
    if (!output->addend) return;
    fetch_tile(output->data, output->type, output->ld, row, column, rows, columns);
    if (output->addend == output->data) return;
    fetch_tile(
        output->addend, output->addend_type, output->addend_ld, row, column, rows, columns);
}

/* Asks for sums of an earlier run, which the kernel adds to at its end: 1 to 5 % of products whose k is long. */
static void fetch_sums(const float *sums, size_t values) {
    for (size_t i = 0; i < values; i += 16) __builtin_prefetch(sums + i, 1, 3);
}

// MARK: Tasks

typedef struct {
    char *panels, *decoded;
    float *tile, *more, *sums;
} workspace;

static workspace thread_workspace(const job *job, int thread) {
    char *base = job->thread_scratch + (size_t)thread * job->thread_bytes;
    workspace own = {.panels = base, .decoded = base + job->panels_bytes};
    own.tile = (float *)(void *)(own.decoded + job->decoded_bytes);
    own.more = (float *)(void *)((char *)own.tile + job->tile_bytes);
    own.sums = (float *)(void *)((char *)own.more + job->tile_bytes);
    return own;
}

/* Takes pieces while their panels fit, one at least. */
static int take_run(
    const job *job, const plan *plan, size_t panels, cursor *at, segment *segments, const workspace *own
) {
    const ok_tile *tile = job->tile;
    const size_t limit = job->panels_bytes;
    size_t used = 0;
    int count = 0;
    while (count < MAXIMUM_SEGMENTS && !at_end(plan->call, plan->end, at)) {
        const ok_product *product = &plan->call->products[at->product];
        const size_t piece = at->k / (size_t)tile->piece;
        const int length = piece_length(tile, product->k, piece);
        const size_t panel_bytes = aligned(ok_panel_bytes(tile, tile->nr, length));
        if (count > 0 && used + panels * panel_bytes > limit) break;
        segments[count++] = (segment){
            .b = &product->b, .a = &job->operands[plan->operands[at->product]],
            .piece = piece, .k = at->k, .length = length,
            .scale = product->scale, .panels = own->panels + used, .panel_bytes = panel_bytes};
        used += panels * panel_bytes;
        at->k += (size_t)length;
    }
    return count;
}

/* Adds a run's pieces to one tile of sums; the first of all is written. */
static void run_tile(
    const ok_tile *tile, const segment *segments, int count, bool started, size_t row_panel,
    size_t column_panel, int rows, int columns, float *sums, float *more
) {
    const size_t nr = (size_t)tile->nr, values = (size_t)rows * nr;
    for (int s = 0; s < count; s++, started = true) {
        const segment *segment = &segments[s];
        const void *a = packed_panel(tile, segment->a, segment->piece, row_panel);
        const void *b = segment->panels + column_panel * segment->panel_bytes;
        const bool plain = segment->scale == 1;
        tile->kernel(
            segment->length, a, b, plain || !started ? sums : more, nr, plain && started, rows,
            columns);
        if (plain) continue;
        if (started) tile->combine(values, sums, 1, more, segment->scale);
        else tile->combine(values, sums, segment->scale, NULL, 0);
    }
}

static const plan *plan_of(const job *job, size_t *item) {
    const plan *plan = job->plans, *end = plan + job->plan_count;
    for (; plan < end && *item >= plan->chunks * plan->groups; plan++)
        *item -= plan->chunks * plan->groups;
    return plan < end ? plan : NULL;
}

static part part_of(const job *job, const plan *plan, size_t item) {
    const size_t nr = (size_t)job->tile->nr;
    part part = {.row_panel = item / plan->groups * plan->chunk_panels};
    part.row_panels = least(plan->chunk_panels, plan->row_panels - part.row_panel);
    part.column = item % plan->groups * plan->group_panels * nr;
    part.columns = least(plan->group_panels * nr, plan->call->n - part.column);
    part.panels = ceiling(part.columns, nr);
    return part;
}

/* Where the sums of a part's tiles are kept between runs, and tiles from a column of them to the next. */
typedef struct {
    float *tiles;
    size_t column;
} kept_sums;

static kept_sums kept_for(const ok_tile *tile, const plan *plan, const part *part, float *own) {
    if (!plan->sums) return (kept_sums){own, part->row_panels};
    const size_t mr = (size_t)tile->mr, nr = (size_t)tile->nr;
    const size_t before = part->column / nr * plan->row_panels + part->row_panel;
    return (kept_sums){plan->sums + before * mr * nr, plan->row_panels};
}

/* What this thread will likely read after the run before `at`: the next run, or the task that it will be handed. */
static ahead next_reads(const job *job, const plan *plan, cursor at, const part *part, size_t item) {
    const size_t piece = (size_t)job->tile->piece;
    if (!at_end(plan->call, plan->end, &at)) return ahead_of(plan, at, part, piece);
    item += (size_t)job->threads;
    const struct plan *other = plan_of(job, &item);
    if (!other) return (ahead){0};
    const struct part task = part_of(job, other, item);
    return ahead_of(other, other->from, &task, other->one_run ? SIZE_MAX : piece);
}

static void multiply_task(void *context, size_t item, int thread) {
    const job *job = context;
    const ok_tile *tile = job->tile;
    const workspace own = thread_workspace(job, thread);
    const size_t mr = (size_t)tile->mr, nr = (size_t)tile->nr;
    size_t own_item = item;
    const plan *plan = plan_of(job, &own_item);
    const part part = part_of(job, plan, own_item);

    segment segments[MAXIMUM_SEGMENTS];
    cursor at = plan->from, rest = plan->end;
    const bool finishes = at_end(plan->call, (cursor){plan->call->count, 0}, &rest);
    const kept_sums kept = kept_for(tile, plan, &part, own.sums);
    bool started = at.product > 0 || at.k > 0, last;
    do {
        const int count = take_run(job, plan, part.panels, &at, segments, &own);
        last = at_end(plan->call, plan->end, &at);
        const bool ends = last && finishes;
        for (int s = 0; s < count; s++)
            if (segments[s].b->transposed) pack_forward(tile, &part, &segments[s], own.decoded);
            else pack_backward(tile, &part, &segments[s], own.decoded);
        const ahead next = next_reads(job, plan, at, &part, item);
        const size_t tiles = part.row_panels * part.panels, quiet = tiles - least(tiles, most(tiles / 4, FETCHING_TILES));
        for (size_t t = 0; t < tiles; t++) {
            const size_t i = t / part.panels, j = t % part.panels, row = (part.row_panel + i) * mr;
            const int rows = (int)least(mr, plan->rows - row);
            const int columns = (int)least(nr, part.columns - j * nr);
            float *sums =
                started || !ends ? kept.tiles + (j * kept.column + i) * mr * nr : own.tile;
            if (next.b && t >= quiet) fetch(&next, t - quiet, tiles - quiet);
            if (ends)
                fetch_output(
                    &plan->call->output, job->row + row, part.column + j * nr, rows, columns);
            if (started) fetch_sums(sums, mr * nr);
            if (count == 0) memset(sums, 0, mr * nr * sizeof(float));
            run_tile(
                tile, segments, count, started, part.row_panel + i, j, rows, columns, sums, own.more);
            if (ends)
                tile->finish(
                    &plan->call->output, job->row + row, part.column + j * nr, rows, columns, sums);
        }
        started = true;
    } while (!last);
}

// MARK: Planning

/* A product's left operand, with all values of k. */
static operand whole(const ok_call *call, int product) {
    const ok_product *one = &call->products[product];
    return (operand){.matrix = &one->a, .m = call->m, .k = one->k, .end = one->k};
}

/* The values of a product's k that a plan sums. */
static operand range_of(const plan *plan, int product) {
    operand range = whole(plan->call, product);
    if (product < plan->from.product || product > plan->end.product) range.first = range.end = 0;
    if (product == plan->from.product) range.first = least(plan->from.k, range.k);
    if (product == plan->end.product) range.end = least(plan->end.k, range.k);
    return range;
}

/* Bytes of the packed panels of one column panel, through all products. */
static size_t panel_bytes(const ok_tile *tile, const plan *plan) {
    size_t bytes = 0;
    for (int i = 0; i < plan->call->count; i++) {
        const operand range = range_of(plan, i);
        bytes += aligned(ok_panel_bytes(tile, tile->nr, (int)(range.end - range.first)));
    }
    return bytes;
}

static double flops(const ok_call *call, size_t rows) {
    double values = 0;
    for (int i = 0; i < call->count; i++) values += (double)call->products[i].k;
    return values * (double)rows * (double)call->n;
}

/* Decoding wants 32 values of a row at a time where columns lie along rows. */
static size_t least_group(const ok_tile *tile, const ok_call *call) {
    for (int i = 0; i < call->count; i++)
        if (call->products[i].b.nf4 && !call->products[i].b.transposed)
            return ceiling(32, (size_t)tile->nr);
    return 1;
}

/* As many column panels as fit with all of k, else the most and several runs; then as few as it takes for enough tasks. */
static void plan_groups(const ok_tile *tile, plan *plan, double wanted) {
    const ok_call *call = plan->call;
    const size_t fitting = RUN_BYTES / most(panel_bytes(tile, plan), 1);
    plan->one_run = fitting >= 2;
    size_t group = plan->one_run ? least(fitting, MAXIMUM_PANELS) : MAXIMUM_PANELS;
    group = least(group, plan->column_panels);
    const double panel = flops(call, plan->rows) / (double)plan->column_panels;
    while (group > least_group(tile, call) && (double)group * panel > wanted) group = ceiling(group, 2);
    plan->group_panels = group;
    plan->groups = ceiling(plan->column_panels, group);
    size_t chunks = 1;
    while ((double)group * panel / (double)chunks > 1.5 * wanted && plan->row_panels / chunks > 8) chunks++;
    plan->chunk_panels = ceiling(plan->row_panels, chunks);
    plan->chunks = ceiling(plan->row_panels, plan->chunk_panels);
}

/* The rows that are packed and multiplied at a time, as even as can be, and the values of k in a slab. */
static size_t plan_rows(job *job, const ok_call *calls, int count, size_t rows) {
    const size_t mr = (size_t)job->tile->mr, width = (size_t)job->tile->element_bytes;
    size_t row_bytes = 1;
    job->operand_count = 0;
    for (int c = 0; c < count; c++)
        for (int p = 0; p < calls[c].count; p++) operand_index(job, whole(&calls[c], p));
    for (int i = 0; i < job->operand_count; i++) row_bytes += job->operands[i].k * width;
    size_t most_rows = most(PACKED_BYTES / row_bytes, LEAST_ROWS);
    job->slab = SIZE_MAX;
    /* For one call only: slabs of several would end at different places. */
    if (count == 1 && rows * row_bytes > PACKED_BYTES) {
        const size_t waiting = most(SLAB_SUMS_BYTES / (4 * calls->n) / mr * mr, LEAST_ROWS);
        const size_t slab_rows = least(SLAB_ROWS, waiting);
        const size_t even = ceiling(rows, ceiling(rows, slab_rows));
        if (even * row_bytes > PACKED_BYTES && (even > most_rows || most_rows * row_bytes > 2 * PACKED_BYTES)) {
            const size_t piece = (size_t)job->tile->piece;
            job->slab = most(PACKED_BYTES / (even * width) / piece, 1) * piece;
            most_rows = slab_rows;
        }
    }
    return ceiling(ceiling(rows, ceiling(rows, most_rows)), mr) * mr;
}

static void plan_calls(job *job, const ok_call *calls, int count, cursor from, cursor end, size_t step) {
    double total = 0;
    job->plan_count = job->operand_count = 0;
    for (int c = 0; c < count; c++) {
        const ok_call *call = &calls[c];
        if (call->m <= job->row || call->n == 0) continue;
        plan *plan = &job->plans[job->plan_count++];
        plan->call = call;
        plan->from = from;
        plan->end = end.product > call->count ? (cursor){call->count, 0} : end;
        plan->rows = least(step, call->m - job->row);
        plan->row_panels = ceiling(plan->rows, (size_t)job->tile->mr);
        plan->column_panels = ceiling(call->n, (size_t)job->tile->nr);
        for (int p = 0; p < call->count; p++)
            plan->operands[p] = operand_index(job, range_of(plan, p));
        total += flops(call, plan->rows);
    }
    const int threads = job->threads;
    const double wanted = threads > 1 ? total / (threads * TASKS_A_THREAD) : total + 1;
    for (int i = 0; i < job->plan_count; i++) plan_groups(job->tile, &job->plans[i], wanted);
}

/* Returns the number of items that packing has. */
static size_t plan_scratch(job *job, size_t step, ok_scratch *scratch) {
    const ok_tile *tile = job->tile;
    const size_t threads = (size_t)job->threads;
    size_t packed_bytes = 0, items = 0, offsets[MAXIMUM_CALLS * MAXIMUM_PRODUCTS];
    for (int i = 0; i < job->operand_count; i++) {
        operand *a = &job->operands[i];
        a->rows = a->m > job->row ? least(step, a->m - job->row) : 0;
        a->row_panels = ceiling(a->rows, (size_t)tile->mr);
        const size_t length = a->end - a->first;
        a->items = piece_count(tile, a) * ceiling(a->row_panels, PACK_PANELS);
        items += a->items;
        offsets[i] = packed_bytes;
        packed_bytes += aligned(a->row_panels * ok_panel_bytes(tile, tile->mr, (int)length));
    }
    size_t sums = 0, slab_sums = 0;
    for (int i = 0; i < job->plan_count; i++) {
        const plan *plan = &job->plans[i];
        const size_t mr = (size_t)tile->mr, nr = (size_t)tile->nr;
        if (!plan->one_run) sums = most(sums, plan->chunk_panels * mr * plan->group_panels * nr);
        if (job->slab == SIZE_MAX) continue;
        slab_sums = aligned(4 * plan->row_panels * mr * plan->column_panels * nr);
        /* Every slab asks for the same: memory that grows would lose the sums. */
        packed_bytes = aligned(plan->row_panels * ok_panel_bytes(tile, tile->mr, (int)job->slab + tile->piece));
        sums = 0;
    }
    job->panels_bytes = RUN_BYTES;
    job->decoded_bytes = aligned(
        4 * (size_t)tile->nr * most(DECODED_VALUES, BACKWARD_ROWS * MAXIMUM_PANELS));
    job->tile_bytes = aligned((size_t)(tile->mr * tile->nr) * 4);
    /* A page and a line apart, so that threads' scratch does not fall on the same cache sets. */
    job->thread_bytes = job->panels_bytes + job->decoded_bytes + 2 * job->tile_bytes
        + aligned(sums * 4) + 4096 + 64;
    char *memory =
        ok_scratch_reserve(scratch, slab_sums + packed_bytes + threads * job->thread_bytes);
    for (int i = 0; i < job->plan_count; i++)
        job->plans[i].sums = slab_sums ? (float *)(void *)memory : NULL;
    memory += slab_sums;
    for (int i = 0; i < job->operand_count; i++) job->operands[i].packed = memory + offsets[i];
    job->thread_scratch = memory + packed_bytes;
    return items;
}

/* Where a slab that begins at `at` ends: behind whole pieces, one at least. */
static cursor slab_end(const job *job, const ok_call *call, cursor at) {
    const cursor end = {call->count, 0};
    size_t used = 0;
    while (!at_end(call, end, &at)) {
        const size_t k = call->products[at.product].k;
        const int length = piece_length(job->tile, k, at.k / (size_t)job->tile->piece);
        if (used > 0 && used + (size_t)length > job->slab) break;
        used += (size_t)length;
        at.k += (size_t)length;
    }
    return at;
}

/* Packs and multiplies a block of rows, from one place of k to another. */
static void run(
    job *job, const ok_call *calls, int count, cursor from, cursor end, size_t step, ok_pool *pool,
    ok_scratch *scratch
) {
    plan_calls(job, calls, count, from, end, step);
    const size_t items = plan_scratch(job, step, scratch);
    size_t tasks = 0;
    for (int i = 0; i < job->plan_count; i++)
        tasks += job->plans[i].chunks * job->plans[i].groups;
    ok_parallel(pool, items, pack_task, job);
    ok_parallel(pool, tasks, multiply_task, job);
}

void ok_gemm(
    const ok_tile *tile, ok_pool *pool, ok_scratch *scratch, const ok_call *calls, int count
) {
    if (count > MAXIMUM_CALLS) abort();
    ok_call rest[MAXIMUM_CALLS];
    count = ok_few_rows(tile, pool, scratch, calls, count, rest);
    calls = rest;
    job job;
    job.tile = tile;
    job.threads = ok_pool_threads(pool);
    size_t rows = 0;
    for (int c = 0; c < count; c++) {
        if (calls[c].count > MAXIMUM_PRODUCTS) abort();
        if (calls[c].n > 0) rows = most(rows, calls[c].m);
    }
    if (rows == 0) return;
    const size_t step = plan_rows(&job, calls, count, rows);
    for (job.row = 0; job.row < rows; job.row += step) {
        cursor from = {0, 0}, end = {MAXIMUM_PRODUCTS, 0};
        if (job.slab == SIZE_MAX) {
            run(&job, calls, count, from, end, step, pool, scratch);
            continue;
        }
        for (end = (cursor){calls->count, 0}; !at_end(calls, end, &from);) {
            const cursor next = slab_end(&job, calls, from);
            run(&job, calls, count, from, next, step, pool, scratch);
            from = next;
        }
    }
}

const ok_tile *ok_tile_get(ok_isa isa, bool bfloat16) {
#if defined(__x86_64__)
    if (isa >= OK_ISA_AVX512BF16 && bfloat16) return &ok_tile_avx512bf16_bf16;
    if (isa >= OK_ISA_AVX512) return bfloat16 ? &ok_tile_avx512_bf16 : &ok_tile_avx512_f32;
    if (isa >= OK_ISA_AVX2) return bfloat16 ? &ok_tile_avx2_bf16 : &ok_tile_avx2_f32;
#endif
    (void)isa;
    return bfloat16 ? &ok_tile_portable_bf16 : &ok_tile_portable_f32;
}

struct ok_scratch {
    void *memory;
    size_t bytes;
};

ok_scratch *ok_scratch_create(void) { return calloc(1, sizeof(ok_scratch)); }

void ok_scratch_destroy(ok_scratch *scratch) {
    free(scratch->memory);
    free(scratch);
}

void *ok_scratch_reserve(ok_scratch *scratch, size_t bytes) {
    if (bytes <= scratch->bytes) return scratch->memory;
    free(scratch->memory);
    scratch->bytes = (bytes + 4095) & ~(size_t)4095;
    scratch->memory = aligned_alloc(4096, scratch->bytes);
    if (!scratch->memory) {
        fprintf(stderr, "osler: out of memory: %zu bytes of scratch for a kernel\n", bytes);
        abort();
    }
    return scratch->memory;
}
