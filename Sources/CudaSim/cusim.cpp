// Fibres and their schedule; see cusim.hpp.
#include "cusim.hpp"
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim
#include <cstdio>
#include <cstdlib>
#include <map>
#include <sys/mman.h>
#ifndef __x86_64__
#include <ucontext.h>
#endif

#ifdef CUSIM_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

/* The linker's names for the ends of a section. */
extern "C" unsigned char __start_cusim_shared[], __stop_cusim_shared[];

namespace cusim {
Block block;
bool eagerCopies = false;

static std::map<std::string, Kernel> &table()
{
    static std::map<std::string, Kernel> kernels;
    return kernels;
}
void add(const char *name, const Kernel &kernel) { table()[name] = kernel; }
const Kernel *find(const std::string &name)
{
    auto found = table().find(name);
    return found == table().end() ? nullptr : &found->second;
}

#ifdef CUSIM_ASAN
void guard(const void *p, size_t bytes) { __asan_poison_memory_region(p, bytes); }
void unguard(const void *p, size_t bytes) { __asan_unpoison_memory_region(p, bytes); }
#endif

/* ---- Switching stacks ---- */

#ifdef CUSIM_ASAN
/* Frames have guard zones of their own. */
static const size_t stackBytes = 256 << 10;
static const void *mainStack;
static size_t mainStackBytes;
/* The address sanitizer is told which stack is used next, and on it that it is. */
static void leaving(const void *stack, size_t bytes)
{
    __sanitizer_start_switch_fiber(nullptr, stack, bytes);
}
static void arrived() { __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr); }
static void arrivedFirst(bool fromMain)
{
    const void *stack;
    size_t bytes;
    __sanitizer_finish_switch_fiber(nullptr, &stack, &bytes);
    if (fromMain) mainStack = stack, mainStackBytes = bytes;
}
/* What an ended block left of its frames' guard zones. */
static void renew(const u8 *stack) { __asan_unpoison_memory_region(stack, stackBytes); }
#else
static const size_t stackBytes = 64 << 10;
static const void *const mainStack = nullptr;
static const size_t mainStackBytes = 0;
static void leaving(const void *, size_t) {}
static void arrived() {}
static void arrivedFirst(bool) {}
static void renew(const u8 *) {}
#endif
static void enter();

#ifdef __x86_64__
/* Saves what the System V ABI has a callee keep. */
extern "C" void cusim_switch(void **save, void *load);
asm(R"(
.text
.globl cusim_switch
.hidden cusim_switch
.type cusim_switch,@function
cusim_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cusim_switch,.-cusim_switch
)");
static void *mainPointer;
static void prepare(Thread &t)
{
    void **top = (void **)(t.stack + stackBytes);
    *--top = nullptr;
    *--top = (void *)enter;
    for (int i = 0; i < 6; i++) *--top = nullptr;
    t.stackPointer = top;
}
static void toFirst(Thread &to) { cusim_switch(&mainPointer, to.stackPointer); }
static void toNext(Thread &from, Thread &to) { cusim_switch(&from.stackPointer, to.stackPointer); }
static void toMain(Thread &from) { cusim_switch(&from.stackPointer, mainPointer); }
#else
static ucontext_t mainContext;
static ucontext_t *context(Thread &t) { return (ucontext_t *)t.stackPointer; }
static void prepare(Thread &t)
{
    if (!t.stackPointer) t.stackPointer = new ucontext_t;
    getcontext(context(t));
    context(t)->uc_stack.ss_sp = t.stack;
    context(t)->uc_stack.ss_size = stackBytes;
    context(t)->uc_link = nullptr;
    makecontext(context(t), enter, 0);
}
static void toFirst(Thread &to) { swapcontext(&mainContext, context(to)); }
static void toNext(Thread &from, Thread &to) { swapcontext(context(from), context(to)); }
static void toMain(Thread &from) { swapcontext(context(from), &mainContext); }
#endif

static bool isFirst;
static void run(Thread &to)
{
    isFirst = true;
    leaving(to.stack, stackBytes);
    toFirst(to);
    arrived();
}
static void change(Thread &from, Thread &to)
{
    leaving(to.stack, stackBytes);
    toNext(from, to);
    arrived();
}
static void leave(Thread &from)
{
    leaving(mainStack, mainStackBytes);
    toMain(from);
    arrived();
}

/* ---- The schedule ---- */

struct Schedule {
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    u32 count = 0, alive = 0, waiting = 0, generation = 0;
    u64 random = 1;
    Invoke invoke = nullptr;
    void **arguments = nullptr;
    bool failed = false;
};
static Schedule s;

static u32 randomNumber()
{
    s.random = s.random * 6364136223846793005u + 1442695040888963407u;
    return (u32)(s.random >> 33);
}
static u32 place() { return (u32)(block.current - s.threads.data()); }
static bool canRun(u32 i)
{
    return !s.threads[i].done && s.threads[i].waitsFor != s.generation + 1;
}
static void goTo(u32 i)
{
    Thread *from = block.current;
    block.current = &s.threads[i];
    change(*from, s.threads[i]);
}
/* Any thread that isn't at the barrier; a random one where that is quick to find. */
static void goOn()
{
    u32 i = place();
    for (int attempt = 0; attempt < 8; attempt++) {
        u32 j = randomNumber() % s.count;
        if (j != i && canRun(j)) return goTo(j);
    }
    for (u32 k = 1; k <= s.count; k++) {
        u32 j = (i + k) % s.count;
        if (canRun(j)) {
            if (j != i) goTo(j);
            return;
        }
    }
    trap("no thread can go on: a barrier that some of a block's threads don't reach");
}
/* The next thread of the same warp: the warp runs ahead of the others. */
static void goOnInWarp()
{
    u32 i = place(), first = i & ~31u, size = s.count - first < 32 ? s.count - first : 32;
    for (u32 k = 1; k < size; k++) {
        u32 j = first + (i - first + k) % size;
        if (canRun(j)) return goTo(j);
    }
    trap("a warp collective that some of a warp's threads don't reach");
}

static void openBarrier()
{
    s.waiting = 0;
    s.generation++;
}
void syncThreads()
{
    u32 generation = s.generation;
    me().waitsFor = generation + 1;
    if (++s.waiting == s.alive) return openBarrier();
    while (s.generation == generation) goOn();
}
static void openWarp(Warp *w)
{
    w->arrived = 0;
    w->generation++;
}
void syncWarp()
{
    Warp *w = me().warp;
    u32 generation = w->generation;
    if (++w->arrived == w->size) return openWarp(w);
    while (w->generation == generation) goOnInWarp();
}
void trap(const char *why)
{
    fprintf(
        stderr, "CudaSim: %s, block (%u, %u, %u), thread %u\n", why, block.index.x, block.index.y,
        block.index.z, place());
    s.failed = true;
    leave(me());
    abort();
}

static void enter()
{
    arrivedFirst(isFirst);
    isFirst = false;
    s.invoke(s.arguments);
    Thread &t = me();
    t.done = true;
    t.warp->size--;
    s.alive--;
    if (t.copyCount > 0) trap("copies under way at the end of a thread");
    if (s.alive && s.waiting == s.alive) openBarrier();
    if (t.warp->size && t.warp->arrived == t.warp->size) openWarp(t.warp);
    if (!s.alive) leave(t);
    for (;;) goOn();
}

static void runBlock(size_t sharedBytes)
{
    memset(__start_cusim_shared, 0xFF, (size_t)(__stop_cusim_shared - __start_cusim_shared));
    memset(block.dynamic, 0xFF, sharedBytes);
    for (u32 w = 0; w < s.warps.size(); w++) {
        s.warps[w].size = s.count - w * 32 < 32 ? s.count - w * 32 : 32;
        s.warps[w].arrived = 0;
    }
    s.alive = s.count;
    s.waiting = s.generation = 0;
    for (u32 i = 0; i < s.count; i++) {
        Thread &t = s.threads[i];
        dim3 n = block.size;
        t.index = dim3{i % n.x, i / n.x % n.y, i / n.x / n.y};
        t.lane = i & 31;
        t.warp = &s.warps[i / 32];
        t.done = false;
        t.waitsFor = 0;
        t.copyCount = t.groupCount = 0;
        renew(t.stack);
        prepare(t);
    }
    block.current = &s.threads[randomNumber() % s.count];
    run(*block.current);
}

bool launch(const char *name, dim3 grid, dim3 size, size_t sharedBytes, void **arguments)
{
    u64 count = (u64)size.x * size.y * size.z;
    while (s.threads.size() < count) {
        s.threads.emplace_back();
        void *stack = mmap(
            nullptr, stackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (stack == MAP_FAILED) return false;
        s.threads.back().stack = (u8 *)stack;
    }
    s.count = (u32)count;
    s.warps.assign((s.count + 31) / 32, Warp());
    s.invoke = find(name)->invoke;
    s.arguments = arguments;
    s.failed = false;
    block.grid = grid;
    block.size = size;
    /* Guard bytes behind the block's own show a write beyond what the launch asked for. */
    size_t room = (sharedBytes + 127) / 128 * 128 + 128;
    block.dynamic = (u8 *)aligned_alloc(128, room);
    if (!block.dynamic) return false;
    memset(block.dynamic + sharedBytes, 0xA5, room - sharedBytes);
    guard(block.dynamic + sharedBytes, room - sharedBytes);
    for (u32 z = 0; z < grid.z; z++)
        for (u32 y = 0; y < grid.y; y++)
            for (u32 x = 0; x < grid.x && !s.failed; x++) {
                block.index = dim3{x, y, z};
                runBlock(sharedBytes);
            }
    unguard(block.dynamic + sharedBytes, room - sharedBytes);
    for (size_t i = sharedBytes; i < room; i++) {
        if (block.dynamic[i] == 0xA5) continue;
        fprintf(stderr, "CudaSim: %s writes beyond its shared memory\n", name);
        s.failed = true;
        break;
    }
    free(block.dynamic);
    block.dynamic = nullptr;
    return !s.failed;
}
}  // namespace cusim
