/* Included once an instruction set by elementwise.c, with OK_SET naming it. */
#include "vectors.h"

#include "kernel_copy.h"
#include "kernel_norm.h"
#include "kernel_rope.h"
#include "kernel_swiglu.h"
#include "kernel_dropout.h"
#include "kernel_optimizer.h"
#include "kernel_nf4.h"

#define OK_TABLE OK_CONCAT(ok_elementwise, OK_SET)
#define OK_STRING_(x) #x
#define OK_STRING(x) OK_STRING_(x)
static const ok_elementwise OK_TABLE = {
    .name = OK_STRING(OK_SET),
    .copy = K(copy),
    .add = K(add),
    .rms_norm = K(rms_norm),
    .rms_norm_backward = K(rms_norm_backward),
    .rope = K(rope),
    .swiglu = K(swiglu),
    .swiglu_backward = K(swiglu_backward),
    .dropout = K(dropout),
    .sum_of_squares = K(sum_of_squares),
    .adamw = K(adamw),
    .adamw_8bit = K(adamw_8bit),
    .nf4_quantize = K(nf4_quantize),
    .nf4_dequantize = K(nf4_dequantize),
    .quantize_8bit = K(quantize_8bit),
};
#undef OK_TABLE
#undef OK_STRING
#undef OK_STRING_
