// The simulated card's queue of work; what the stand-ins for the driver and for cuBLASLt share.
#pragma once
#include <functional>
#include <mutex>

namespace cusim {
/* Held by every entry point. */
std::recursive_mutex &lock();
/* Each stream's work in the order in which it was queued: done at once, or (`CUDASIM_STREAM=late`)
 * not before somebody waits for it, on the host or on another stream, as on a card that is behind.
 * Call it with the lock held. Nothing is done on a stream on which a kernel failed. */
void enqueue(std::function<void()> work, void *stream = nullptr);
/* Does all that is queued on all streams. */
void drain();
/* What later calls on the stream return after a kernel on it failed: 719. 0 before. (A card loses
 * the whole context; here the streams of tests that run beside each other are apart.) */
int failure(void *stream);
/* Whether work on the stream may use memory that begins here: not that of another device. */
bool reaches(void *stream, const void *pointer);
}  // namespace cusim
