/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Small things every room needs: clean-up attributes, ownership hand-over, byte order and
 * overflow-safe sums. Nothing here knows about memory parcels. All functions are thread-safe.
 */

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define _cleanup_(function)                 __attribute__((cleanup(function)))
#define _printf_(fmt, first)                __attribute__((format(printf, fmt, first)))
#define _unused_                            __attribute__((unused))
#define _cleanup_free_                      _cleanup_(util_freep)
#define _cleanup_close_                     _cleanup_(util_closep)

#define ARRAY_SIZE(array)                   (sizeof(array) / sizeof((array)[0]))

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

/* Hands over a pointer and leaves NULL behind, so that the clean-up attribute does nothing. */
#define TAKE_PTR(pointer)                             \
	({                                            \
		__typeof__(pointer) *_p = &(pointer); \
		__typeof__(pointer) _v = *_p;         \
		*_p = NULL;                           \
		_v;                                   \
	})

/* Hands over a descriptor and leaves -1 behind. */
#define TAKE_FD(fd)              \
	({                       \
		int *_p = &(fd); \
		int _v = *_p;    \
		*_p = -1;        \
		_v;              \
	})

static inline void util_freep(void *pointer)
{
	free(*(void **)pointer);
}

/* Closes a descriptor if it is one (>= 0), keeps errno, returns -1 for assignment. */
int util_close(int fd);

static inline void util_closep(int *fd)
{
	util_close(*fd);
}

/* Sets O_NONBLOCK. Returns 0 or -errno. */
int util_set_nonblock(int fd);

/* Monotonic clock, microseconds. */
uint64_t util_now_usec(void);

/* Fills a buffer with random bytes from the kernel. Returns 0 or -errno. */
int util_random(void *buffer, size_t size);

/*
 * Parses an unsigned number, decimal or 0x-hexadecimal; with suffixes also K, M, G, T (powers of
 * 1024). The whole string must be the number. Returns 0, -EINVAL (not a number), -ERANGE.
 */
int util_parse_u64(const char *text, bool suffixes, uint64_t *ret);

/* Formats a byte count for people ("256 MiB", "1.5 GiB"); returns buffer. */
char *util_format_bytes(uint64_t bytes, char *buffer, size_t size);
#define UTIL_BYTES_MAX 24

static inline uint16_t util_get_le16(const void *from)
{
	uint16_t v;
	memcpy(&v, from, sizeof(v));
	return le16toh(v);
}

static inline uint32_t util_get_le32(const void *from)
{
	uint32_t v;
	memcpy(&v, from, sizeof(v));
	return le32toh(v);
}

static inline uint64_t util_get_le64(const void *from)
{
	uint64_t v;
	memcpy(&v, from, sizeof(v));
	return le64toh(v);
}

static inline void util_put_le16(void *to, uint16_t v)
{
	v = htole16(v);
	memcpy(to, &v, sizeof(v));
}

static inline void util_put_le32(void *to, uint32_t v)
{
	v = htole32(v);
	memcpy(to, &v, sizeof(v));
}

static inline void util_put_le64(void *to, uint64_t v)
{
	v = htole64(v);
	memcpy(to, &v, sizeof(v));
}
