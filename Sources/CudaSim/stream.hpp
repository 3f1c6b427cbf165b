// The simulated card's one queue of work; what the stand-ins for the driver and for cuBLASLt share.
#pragma once
#include <functional>
#include <mutex>

namespace cusim {
/* Held by every entry point. */
std::recursive_mutex &lock();
/* Work in the order in which it was queued: done at once, or (`CUDASIM_STREAM=late`) not before
 * somebody waits for it, as on a card that is behind. Call it with the lock held. */
void enqueue(std::function<void()> work);
/* Does all that is queued. */
void drain();
/* What every later call returns after a kernel failed: 719, as CUDA has it. 0 before. */
extern int stickyError;
}  // namespace cusim
