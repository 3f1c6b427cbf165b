/* Matrix products over packed tiles, the part that is the same for every instruction set.
 *
 * Weights stay as they are in their file, row-major; each task packs a panel of `nr` columns by PIECE values of k
 * (16 KB, half of the first-level cache) and runs it against all row panels of its chunk, which stream from the
 * second-level cache. So one copy serves x * W^T and dy * W, and NF4 costs its decoding once per chunk of rows.
 * A task owns its output tile and keeps its sums in scratch until the last product, then rounds once. k is cut at
 * multiples of PIECE and nowhere else, so neither rows, columns nor threads change a bit of a value. */
#include "gemm_tile.h"

#include <stdio.h>
#include <stdlib.h>

#define PIECE 256
#define BACKWARD_ROWS 32
#define CHUNK_ROWS 264
#define GROUP_PANELS 4
#define MAXIMUM_PRODUCTS 8
/* Packed rows of A that are kept at a time, in bytes: part of the third-level cache. */
#define PACKED_BYTES (8u << 20)

typedef struct {
    const ok_tile *tile;
    const ok_product *products;
    const ok_output *output;
    int count;
    size_t n;
    /* The rows of this block, and their panels, panels a chunk and chunks. */
    size_t row, rows, row_panels, chunk_panels, chunks;
    size_t column_panels, group_panels, groups;
    char *packed[MAXIMUM_PRODUCTS];
    size_t pack_items[MAXIMUM_PRODUCTS];
    char *thread_scratch;
    size_t thread_bytes, panels_bytes, decoded_bytes, sums_bytes;
} job;

static inline size_t least(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t ceiling(size_t a, size_t b) { return (a + b - 1) / b; }
static inline size_t aligned(size_t bytes) { return (bytes + 63) & ~(size_t)63; }
static inline size_t pieces(size_t k) { return ceiling(k, PIECE); }

static const void *element(const ok_matrix *matrix, size_t row, size_t column) {
    const size_t index = matrix->transposed ? column * matrix->ld + row : row * matrix->ld + column;
    return (const char *)matrix->data + index * ok_type_bytes(matrix->type);
}

/* The packed panel of A for one piece of k: pieces outermost, so that a chunk's panels lie together. */
static char *packed_panel(const job *job, int product, size_t piece, size_t panel) {
    const ok_tile *tile = job->tile;
    const size_t k = job->products[product].k;
    const int length = (int)least(PIECE, k - piece * PIECE);
    return job->packed[product]
        + piece * job->row_panels * ok_panel_bytes(tile, tile->mr, PIECE)
        + panel * ok_panel_bytes(tile, tile->mr, length);
}

#define PACK_PANELS 8

static void pack_task(void *context, size_t item, int thread) {
    (void)thread;
    const job *job = context;
    int index = 0;
    while (item >= job->pack_items[index]) item -= job->pack_items[index++];
    const ok_product *product = &job->products[index];
    const size_t runs = ceiling(job->row_panels, PACK_PANELS);
    const size_t piece = item / runs, first = item % runs * PACK_PANELS;
    const size_t k = piece * PIECE;
    const int length = (int)least(PIECE, product->k - k);
    const size_t mr = (size_t)job->tile->mr;
    for (size_t panel = first; panel < least(first + PACK_PANELS, job->row_panels); panel++) {
        const int count = (int)least(mr, job->rows - panel * mr);
        const void *source = element(&product->a, job->row + panel * mr, k);
        job->tile->pack_a(
            source, product->a.type, product->a.ld, product->a.transposed, count, length,
            packed_panel(job, index, piece, panel));
    }
}

typedef struct {
    char *panels;
    char *decoded;
    float *sums, *more;
} workspace;

static workspace thread_workspace(const job *job, int thread) {
    char *base = job->thread_scratch + (size_t)thread * job->thread_bytes;
    workspace own = {.panels = base, .decoded = base + job->panels_bytes};
    own.sums = (float *)(void *)(own.decoded + job->decoded_bytes);
    own.more = (float *)(void *)((char *)own.sums + job->sums_bytes);
    return own;
}

/* What one task works on: a chunk of row panels and a group of column panels. */
typedef struct {
    size_t row_panel, row_panels;
    size_t column, columns, panels;
} part;

/* Packs [N, K] rows, panel by panel; an NF4 matrix is decoded to rows first. */
static void pack_forward(
    const job *job, const ok_matrix *b, const part *part, size_t k, int length, const workspace *own
) {
    const ok_tile *tile = job->tile;
    const ok_type type = tile->bfloat16 ? OK_BF16 : OK_F32;
    const size_t nr = (size_t)tile->nr, row_bytes = (size_t)length * ok_type_bytes(type);
    char *panel = own->panels;
    for (size_t j = 0; j < part->columns; j += nr) {
        const int count = (int)least(nr, part->columns - j);
        if (b->nf4) {
            for (size_t row = 0; row < (size_t)count; row++)
                tile->decode_nf4(
                    b->nf4, (part->column + j + row) * b->ld + k, (size_t)length, type,
                    own->decoded + row * row_bytes);
            tile->pack_b(own->decoded, type, (size_t)length, true, count, length, panel);
        } else {
            const void *source = element(b, k, part->column + j);
            tile->pack_b(source, b->type, b->ld, true, count, length, panel);
        }
        panel += ok_panel_bytes(tile, tile->nr, length);
    }
}

/* Packs [K, N] rows, a few rows of the whole group at a time: a panel is narrower than a cache line, and rows a power
 * of two apart would push each other out before its neighbour is packed. */
static void pack_backward(
    const job *job, const ok_matrix *b, const part *part, size_t k, int length, const workspace *own
) {
    const ok_tile *tile = job->tile;
    const ok_type type = tile->bfloat16 ? OK_BF16 : OK_F32;
    const size_t nr = (size_t)tile->nr;
    const size_t panel_bytes = ok_panel_bytes(tile, tile->nr, length);
    for (int p = 0; p < length; p += BACKWARD_ROWS) {
        const int rows = length - p < BACKWARD_ROWS ? length - p : BACKWARD_ROWS;
        ok_matrix dense = *b;
        const void *source = NULL;
        if (b->nf4) {
            for (int row = 0; row < rows; row++)
                tile->decode_nf4(
                    b->nf4, (k + (size_t)(p + row)) * b->ld + part->column, part->columns, type,
                    own->decoded + (size_t)row * part->columns * ok_type_bytes(type));
            dense = (ok_matrix){own->decoded, NULL, type, part->columns, false};
            source = own->decoded;
        } else {
            source = element(b, k + (size_t)p, part->column);
        }
        for (size_t j = 0; j < part->columns; j += nr)
            tile->pack_b(
                (const char *)source + j * ok_type_bytes(dense.type), dense.type, dense.ld, false,
                (int)least(nr, part->columns - j), rows,
                own->panels + j / nr * panel_bytes + ok_panel_bytes(tile, tile->nr, p));
    }
}

/* Sums of one product for a part, from zero. */
static void run_product(
    const job *job, int index, const part *part, float *sums, const workspace *own
) {
    const ok_tile *tile = job->tile;
    const ok_product *product = &job->products[index];
    const size_t mr = (size_t)tile->mr, nr = (size_t)tile->nr;
    for (size_t piece = 0; piece < pieces(product->k); piece++) {
        const size_t k = piece * PIECE;
        const int length = (int)least(PIECE, product->k - k);
        if (product->b.transposed) pack_forward(job, &product->b, part, k, length, own);
        else pack_backward(job, &product->b, part, k, length, own);
        const char *packed = packed_panel(job, index, piece, part->row_panel);
        const size_t packed_bytes = ok_panel_bytes(tile, tile->mr, length);
        const size_t panel_bytes = ok_panel_bytes(tile, tile->nr, length);
        float *tile_sums = sums;
        for (size_t panel = 0; panel < part->panels; panel++)
            for (size_t i = 0; i < part->row_panels; i++, tile_sums += mr * nr) {
                const size_t rows = job->rows - (part->row_panel + i) * mr;
                tile->kernel(
                    length, packed + i * packed_bytes, own->panels + panel * panel_bytes, tile_sums,
                    nr, piece > 0, (int)least(mr, rows));
            }
    }
}

static void finish_part(const job *job, const part *part, const float *sums) {
    const ok_tile *tile = job->tile;
    const size_t mr = (size_t)tile->mr, nr = (size_t)tile->nr;
    for (size_t i = 0; i < part->row_panels; i++) {
        const size_t row = (part->row_panel + i) * mr;
        for (size_t panel = 0; panel < part->panels; panel++)
            tile->finish(
                job->output, job->row + row, part->column + panel * nr,
                (int)least(mr, job->rows - row), (int)least(nr, part->columns - panel * nr),
                sums + (panel * part->row_panels + i) * mr * nr);
    }
}

static void multiply_task(void *context, size_t item, int thread) {
    const job *job = context;
    const ok_tile *tile = job->tile;
    const workspace own = thread_workspace(job, thread);
    const size_t nr = (size_t)tile->nr;
    part part;
    part.row_panel = item / job->groups * job->chunk_panels;
    part.row_panels = least(job->chunk_panels, job->row_panels - part.row_panel);
    part.column = item % job->groups * job->group_panels * nr;
    part.columns = least(job->group_panels * nr, job->n - part.column);
    part.panels = ceiling(part.columns, nr);
    const size_t values = part.row_panels * part.panels * (size_t)tile->mr * nr;
    if (job->count == 0) memset(own.sums, 0, values * sizeof(float));
    for (int index = 0; index < job->count; index++) {
        const float scale = job->products[index].scale;
        float *sums = index == 0 ? own.sums : own.more;
        if (job->products[index].k == 0) memset(sums, 0, values * sizeof(float));
        run_product(job, index, &part, sums, &own);
        if (index > 0) tile->combine(values, own.sums, 1, sums, scale);
        else if (scale != 1) tile->combine(values, sums, scale, NULL, 0);
    }
    finish_part(job, &part, own.sums);
}

/* Decoding wants 32 values of a row at a time where columns lie along rows. */
static size_t least_group(const job *job) {
    for (int i = 0; i < job->count; i++)
        if (job->products[i].b.nf4 && !job->products[i].b.transposed)
            return ceiling(32, (size_t)job->tile->nr);
    return 1;
}

/* Cuts the block's output into tasks: enough of them to keep the threads level, no smaller than need be. */
static void plan_tasks(job *job, int threads) {
    const size_t wanted = threads > 1 ? 6 * (size_t)threads : 1;
    size_t chunks = ceiling(job->rows, CHUNK_ROWS);
    size_t group = least(GROUP_PANELS, job->column_panels);
    while (group > least_group(job) && chunks * ceiling(job->column_panels, group) < wanted) group /= 2;
    const size_t groups = ceiling(job->column_panels, group);
    while (chunks * groups < wanted && job->row_panels / chunks > 4) chunks++;
    job->group_panels = group;
    job->groups = groups;
    job->chunk_panels = ceiling(job->row_panels, chunks);
    job->chunks = ceiling(job->row_panels, job->chunk_panels);
}

static void plan_scratch(job *job, int threads, ok_scratch *scratch) {
    const ok_tile *tile = job->tile;
    size_t packed_bytes = 0, offsets[MAXIMUM_PRODUCTS];
    for (int i = 0; i < job->count; i++) {
        offsets[i] = packed_bytes;
        packed_bytes += pieces(job->products[i].k) * job->row_panels
            * ok_panel_bytes(tile, tile->mr, PIECE);
        job->pack_items[i] =
            pieces(job->products[i].k) * ceiling(job->row_panels, PACK_PANELS);
    }
    packed_bytes = aligned(packed_bytes);
    const size_t group_columns = job->group_panels * (size_t)tile->nr;
    job->panels_bytes = job->group_panels * aligned(ok_panel_bytes(tile, tile->nr, PIECE));
    const size_t decoded = PIECE * (size_t)tile->nr;
    job->decoded_bytes = aligned(4 * (decoded > BACKWARD_ROWS * group_columns
                                          ? decoded : BACKWARD_ROWS * group_columns));
    job->sums_bytes = aligned(job->chunk_panels * (size_t)tile->mr * group_columns * 4);
    /* A page and a line apart, so that threads' scratch does not fall on the same cache sets. */
    job->thread_bytes = job->panels_bytes + job->decoded_bytes + 2 * job->sums_bytes + 4096 + 64;
    char *memory =
        ok_scratch_reserve(scratch, packed_bytes + (size_t)threads * job->thread_bytes);
    for (int i = 0; i < job->count; i++) job->packed[i] = memory + offsets[i];
    job->thread_scratch = memory + packed_bytes;
}

/* Rows that are packed and multiplied at a time. */
static size_t block_rows(const job *job, size_t m) {
    size_t row_bytes = 0;
    for (int i = 0; i < job->count; i++)
        row_bytes += job->products[i].k * (size_t)job->tile->element_bytes;
    size_t rows = PACKED_BYTES / (row_bytes + 1);
    rows = rows / CHUNK_ROWS * CHUNK_ROWS;
    return least(m, rows < CHUNK_ROWS ? CHUNK_ROWS : rows);
}

void ok_gemm(
    const ok_tile *tile, ok_pool *pool, ok_scratch *scratch, const ok_product *products,
    int count, size_t m, size_t n, const ok_output *output
) {
    if (m == 0 || n == 0) return;
    if (count > MAXIMUM_PRODUCTS) abort();
    const int threads = ok_pool_threads(pool);
    job job = {.tile = tile, .products = products, .output = output, .count = count, .n = n};
    job.column_panels = ceiling(n, (size_t)tile->nr);
    const size_t step = block_rows(&job, m);
    for (job.row = 0; job.row < m; job.row += step) {
        job.rows = least(step, m - job.row);
        job.row_panels = ceiling(job.rows, (size_t)tile->mr);
        plan_tasks(&job, threads);
        plan_scratch(&job, threads, scratch);
        size_t items = 0;
        for (int i = 0; i < count; i++) items += job.pack_items[i];
        ok_parallel(pool, items, pack_task, &job);
        ok_parallel(pool, job.chunks * job.groups, multiply_task, &job);
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
    scratch->memory = aligned_alloc(64, scratch->bytes);
    if (!scratch->memory) {
        fprintf(stderr, "osler: out of memory: %zu bytes of scratch for a kernel\n", bytes);
        abort();
    }
    return scratch->memory;
}
