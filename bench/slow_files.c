/*
 * To be preloaded: files as a file server has them, which answers late but many at once. Opening a
 * file below SLOW_FOLDER takes SLOW_OPEN_MS milliseconds longer, and each pread() SLOW_READ_MS.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void
wait_ms(const char *setting)
{
	const char *value = getenv(setting);
	double ms = value == NULL ? 0 : atof(value);
	struct timespec pause = {(time_t) (ms / 1000), (long) (ms * 1e6) % 1000000000};

	while (ms > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, &pause) != 0)
		continue;
}

static void
wait_for(const char *path)
{
	const char *folder = getenv("SLOW_FOLDER");

	if (folder != NULL && strncmp(path, folder, strlen(folder)) == 0)
		wait_ms("SLOW_OPEN_MS");
}

static mode_t
mode_of(int flags, va_list rest)
{
	return (flags & (O_CREAT | __O_TMPFILE)) != 0 ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name)                                                                                 \
	int name(const char *path, int flags, ...)                                                     \
	{                                                                                              \
		int (*real)(const char *, int, ...) = dlsym(RTLD_NEXT, #name);                             \
		va_list rest;                                                                              \
		mode_t mode;                                                                               \
                                                                                                   \
		va_start(rest, flags);                                                                     \
		mode = mode_of(flags, rest);                                                               \
		va_end(rest);                                                                              \
		wait_for(path);                                                                            \
		return real(path, flags, mode);                                                            \
	}

OPEN(open)
OPEN(open64)

#define PREAD(name)                                                                                \
	ssize_t name(int file, void *bytes, size_t length, off_t offset)                               \
	{                                                                                              \
		ssize_t (*real)(int, void *, size_t, off_t) = dlsym(RTLD_NEXT, #name);                     \
                                                                                                   \
		wait_ms("SLOW_READ_MS");                                                                   \
		return real(file, bytes, length, offset);                                                  \
	}

PREAD(pread)
PREAD(pread64)
