/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/holder/keep.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/util.h"

#define BUFFER_MAX (1ull << 30) /* the kernel's limit of one registered buffer: platform.md §1 */

static int register_buffers(void *map, uint64_t size, int *ret_ring)
{
	size_t n = (size_t)((size + BUFFER_MAX - 1) / BUFFER_MAX);
	_cleanup_free_ struct iovec *iov = calloc(n, sizeof(*iov));
	struct io_uring ring;
	int r, fd;

	if (!iov)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint64_t at = i * BUFFER_MAX;

		iov[i].iov_base = (char *)map + at;
		iov[i].iov_len = (size_t)(size - at < BUFFER_MAX ? size - at : BUFFER_MAX);
	}
	/*
	 * The pages are there, but not in this mapping. Faulting them in by read maps many at a time;
	 * the registration alone would take one fault for each. If it fails, so will the registration.
	 */
	(void)madvise(map, (size_t)size, MADV_POPULATE_READ);
	r = io_uring_queue_init(4, &ring, 0);
	if (r < 0)
		return r;
	r = n > UINT32_MAX ? -EFBIG : io_uring_register_buffers(&ring, iov, (unsigned)n);
	/* A duplicate keeps the ring without its queues' mappings, of which a process has few. */
	fd = r < 0 ? r : fcntl(ring.ring_fd, F_DUPFD_CLOEXEC, 0);
	if (r >= 0 && fd < 0)
		r = -errno;
	io_uring_queue_exit(&ring);
	if (r < 0)
		return r;
	*ret_ring = fd;
	return 0;
}

/* Only a memfd: its pages are faulted in by the kernel alone, nobody can make the holder wait. */
static int pin(int fd, uint64_t offset, uint64_t size, int *ret_ring)
{
	struct stat st;
	void *map;
	int r;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || fcntl(fd, F_GET_SEALS) < 0)
		return -EBADF;
	if ((uint64_t)st.st_size < size || (uint64_t)st.st_size - size < offset)
		return -ERANGE;
	map = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd,
		(off_t)offset);
	if (map == MAP_FAILED)
		return -errno;
	r = register_buffers(map, size, ret_ring);
	munmap(map, (size_t)size);
	return r;
}

void keep_done(struct keep *keep)
{
	while (keep->n > 0)
		keep_drop(keep, keep->entries[keep->n - 1].name);
	free(keep->entries);
	*keep = (struct keep){ 0 };
}

static int reserve(struct keep *keep)
{
	size_t more = keep->allocated ? keep->allocated * 2 : 64;
	struct entry *entries;

	if (keep->n < keep->allocated)
		return 0;
	entries = reallocarray(keep->entries, more, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	keep->entries = entries;
	keep->allocated = more;
	return 0;
}

int keep_put(struct keep *keep, const struct holder_request *request, int fd)
{
	struct entry entry = {
		.name = request->name,
		.offset = request->offset,
		.size = request->size,
		.class = request->class,
		.fd = fd,
		.ring = -1,
	};
	int r;

	if (request->name <= keep->highest)
		return -EEXIST;
	memcpy(entry.tag, request->tag, sizeof(entry.tag));
	/* A name is used up by the attempt, so that a lost answer leaves no doubt about it. */
	keep->highest = request->name;
	r = reserve(keep);
	if (r < 0)
		return r;
	if (request->class == HOLDER_MEMORY) {
		r = pin(fd, request->offset, request->size, &entry.ring);
		if (r < 0)
			return r;
		entry.pages = request->size / (uint64_t)sysconf(_SC_PAGESIZE);
	}
	keep->entries[keep->n++] = entry;
	keep->pages += entry.pages;
	return 0;
}

/* Index of the first entry with a name above that one. */
static size_t index_after(const struct keep *keep, uint64_t name)
{
	size_t low = 0, high = keep->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (keep->entries[middle].name <= name)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

const struct entry *keep_after(const struct keep *keep, uint64_t name)
{
	size_t i = index_after(keep, name);

	return i < keep->n ? &keep->entries[i] : NULL;
}

const struct entry *keep_get(const struct keep *keep, uint64_t name)
{
	const struct entry *entry = name > 0 ? keep_after(keep, name - 1) : NULL;

	return entry && entry->name == name ? entry : NULL;
}

/* A ring that has buffers refuses more of them, before it looks at how many; nothing else does. */
static bool pins_something(int ring)
{
	const struct iovec none = { 0 };

	return syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &none, 0) < 0 &&
	       errno == EBUSY;
}

int keep_adopt(struct keep *keep, const struct holder_request *request, int ring)
{
	struct entry entry = {
		.name = request->name,
		.size = request->size,
		.pages = request->size / (uint64_t)sysconf(_SC_PAGESIZE),
		.class = request->class,
		.fd = -1,
		.ring = ring,
	};
	size_t i;
	int r;

	if (keep_get(keep, request->name))
		return -EEXIST;
	if (!pins_something(ring))
		return -EBADF;
	r = reserve(keep);
	if (r < 0)
		return r;
	memcpy(entry.tag, request->tag, sizeof(entry.tag));
	i = index_after(keep, entry.name);
	memmove(keep->entries + i + 1, keep->entries + i, (keep->n - i) * sizeof(entry));
	keep->entries[i] = entry;
	keep->n++;
	keep->pages += entry.pages;
	if (keep->highest < entry.name)
		keep->highest = entry.name;
	return 0;
}

int keep_drop(struct keep *keep, uint64_t name)
{
	const struct entry *entry = keep_get(keep, name);
	size_t i;

	if (!entry)
		return -ENOENT;
	i = (size_t)(entry - keep->entries);
	keep->pages -= entry->pages;
	util_close(entry->ring);
	util_close(entry->fd);
	keep->n--;
	memmove(keep->entries + i, keep->entries + i + 1, (keep->n - i) * sizeof(*entry));
	return 0;
}

void keep_drop_clients(struct keep *keep)
{
	for (size_t i = keep->n; i-- > 0;) {
		if (keep->entries[i].class != HOLDER_CLIENT)
			continue;
		shutdown(keep->entries[i].fd,
			SHUT_RDWR); /* others may hold copies; not for a pidfd */
		keep_drop(keep, keep->entries[i].name);
	}
}

size_t keep_count(const struct keep *keep, enum holder_class class)
{
	size_t count = 0;

	for (size_t i = 0; i < keep->n; i++)
		count += keep->entries[i].class == class;
	return count;
}
