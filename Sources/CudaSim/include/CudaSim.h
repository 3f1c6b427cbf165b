#pragma once
#ifdef __cplusplus
extern "C" {
#endif

/* Tests find these in the library, beside CUDA's own functions. */

/* Whether asynchronous copies inside kernels happen at once, or not before the wait that they
 * need. */
void cusim_set_eager_copies(int eager);
/* The compute capability (75) that the calling thread finds devices to have; 0: 80, or what
 * CUDASIM_ARCHITECTURE says. */
void cusim_set_architecture(int architecture);

#ifdef __cplusplus
}
#endif
