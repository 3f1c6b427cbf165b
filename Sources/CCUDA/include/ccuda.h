// The entry points of the CUDA driver, NVRTC and cuBLASLt that Osler calls, declared here from their
// documented ABI so that nothing of CUDA is needed to build, and found with dlopen when it is there.
//
// Each table is one list of (name, arguments): the list makes the struct of function pointers and the
// loop that fills it. Struct fields are never NULL after a load that returned CCUDA_LOADED.
#pragma once
#include <stddef.h>
#include <stdint.h>

#pragma clang assume_nonnull begin

// MARK: Driver (libcuda.so.1)

typedef int32_t CUresult;
typedef int32_t CUdevice;
typedef uint64_t CUdeviceptr;
typedef struct ccuda_context *CUcontext;
typedef struct ccuda_module *CUmodule;
typedef struct ccuda_function *CUfunction;
typedef struct ccuda_stream *CUstream;
typedef struct ccuda_event *CUevent;

#define CCUDA_DRIVER(X)                                                                            \
    X(cuInit, (unsigned flags))                                                                    \
    X(cuDriverGetVersion, (int *version))                                                          \
    X(cuDeviceGetCount, (int *count))                                                              \
    X(cuDeviceGet, (CUdevice * device, int index))                                                 \
    X(cuDeviceGetName, (char *name, int length, CUdevice device))                                  \
    X(cuDeviceGetAttribute, (int *value, int attribute, CUdevice device))                          \
    X(cuDeviceTotalMem_v2, (size_t * bytes, CUdevice device))                                      \
    X(cuDevicePrimaryCtxRetain, (CUcontext _Nullable * _Nonnull context, CUdevice device))         \
    X(cuDevicePrimaryCtxRelease_v2, (CUdevice device))                                             \
    X(cuCtxSetCurrent, (CUcontext _Nullable context))                                              \
    X(cuMemGetInfo_v2, (size_t * available, size_t * total))                                       \
    X(cuMemAlloc_v2, (CUdeviceptr * address, size_t bytes))                                        \
    X(cuMemFree_v2, (CUdeviceptr address))                                                         \
    X(cuMemHostAlloc, (void *_Nullable *_Nonnull memory, size_t bytes, unsigned flags))            \
    X(cuMemFreeHost, (void *memory))                                                               \
    X(cuMemcpyHtoDAsync_v2,                                                                        \
      (CUdeviceptr to, const void *from, size_t bytes, CUstream _Nullable stream))                 \
    X(cuMemcpyDtoHAsync_v2,                                                                        \
      (void *to, CUdeviceptr from, size_t bytes, CUstream _Nullable stream))                       \
    X(cuMemcpyDtoDAsync_v2,                                                                        \
      (CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream _Nullable stream))                 \
    X(cuMemcpyPeerAsync,                                                                           \
      (CUdeviceptr to, CUcontext to_context, CUdeviceptr from, CUcontext from_context,             \
       size_t bytes, CUstream _Nullable stream))                                                   \
    X(cuMemsetD8Async,                                                                             \
      (CUdeviceptr to, unsigned char value, size_t bytes, CUstream _Nullable stream))              \
    X(cuStreamCreate, (CUstream _Nullable * _Nonnull stream, unsigned flags))                      \
    X(cuStreamDestroy_v2, (CUstream stream))                                                       \
    X(cuStreamSynchronize, (CUstream _Nullable stream))                                            \
    X(cuStreamWaitEvent, (CUstream _Nullable stream, CUevent event, unsigned flags))               \
    X(cuEventCreate, (CUevent _Nullable * _Nonnull event, unsigned flags))                         \
    X(cuEventDestroy_v2, (CUevent event))                                                          \
    X(cuEventRecord, (CUevent event, CUstream _Nullable stream))                                   \
    X(cuEventSynchronize, (CUevent event))                                                         \
    X(cuEventElapsedTime, (float *milliseconds, CUevent from, CUevent to))                         \
    X(cuModuleLoadData, (CUmodule _Nullable * _Nonnull module, const void *image))                 \
    X(cuModuleUnload, (CUmodule module))                                                           \
    X(cuModuleGetFunction,                                                                         \
      (CUfunction _Nullable * _Nonnull function, CUmodule module, const char *name))               \
    X(cuFuncSetAttribute, (CUfunction function, int attribute, int value))                         \
    X(cuLaunchKernel,                                                                              \
      (CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x,   \
       unsigned block_y, unsigned block_z, unsigned shared_bytes, CUstream _Nullable stream,       \
       void *_Nullable *_Nullable arguments, void *_Nullable *_Nullable extra))                    \
    X(cuGetErrorName, (CUresult result, const char *_Nullable *_Nonnull name))                     \
    X(cuGetErrorString, (CUresult result, const char *_Nullable *_Nonnull text))

typedef struct {
#define X(name, arguments) CUresult (*_Nonnull name) arguments;
    CCUDA_DRIVER(X)
#undef X
} ccuda_driver;

enum {
    CCUDA_ERROR_OUT_OF_MEMORY = 2,
    CCUDA_ERROR_NO_DEVICE = 100,
    CCUDA_ERROR_INVALID_IMAGE = 200,
    CCUDA_ERROR_NO_BINARY_FOR_GPU = 209,
    CCUDA_ERROR_ECC_UNCORRECTABLE = 214,
    CCUDA_ERROR_UNSUPPORTED_PTX_VERSION = 222,
    CCUDA_ERROR_SYSTEM_DRIVER_MISMATCH = 803,
    CCUDA_ERROR_UNKNOWN = 999,
};
enum {
    CCUDA_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
    CCUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
    CCUDA_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
    CCUDA_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97,
};
enum { CCUDA_FUNCTION_MAX_DYNAMIC_SHARED_BYTES = 8 };
enum { CCUDA_STREAM_NON_BLOCKING = 1, CCUDA_EVENT_DEFAULT = 0, CCUDA_EVENT_DISABLE_TIMING = 2 };

// MARK: NVRTC (libnvrtc.so)

typedef int32_t nvrtcResult;
typedef struct ccuda_program *nvrtcProgram;

#define CCUDA_NVRTC(X)                                                                             \
    X(nvrtcVersion, (int *major, int *minor))                                                      \
    X(nvrtcGetNumSupportedArchs, (int *count))                                                     \
    X(nvrtcGetSupportedArchs, (int *architectures))                                                \
    X(nvrtcCreateProgram,                                                                          \
      (nvrtcProgram _Nullable * _Nonnull program, const char *source, const char *_Nullable name,  \
       int headers, const char *_Nullable const *_Nullable texts,                                  \
       const char *_Nullable const *_Nullable names))                                              \
    X(nvrtcDestroyProgram, (nvrtcProgram _Nullable * _Nonnull program))                            \
    X(nvrtcCompileProgram,                                                                         \
      (nvrtcProgram program, int options, const char *_Nullable const *_Nullable texts))           \
    X(nvrtcGetProgramLogSize, (nvrtcProgram program, size_t *bytes))                               \
    X(nvrtcGetProgramLog, (nvrtcProgram program, char *log))                                       \
    X(nvrtcGetPTXSize, (nvrtcProgram program, size_t *bytes))                                      \
    X(nvrtcGetPTX, (nvrtcProgram program, char *ptx))                                              \
    X(nvrtcGetCUBINSize, (nvrtcProgram program, size_t *bytes))                                    \
    X(nvrtcGetCUBIN, (nvrtcProgram program, char *cubin))

typedef struct {
    const char *_Nonnull (*_Nonnull nvrtcGetErrorString)(nvrtcResult result);
#define X(name, arguments) nvrtcResult (*_Nonnull name) arguments;
    CCUDA_NVRTC(X)
#undef X
} ccuda_nvrtc;

// MARK: cuBLASLt (libcublasLt.so, 12 and 13)

typedef int32_t cublasStatus;
typedef struct ccuda_lt *cublasLtHandle;
typedef struct ccuda_lt_desc *cublasLtMatmulDesc;
typedef struct ccuda_lt_layout *cublasLtMatrixLayout;
typedef struct ccuda_lt_preference *cublasLtMatmulPreference;
typedef struct {
    uint64_t data[8];
} cublasLtMatmulAlgo;
typedef struct {
    cublasLtMatmulAlgo algo;
    size_t workspaceBytes;
    cublasStatus state;
    float waves;
    int reserved[4];
} cublasLtMatmulHeuristicResult;

#define CCUDA_LT(X)                                                                                \
    X(cublasLtCreate, (cublasLtHandle _Nullable * _Nonnull handle))                                \
    X(cublasLtDestroy, (cublasLtHandle handle))                                                    \
    X(cublasLtMatmulDescCreate,                                                                    \
      (cublasLtMatmulDesc _Nullable * _Nonnull desc, int compute_type, int scale_type))            \
    X(cublasLtMatmulDescDestroy, (cublasLtMatmulDesc desc))                                        \
    X(cublasLtMatmulDescSetAttribute,                                                              \
      (cublasLtMatmulDesc desc, int attribute, const void *value, size_t bytes))                   \
    X(cublasLtMatmulDescGetAttribute,                                                              \
      (cublasLtMatmulDesc desc, int attribute, void *value, size_t bytes, size_t *written))        \
    X(cublasLtMatrixLayoutCreate,                                                                  \
      (cublasLtMatrixLayout _Nullable * _Nonnull layout, int type, uint64_t rows,                  \
       uint64_t columns, int64_t leading))                                                         \
    X(cublasLtMatrixLayoutDestroy, (cublasLtMatrixLayout layout))                                  \
    X(cublasLtMatmulPreferenceCreate,                                                              \
      (cublasLtMatmulPreference _Nullable * _Nonnull preference))                                  \
    X(cublasLtMatmulPreferenceDestroy, (cublasLtMatmulPreference preference))                      \
    X(cublasLtMatmulPreferenceSetAttribute,                                                        \
      (cublasLtMatmulPreference preference, int attribute, const void *value, size_t bytes))       \
    X(cublasLtMatmulAlgoGetHeuristic,                                                              \
      (cublasLtHandle handle, cublasLtMatmulDesc desc, cublasLtMatrixLayout a,                     \
       cublasLtMatrixLayout b, cublasLtMatrixLayout c, cublasLtMatrixLayout d,                     \
       cublasLtMatmulPreference preference, int wanted, cublasLtMatmulHeuristicResult *results,    \
       int *found))                                                                                \
    X(cublasLtMatmulAlgoCheck,                                                                     \
      (cublasLtHandle handle, cublasLtMatmulDesc desc, cublasLtMatrixLayout a,                     \
       cublasLtMatrixLayout b, cublasLtMatrixLayout c, cublasLtMatrixLayout d,                     \
       const cublasLtMatmulAlgo *algo, cublasLtMatmulHeuristicResult *result))                     \
    X(cublasLtMatmul,                                                                              \
      (cublasLtHandle handle, cublasLtMatmulDesc desc, const void *alpha, CUdeviceptr a,           \
       cublasLtMatrixLayout layout_a, CUdeviceptr b, cublasLtMatrixLayout layout_b,                \
       const void *beta, CUdeviceptr c, cublasLtMatrixLayout layout_c, CUdeviceptr d,              \
       cublasLtMatrixLayout layout_d, const cublasLtMatmulAlgo *_Nullable algo,                    \
       CUdeviceptr workspace, size_t workspace_bytes, CUstream _Nullable stream))

typedef struct {
    size_t (*_Nonnull cublasLtGetVersion)(void);
    const char *_Nonnull (*_Nonnull cublasLtGetStatusName)(cublasStatus status);
#define X(name, arguments) cublasStatus (*_Nonnull name) arguments;
    CCUDA_LT(X)
#undef X
} ccuda_lt_table;

enum { CCUDA_LT_COMPUTE_32F = 68 };
enum { CCUDA_LT_R_32F = 0, CCUDA_LT_R_16F = 2, CCUDA_LT_R_16BF = 14 };
enum { CCUDA_LT_OP_N = 0, CCUDA_LT_OP_T = 1 };
enum { CCUDA_LT_DESC_TRANSA = 3, CCUDA_LT_DESC_TRANSB = 4 };
enum {
    CCUDA_LT_PREF_MAX_WORKSPACE_BYTES = 1,
    CCUDA_LT_PREF_REDUCTION_SCHEME_MASK = 3,
    CCUDA_LT_PREF_MIN_ALIGNMENT_A_BYTES = 5,
    CCUDA_LT_PREF_MIN_ALIGNMENT_B_BYTES = 6,
    CCUDA_LT_PREF_MIN_ALIGNMENT_C_BYTES = 7,
    CCUDA_LT_PREF_MIN_ALIGNMENT_D_BYTES = 8,
};

// MARK: Loading

enum { CCUDA_LOADED = 0, CCUDA_NOT_OPENED = 1, CCUDA_MISSING_SYMBOL = 2 };

/// Opens the library at `path` (a file, or a name that the system's loader searches) and fills
/// `table`. Otherwise `error` holds the loader's message or the missing symbol's name. A library that
/// was loaded stays open: the CUDA libraries do not survive being closed.
int ccuda_load_driver(const char *path, ccuda_driver *table, char *error, size_t length);
int ccuda_load_nvrtc(const char *path, ccuda_nvrtc *table, char *error, size_t length);
int ccuda_load_lt(const char *path, ccuda_lt_table *table, char *error, size_t length);

/// The file that a function of a loaded library lies in, or NULL.
const char *_Nullable ccuda_file_of(const void *function);

#pragma clang assume_nonnull end
