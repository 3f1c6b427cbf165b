/* The element-wise kernels of attention with AVX-512 (evex512: whole registers, not halves). */
#if defined(__x86_64__)
#include "attention.h"
#define LANES 16
#define OPS ok_attention_avx512
#pragma clang attribute push( \
    __attribute__((target("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,evex512"))), apply_to = function)
#include "attention_ops.h"
#pragma clang attribute pop
#endif
