#pragma once
#ifdef __cplusplus
extern "C" {
#endif

/* Tests find these in the library, beside CUDA's own functions. */

/* Whether asynchronous copies inside kernels happen at once, or not before the wait that they need. */
void cusim_set_eager_copies(int eager);

/* How often the calling thread waited for the card so far, on a card that does nothing before it must: a
 * stream's end, an event, a copy to memory that isn't page-locked. */
int cusim_host_waits(void);

#ifdef __cplusplus
}
#endif
