#pragma once
#ifdef __cplusplus
extern "C" {
#endif

/* Tests find these in the library, beside CUDA's own functions. */

/* Whether asynchronous copies inside kernels happen at once, or not before the wait that they need. */
void cusim_set_eager_copies(int eager);

/* Whether copies from the host happen when they are queued, together with what they must come
 * after, or not before somebody waits for them. */
void cusim_set_eager_uploads(int eager);

/* How often the calling thread waited for the card so far, on a card that does nothing before it must: a
 * stream's end, an event, a copy to memory that isn't page-locked. */
int cusim_host_waits(void);

#ifdef __cplusplus
}
#endif
