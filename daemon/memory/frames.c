/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/frames.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENTRIES_PER_READ 65536u

/* Documentation/admin-guide/mm/pagemap.rst */
#define ENTRY_PRESENT   (1ull << 63)
#define ENTRY_SWAP      (1ull << 62) /* or on its way to another frame */
#define ENTRY_FRAME     ((1ull << 55) - 1)

#define MIGRATION_TRIES 100
#define MIGRATION_PAUSE 200u /* microseconds */

#define MADE_UP_RUN     8 /* pages; then one is left out, so that regions end as they do in earnest */

int frames_open(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int read_entries(int fd, uint64_t first, uint64_t *entries, size_t n)
{
	char *to = (char *)entries;
	size_t left = n * sizeof(*entries);
	off_t at = (off_t)(first * sizeof(*entries));

	while (left > 0) {
		ssize_t r = pread(fd, to, left, at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		to += r;
		at += r;
		left -= (size_t)r;
	}
	return 0;
}

int frames_are_shown(int pagemap_fd)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	volatile char *map = mmap(NULL, page, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	uint64_t entry;
	int r;

	if (map == MAP_FAILED)
		return -errno;
	*map = 1;
	r = read_entries(pagemap_fd, (uintptr_t)map / page, &entry, 1);
	munmap((void *)map, page);
	if (r < 0)
		return r;
	return entry & ENTRY_PRESENT && entry & ENTRY_FRAME;
}

/*
 * The kernel may try to move a pinned page: its entry is away until it gives up. A hole punched
 * meanwhile removes the entry for good, so that looking again is as good as having looked later.
 */
static int await_migration(int fd, uint64_t number, uint64_t *entry)
{
	for (int i = 0; i < MIGRATION_TRIES && !(*entry & ENTRY_PRESENT) && *entry & ENTRY_SWAP;
		i++) {
		int r;

		usleep(MIGRATION_PAUSE);
		r = read_entries(fd, number, entry, 1);
		if (r < 0)
			return r;
	}
	return *entry & ENTRY_PRESENT ? 0 : -EAGAIN;
}

static int add_entry(struct region_list *list, uint64_t entry, uint64_t page)
{
	uint64_t frame = entry & ENTRY_FRAME;

	if (frame == 0)
		return -EPERM; /* not shown to us */
	if (frame > (GHRM_ADDRESS_LIMIT - page) / page)
		return -ERANGE;
	return region_list_add(list, frame * page, page);
}

int frames_read(int pagemap_fd, const void *map, uint64_t size, struct region_list *list)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), pages = size / page;
	uint64_t first = (uintptr_t)map / page;
	size_t room = pages < ENTRIES_PER_READ ? (size_t)pages : ENTRIES_PER_READ;
	_cleanup_free_ uint64_t *entries = calloc(room ? room : 1, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	for (uint64_t done = 0; done < pages;) {
		size_t n = pages - done < room ? (size_t)(pages - done) : room;
		int r = read_entries(pagemap_fd, first + done, entries, n);

		for (size_t i = 0; r == 0 && i < n; i++) {
			if (!(entries[i] & ENTRY_PRESENT))
				r = await_migration(pagemap_fd, first + done + i, &entries[i]);
			if (r == 0)
				r = add_entry(list, entries[i], page);
		}
		if (r < 0)
			return r;
		done += n;
	}
	return 0;
}

uint64_t memory_made_up_span(uint64_t size)
{
	uint64_t pages = size / GHRM_PAGE_SIZE + (size % GHRM_PAGE_SIZE != 0);
	uint64_t runs = pages / MADE_UP_RUN + (pages % MADE_UP_RUN != 0);

	return pages + runs > UINT64_MAX / GHRM_PAGE_SIZE ? UINT64_MAX
							  : (pages + runs) * GHRM_PAGE_SIZE;
}

int frames_make_up(uint64_t base, uint64_t size, struct region_list *list)
{
	const uint64_t run = MADE_UP_RUN * GHRM_PAGE_SIZE;
	uint64_t span = memory_made_up_span(size);

	if (span > GHRM_ADDRESS_LIMIT || base > GHRM_ADDRESS_LIMIT - span)
		return -ERANGE;
	while (size > 0) {
		uint64_t now = size < run ? size : run;
		int r = region_list_add(list, base, now);

		if (r < 0)
			return r;
		base += run + GHRM_PAGE_SIZE;
		size -= now;
	}
	return 0;
}
