/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/util.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

int util_close(int fd)
{
	if (fd >= 0) {
		int saved = errno;

		close(fd);
		errno = saved;
	}
	return -1;
}

int util_set_nonblock(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

uint64_t util_now_usec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

int util_random(void *buffer, size_t size)
{
	char *to = buffer;

	while (size > 0) {
		ssize_t n = getrandom(to, size, 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			to += n;
			size -= (size_t)n;
		}
	}
	return 0;
}

int util_parse_u64(const char *text, bool suffixes, uint64_t *ret)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	unsigned shift = 0;
	uint64_t value;
	char *end;

	if (!(hex ? isxdigit((unsigned char)text[2]) : isdigit((unsigned char)text[0])))
		return -EINVAL;
	errno = 0;
	value = strtoull(text, &end, hex ? 16 : 10);
	if (errno)
		return -errno;
	if (suffixes && *end) {
		static const char letters[] = "KMGT";
		const char *letter = strchr(letters, toupper((unsigned char)*end));

		if (!letter)
			return -EINVAL;
		shift = 10 * (unsigned)(letter - letters + 1);
		end++;
	}
	if (*end)
		return -EINVAL;
	if (value << shift >> shift != value)
		return -ERANGE;
	*ret = value << shift;
	return 0;
}

char *util_format_bytes(uint64_t bytes, char *buffer, size_t size)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_SIZE(units)) {
		value /= 1024;
		unit++;
	}
	if (value == (double)(uint64_t)value)
		snprintf(buffer, size, "%" PRIu64 " %s", (uint64_t)value, units[unit]);
	else
		snprintf(buffer, size, "%.1f %s", value, units[unit]);
	return buffer;
}
