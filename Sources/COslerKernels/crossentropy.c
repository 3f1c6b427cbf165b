/* The loss over a chunk of logits that a product just wrote and the second-level cache may still hold.
 *
 * Three passes over a row: largest, exponentials (kept in place for the gradient), scaling. An online softmax would
 * save the first pass and cost a second exponential an element; the exponential is the dearer of the two. */
#include "CrossEntropy.h"

#include <math.h>
#include <string.h>

#pragma STDC FP_CONTRACT OFF
/* Vectors pass between functions that are always inlined: their calling convention does not matter. */
#pragma clang diagnostic ignored "-Wpsabi"

#define OK_CONCAT_(a, b) a##_##b
#define OK_CONCAT(a, b) OK_CONCAT_(a, b)
#define K(name) OK_CONCAT(name, OK_SET)

#define OK_SET portable
#include "crossentropy_row.h"
#undef OK_SET

#if defined(__x86_64__)
#pragma clang attribute push(__attribute__((target("avx2"))), apply_to = function)
#define OK_SET avx2
#include "crossentropy_row.h"
#undef OK_SET
#pragma clang attribute pop

#pragma clang attribute push( \
    __attribute__((target("avx2,avx512f,avx512bw,avx512dq,avx512vl,evex512"))), apply_to = function)
#define OK_SET avx512
#include "crossentropy_row.h"
#undef OK_SET
#pragma clang attribute pop
#endif

typedef struct {
    const ok_cross_entropy *job;
    void (*row)(const ok_cross_entropy *job, size_t row);
} row_task;

static void run_row(void *context, size_t item, int thread)
{
    (void)thread;
    const row_task *task = context;
    task->row(task->job, item);
}

void ok_cross_entropy_rows(ok_isa isa, ok_pool *pool, const ok_cross_entropy *job, size_t rows)
{
    row_task task = {job, cross_entropy_row_portable};
#if defined(__x86_64__)
    if (isa >= OK_ISA_AVX2) task.row = cross_entropy_row_avx2;
    if (isa >= OK_ISA_AVX512) task.row = cross_entropy_row_avx512;
#endif
    (void)isa;
    ok_parallel(pool, rows, run_row, &task);
}

double ok_exponentials(
    ok_isa isa, const float *x, size_t count, float top, float scale, float *out)
{
#if defined(__x86_64__)
    if (isa >= OK_ISA_AVX512) return exponential_sum_avx512(x, count, top, scale, out);
    if (isa >= OK_ISA_AVX2) return exponential_sum_avx2(x, count, top, scale, out);
#endif
    (void)isa;
    return exponential_sum_portable(x, count, top, scale, out);
}
