#pragma once
#include <stdint.h>
#include "ISA.h"
#include "Pool.h"
#pragma clang assume_nonnull begin

/* Log-softmax of `rows` rows of `vocabulary` logits (float32, row-major), in place.
 *
 * Per row: log p(target), the entropy in nats, and 1 where the target is the first largest logit. With `gradient` the
 * logits become weight * (p - onehot(target)), weight 1, or p(target) when `weighted` (dft); otherwise they are kept.
 * Targets are below `vocabulary`. Sums run over 16 lanes in a fixed order. */
typedef struct ok_cross_entropy {
    float *logits;
    const int32_t *targets;
    size_t vocabulary;
    bool gradient, weighted;
    float *log_probabilities;
    float *entropies;
    float *is_top;
} ok_cross_entropy;

void ok_cross_entropy_rows(ok_isa isa, ok_pool *pool, const ok_cross_entropy *job, size_t rows);

/* The sum, in double precision, of exp(scale * (x - top)), which go to `out` (which may be `x`) where it is given. No x may
 * be larger than `top`. */
double ok_exponentials(
    ok_isa isa, const float *x, size_t count, float top, float scale, float *_Nullable out);

#pragma clang assume_nonnull end
