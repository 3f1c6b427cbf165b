#pragma once
#include <stddef.h>
#pragma clang assume_nonnull begin

/* The text of the CUDA kernels, embedded at build time; NVRTC compiles it on the user's machine. */
typedef struct {
    const char *name; /* "rmsnorm.cu" */
    const char *text; /* ends with a zero byte that `length` doesn't count */
    size_t length;
} ccuda_kernel_file;

/* `prelude.cuh`, which every file includes. */
extern const ccuda_kernel_file ccuda_prelude;
/* The `.cu` files: each a module of its own. */
extern const ccuda_kernel_file *const ccuda_kernel_files;
extern const size_t ccuda_kernel_file_count;

#pragma clang assume_nonnull end
