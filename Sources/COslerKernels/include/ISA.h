#pragma once
#include <stdbool.h>
#pragma clang assume_nonnull begin

/* Instruction sets that kernels are written for, each including the ones before it. */
typedef enum ok_isa {
    OK_ISA_PORTABLE = 0,   /* plain C; what the compiler makes of it (SSE2, NEON) */
    OK_ISA_AVX2 = 1,       /* with FMA */
    OK_ISA_AVX512 = 2,     /* F, BW, VL, DQ */
    OK_ISA_AVX512BF16 = 3,
} ok_isa;

bool ok_isa_supported(ok_isa isa);
ok_isa ok_isa_best(void);

#pragma clang assume_nonnull end
