#include "ISA.h"

#if defined(__x86_64__)
bool ok_isa_supported(ok_isa isa) {
    __builtin_cpu_init();
    switch (isa) {
    case OK_ISA_PORTABLE:
        return true;
    case OK_ISA_AVX2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case OK_ISA_AVX512:
        return ok_isa_supported(OK_ISA_AVX2) && __builtin_cpu_supports("avx512f")
            && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl")
            && __builtin_cpu_supports("avx512dq");
    case OK_ISA_AVX512BF16:
        return ok_isa_supported(OK_ISA_AVX512) && __builtin_cpu_supports("avx512bf16");
    }
    return false;
}
#else
bool ok_isa_supported(ok_isa isa) { return isa == OK_ISA_PORTABLE; }
#endif

ok_isa ok_isa_best(void) {
    for (int isa = OK_ISA_AVX512BF16; isa > OK_ISA_PORTABLE; isa--)
        if (ok_isa_supported((ok_isa)isa)) return (ok_isa)isa;
    return OK_ISA_PORTABLE;
}
