#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ISA.h"
#pragma clang assume_nonnull begin

/* The kernels that are not products: one pass over memory each.
 *
 * The same C is compiled for every instruction set. All sums run over 16 fixed lanes and no
 * multiply-add is fused, so the bits are the same on all of them. Every kernel works on a range
 * that the caller cuts at fixed places, so they are also the same for any number of threads.
 *
 * Pointers to `void` hold float32, or bfloat16 where the `_bf16` flag beside them is set. */

/* An 8-bit dynamic map: its values in rising order, the bounds between neighbours (value i is the
 * nearest up to and including bounds[i]) and, for the leading bits of a float, the first code that
 * can be the nearest. */
enum { OK_MAP_CELLS = 25 * 64 };
typedef struct {
    float values[256];
    float bounds[256];
    uint8_t start[2][OK_MAP_CELLS];
    uint8_t zero;
} ok_dynamic_map;

void ok_dynamic_map_build(const float *values, ok_dynamic_map *map);

typedef struct {
    float learning_rate_over_correction1; /* lr / (1 - beta1^t) */
    float root_correction2;               /* sqrt(1 - beta2^t) */
    float beta1, beta2, one_minus_beta1, one_minus_beta2;
    float epsilon;
    float keep; /* 1 - lr * weight decay */
    float gradient_scale;
} ok_adam_step;

typedef struct {
    const char *name;

    void (*copy)(const void *x, bool x_bf16, void *y, bool y_bf16, size_t n);
    void (*add)(const void *x, bool x_bf16, void *y, bool y_bf16, size_t n);

    /* x, y [rows, width] */
    void (*rms_norm)(
        const void *x, bool x_bf16, const float *weight, float epsilon, size_t rows, size_t width,
        void *y, bool y_bf16, float *inverse_rms);
    void (*rms_norm_backward)(
        const void *dy, bool dy_bf16, const void *x, bool x_bf16, const float *weight,
        const float *inverse_rms, size_t rows, size_t width, bool accumulating, void *dx,
        bool dx_bf16);

    /* x [rows, heads, 2 * half] in place; cosine, sine [*, half] indexed by position */
    void (*rope)(
        void *x, bool bf16, const int32_t *positions, const float *cosine, const float *sine,
        bool inverse, size_t rows, size_t heads, size_t half);

    void (*swiglu)(const void *gate, const void *up, void *y, bool bf16, size_t n);
    void (*swiglu_backward)(
        const void *dy, const void *gate, const void *up, void *dgate, void *dup, bool bf16,
        size_t n);

    /* Elements start ... start + n of the mask, start a multiple of 64: y = or += mask * scale * x */
    void (*dropout)(
        const void *x, bool x_bf16, uint32_t threshold, float scale, uint64_t seed,
        uint64_t stream, size_t start, size_t n, bool adding, void *y, bool y_bf16);

    double (*sum_of_squares)(const void *x, bool bf16, size_t n);
    void (*adamw)(
        float *parameter, const float *gradient, float *first, float *second, size_t n,
        const ok_adam_step *step);
    /* n values that start a block of 256 */
    void (*adamw_8bit)(
        float *parameter, const float *gradient, uint8_t *first, uint8_t *second,
        float *first_absmax, float *second_absmax, size_t n, const ok_dynamic_map *first_map,
        const ok_dynamic_map *second_map, const ok_adam_step *step);

    /* n values that start a block; codes (n + 1) / 2, absmax ceil(n / block). A short last block
     * divides by its absmax where the others multiply by the reciprocal, as bitsandbytes does. */
    void (*nf4_quantize)(
        const void *x, bool bf16, size_t n, size_t block, uint8_t *codes, float *absmax);
    void (*nf4_dequantize)(
        const uint8_t *codes, const float *absmax, size_t n, size_t block, void *y, bool bf16);
    /* x - offset in blocks of `block` */
    void (*quantize_8bit)(
        const float *x, float offset, size_t n, size_t block, const ok_dynamic_map *map,
        uint8_t *codes, float *absmax);
} ok_elementwise;

const ok_elementwise *ok_elementwise_for(ok_isa isa);

#pragma clang assume_nonnull end
