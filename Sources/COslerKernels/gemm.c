#include "gemm_tile.h"

#include <stdio.h>
#include <stdlib.h>

const ok_tile *ok_tile_get(ok_isa isa, bool bfloat16) {
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
