// libcurl, found at run time: nothing to install for a build, and a program that never asks the hub never loads it.
// The functions are curl's own under a prefix; options and codes are numbers of curl's stable interface.
#pragma once

#include <stddef.h>
#include <stdint.h>

/// Called with pieces of a header or body; another number than `size * count` ends the transfer.
typedef size_t (*osler_curl_sink)(char *bytes, size_t size, size_t count, void *context);

/// Loads the library once; NULL, or why it can't be. Not to be called by two threads at once.
const char *osler_curl_load(void);

void *osler_curl_new(void);
void osler_curl_free(void *curl);
/// Forgets the options, keeps the connections.
void osler_curl_reset(void *curl);
int osler_curl_set_integer(void *curl, int option, long value);
int osler_curl_set_text(void *curl, int option, const char *value);
int osler_curl_set_pointer(void *curl, int option, void *value);
int osler_curl_set_sink(void *curl, int option, osler_curl_sink sink);
/// Runs the transfer; a connection that breaks raises no signal.
int osler_curl_perform(void *curl);
const char *osler_curl_reason(int code);

/// A list of header lines, which `osler_curl_free_lines` frees.
void *osler_curl_append(void *lines, const char *line);
void osler_curl_free_lines(void *lines);
