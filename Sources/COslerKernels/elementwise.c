#include "Elementwise.h"
#include "nf4_quantize.h"

#include <string.h>

/* One source, three instruction sets. Nothing here is fused to multiply-adds: the bits must not
 * depend on the set. */
#pragma STDC FP_CONTRACT OFF
/* Vectors pass between inlined functions only: their calling convention does not matter. */
#pragma clang diagnostic ignored "-Wpsabi"

#define OK_CONCAT_(a, b) a##_##b
#define OK_CONCAT(a, b) OK_CONCAT_(a, b)
#define K(name) OK_CONCAT(name, OK_SET)

#define OK_SET portable
#include "elementwise_set.h"
#undef OK_SET

#if defined(__x86_64__)

#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define OK_SET avx2
#include "elementwise_set.h"
#undef OK_SET
#pragma clang attribute pop

/* prefer 512 bits: without it the compiler splits vectors in two to spare the clock */
#pragma clang attribute push( \
    __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,evex512"))), apply_to = function)
#define OK_SET avx512
#define OK_NF4_QUANTIZE_BLOCKS ok_nf4_quantize_avx512
#include "elementwise_set.h"
#undef OK_NF4_QUANTIZE_BLOCKS
#undef OK_SET
#pragma clang attribute pop

#endif

const ok_elementwise *ok_elementwise_for(ok_isa isa)
{
#if defined(__x86_64__)
    if (isa >= OK_ISA_AVX512) return &ok_elementwise_avx512;
    if (isa >= OK_ISA_AVX2) return &ok_elementwise_avx2;
#endif
    (void)isa;
    return &ok_elementwise_portable;
}

static int nearest(const ok_dynamic_map *map, float y)
{
    int c = 0;
    while (c < 255 && y > map->bounds[c]) c++;
    return c;
}

void ok_dynamic_map_build(const float *values, ok_dynamic_map *map)
{
    memcpy(map->values, values, sizeof map->values);
    for (int i = 0; i < 255; i++) map->bounds[i] = (values[i] + values[i + 1]) * 0.5f;
    map->bounds[255] = __builtin_inff();
    map->zero = (uint8_t)nearest(map, 0);
    for (int32_t i = 0; i < OK_MAP_CELLS; i++) {
        /* 64 cells a binade from 2^-24 to 2; below lies only the code of zero. */
        uint32_t low = (uint32_t)(i + ((127 - 24) << 6)) << 17, high = low + (1 << 17) - 1;
        float smallest, largest;
        memcpy(&smallest, &low, 4);
        memcpy(&largest, &high, 4);
        if (i == 0) smallest = 0;
        map->start[0][i] = (uint8_t)nearest(map, smallest);
        map->start[1][i] = (uint8_t)nearest(map, -largest);
    }
}
