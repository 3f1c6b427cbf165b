#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "ISA.h"
#include "Pool.h"
#pragma clang assume_nonnull begin

/* What this machine can do at best, measured: what shares of a peak refer to. */

typedef struct ok_peak {
    double flops;           /* a second, all threads together, by the clock */
    double processor_flops; /* with one thread, by the processor time it had; 0 with more */
} ok_peak;

/* Multiply-adds of the instructions that products of this instruction set use, on registers alone: `bfloat16` matters
 * where there are instructions for it, and means float32's elsewhere. The best of 60 runs, about 50 ms together. */
ok_peak ok_peak_products(ok_pool *pool, ok_isa isa, bool bfloat16);

/* Bytes a second that all threads read together from a buffer of `bytes` bytes, several times the last cache's size to
 * mean memory; the best of 8 passes. 0 when there is no memory for the buffer. */
double ok_peak_read(ok_pool *pool, size_t bytes);

#pragma clang assume_nonnull end
