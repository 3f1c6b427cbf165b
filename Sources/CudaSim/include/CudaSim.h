#pragma once
#ifdef __cplusplus
extern "C" {
#endif

/* Tests find these in the library, beside CUDA's own functions. */

/* Whether asynchronous copies inside kernels happen at once, or not before the wait that they
 * need. */
void cusim_set_eager_copies(int eager);
/* After a kernel failed every call does, as with CUDA; this ends it. */
void cusim_forget_failure(void);

#ifdef __cplusplus
}
#endif
