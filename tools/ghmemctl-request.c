/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* From options to a request: which memory, for whom. */

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ghrm/message.h"
#include "tools/ghmemctl.h"

#define COPY_CHUNK (1u << 20)

static unsigned option_count(const struct options *options, const enum option_id *ids, size_t n)
{
	unsigned count = 0;

	for (size_t i = 0; i < n; i++)
		count += option_given(options, ids[i]);
	return count;
}

static int check_memory(const struct options *options)
{
	static const enum option_id sources[] = { OPTION_SIZE, OPTION_FILE, OPTION_FD,
		OPTION_REGION };
	unsigned n = option_count(options, sources, ARRAY_SIZE(sources));
	bool file = option_given(options, OPTION_FILE), fd = option_given(options, OPTION_FD);
	bool size = option_given(options, OPTION_SIZE);

	if (n > 1)
		return ctl_usage("--size, --file, --fd and --region exclude each other");
	if (n == 0 && options->command != COMMAND_CHECK)
		return ctl_usage("which memory? Give --size, --file, --fd or --region");
	if (option_given(options, OPTION_COPY) && !file && !fd)
		return ctl_usage("--copy needs --file or --fd");
	if (option_given(options, OPTION_PRIVATE) && !size)
		return ctl_usage("--private needs --size");
	if (option_given(options, OPTION_POOL) && !size)
		return ctl_usage("--pool needs --size");
	if ((option_given(options, OPTION_OFFSET) || option_given(options, OPTION_LENGTH)) && !fd)
		return ctl_usage("--offset and --length need --fd");
	if (size && options->size == 0)
		return ctl_usage("--size=0 is no memory");
	return EXIT_DONE;
}

static int check_vms(const struct options *options)
{
	if (options->command == COMMAND_CHECK)
		return EXIT_DONE;
	if (options->n_grants == 0)
		return ctl_usage("for which virtual machine? Give --vm=VMID:ACCESS");
	if (options->command == COMMAND_DONATE && options->n_grants > 1)
		return ctl_usage("memory can be donated to one virtual machine only");
	for (size_t i = 0; i < options->n_grants; i++)
		if (options->command != COMMAND_DONATE && !options->grants[i].access)
			return ctl_usage(
				"--vm=0x%x says no access: r, rw, rx or rwx, as in --vm=0x%x:rw",
				options->grants[i].vmid, options->grants[i].vmid);
	return EXIT_DONE;
}

static int copy_bytes(int from, int to, uint64_t size)
{
	_cleanup_free_ char *buffer = malloc(COPY_CHUNK);
	uint64_t done = 0;

	if (!buffer)
		return -ENOMEM;
	while (done < size) {
		size_t chunk = size - done < COPY_CHUNK ? (size_t)(size - done) : COPY_CHUNK;
		ssize_t n = pread(from, buffer, chunk, (off_t)done);

		if (n == 0) /* it has become shorter meanwhile: the rest is zeroes */
			return 0;
		if (n > 0)
			n = pwrite(to, buffer, (size_t)n, (off_t)done);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			done += (uint64_t)n;
		if (done % (64 * COPY_CHUNK) == 0)
			ctl_progress("reading the file: %u %%", (unsigned)(done * 100 / size));
	}
	return 0;
}

/* A sealed memfd with the file's bytes, rounded up to pages. For `check` only its size counts. */
static int memfd_from_file(const struct options *options, int *ret)
{
	_cleanup_close_ int from =
		open(options->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	_cleanup_close_ int to = -1;
	struct stat st;
	uint64_t size;
	int r;

	if (from < 0 || fstat(from, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISDIR(st.st_mode) ? -EISDIR : -ENOTSUP;
	if (st.st_size == 0)
		return -ENODATA;
	size = ((uint64_t)st.st_size + GHRM_PAGE_SIZE - 1) / GHRM_PAGE_SIZE * GHRM_PAGE_SIZE;
	to = memfd_create("ghmemctl", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (to < 0 || ftruncate(to, (off_t)size) < 0)
		return -errno;
	r = options->command == COMMAND_CHECK ? 0 : copy_bytes(from, to, (uint64_t)st.st_size);
	ctl_progress_clear();
	if (r < 0)
		return r;
	if (fcntl(to, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) < 0)
		return -errno;
	*ret = TAKE_FD(to);
	return 0;
}

static int complain_file(const struct options *options, int r)
{
	if (r == -ENODATA)
		ctl_complain("%s is empty: there is nothing to give", options->file);
	else if (r == -ENOTSUP)
		ctl_complain("%s is no regular file", options->file);
	else
		ctl_complain("cannot make memory from %s: %s", options->file, strerror(-r));
	return EXIT_FAILED;
}

static int set_memory(
	const struct options *options, struct ghmem_request *request, int *ret_fd, int *ret_own)
{
	int r = 0;

	if (option_given(options, OPTION_SIZE))
		r = ghmem_request_set_allocate(request, options->size);
	for (size_t i = 0; r == 0 && i < options->n_regions; i++)
		r = ghmem_request_add_region(
			request, options->regions[i].address, options->regions[i].size);
	if (r < 0)
		return ctl_usage("the size or address of the memory cannot be: %s", strerror(-r));
	if (option_given(options, OPTION_FD)) {
		if (fcntl(options->fd, F_GETFD) < 0)
			return ctl_usage("--fd=%d is not an open descriptor", options->fd);
		*ret_fd = options->fd;
	} else if (options->file) {
		r = memfd_from_file(options, ret_own);
		if (r < 0)
			return complain_file(options, r);
		*ret_fd = *ret_own;
	}
	if (*ret_fd >= 0 &&
		ghmem_request_set_fd(request, *ret_fd, options->offset, options->length) < 0)
		return ctl_usage("--offset and --length are too large");
	if (option_given(options, OPTION_COPY))
		*ret_fd = -1; /* what is given is the copy, not what this descriptor names */
	ghmem_request_set_copy(request, option_given(options, OPTION_COPY));
	ghmem_request_set_private(request, option_given(options, OPTION_PRIVATE));
	ghmem_request_set_pool(request, option_given(options, OPTION_POOL));
	return EXIT_DONE;
}

int request_from_options(
	const struct options *options, struct ghmem_request **ret, int *ret_fd, int *ret_own)
{
	_cleanup_(request_freep) struct ghmem_request *request = NULL;
	_cleanup_close_ int own = -1;
	int fd = -1;
	int r = check_memory(options);

	if (r == EXIT_DONE)
		r = check_vms(options);
	if (r != EXIT_DONE)
		return r;
	r = ghmem_request_new(&request);
	for (size_t i = 0; r == 0 && i < options->n_grants; i++) {
		unsigned access = options->grants[i].access;

		r = ghmem_request_add_vm(request, options->grants[i].vmid,
			access ? access : GHMEM_READ | GHMEM_WRITE);
	}
	if (r < 0) {
		ctl_complain("no memory");
		return EXIT_FAILED;
	}
	if (options->io)
		ghmem_request_set_memory_type(request, GHMEM_IO);
	if (option_given(options, OPTION_LABEL))
		ghmem_request_set_label(request, (uint32_t)options->label);
	if (options->host_access)
		(void)ghmem_request_set_host_access(request, options->host_access);
	ghmem_request_set_sanitize(request, option_given(options, OPTION_SANITIZE));
	ghmem_request_set_notify(request, option_given(options, OPTION_NOTIFY));
	ghmem_request_set_detached(request, option_given(options, OPTION_DETACH));
	ghmem_request_set_wait(request, (uint32_t)options->wait);
	r = set_memory(options, request, &fd, &own);
	if (r != EXIT_DONE)
		return r;
	*ret = TAKE_PTR(request);
	*ret_own = TAKE_FD(own);
	*ret_fd = fd;
	return EXIT_DONE;
}

uint64_t request_bytes(const struct options *options)
{
	uint64_t bytes = options->size ? options->size : options->length;
	struct stat st;

	for (size_t i = 0; i < options->n_regions; i++)
		bytes += options->regions[i].size;
	if (bytes == 0 && options->file && stat(options->file, &st) == 0)
		bytes = (uint64_t)st.st_size;
	if (bytes == 0 && options->fd >= 0 && fstat(options->fd, &st) == 0 && st.st_size > 0)
		bytes = (uint64_t)st.st_size - options->offset;
	return bytes;
}
