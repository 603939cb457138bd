/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/source.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysinfo.h>
#include <sys/vfs.h>
#include <unistd.h>

static enum memory_outcome refuse(
	enum memory_outcome outcome, char *reason, const char *format, ...) _printf_(3, 4);

static enum memory_outcome refuse(
	enum memory_outcome outcome, char *reason, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(reason, REASON_MAX, format, args);
	va_end(args);
	return outcome;
}

#define invalid(reason, ...)   refuse(MEMORY_INVALID, reason, __VA_ARGS__)
#define exhausted(reason, ...) refuse(MEMORY_EXHAUSTED, reason, __VA_ARGS__)

/* ---- a client's descriptor ---- */

static const char *kind_of(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "a regular file on disk";
	case S_IFDIR: return "a directory";
	case S_IFCHR: return "a character device";
	case S_IFBLK: return "a block device";
	case S_IFIFO: return "a pipe";
	case S_IFSOCK: return "a socket";
	default: return "no file";
	}
}

/*
 * Asked first of a descriptor: until it is known to be a memfd, nothing is called that a file system
 * in user space could keep waiting.
 */
static enum memory_outcome check_kind(int fd, char *reason)
{
	int flags = fcntl(fd, F_GETFL);
	struct statx stx = {};

	if (flags < 0)
		return invalid(reason, "memory.fd cannot be examined: %s", strerror(errno));
	if (flags & O_PATH)
		return invalid(reason, "memory.fd was opened with O_PATH, which gives no access");
	if (fcntl(fd, F_GET_SEALS) < 0) {
		statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &stx);
		return invalid(reason, "memory.fd is not a memfd (%s)", kind_of(stx.stx_mode));
	}
	if ((flags & O_ACCMODE) != O_RDWR)
		return invalid(reason, "memory.fd is not open for reading and writing");
	return MEMORY_OK;
}

/* Sealing takes a lock that a client can hold for as long as it likes: for workers only. */
static enum memory_outcome check_seals(int fd, char *reason)
{
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return invalid(reason, "memory.fd has no seals: %s", strerror(errno));
	if (seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE))
		return invalid(reason,
			"memory.fd is sealed against writing (%s): such memory cannot be pinned",
			seals & F_SEAL_WRITE ? "F_SEAL_WRITE" : "F_SEAL_FUTURE_WRITE");
	if (seals & F_SEAL_SHRINK || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) == 0)
		return MEMORY_OK;
	if (errno == EPERM)
		return invalid(reason,
			"memory.fd lacks F_SEAL_SHRINK and is sealed against more seals: "
			"create it with MFD_ALLOW_SEALING");
	return invalid(
		reason, "memory.fd cannot be sealed with F_SEAL_SHRINK: %s", strerror(errno));
}

static enum memory_outcome check_multiple(
	const char *field, uint64_t value, uint64_t page, const char *kind, char *reason)
{
	if (value % page == 0)
		return MEMORY_OK;
	return invalid(reason, "%s %" PRIu64 " is not a multiple of the %s %" PRIu64, field, value,
		kind, page);
}

/* What can be said of the numbers without the file. */
static enum memory_outcome check_numbers(
	const struct memory_job *job, uint64_t page, const char *kind, char *reason)
{
	const char *size = job->fd < 0 ? "memory.allocate" : "memory.size";
	enum memory_outcome outcome;

	outcome = check_multiple("memory.offset", job->offset, page, kind, reason);
	if (outcome != MEMORY_OK || !(job->size_given || job->fd < 0))
		return outcome;
	if (job->size == 0)
		return invalid(reason, "%s 0 is no memory at all", size);
	return check_multiple(size, job->size, page, kind, reason);
}

static enum memory_outcome check_range(
	const struct memory_job *job, uint64_t file, struct source *source, char *reason)
{
	source->offset = job->offset;
	if (source->offset >= file)
		return invalid(reason,
			"memory.offset %" PRIu64 " is not inside the memfd of %" PRIu64 " bytes",
			source->offset, file);
	source->size = job->size_given ? job->size : file - source->offset;
	if (source->size > file - source->offset)
		return invalid(reason,
			"memory.size %" PRIu64 " at memory.offset %" PRIu64
			" reaches beyond the memfd of %" PRIu64 " bytes",
			source->size, source->offset, file);
	if (source->size % (uint64_t)sysconf(_SC_PAGESIZE))
		return invalid(reason,
			"memory.fd has %" PRIu64
			" bytes, which is not a multiple of the page size %ld",
			file, sysconf(_SC_PAGESIZE));
	return MEMORY_OK;
}

/* seal: make sure that the size stays; without it nothing here can block. */
static enum memory_outcome check_client(
	const struct memory_job *job, bool seal, struct source *source, char *reason)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	const char *kind = "page size";
	enum memory_outcome outcome;
	struct statfs fs;
	struct stat st;

	source->fd = job->fd;
	outcome = check_kind(job->fd, reason);
	if (outcome != MEMORY_OK)
		return outcome;
	if (fstatfs(job->fd, &fs) < 0)
		return invalid(reason, "memory.fd cannot be examined: %s", strerror(errno));
	if (fs.f_type == HUGETLBFS_MAGIC) {
		source->is_huge = true;
		page = (uint64_t)fs.f_bsize;
		kind = "memfd's huge page size";
	}
	outcome = check_numbers(job, page, kind, reason);
	if (outcome == MEMORY_OK && seal)
		outcome = check_seals(job->fd, reason);
	if (outcome != MEMORY_OK)
		return outcome;
	/* Only when sealed the size is one that stays. */
	if (fstat(job->fd, &st) < 0 || st.st_size < 0)
		return invalid(reason, "memory.fd cannot be examined: %s", strerror(errno));
	return check_range(job, (uint64_t)st.st_size, source, reason);
}

/* ---- memory of our own ---- */

static enum memory_outcome allocate(
	const struct memory_job *job, struct source *source, char *reason)
{
	_cleanup_close_ int fd = -1;
	enum memory_outcome outcome =
		check_numbers(job, (uint64_t)sysconf(_SC_PAGESIZE), "page size", reason);

	if (outcome != MEMORY_OK)
		return outcome;
	if (job->offset)
		return invalid(reason, "memory.offset is for memory.fd only");
	if (job->size > INT64_MAX)
		return exhausted(reason, "memory.allocate %" PRIu64 " is too large", job->size);
	fd = memfd_create("ghmem", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || ftruncate(fd, (off_t)job->size) < 0 ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return exhausted(
			reason, "memory.allocate %" PRIu64 ": %s", job->size, strerror(errno));
	source->fd = TAKE_FD(fd);
	source->size = job->size;
	source->is_ours = true;
	return MEMORY_OK;
}

enum memory_outcome source_open(const struct memory_job *job, struct source *ret, char *reason)
{
	enum memory_outcome outcome;

	*ret = (struct source){ .fd = -1 };
	outcome = job->fd < 0 ? allocate(job, ret, reason) : check_client(job, true, ret, reason);
	return outcome;
}

enum memory_outcome memory_measure(int fd, uint64_t offset, uint64_t size, bool size_given,
	uint64_t *ret_bytes, char reason[static MEMORY_REASON_MAX])
{
	const struct memory_job job = {
		.fd = fd,
		.offset = offset,
		.size = size,
		.size_given = size_given,
	};
	struct source source = { .fd = -1 };
	enum memory_outcome outcome;

	if (fd < 0) {
		outcome = check_numbers(&job, (uint64_t)sysconf(_SC_PAGESIZE), "page size", reason);
		source.size = size;
	} else {
		outcome = check_client(&job, false, &source, reason);
	}
	*ret_bytes = source.size;
	return outcome;
}

/* ---- room ---- */

/* What the machine can give without killing anybody; by meminfo, or less exactly without /proc. */
static uint64_t available(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	struct sysinfo info;
	char line[128];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
	if (file)
		fclose(file);
	if (found)
		return (uint64_t)kib * 1024;
	if (sysinfo(&info) < 0)
		return UINT64_MAX;
	return (uint64_t)info.totalram * info.mem_unit;
}

enum memory_outcome source_check_room(const struct source *source, char *reason)
{
	uint64_t there, have;
	struct stat st;

	/* Huge pages are a pool of their own, whose end is an error and not a killed process. */
	if (source->is_huge || fstat(source->fd, &st) < 0)
		return MEMORY_OK;
	there = (uint64_t)st.st_blocks * 512;
	have = available();
	if (source->size <= there || source->size - there <= have)
		return MEMORY_OK;
	return exhausted(reason,
		"%" PRIu64
		" bytes of the memory are still to be allocated, but the machine has only "
		"%" PRIu64 " available",
		source->size - there, have);
}
