/* Products of few rows with float32 arithmetic: one source for three instruction sets. */
#include "fewrows.h"

#include <string.h>

/* Vectors pass between inlined functions only: their calling convention does not matter. */
#pragma clang diagnostic ignored "-Wpsabi"

#define OK_CONCAT_(a, b) a##_##b
#define OK_CONCAT(a, b) OK_CONCAT_(a, b)
#define K(name) OK_CONCAT(name, OK_SET)

/* 16 registers hold a tile's 16 quarter sums at most, with none left for operands: two rows of W. */
#define OK_SET portable
#define OK_TILE_W 2
#define OK_TILE_X 1
#define OK_FMA(a, b, c) ((a) * (b) + (c))
#include "fewrows_set.h"
#undef OK_SET
#undef OK_TILE_W
#undef OK_TILE_X
#undef OK_FMA

#if defined(__x86_64__)
#define OK_FMA(a, b, c) __builtin_elementwise_fma(a, b, c)

/* 8 of 16 registers hold sums. */
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#define OK_SET avx2
#define OK_TILE_W 4
#define OK_TILE_X 1
#include "fewrows_set.h"
#undef OK_SET
#undef OK_TILE_W
#undef OK_TILE_X
#pragma clang attribute pop

/* 16 of 32 registers hold sums. */
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,evex512"))), \
    apply_to = function)
#define OK_SET avx512
#define OK_TILE_W 4
#define OK_TILE_X 4
#include "fewrows_set.h"
#undef OK_SET
#undef OK_TILE_W
#undef OK_TILE_X
#pragma clang attribute pop
#endif
