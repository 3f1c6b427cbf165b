#pragma once
#ifdef __cplusplus
extern "C" {
#endif

/* Tests find these in the library, beside CUDA's own functions. */

/* Whether asynchronous copies inside kernels happen at once, or not before the wait that they
 * need. */
void cusim_set_eager_copies(int eager);

/* Whether copies from the host happen when they are queued, together with what they must come
 * after, or not before somebody waits for them. */
void cusim_set_eager_uploads(int eager);

/* The compute capability (75) that the calling thread finds devices to have; 0: 80, or what
 * CUDASIM_ARCHITECTURE says. */
void cusim_set_architecture(int architecture);

/* How often the calling thread waited so far, if the card does nothing before it must: for a stream,
 * an event, or a copy to memory that isn't page-locked. */
int cusim_host_waits(void);

/* 1 when it was built with the address sanitizer, and stops at an access beside device memory. */
int cusim_guards_memory(void);

#ifdef __cplusplus
}
#endif
