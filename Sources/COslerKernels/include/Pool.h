#pragma once
#include <stddef.h>
#pragma clang assume_nonnull begin

/* A fixed pool of threads: the caller and `threads - 1` workers.
 *
 * A region hands out the items 0 ..< count to whichever thread is free. Who runs an item is not determined, so items
 * must write to places of their own; results then are the same bits whatever the number of threads. `thread`
 * (0 ..< threads, 0 the caller) names scratch that no other thread uses during the item. */
typedef struct ok_pool ok_pool;
typedef void (*ok_task)(void *_Nullable context, size_t item, int thread);

/* Any number of threads >= 1, more than there are cores too. Workers are pinned to the cores of the process's affinity
 * mask unless OSLER_PIN=0 or there are more threads than cores. NULL when threads can't be made. */
ok_pool *_Nullable ok_pool_create(int threads);
void ok_pool_destroy(ok_pool *pool);
int ok_pool_threads(const ok_pool *pool);
/* Pins the calling thread to the first core of the mask: for the one thread that owns the pool for good. */
void ok_pool_pin_caller(const ok_pool *pool);
/* The number of cores that this process may run on. */
int ok_available_cores(void);

/* Runs `task` for every item and returns when all are done. One thread may be in here at a time; a call from inside a
 * task runs its items one after the other on that task's thread. */
void ok_parallel(ok_pool *pool, size_t count, ok_task task, void *_Nullable context);

#pragma clang assume_nonnull end
