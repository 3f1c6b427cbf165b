#define _GNU_SOURCE // dladdr
#include <dlfcn.h>
#include <stdio.h>
#include "ccuda.h"

static void *open_library(const char *path, char *error, size_t length) {
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        const char *reason = dlerror();
        snprintf(error, length, "%s", reason ? reason : path);
    }
    return library;
}

#define FIND(name)                                                                                 \
    if ((*(void **)&table->name = dlsym(library, #name)) == NULL) {                                \
        snprintf(error, length, "%s", #name);                                                      \
        dlclose(library);                                                                          \
        return CCUDA_MISSING_SYMBOL;                                                               \
    }
#define FIND_ENTRY(name, arguments) FIND(name)

int ccuda_load_driver(const char *path, ccuda_driver *table, char *error, size_t length) {
    void *library = open_library(path, error, length);
    if (library == NULL) return CCUDA_NOT_OPENED;
    CCUDA_DRIVER(FIND_ENTRY)
    return CCUDA_LOADED;
}

int ccuda_load_nvrtc(const char *path, ccuda_nvrtc *table, char *error, size_t length) {
    void *library = open_library(path, error, length);
    if (library == NULL) return CCUDA_NOT_OPENED;
    FIND(nvrtcGetErrorString)
    CCUDA_NVRTC(FIND_ENTRY)
    return CCUDA_LOADED;
}

int ccuda_load_lt(const char *path, ccuda_lt_table *table, char *error, size_t length) {
    void *library = open_library(path, error, length);
    if (library == NULL) return CCUDA_NOT_OPENED;
    FIND(cublasLtGetVersion)
    FIND(cublasLtGetStatusName)
    CCUDA_LT(FIND_ENTRY)
    return CCUDA_LOADED;
}

const char *ccuda_file_of(const void *function) {
    Dl_info info;
    return dladdr(function, &info) != 0 ? info.dli_fname : NULL;
}
