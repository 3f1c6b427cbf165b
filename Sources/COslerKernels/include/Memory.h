#pragma once
#include <stddef.h>
#include <stdint.h>
#pragma clang assume_nonnull begin

/* Uninitialised memory, aligned to 4096 bytes at least. NULL when there is none left. */
void *_Nullable ok_memory_allocate(size_t bytes);
void ok_memory_free(void *_Nullable memory);

#pragma clang assume_nonnull end
