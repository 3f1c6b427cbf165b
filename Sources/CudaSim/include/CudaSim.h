#pragma once
#ifdef __cplusplus
extern "C"
#endif

/* Tests find this in the library, beside CUDA's own functions: whether asynchronous copies inside
 * kernels happen at once, or not before the wait that they need. */
void cusim_set_eager_copies(int eager);
