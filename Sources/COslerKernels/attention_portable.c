/* The element-wise kernels of attention in plain vectors, which compilers lower to what there is. */
#define LANES 8
#define OPS ok_attention_portable
#include "attention_ops.h"
