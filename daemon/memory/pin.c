/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/pin.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "daemon/memory/frames.h"
#include "daemon/memory/source.h"
#include "util/log.h"
#include "util/util.h"

#define TRIES     3
#define ALIGNMENT (2ull << 20) /* of a huge page, which maps whole only so */

/* ---- the mapping ---- */

/*
 * Stands apart from all other mappings: neighbours of one file become one, and then a fault in
 * another job's part could fill an entry of this one again that a hole had emptied, with a frame
 * that is not the pinned one.
 */
struct mapping {
	char *reserved;
	size_t reserved_size;
	char *map;
	size_t size;
};

/* In one call: between two, another worker's mapping could take the gap and be unmapped with it. */
static void mapping_done(struct mapping *mapping)
{
	if (mapping->reserved)
		munmap(mapping->reserved, mapping->reserved_size);
	else if (mapping->map)
		munmap(mapping->map, mapping->size);
}

static int map_source(const struct source *source, struct mapping *mapping)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *at = NULL;
	void *map;

	if (source->size > SIZE_MAX - ALIGNMENT - 2 * page)
		return -ENOMEM;
	mapping->size = (size_t)source->size;
	if (!source->is_huge) {
		mapping->reserved_size = mapping->size + ALIGNMENT + 2 * page;
		map = mmap(NULL, mapping->reserved_size, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (map == MAP_FAILED)
			return -errno;
		mapping->reserved = map;
		at = mapping->reserved + page;
		at += (source->offset - (uintptr_t)at) % ALIGNMENT;
	}
	map = mmap(at, mapping->size, PROT_READ | PROT_WRITE, MAP_SHARED | (at ? MAP_FIXED : 0),
		source->fd, (off_t)source->offset);
	if (map == MAP_FAILED)
		return -errno;
	mapping->map = map;
	/* A keeper, which is a copy of this process, is to keep rings and not the file. */
	madvise(map, mapping->size, MADV_DONTFORK);
	return 0;
}

/* ---- outcomes ---- */

static void fail(struct memory_job *job, enum memory_outcome outcome, const char *format, ...)
	_printf_(3, 4);

static void fail(struct memory_job *job, enum memory_outcome outcome, const char *format, ...)
{
	va_list args;

	job->outcome = outcome;
	va_start(args, format);
	vsnprintf(job->reason, sizeof(job->reason), format, args);
	va_end(args);
}

static void fail_mapping(struct memory_job *job, int r)
{
	if (r == -EPERM || r == -EACCES)
		fail(job, MEMORY_INVALID,
			"memory.fd was sealed against writing while it was being pinned");
	else
		fail(job, MEMORY_EXHAUSTED, "the memory cannot be mapped: %s", strerror(-r));
}

static void fail_populate(struct memory_job *job, int r)
{
	switch (-r) {
	case EFAULT:
		fail(job, MEMORY_EXHAUSTED,
			"no pages for the memory: the machine, a control group or the pool of huge "
			"pages has none left");
		break;
	case EHWPOISON:
		fail(job, MEMORY_INVALID,
			"the memory has a page that the hardware reported broken");
		break;
	default:
		fail(job, MEMORY_EXHAUSTED, "the memory cannot be populated: %s", strerror(-r));
		break;
	}
}

/* The holder's EPERM may be the client's seal or the kernel's refusal of io_uring. */
static bool is_sealed(const struct source *source)
{
	int seals = fcntl(source->fd, F_GET_SEALS);

	return seals >= 0 && seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE);
}

static void fail_put(struct memory_job *job, const struct source *source, int r, bool lost)
{
	if (lost)
		fail(job, MEMORY_UNAVAILABLE, "ghmemd-holder cannot be reached: %s", strerror(-r));
	else if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		fail(job, MEMORY_EXHAUSTED, "the memory cannot be pinned: %s", strerror(-r));
	else if (r == -EFAULT)
		fail(job, MEMORY_INVALID,
			"pages of the memory could not be pinned: the client removed them or none "
			"are left");
	else if (r == -EPERM && is_sealed(source))
		fail_mapping(job, r);
	else
		fail(job, MEMORY_UNAVAILABLE, "ghmemd-holder cannot pin the memory: %s",
			strerror(-r));
}

static void fail_frames(const struct pinner *pinner, struct memory_job *job, int r)
{
	if (r == -ERANGE && !pinner->has_frames)
		fail(job, MEMORY_EXHAUSTED, "no made-up addresses are left below 2^44");
	else if (r == -ERANGE)
		fail(job, MEMORY_INVALID,
			"the memory has pages above 2^44, which the Resource Manager cannot name");
	else if (r == -ENOMEM)
		fail(job, MEMORY_EXHAUSTED, "no memory for the list of regions");
	else
		fail(job, MEMORY_UNAVAILABLE, "the frame numbers cannot be read: %s", strerror(-r));
}

/* ---- steps; each returns 0 or -errno, and has then filled the outcome ---- */

static int populate(struct memory_job *job, const struct mapping *mapping, struct pinned *pinned)
{
	uint64_t start = util_now_usec();
	int r;

	do
		r = madvise(mapping->map, mapping->size, MADV_POPULATE_WRITE) < 0 ? -errno : 0;
	while (r == -EINTR || r == -EAGAIN);
	pinned->populate_usec += util_now_usec() - start;
	if (r < 0)
		fail_populate(job, r);
	return r;
}

/* Without the privilege an emulator's memory may stay unpinned; it outlives the daemon all the same. */
static int put(const struct pinner *pinner, struct memory_job *job, const struct source *source,
	struct pinned *pinned)
{
	struct holder_put put = {
		.class = pinner->can_pin ? HOLDER_MEMORY : HOLDER_OTHER,
		.fd = source->fd,
		.offset = source->offset,
		.size = source->size,
	};
	uint64_t start = util_now_usec();
	bool lost = false;
	int r = holder_link_put(pinner->holder, &put, &lost);

	if (r == -ENOMEM && !lost && pinner->may_invent && !holder_link_pins_any(pinner->holder)) {
		put.class = HOLDER_OTHER;
		r = holder_link_put(pinner->holder, &put, &lost);
	}
	pinned->pin_usec += util_now_usec() - start;
	if (r < 0) {
		fail_put(job, source, r, lost);
		return r;
	}
	pinned->name = put.name;
	pinned->is_pinned = put.class == HOLDER_MEMORY;
	pinned->pages = put.pages;
	return 0;
}

static int drop(const struct pinner *pinner, const struct pinned *pinned)
{
	int r = holder_link_drop(pinner->holder, pinned->name);

	if (r < 0)
		log_warning("the holder did not let go of entry %" PRIu64
			    " (%s): it will be asked again",
			pinned->name, strerror(-r));
	return r;
}

static int resolve(const struct pinner *pinner, struct memory_job *job,
	const struct mapping *mapping, struct pinned *pinned)
{
	uint64_t start = util_now_usec();
	int r;

	pinned->made_up = !pinner->has_frames;
	if (pinned->made_up)
		r = frames_make_up(job->made_up_base, mapping->size, &pinned->regions);
	else
		r = frames_read(pinner->pagemap_fd, mapping->map, mapping->size, &pinned->regions);
	pinned->resolve_usec += util_now_usec() - start;
	if (r < 0 && r != -EAGAIN)
		fail_frames(pinner, job, r);
	return r;
}

/*
 * Populate, pin, read, in this order: an entry that is present at the end was so from before the
 * pin on, for nothing fills the mapping after populate; so the page read is the page pinned.
 */
static int pin_mapped(const struct pinner *pinner, struct memory_job *job,
	const struct source *source, const struct mapping *mapping, struct pinned *pinned)
{
	for (int i = 0; i < TRIES; i++) {
		int r = populate(job, mapping, pinned);

		if (r == 0)
			r = put(pinner, job, source, pinned);
		if (r < 0)
			return r;
		r = resolve(pinner, job, mapping, pinned);
		if (r == 0)
			return 0;
		drop(pinner, pinned);
		region_list_done(&pinned->regions);
		if (r != -EAGAIN)
			return r;
	}
	fail(job, MEMORY_INVALID,
		"pages of the memory vanished while it was being pinned: the client punches holes");
	return -EAGAIN;
}

static int pin_source(const struct pinner *pinner, struct memory_job *job,
	const struct source *source, struct pinned *pinned)
{
	_cleanup_(mapping_done) struct mapping mapping = { 0 };
	int r;

	job->outcome = source_check_room(source, job->reason);
	if (job->outcome != MEMORY_OK)
		return -ENOMEM;
	r = map_source(source, &mapping);
	if (r < 0) {
		fail_mapping(job, r);
		return r;
	}
	return pin_mapped(pinner, job, source, &mapping, pinned);
}

void pin_do(const struct pinner *pinner, struct memory_job *job)
{
	struct pinned *pinned = calloc(1, sizeof(*pinned));
	struct source source;

	job->pinned = NULL;
	job->reason[0] = '\0';
	if (!pinned) {
		fail(job, MEMORY_EXHAUSTED, "no memory for the job");
		job->fd = util_close(job->fd);
		return;
	}
	pinned->memfd = -1;
	job->outcome = source_open(job, &source, job->reason);
	if (job->outcome == MEMORY_OK) {
		if (source.is_ours)
			pinned->memfd = source.fd;
		if (pin_source(pinner, job, &source, pinned) == 0)
			job->pinned = TAKE_PTR(pinned);
	}
	pinned_free(pinned);
	job->fd = util_close(job->fd);
}

void pin_undo(const struct pinner *pinner, struct memory_job *job)
{
	int r = drop(pinner, job->pinned);

	job->outcome = MEMORY_OK;
	job->reason[0] = '\0';
	if (r < 0)
		fail(job, MEMORY_UNAVAILABLE, "ghmemd-holder does not let go of the memory yet: %s",
			strerror(-r));
	job->pinned = pinned_free(job->pinned);
}

int pin_probe(const struct pinner *pinner)
{
	struct holder_put put = {
		.class = HOLDER_MEMORY,
		.size = (uint64_t)sysconf(_SC_PAGESIZE),
	};
	_cleanup_close_ int fd = memfd_create("ghmem", MFD_CLOEXEC);
	bool lost;
	int r;

	if (fd < 0 || ftruncate(fd, (off_t)put.size) < 0)
		return -errno;
	put.fd = fd;
	r = holder_link_put(pinner->holder, &put, &lost);
	if (r < 0)
		return r;
	return holder_link_drop(pinner->holder, put.name);
}
