// Stands in for libcuda.so.1: the entry points that CCUDA's table names, on host memory. Device
// pointers are host pointers.
//
// Environment: CUDASIM_COPIES=eager or late (of kernels' asynchronous copies; default late),
// CUDASIM_STREAM=eager or late (default late), CUDASIM_UPLOADS=eager or late (copies from the host;
// default as the streams), CUDASIM_MEMORY=bytes (default 4 GiB),
// CUDASIM_DEVICES=count (default 1), CUDASIM_ARCHITECTURE=80 and so on (default 80),
// CUDASIM_VERSION=13000 and so on (of the driver), CUDASIM_FAIL (below).
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
#include <memory>
#include <set>
#include <unistd.h>

namespace cusim {
std::recursive_mutex &lock()
{
    static std::recursive_mutex mutex;
    return mutex;
}
struct Stream {
    int device = 0;
    int error = 0;
    std::deque<std::function<void()>> queue;
    /* Pieces of work: how many were queued, are done, and were waited for by a caller. */
    u64 queued = 0, done = 0, awaited = 0;
};
static Stream defaultStream;
static std::set<Stream *> streams = {&defaultStream};
static bool lateStream = true;
/* Copies from the host are done when they are queued, with what they must come after. */
static bool eagerUploads;
/* Whose work is being done. */
static Stream *current;

static Stream *known(void *stream) { return stream ? (Stream *)stream : &defaultStream; }
int failure(void *stream) { return known(stream)->error; }

static void doNext(Stream *stream)
{
    std::function<void()> next = std::move(stream->queue.front());
    stream->queue.pop_front();
    current = stream;
    if (!stream->error) next();
    stream->done++;
}
/* Does what is queued on a stream, no more than it takes for `reached` to become true. */
static void run(Stream *stream, const bool *reached = nullptr)
{
    while (!stream->queue.empty() && !(reached && *reached)) doNext(stream);
}
void drain()
{
    for (Stream *stream : streams) run(stream);
}
void enqueue(std::function<void()> work, void *stream)
{
    known(stream)->queue.push_back(std::move(work));
    known(stream)->queued++;
    if (!lateStream) run(known(stream));
}
/* Of the calling thread; see cusim_host_waits. */
static thread_local int hostWaits;
/* Until so many pieces of the stream's work are done. */
static void await(void *stream, u64 count)
{
    Stream *s = known(stream);
    if (count <= s->awaited) return;
    hostWaits++;
    s->awaited = count;
    while (s->done < count && !s->queue.empty()) doNext(s);
}
static void awaitAll(void *stream) { await(stream, known(stream)->queued); }
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
    illegalAddress = 700,
    launchFailed = 719,
};
/* The devices' primary contexts; which one the calling thread works in. */
struct Context {
    int device;
};
Context contexts[] = {{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}};
thread_local Context *currentContext = contexts;
int currentDevice() { return currentContext->device; }
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
    int device = 0;
    cusim::Stream *stream = nullptr;
    /* Whether the work before the last record is done; a new one with each record. */
    std::shared_ptr<bool> isReached;
    /* How much of the stream's work is done then. */
    u64 count = 0;
    std::chrono::steady_clock::time_point time;
};
std::map<std::string, Function> functions;
struct Allocation {
    size_t bytes;
    int device;
};
std::map<Pointer, Allocation> allocations;
std::map<Pointer, size_t> pinned;
size_t used[sizeof(contexts) / sizeof(*contexts)];
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
int deviceCount()
{
    u64 count = setting("CUDASIM_DEVICES", 1), most = sizeof(contexts) / sizeof(*contexts);
    return (int)(count < most ? count : most);
}
/* The device that a pointer's memory belongs to; -1 for other numbers. */
int deviceOf(Pointer p)
{
    auto after = allocations.upper_bound(p);
    if (after == allocations.begin()) return -1;
    --after;
    return p < after->first + after->second.bytes ? after->second.device : -1;
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

/* CUDASIM_FAIL=CODE:CALL:PATH: once there is something at PATH, the call fails with this code; from
 * 200 on, which is when a card or its context is lost, so does every call after it. */
static int injected(const char *call)
{
    static const char *const setting = getenv("CUDASIM_FAIL");
    static int lost;
    if (!setting || lost) return lost;
    const char *name = strchr(setting, ':'), *path = name ? strchr(name + 1, ':') : nullptr;
    if (!path || strncmp(name + 1, call, (size_t)(path - name - 1)) || access(path + 1, F_OK))
        return success;
    int code = atoi(setting);
    if (code >= 200) lost = code;
    return code;
}

bool cusim::reaches(void *stream, const void *pointer)
{
    int device = deviceOf((Pointer)pointer);
    return device < 0 || device == known(stream)->device;
}

#define ENTER(stream) \
    Guard guard(cusim::lock()); \
    if (int lost = injected(__func__)) return lost; \
    if (cusim::failure(stream)) return cusim::failure(stream);

extern "C" {
void cusim_set_eager_copies(int eager)
{
    Guard guard(cusim::lock());
    cusim::drain();
    cusim::eagerCopies = eager != 0;
}
void cusim_set_eager_uploads(int eager)
{
    Guard guard(cusim::lock());
    cusim::eagerUploads = eager != 0;
}
void cusim_set_architecture(int value) { chosenArchitecture = value; }

int cusim_host_waits(void) { return cusim::hostWaits; }
int cusim_guards_memory(void) { return cusim::guardBytes > 0; }

int cuInit(unsigned)
{
    Guard guard(cusim::lock());
    static bool once;
    if (!once) {
        cusim::eagerCopies = is("CUDASIM_COPIES", "eager");
        cusim::lateStream = !is("CUDASIM_STREAM", "eager");
        cusim::eagerUploads = is("CUDASIM_UPLOADS", "eager");
        once = true;
    }
    return deviceCount() ? success : noDevice;
}
int cuDriverGetVersion(int *version)
{
    *version = (int)setting("CUDASIM_VERSION", 13000);
    return success;
}
int cuDeviceGetCount(int *count)
{
    *count = deviceCount();
    return success;
}
int cuDeviceGet(int *device, int index)
{
    *device = index;
    return index >= 0 && index < deviceCount() ? success : invalidDevice;
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
int cuDevicePrimaryCtxRetain(void **context, int device)
{
    *context = &contexts[device];
    return success;
}
int cuDevicePrimaryCtxRelease_v2(int) { return success; }
int cuCtxSetCurrent(void *context)
{
    currentContext = (Context *)context;
    return success;
}

int cuMemGetInfo_v2(size_t *available, size_t *total)
{
    Guard guard(cusim::lock());
    *total = memory();
    size_t taken = used[currentDevice()];
    *available = *total > taken ? *total - taken : 0;
    return success;
}
int cuMemAlloc_v2(Pointer *address, size_t bytes)
{
    ENTER(nullptr)
    if (bytes == 0) return invalidValue;
    if (used[currentDevice()] + bytes > memory()) return outOfMemory;
    size_t zone = cusim::guardBytes, room = (bytes + 255) / 256 * 256 + 2 * zone;
    u8 *p = (u8 *)aligned_alloc(256, room);
    if (!p) return outOfMemory;
    memset(p, 0xFF, room);
    cusim::guard(p, zone);
    cusim::guard(p + zone + bytes, room - zone - bytes);
    *address = (Pointer)(p + zone);
    allocations[*address] = {bytes, currentDevice()};
    used[currentDevice()] += bytes;
    return success;
}
int cuMemFree_v2(Pointer address)
{
    Guard guard(cusim::lock());
    auto found = allocations.find(address);
    if (found == allocations.end()) return invalidValue;
    /* As CUDA does: what is queued may still use it. */
    cusim::drain();
    used[found->second.device] -= found->second.bytes;
    memset((void *)address, 0xFF, found->second.bytes);
    allocations.erase(found);
    free((u8 *)address - cusim::guardBytes);
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
    if (!cusim::reaches(stream, (void *)to)) return invalidValue;
    if (isPinned(from)) {
        cusim::enqueue([=] { memcpy((void *)to, from, bytes); }, stream);
    } else {
        std::string kept((const char *)from, bytes);
        cusim::enqueue([=] { memcpy((void *)to, kept.data(), bytes); }, stream);
    }
    if (cusim::eagerUploads) cusim::run(cusim::known(stream));
    return success;
}
int cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t bytes, void *stream)
{
    ENTER(stream)
    if (!cusim::reaches(stream, (void *)from)) return invalidValue;
    cusim::enqueue([=] { memcpy(to, (const void *)from, bytes); }, stream);
    if (!isPinned(to)) cusim::awaitAll(stream);
    return cusim::failure(stream);
}
int cuMemcpyDtoDAsync_v2(Pointer to, Pointer from, size_t bytes, void *stream)
{
    ENTER(stream)
    if (!cusim::reaches(stream, (void *)to) || !cusim::reaches(stream, (void *)from))
        return invalidValue;
    cusim::enqueue([=] { memcpy((void *)to, (const void *)from, bytes); }, stream);
    return success;
}
int cuMemcpyPeerAsync(
    Pointer to, void *toContext, Pointer from, void *fromContext, size_t bytes, void *stream)
{
    ENTER(stream)
    if (deviceOf(to) != ((Context *)toContext)->device ||
        deviceOf(from) != ((Context *)fromContext)->device)
        return invalidValue;
    cusim::enqueue([=] { memcpy((void *)to, (const void *)from, bytes); }, stream);
    return success;
}
int cuMemsetD8Async(Pointer to, unsigned char value, size_t bytes, void *stream)
{
    ENTER(stream)
    if (!cusim::reaches(stream, (void *)to)) return invalidValue;
    cusim::enqueue([=] { memset((void *)to, value, bytes); }, stream);
    return success;
}

int cuStreamCreate(void **stream, unsigned)
{
    Guard guard(cusim::lock());
    cusim::Stream *made = new cusim::Stream;
    made->device = currentDevice();
    cusim::streams.insert(made);
    *stream = made;
    return success;
}
int cuStreamDestroy_v2(void *stream)
{
    Guard guard(cusim::lock());
    cusim::drain();
    cusim::streams.erase((cusim::Stream *)stream);
    delete (cusim::Stream *)stream;
    return success;
}
int cuStreamSynchronize(void *stream)
{
    ENTER(stream)
    cusim::awaitAll(stream);
    return cusim::failure(stream);
}
/* What is queued on the stream from now on comes after the event's last record, wherever that is. */
int cuStreamWaitEvent(void *stream, void *event, unsigned flags)
{
    ENTER(stream)
    if (flags) return invalidValue;
    Event *e = (Event *)event;
    if (!e->isReached) return success;
    auto isReached = e->isReached;
    cusim::Stream *other = e->stream;
    cusim::enqueue([=] { if (!*isReached) cusim::run(other, isReached.get()); }, stream);
    return success;
}
int cuEventCreate(void **event, unsigned)
{
    Guard guard(cusim::lock());
    Event *made = new Event;
    made->device = currentDevice();
    *event = made;
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
    Event *e = (Event *)event;
    if (e->device != cusim::known(stream)->device) return invalidHandle;
    e->stream = cusim::known(stream);
    auto isReached = e->isReached = std::make_shared<bool>(false);
    auto note = [=] {
        *isReached = true;
        e->time = std::chrono::steady_clock::now();
    };
    cusim::enqueue(note, stream);
    ((Event *)event)->count = cusim::known(stream)->queued;
    return success;
}
int cuEventSynchronize(void *event)
{
    Event *e = (Event *)event;
    if (!e->isReached) return success;
    ENTER(e->stream)
    cusim::await(e->stream, e->count);
    return cusim::failure(e->stream);
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
    if (cusim::known(stream)->device != currentDevice()) return invalidHandle;
    /* The driver copies arguments when it is called. */
    const cusim::Kernel *kernel = cusim::find(f->name);
    std::vector<u64> values(kernel->sizes.size());
    for (size_t i = 0; i < values.size(); i++) {
        memcpy(&values[i], arguments[i], kernel->sizes[i]);
        if (!cusim::reaches(stream, (void *)values[i])) return illegalAddress;
    }
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
    {"214", "CUDA_ERROR_ECC_UNCORRECTABLE", "uncorrectable ECC error encountered"},
    {"400", "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {"500", "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {"700", "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {"719", "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {"999", "CUDA_ERROR_UNKNOWN", "unknown error"},
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
