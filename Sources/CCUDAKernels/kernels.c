#include "CCUDAKernels.h"
#pragma clang diagnostic ignored "-Wc23-extensions"

#define TEXT(name) static const char name[]

TEXT(prelude) = {
#embed "cuda/prelude.cuh"
    , 0};
TEXT(adapter) = {
#embed "cuda/adapter.cu"
    , 0};
TEXT(attention) = {
#embed "cuda/attention.cu"
    , 0};
TEXT(attention_backward) = {
#embed "cuda/attention_backward.cu"
    , 0};
TEXT(attention_f32) = {
#embed "cuda/attention_f32.cu"
    , 0};
TEXT(crossentropy) = {
#embed "cuda/crossentropy.cu"
    , 0};
TEXT(dropout) = {
#embed "cuda/dropout.cu"
    , 0};
TEXT(elementwise) = {
#embed "cuda/elementwise.cu"
    , 0};
TEXT(fewrows) = {
#embed "cuda/fewrows.cu"
    , 0};
TEXT(nf4) = {
#embed "cuda/nf4.cu"
    , 0};
TEXT(optimizer) = {
#embed "cuda/optimizer.cu"
    , 0};
TEXT(rmsnorm) = {
#embed "cuda/rmsnorm.cu"
    , 0};
TEXT(rope) = {
#embed "cuda/rope.cu"
    , 0};
TEXT(rows) = {
#embed "cuda/rows.cu"
    , 0};
TEXT(swiglu) = {
#embed "cuda/swiglu.cu"
    , 0};

const ccuda_kernel_file ccuda_prelude = {"prelude.cuh", prelude, sizeof prelude - 1};

#define FILE(name) {#name ".cu", name, sizeof name - 1}
static const ccuda_kernel_file files[] = {
    FILE(adapter),   FILE(attention), FILE(attention_backward), FILE(attention_f32),
    FILE(crossentropy), FILE(dropout), FILE(elementwise), FILE(fewrows),
    FILE(nf4),       FILE(optimizer), FILE(rmsnorm),       FILE(rope),
    FILE(rows),      FILE(swiglu),
};
const ccuda_kernel_file *const ccuda_kernel_files = files;
const size_t ccuda_kernel_file_count = sizeof files / sizeof *files;
