/* Large pieces of memory, in huge pages where the system gives them: Linux with transparent huge pages. A product reads
 * many rows side by side, and looking up their small pages took 5 to 8% of it (256 rows, weights of 4096 x 14336). */
#if defined(__linux__)
#define _GNU_SOURCE
#endif
#include "Memory.h"

#include <stdlib.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

#define HUGE_PAGE ((size_t)2 << 20)

void *ok_memory_allocate(size_t bytes) {
    const size_t page = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 4096;
    if (bytes > SIZE_MAX - page) return NULL;
    if (bytes == 0) bytes = 1;
    void *memory = aligned_alloc(page, (bytes + page - 1) / page * page);
#if defined(__linux__)
    /* Only a wish: small pages do as well. The end of the last huge page is left to small ones. */
    if (memory && page == HUGE_PAGE) madvise(memory, bytes / page * page, MADV_HUGEPAGE);
#endif
    return memory;
}

void ok_memory_free(void *memory) { free(memory); }
