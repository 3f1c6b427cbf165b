/* Vectors of LANES float32 for the kernels of attention.
 *
 * exp2 is a polynomial of degree 6 over [-1/2, 1/2] (relative error 2e-9 before rounding; degree 5 gives 9e-8, which
 * shows in float32) and an addition to the exponent. Below 2^-125 it is 0, so no denormal slows a product down. */
#include "attention.h"

/* Every function that takes vectors is inlined. */
#pragma clang diagnostic ignored "-Wpsabi"

typedef float vec __attribute__((ext_vector_type(LANES)));
typedef int32_t ivec __attribute__((ext_vector_type(LANES)));
typedef float loose_vec __attribute__((ext_vector_type(LANES), aligned(4)));

#define INLINE static inline __attribute__((always_inline))

INLINE vec load(const float *p) { return *(const loose_vec *)p; }
INLINE void store(float *p, vec x) { *(loose_vec *)p = x; }

INLINE vec power_of_two(vec x) {
    vec bounded = x < -125.0f ? (vec)(-125.0f) : x;
    /* Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits. */
    vec shifted = bounded + 12582912.0f;
    vec f = bounded - (shifted - 12582912.0f);
    vec y = f * 0x1.41fbbcp-13f + 0x1.5f3e54p-10f;
    y = y * f + 0x1.3b2d4cp-7f;
    y = y * f + 0x1.c6aee8p-5f;
    y = y * f + 0x1.ebfbdcp-3f;
    y = y * f + 0x1.62e430p-1f;
    y = y * f + 1.0f;
    ivec bits = __builtin_bit_cast(ivec, y) + (__builtin_bit_cast(ivec, shifted) << 23);
    return x < -125.0f ? (vec)0.0f : __builtin_bit_cast(vec, bits);
}

INLINE vec larger(vec a, vec b) { return a > b ? a : b; }
