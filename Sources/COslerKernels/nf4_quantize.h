/* A faster way to the codes of kernel_nf4.h for one instruction set. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#pragma clang assume_nonnull begin

#if defined(__x86_64__)
/* Quantizes blocks of 64 bfloat16 values until one holds a value that is not finite, and returns how many it did. `bounds`
 * are the 15 between neighbouring values of the format. */
size_t ok_nf4_quantize_avx512(
    const uint16_t *x, size_t blocks, const float *bounds, uint8_t *codes, float *absmax);
#endif

#pragma clang assume_nonnull end
