/* The element-wise kernels of attention with AVX2 and FMA. */
#if defined(__x86_64__)
#include "attention.h"
#define LANES 8
#define OPS ok_attention_avx2
#pragma clang attribute push( \
    __attribute__((target("avx2,fma"))), apply_to = function)
#include "attention_ops.h"
#pragma clang attribute pop
#endif
