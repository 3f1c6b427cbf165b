#define _GNU_SOURCE
#include "COslerCurl.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>

// Curl's own signatures. Options are variadic, which Swift can't call.
static int (*global_init)(long flags);
static void *(*easy_init)(void);
static void (*easy_cleanup)(void *);
static void (*easy_reset)(void *);
static int (*easy_setopt)(void *, int, ...);
static int (*easy_perform)(void *);
static const char *(*easy_strerror)(int);
static void *(*slist_append)(void *, const char *);
static void (*slist_free_all)(void *);

static const char *const names[] = {
#ifdef __APPLE__
    "libcurl.4.dylib", "/usr/lib/libcurl.4.dylib",
#else
    "libcurl.so.4", "libcurl-gnutls.so.4", "libcurl.so",
#endif
};

const char *osler_curl_load(void) {
    if (easy_strerror) return NULL;
    void *library = NULL;
    for (size_t i = 0; !library && i < sizeof names / sizeof *names; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (!library) return "libcurl is not on this machine";
    const struct { const char *name; void **place; } functions[] = {
        {"curl_global_init", (void **)&global_init}, {"curl_easy_init", (void **)&easy_init},
        {"curl_easy_cleanup", (void **)&easy_cleanup}, {"curl_easy_reset", (void **)&easy_reset},
        {"curl_easy_setopt", (void **)&easy_setopt}, {"curl_easy_perform", (void **)&easy_perform},
        {"curl_slist_append", (void **)&slist_append}, {"curl_slist_free_all", (void **)&slist_free_all},
        {"curl_easy_strerror", (void **)&easy_strerror},
    };
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
        *functions[i].place = dlsym(library, functions[i].name);
        if (!*functions[i].place) {
            easy_strerror = NULL;
            return "the libcurl of this machine lacks functions";
        }
    }
    const long everything = 3;
    if (global_init(everything) != 0) {
        easy_strerror = NULL;
        return "libcurl does not start";
    }
    return NULL;
}

void *osler_curl_new(void) { return easy_init(); }
void osler_curl_free(void *curl) { easy_cleanup(curl); }
void osler_curl_reset(void *curl) { easy_reset(curl); }

int osler_curl_set_integer(void *curl, int option, long value) {
    return easy_setopt(curl, option, value);
}

int osler_curl_set_text(void *curl, int option, const char *value) {
    return easy_setopt(curl, option, value);
}

int osler_curl_set_pointer(void *curl, int option, void *value) {
    return easy_setopt(curl, option, value);
}

int osler_curl_set_sink(void *curl, int option, osler_curl_sink sink) {
    return easy_setopt(curl, option, sink);
}

// SIGPIPE goes to the thread that writes, so it is held back and taken away there.
int osler_curl_perform(void *curl) {
    sigset_t pipes, before, waiting;
    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    sigpending(&waiting);
    const int was_waiting = sigismember(&waiting, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipes, &before);
    const int code = easy_perform(curl);
    sigpending(&waiting);
    if (!was_waiting && sigismember(&waiting, SIGPIPE)) {
        int number;
        sigwait(&pipes, &number);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return code;
}

const char *osler_curl_reason(int code) { return easy_strerror(code); }

void *osler_curl_append(void *lines, const char *line) { return slist_append(lines, line); }
void osler_curl_free_lines(void *lines) { slist_free_all(lines); }
