/* Variants tried (two cores, microseconds for an empty region): condition variables 82-105, libdispatch 0.2 but the
 * caller then runs every short region alone, spinning then futex 0.08. Unpinned spinners get stacked on one core
 * (110), so workers are pinned.
 *
 * A region is open or closed. Workers join an open region by counting themselves into `state`; the caller works too,
 * closes the region when no item is left, and waits for those who joined only. So a worker that sleeps or was
 * descheduled costs nothing but its help. */
#if defined(__linux__) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include "Pool.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#endif

/* `state`: generation (19 bits), open (1 bit), number of workers that joined (12 bits). */
#define JOINED_MASK 0xfffu
#define OPEN 0x1000u
#define GENERATION_STEP 0x2000u
#define GENERATION(state) ((state) / GENERATION_STEP)

#define SPIN_LIMIT 2000

struct ok_pool {
    int threads;
    int spin;
    int pins;
    pthread_t *workers;
#if !defined(__linux__)
    pthread_mutex_t mutex;
    pthread_cond_t condition;
#endif
    ok_task task;
    void *context;
    size_t count;
    atomic_bool busy;
    atomic_bool stopping;
    _Alignas(64) atomic_uint state;
    _Alignas(64) atomic_size_t next;
    _Alignas(64) atomic_uint done;
    _Alignas(64) atomic_uint sleepers;
    atomic_bool caller_sleeps;
};

typedef struct {
    ok_pool *pool;
    int thread;
} worker_argument;

/* The thread index inside a task; -1 outside. */
static _Thread_local int current_thread = -1;

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Sleeps while `*word == value`; may wake for no reason. */
static void sleep_on(ok_pool *pool, atomic_uint *word, unsigned value) {
#if defined(__linux__)
    (void)pool;
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
#else
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(word) == value) pthread_cond_wait(&pool->condition, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
#endif
}

static void wake_all(ok_pool *pool, atomic_uint *word) {
#if defined(__linux__)
    (void)pool;
    syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
#else
    (void)word;
    pthread_mutex_lock(&pool->mutex);
    pthread_cond_broadcast(&pool->condition);
    pthread_mutex_unlock(&pool->mutex);
#endif
}

static void run_items(ok_pool *pool, int thread) {
    const ok_task task = pool->task;
    void *const context = pool->context;
    const size_t count = pool->count;
    current_thread = thread;
    for (;;) {
        size_t item = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed);
        if (item >= count) break;
        task(context, item, thread);
    }
    current_thread = -1;
}

static bool joinable(unsigned state, unsigned last) {
    return (state & OPEN) && GENERATION(state) != last;
}

static void *worker_main(void *argument) {
    worker_argument own = *(worker_argument *)argument;
    free(argument);
    ok_pool *pool = own.pool;
    unsigned last = ~0u;
    int spins = 0;
    for (;;) {
        unsigned state = atomic_load_explicit(&pool->state, memory_order_acquire);
        if (joinable(state, last)) {
            if (!atomic_compare_exchange_weak(&pool->state, &state, state + 1)) continue;
            last = GENERATION(state);
            run_items(pool, own.thread);
            atomic_fetch_add(&pool->done, 1);
            if (atomic_load(&pool->caller_sleeps)) wake_all(pool, &pool->done);
            spins = 0;
        } else if (atomic_load_explicit(&pool->stopping, memory_order_acquire)) {
            return NULL;
        } else if (spins < pool->spin) {
            spins++;
            pause_briefly();
        } else {
            atomic_fetch_add(&pool->sleepers, 1);
            state = atomic_load(&pool->state);
            if (!joinable(state, last) && !atomic_load(&pool->stopping))
                sleep_on(pool, &pool->state, state);
            atomic_fetch_sub(&pool->sleepers, 1);
        }
    }
}

#if defined(__linux__)
/* The process's affinity mask as it was before any pinning. */
static cpu_set_t process_mask;
static pthread_once_t mask_once = PTHREAD_ONCE_INIT;
static void read_mask(void) { sched_getaffinity(getpid(), sizeof process_mask, &process_mask); }

int ok_available_cores(void) {
    pthread_once(&mask_once, read_mask);
    int cores = CPU_COUNT(&process_mask);
    return cores > 0 ? cores : 1;
}

static void pin(pthread_t thread, int index) {
    for (int core = 0; core < CPU_SETSIZE; core++) {
        if (!CPU_ISSET(core, &process_mask) || index-- > 0) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(core, &one);
        pthread_setaffinity_np(thread, sizeof one, &one);
        return;
    }
}
#else
int ok_available_cores(void) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    return cores > 0 ? (int)cores : 1;
}
static void pin(pthread_t thread, int index) { (void)thread, (void)index; }
#endif

ok_pool *ok_pool_create(int threads) {
    if (threads < 1) threads = 1;
    if (threads > (int)JOINED_MASK) threads = (int)JOINED_MASK;
    ok_pool *pool = aligned_alloc(64, (sizeof(ok_pool) + 63) & ~(size_t)63);
    if (!pool) return NULL;
    memset(pool, 0, sizeof *pool);
    const char *setting = getenv("OSLER_PIN");
    const int cores = ok_available_cores();
    pool->pins = threads <= cores && !(setting && strcmp(setting, "0") == 0);
    pool->spin = threads <= cores ? SPIN_LIMIT : 0;
    pool->threads = 1;
    pool->workers = calloc((size_t)threads, sizeof(pthread_t));
#if !defined(__linux__)
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->condition, NULL);
#endif
    for (int thread = 1; pool->workers && thread < threads; thread++) {
        worker_argument *argument = malloc(sizeof *argument);
        if (!argument) break;
        *argument = (worker_argument){pool, thread};
        if (pthread_create(&pool->workers[thread], NULL, worker_main, argument) != 0) {
            free(argument);
            break;
        }
        if (pool->pins) pin(pool->workers[thread], thread);
        pool->threads++;
    }
    if (pool->threads == threads) return pool;
    ok_pool_destroy(pool);
    return NULL;
}

void ok_pool_destroy(ok_pool *pool) {
    atomic_store(&pool->stopping, true);
    atomic_fetch_add(&pool->state, GENERATION_STEP);
    wake_all(pool, &pool->state);
    for (int thread = 1; thread < pool->threads; thread++)
        pthread_join(pool->workers[thread], NULL);
#if !defined(__linux__)
    pthread_mutex_destroy(&pool->mutex);
    pthread_cond_destroy(&pool->condition);
#endif
    free(pool->workers);
    free(pool);
}

int ok_pool_threads(const ok_pool *pool) { return pool->threads; }

void ok_pool_pin_caller(const ok_pool *pool) {
    if (pool->pins) pin(pthread_self(), 0);
}

/* Waits until `joined` workers have finished. */
static void await_workers(ok_pool *pool, unsigned joined) {
    int spins = 0;
    unsigned done;
    while ((done = atomic_load_explicit(&pool->done, memory_order_acquire)) != joined) {
        if (spins < pool->spin) {
            spins++;
            pause_briefly();
        } else {
            atomic_store(&pool->caller_sleeps, true);
            done = atomic_load(&pool->done);
            if (done != joined) sleep_on(pool, &pool->done, done);
            atomic_store(&pool->caller_sleeps, false);
        }
    }
}

void ok_parallel(ok_pool *pool, size_t count, ok_task task, void *context) {
    if (current_thread >= 0) {
        for (size_t item = 0; item < count; item++) task(context, item, current_thread);
        return;
    }
    if (atomic_exchange(&pool->busy, true)) {
        fputs("ok_parallel: two threads use one pool at the same time\n", stderr);
        abort();
    }
    pool->task = task;
    pool->context = context;
    pool->count = count;
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    atomic_store_explicit(&pool->done, 0, memory_order_relaxed);
    const bool shared = pool->threads > 1 && count > 1;
    if (shared) {
        unsigned state = atomic_load_explicit(&pool->state, memory_order_relaxed);
        atomic_store(&pool->state, (state & ~(OPEN | JOINED_MASK)) + GENERATION_STEP + OPEN);
        if (atomic_load(&pool->sleepers) > 0) wake_all(pool, &pool->state);
    }
    run_items(pool, 0);
    if (shared) await_workers(pool, atomic_fetch_and(&pool->state, ~OPEN) & JOINED_MASK);
    atomic_store(&pool->busy, false);
}
