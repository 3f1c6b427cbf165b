/* Dot products in float32, 16 lanes; included once an instruction set by fewrows_f32.c. In bfloat16 precision operands
 * are rounded and held as float32, so their products are exact.
 *
 * A tile is OK_TILE_W rows of W by OK_TILE_X rows of x. Lane l of an output's sum runs over k = l, l + 16, ... in one
 * chain; the lanes are summed in a tree. Weights that are not float32 or bfloat16 as the arithmetic wants them are
 * converted to a chunk in the first-level cache before. */
#include "vectors.h"

#ifndef OK_FEW_CHUNK
#define OK_FEW_CHUNK 1024
static size_t x_bytes_f32(size_t k) { return (k + 15) / 16 * 64; }
#endif

OK_INLINE f32x16 K(bf16_rounded)(f32x16 x, size_t k)
{
    uint16_t bits[16] = {0};
    K(store)(x, bits, true, 0, k);
    return K(load)(bits, true, 0, 16);
}

/* `k` values as float32, zeros up to a multiple of 16 behind them. */
static void K(few_convert)(const void *from, ok_type type, bool rounds, size_t k, float *to)
{
    const bool b = type == OK_BF16;
    rounds = rounds && !b;
    for (size_t i = 0; i < k; i += 16) {
        const size_t n = k - i < 16 ? k - i : 16;
        f32x16 x = n == 16 ? K(load)(from, b, i, 16) : K(load)(from, b, i, n);
        if (rounds) x = K(bf16_rounded)(x, n);
        memcpy(to + i, &x, sizeof x);
    }
}

static void K(few_pack)(const void *x, ok_type type, const ok_few_dots *work, void *out)
{
    K(few_convert)(x, type, work->tile->bfloat16, work->k, out);
}

/* One chunk of k for OK_TILE_W rows of W and `c` rows of x; `kept` [c][OK_TILE_W] holds sums between chunks. */
OK_INLINE void K(few_tile)(
    const int c, const bool b, const void *const *w, const float *x, size_t x_ld, size_t k,
    f32x16 *kept, bool begins)
{
    f32x16 sums[OK_TILE_X][OK_TILE_W];
#pragma clang loop unroll(full)
    for (int i = 0; i < c; i++)
#pragma clang loop unroll(full)
        for (int r = 0; r < OK_TILE_W; r++) sums[i][r] = begins ? 0 : kept[i * OK_TILE_W + r];
    size_t p = 0;
    for (; p + 16 <= k; p += 16) {
        f32x16 values[OK_TILE_W];
#pragma clang loop unroll(full)
        for (int r = 0; r < OK_TILE_W; r++) values[r] = K(load)(w[r], b, p, 16);
#pragma clang loop unroll(full)
        for (int i = 0; i < c; i++) {
            const f32x16 own = K(load)(x + i * x_ld, false, p, 16);
#pragma clang loop unroll(full)
            for (int r = 0; r < OK_TILE_W; r++) sums[i][r] = OK_FMA(own, values[r], sums[i][r]);
        }
    }
    if (p < k)
        for (int r = 0; r < OK_TILE_W; r++) {
            const f32x16 value = K(load)(w[r], b, p, k - p);
#pragma clang loop unroll(full)
            for (int i = 0; i < c; i++)
                sums[i][r] = OK_FMA(K(load)(x + i * x_ld, false, p, 16), value, sums[i][r]);
        }
#pragma clang loop unroll(full)
    for (int i = 0; i < c; i++)
#pragma clang loop unroll(full)
        for (int r = 0; r < OK_TILE_W; r++) kept[i * OK_TILE_W + r] = sums[i][r];
}

static void K(few_tiles)(
    int c, bool b, const void *const *w, const float *x, size_t x_ld, size_t k, f32x16 *kept,
    bool begins)
{
#define OK_CASE(C) \
    case C: \
        if (b) K(few_tile)(C, true, w, x, x_ld, k, kept, begins); \
        else K(few_tile)(C, false, w, x, x_ld, k, kept, begins); \
        break;
    switch (c) {
        OK_CASE(1)
#if OK_TILE_X > 1
        OK_CASE(2) OK_CASE(3) OK_CASE(4)
#endif
    }
#undef OK_CASE
}

/* A row's values first ..< first + k in float32. */
static void K(few_row)(const ok_few_dots *work, size_t row, size_t first, size_t k, float *to)
{
    const ok_matrix *w = work->w;
    const bool rounds = work->tile->bfloat16;
    if (!w->nf4) {
        K(few_convert)(
            (const char *)w->data + (row * w->ld + first) * ok_type_bytes(w->type), w->type, rounds,
            k, to);
    } else if (rounds) {
        uint16_t bits[OK_FEW_CHUNK];
        work->tile->decode_nf4(w->nf4, row * w->ld + first, k, OK_BF16, bits);
        K(few_convert)(bits, OK_BF16, false, k, to);
    } else {
        work->tile->decode_nf4(w->nf4, row * w->ld + first, k, OK_F32, to);
    }
}

static void K(few_dots)(const ok_few_dots *work)
{
    const ok_matrix *w = work->w;
    const float *x = (const float *)(const void *)work->x;
    const size_t x_ld = work->x_bytes / 4, width = ok_type_bytes(w->type);
    const bool direct = !w->nf4 && (w->type == OK_BF16 || !work->tile->bfloat16);
    _Alignas(64) float rows[OK_TILE_W][OK_FEW_CHUNK];
    f32x16 kept[OK_FEW_ROWS * OK_TILE_W];
    for (size_t j = 0; j < work->count; j += OK_TILE_W) {
        const size_t there = work->count - j < OK_TILE_W ? work->count - j : OK_TILE_W;
        size_t p = 0;
        do {
            const size_t k = work->k - p < OK_FEW_CHUNK ? work->k - p : OK_FEW_CHUNK;
            const void *from[OK_TILE_W];
            for (size_t r = 0; r < OK_TILE_W; r++) {
                const size_t row = work->first + j + (r < there ? r : there - 1);
                if (direct) {
                    from[r] = (const char *)w->data + (row * w->ld + p) * width;
                } else if (r < there) {
                    K(few_row)(work, row, p, k, rows[r]);
                    from[r] = rows[r];
                } else {
                    from[r] = rows[there - 1];
                }
            }
            for (int i = 0; i < work->m; i += OK_TILE_X)
                K(few_tiles)(
                    work->m - i < OK_TILE_X ? work->m - i : OK_TILE_X, direct && w->type == OK_BF16,
                    from, x + (size_t)i * x_ld + p, x_ld, k, kept + i * OK_TILE_W, p == 0);
            p += k;
        } while (p < work->k);
        for (int i = 0; i < work->m; i++)
            for (size_t r = 0; r < there; r++)
                work->sums[(size_t)i * work->sums_ld + j + r] = K(sum)(kept[i * OK_TILE_W + r]);
    }
}

void K(ok_few_combine)(size_t count, float *sums, const float *more, float scale)
{
    for (size_t i = 0; i < count; i += 16) {
        const size_t n = count - i < 16 ? count - i : 16;
        f32x16 x = K(load)(sums, false, i, n) * (more ? 1 : scale);
        if (more) x += K(load)(more, false, i, n) * scale;
        K(store)(x, sums, false, i, n);
    }
}

OK_INLINE void K(few_finish)(
    const ok_output *output, size_t to, size_t from, size_t column, size_t n, const float *sums)
{
    f32x16 x = K(load)(sums, false, 0, n);
    if (output->addend) x += K(load)(output->addend, output->addend_type == OK_BF16, from, n);
    if (output->bias) x += K(load)(output->bias, output->bias_type == OK_BF16, column, n);
    K(store)(x, output->data, output->type == OK_BF16, to, n);
}

void K(ok_few_finish)(
    const ok_output *output, size_t row, size_t column, size_t columns, const float *sums)
{
    const size_t to = row * output->ld + column, from = row * output->addend_ld + column;
    size_t i = 0;
    for (; i + 16 <= columns; i += 16)
        K(few_finish)(output, to + i, from + i, column + i, 16, sums + i);
    if (i < columns)
        K(few_finish)(output, to + i, from + i, column + i, columns - i, sums + i);
}

const ok_few_set K(ok_few) = {
    .x_bytes = x_bytes_f32,
    .pack = K(few_pack),
    .dots = K(few_dots),
    .combine = K(ok_few_combine),
    .finish = K(ok_few_finish),
};
