// Stands in for libcuda.so.1: the entry points that CCUDA's table names, on host memory. Device
// pointers are host pointers.
//
// Environment: CUDASIM_COPIES=eager or late (of kernels' asynchronous copies; default late),
// CUDASIM_STREAM=eager or late (default late), CUDASIM_MEMORY=bytes (default 4 GiB),
// CUDASIM_DEVICES=count (default 1), CUDASIM_ARCHITECTURE=80 and so on (default 80).
#include "CudaSim.h"
#include "cusim.hpp"
#include "stream.hpp"
#undef threadIdx
#undef blockIdx
#undef blockDim
#undef gridDim
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <map>
#include <set>

namespace cusim {
std::recursive_mutex &lock()
{
    static std::recursive_mutex mutex;
    return mutex;
}
struct Stream {
    int error = 0;
};
struct Work {
    std::function<void()> work;
    Stream *stream;
};
static Stream defaultStream;
static std::deque<Work> queue;
static bool lateStream = true;
/* Whose work is being done. */
static Stream *current;

static Stream *known(void *stream) { return stream ? (Stream *)stream : &defaultStream; }
int failure(void *stream) { return known(stream)->error; }

void drain()
{
    while (!queue.empty()) {
        Work next = std::move(queue.front());
        queue.pop_front();
        current = next.stream;
        if (!current->error) next.work();
    }
}
void enqueue(std::function<void()> work, void *stream)
{
    queue.push_back({std::move(work), known(stream)});
    if (!lateStream) drain();
}
}  // namespace cusim

namespace {
typedef u64 Pointer;
enum {
    success = 0,
    invalidValue = 1,
    outOfMemory = 2,
    noDevice = 100,
    invalidDevice = 101,
    invalidImage = 200,
    invalidHandle = 400,
    notFound = 500,
    launchFailed = 719,
};
struct Function {
    std::string name;
    bool isTuring = false;
    size_t sharedLimit = 48 << 10;
};
/* What an image was compiled for. */
struct Module {
    bool isTuring;
};
struct Event {
    void *stream = nullptr;
    std::chrono::steady_clock::time_point time;
};
std::map<std::string, Function> functions;
std::map<Pointer, size_t> allocations;
std::map<Pointer, size_t> pinned;
size_t used = 0;
/* Of this thread's devices; 0: as the environment says. */
thread_local int chosenArchitecture = 0;

u64 setting(const char *name, u64 otherwise)
{
    const char *text = getenv(name);
    return text ? strtoull(text, nullptr, 10) : otherwise;
}
bool is(const char *name, const char *value)
{
    const char *text = getenv(name);
    return text && !strcmp(text, value);
}
size_t memory() { return (size_t)setting("CUDASIM_MEMORY", (u64)4 << 30); }
int architecture()
{
    return chosenArchitecture ? chosenArchitecture : (int)setting("CUDASIM_ARCHITECTURE", 80);
}
/* Turing is the one generation that has no more. */
int sharedOptIn(bool isTuring) { return (isTuring ? 64 : 99) << 10; }
bool isPinned(const void *p)
{
    auto after = pinned.upper_bound((Pointer)p);
    if (after == pinned.begin()) return false;
    --after;
    return (Pointer)p < after->first + after->second;
}
typedef std::lock_guard<std::recursive_mutex> Guard;
}  // namespace

#define ENTER(stream) \
    Guard guard(cusim::lock()); \
    if (cusim::failure(stream)) return cusim::failure(stream);

extern "C" {
void cusim_set_eager_copies(int eager)
{
    Guard guard(cusim::lock());
    cusim::drain();
    cusim::eagerCopies = eager != 0;
}
void cusim_set_architecture(int value) { chosenArchitecture = value; }

int cuInit(unsigned)
{
    Guard guard(cusim::lock());
    static bool once;
    if (!once) {
        cusim::eagerCopies = is("CUDASIM_COPIES", "eager");
        cusim::lateStream = !is("CUDASIM_STREAM", "eager");
        once = true;
    }
    return setting("CUDASIM_DEVICES", 1) ? success : noDevice;
}
int cuDriverGetVersion(int *version)
{
    *version = 13000;
    return success;
}
int cuDeviceGetCount(int *count)
{
    *count = (int)setting("CUDASIM_DEVICES", 1);
    return success;
}
int cuDeviceGet(int *device, int index)
{
    *device = index;
    return index >= 0 && (u64)index < setting("CUDASIM_DEVICES", 1) ? success : invalidDevice;
}
int cuDeviceGetName(char *name, int length, int)
{
    snprintf(name, (size_t)length, "CudaSim");
    return success;
}
int cuDeviceGetAttribute(int *value, int attribute, int)
{
    switch (attribute) {
    case 16: *value = 4; return success;
    case 75: *value = architecture() / 10; return success;
    case 76: *value = architecture() % 10; return success;
    case 97: *value = sharedOptIn(architecture() < 80); return success;
    default: return invalidValue;
    }
}
int cuDeviceTotalMem_v2(size_t *bytes, int)
{
    *bytes = memory();
    return success;
}
int cuDevicePrimaryCtxRetain(void **context, int)
{
    static int one;
    *context = &one;
    return success;
}
int cuDevicePrimaryCtxRelease_v2(int) { return success; }
int cuCtxSetCurrent(void *) { return success; }

int cuMemGetInfo_v2(size_t *available, size_t *total)
{
    Guard guard(cusim::lock());
    *total = memory();
    *available = *total > used ? *total - used : 0;
    return success;
}
int cuMemAlloc_v2(Pointer *address, size_t bytes)
{
    Guard guard(cusim::lock());
    if (bytes == 0) return invalidValue;
    if (used + bytes > memory()) return outOfMemory;
    size_t room = (bytes + 255) / 256 * 256;
    void *p = aligned_alloc(256, room);
    if (!p) return outOfMemory;
    memset(p, 0xFF, room);
    *address = (Pointer)p;
    allocations[(Pointer)p] = bytes;
    used += bytes;
    return success;
}
int cuMemFree_v2(Pointer address)
{
    Guard guard(cusim::lock());
    auto found = allocations.find(address);
    if (found == allocations.end()) return invalidValue;
    /* As CUDA does: what is queued may still use it. */
    cusim::drain();
    used -= found->second;
    memset((void *)address, 0xFF, found->second);
    allocations.erase(found);
    free((void *)address);
    return success;
}
int cuMemHostAlloc(void **p, size_t bytes, unsigned)
{
    Guard guard(cusim::lock());
    *p = malloc(bytes);
    if (!*p) return outOfMemory;
    pinned[(Pointer)*p] = bytes;
    return success;
}
int cuMemFreeHost(void *p)
{
    Guard guard(cusim::lock());
    if (!pinned.erase((Pointer)p)) return invalidValue;
    cusim::drain();
    free(p);
    return success;
}
/* Pageable memory is free again when the call returns, pinned memory when the copy is done. */
int cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t bytes, void *stream)
{
    ENTER(stream)
    if (isPinned(from)) {
        cusim::enqueue([=] { memcpy((void *)to, from, bytes); }, stream);
    } else {
        std::string kept((const char *)from, bytes);
        cusim::enqueue([=] { memcpy((void *)to, kept.data(), bytes); }, stream);
    }
    return success;
}
int cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, void *stream)
{
    ENTER(stream)
    cusim::enqueue([=] { memcpy(to, (const void *)from, bytes); }, stream);
    if (!isPinned(to)) cusim::drain();
    return cusim::failure(stream);
}
int cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, void *stream)
{
    ENTER(stream)
    cusim::enqueue([=] { memcpy((void *)to, (const void *)from, bytes); }, stream);
    return success;
}
int cuMemsetD8Async(Pointer to, unsigned char value, size_t bytes, void *stream)
{
    ENTER(stream)
    cusim::enqueue([=] { memset((void *)to, value, bytes); }, stream);
    return success;
}

int cuStreamCreate(void **stream, unsigned)
{
    Guard guard(cusim::lock());
    *stream = new cusim::Stream;
    return success;
}
int cuStreamDestroy_v2(void *stream)
{
    Guard guard(cusim::lock());
    cusim::drain();
    delete (cusim::Stream *)stream;
    return success;
}
int cuStreamSynchronize(void *stream)
{
    ENTER(stream)
    cusim::drain();
    return cusim::failure(stream);
}
int cuEventCreate(void **event, unsigned)
{
    Guard guard(cusim::lock());
    *event = new Event;
    return success;
}
int cuEventDestroy_v2(void *event)
{
    Guard guard(cusim::lock());
    cusim::drain();
    delete (Event *)event;
    return success;
}
int cuEventRecord(void *event, void *stream)
{
    ENTER(stream)
    ((Event *)event)->stream = stream;
    auto note = [=] { ((Event *)event)->time = std::chrono::steady_clock::now(); };
    cusim::enqueue(note, stream);
    return success;
}
int cuEventSynchronize(void *event)
{
    void *stream = ((Event *)event)->stream;
    ENTER(stream)
    cusim::drain();
    return cusim::failure(stream);
}
int cuEventElapsedTime(float *milliseconds, void *from, void *to)
{
    ENTER(((Event *)to)->stream)
    std::chrono::duration<float, std::milli> time = ((Event *)to)->time - ((Event *)from)->time;
    *milliseconds = time.count();
    return success;
}

/* A cubin, or what the compiler's stand-in makes. */
int cuModuleLoadData(void **module, const void *image)
{
    Guard guard(cusim::lock());
    const char *bytes = (const char *)image;
    if (memcmp(bytes, "\177ELF", 4) && memcmp(bytes, "CUDASIM", 7)) return invalidImage;
    *module = new Module{!memcmp(bytes, "CUDASIM sm_75", 13)};
    return success;
}
int cuModuleUnload(void *module)
{
    Guard guard(cusim::lock());
    cusim::drain();
    delete (Module *)module;
    return success;
}
int cuModuleGetFunction(void **function, void *module, const char *name)
{
    Guard guard(cusim::lock());
    bool isTuring = ((Module *)module)->isTuring;
    std::string place = isTuring ? std::string("turing/") + name : name;
    if (!cusim::find(place)) return notFound;
    Function &f = functions[place];
    f.name = place;
    f.isTuring = isTuring;
    *function = &f;
    return success;
}
int cuFuncSetAttribute(void *function, int attribute, int value)
{
    Guard guard(cusim::lock());
    Function *f = (Function *)function;
    if (attribute != 8 || value < 0 || value > sharedOptIn(f->isTuring)) return invalidValue;
    f->sharedLimit = (size_t)value;
    return success;
}
int cuLaunchKernel(
    void *function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
    unsigned sharedBytes, void *stream, void **arguments, void **extra)
{
    ENTER(stream)
    Function *f = (Function *)function;
    u64 threads = (u64)bx * by * bz;
    if (!threads || threads > 1024 || !gx || !gy || !gz || gy > 65535 || gz > 65535 || extra ||
        sharedBytes > f->sharedLimit)
        return invalidValue;
    /* The driver copies arguments when it is called. */
    const cusim::Kernel *kernel = cusim::find(f->name);
    std::vector<u64> values(kernel->sizes.size());
    for (size_t i = 0; i < values.size(); i++) memcpy(&values[i], arguments[i], kernel->sizes[i]);
    auto work = [=]() mutable {
        std::vector<void *> places;
        for (u64 &value : values) places.push_back(&value);
        dim3 grid = {gx, gy, gz}, block = {bx, by, bz};
        if (!cusim::launch(f->name.c_str(), grid, block, sharedBytes, places.data()))
            cusim::current->error = launchFailed;
    };
    cusim::enqueue(work, stream);
    return success;
}

static const char *const names[][3] = {
    {"1", "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {"2", "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {"100", "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {"101", "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {"200", "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {"500", "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {"719", "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
};
static int describe(int result, const char **text, int column)
{
    for (auto &row : names) {
        if (atoi(row[0]) != result) continue;
        *text = row[column];
        return success;
    }
    *text = nullptr;
    return invalidValue;
}
int cuGetErrorName(int result, const char **text) { return describe(result, text, 1); }
int cuGetErrorString(int result, const char **text) { return describe(result, text, 2); }
}
