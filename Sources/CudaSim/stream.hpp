// The simulated card's queue of work; what the stand-ins for the driver and for cuBLASLt share.
#pragma once
#include <functional>
#include <mutex>

namespace cusim {
/* Held by every entry point. */
std::recursive_mutex &lock();
/* Work in the order in which it was queued, whatever the stream: done at once, or
 * (`CUDASIM_STREAM=late`) not before somebody waits for it, as on a card that is behind. Call it
 * with the lock held. Nothing is done on a stream on which a kernel failed. */
void enqueue(std::function<void()> work, void *stream = nullptr);
/* Does all that is queued. */
void drain();
/* What later calls on the stream return after a kernel on it failed: 719. 0 before. (A card loses
 * the whole context; here the streams of tests that run beside each other are apart.) */
int failure(void *stream);
}  // namespace cusim
