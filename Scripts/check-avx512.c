/* Products with the AVX-512 tiles against the plain ones; see check-avx512. */
#include "gemm_tile.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t seed = 1;
static float uniform(void) {
    seed = seed * 1664525u + 1013904223u;
    return (float)(int32_t)seed * 0x1p-31f;
}

static void *filled(size_t count, ok_type type) {
    void *data = malloc(count * 4 + 64);
    for (size_t i = 0; i < count; i++) ok_store(data, type, i, uniform());
    return data;
}

static ok_nf4 random_nf4(size_t count) {
    ok_nf4 matrix = {.block_size = 64, .nested_block_size = 4, .nested_offset = 0.5f};
    uint8_t *codes = malloc(count / 2 + 64), *scales = malloc(count / 64 + 64);
    for (size_t i = 0; i < count / 2 + 1; i++) codes[i] = (uint8_t)(uniform() * 127 + 128);
    for (size_t i = 0; i < count / 64 + 1; i++) scales[i] = (uint8_t)(uniform() * 127 + 128);
    matrix.codes = codes;
    matrix.absmax_codes = scales;
    matrix.nested_absmax = filled(count / 256 + 1, OK_F32);
    matrix.nested_table = filled(256, OK_F32);
    return matrix;
}

static int failures;

/* One product and a small second one, with addend and bias, both ways; fewer rows must give the same bits. */
static void compare(
    const ok_tile *tile, ok_pool *pool, ok_scratch *scratch, size_t m, size_t n, size_t k,
    int a_type, bool a_transposed, int b_kind, bool b_transposed
) {
    const ok_tile *plain = ok_tile_get(OK_ISA_PORTABLE, tile->bfloat16);
    void *a = filled(m * k, (ok_type)a_type), *small = filled(m * 5, OK_F32), *wide = filled(n * 5, OK_BF16);
    void *addend = filled(m * n, OK_BF16), *bias = filled(n, OK_F32);
    ok_nf4 nf4 = random_nf4(n * k);
    void *b = filled(n * k, b_kind == 1 ? OK_BF16 : OK_F32);
    const ok_product products[2] = {
        {{a, NULL, (ok_type)a_type, a_transposed ? m : k, a_transposed},
         {b, b_kind == 2 ? &nf4 : NULL, b_kind == 1 ? OK_BF16 : OK_F32, b_transposed ? k : n,
          b_transposed}, k, 1},
        {{small, NULL, OK_F32, 5, false}, {wide, NULL, OK_BF16, 5, true}, 5, 0.5f},
    };
    float *got = filled(m * n, OK_F32), *expected = filled(m * n, OK_F32), *few = filled(m * n, OK_F32);
    ok_output output = {got, OK_F32, n, addend, OK_BF16, n, bias, OK_F32};
    ok_gemm(tile, pool, scratch, products, 2, m, n, &output);
    output.data = expected;
    ok_gemm(plain, pool, scratch, products, 2, m, n, &output);
    bool wrong = false;
    for (size_t i = 0; i < m * n; i++)
        wrong |= !(fabsf(got[i] - expected[i]) <= 1e-6f * (float)k + 1e-5f);
    const size_t rows = m / 2 + 1;
    output.data = few;
    if (!a_transposed) ok_gemm(tile, pool, scratch, products, 2, rows, n, &output);
    if (!a_transposed) wrong |= memcmp(few, got, rows * n * 4) != 0;
    if (wrong) {
        failures++;
        printf("wrong: isa %d bf16 %d, %zu x %zu x %zu, a %d %d, b %d %d\n", tile->isa, tile->bfloat16,
               m, n, k, a_type, a_transposed, b_kind, b_transposed);
    }
    free(a), free(small), free(wide), free(addend), free(bias), free(b), free(got), free(expected);
    free(few), free((void *)nf4.codes), free((void *)nf4.absmax_codes);
    free((void *)nf4.nested_absmax), free((void *)nf4.nested_table);
}

int main(void) {
    const size_t shapes[][3] = {{1, 1, 1}, {1, 64, 130}, {5, 33, 17}, {11, 31, 64}, {12, 32, 256},
                                {13, 65, 257}, {16, 96, 15}, {30, 40, 300}, {67, 130, 577}};
    const ok_tile *tiles[] = {ok_tile_get(OK_ISA_AVX512, false), ok_tile_get(OK_ISA_AVX512, true),
                              ok_tile_get(OK_ISA_AVX512BF16, true)};
    ok_pool *pool = ok_pool_create(2);
    ok_scratch *scratch = ok_scratch_create();
    int runs = 0;
    for (size_t t = 0; t < sizeof tiles / sizeof *tiles; t++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
            for (int kinds = 0; kinds < 24; kinds++, runs++)
                compare(tiles[t], pool, scratch, shapes[s][0], shapes[s][1], shapes[s][2],
                        kinds % 2, kinds / 2 % 2, kinds / 4 % 3, kinds / 12);
    printf("check-avx512: %d products, %d wrong\n", runs, failures);
    return failures != 0;
}
