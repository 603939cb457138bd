/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghmem/client.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

/* More ranges than this travel in a memfd: as JSON, half a million of them would fill a message. */
#define REQUEST_REGIONS_INLINE 1024

enum source { SOURCE_NONE, SOURCE_FD, SOURCE_ALLOCATE, SOURCE_REGIONS, SOURCE_REGIONS_FD };

struct grant {
	uint16_t vmid;
	unsigned access;
};

struct ghmem_request {
	enum source source;
	int fd; /* borrowed */
	uint64_t offset, size;
	struct ghmem_region *regions;
	size_t n_regions, allocated_regions;
	struct grant *grants;
	size_t n_grants;
	bool copy, is_private, pool, has_label, sanitize, notify, detached;
	enum ghmem_memory_type memory_type;
	unsigned host_access; /* 0: not given */
	uint32_t label, wait;
};

int ghmem_request_new(struct ghmem_request **ret)
{
	struct ghmem_request *request = calloc(1, sizeof(*request));

	if (!request)
		return -ENOMEM;
	request->fd = -1;
	*ret = request;
	return 0;
}

struct ghmem_request *ghmem_request_free(struct ghmem_request *request)
{
	if (!request)
		return NULL;
	free(request->regions);
	free(request->grants);
	free(request);
	return NULL;
}

static int request_choose(struct ghmem_request *request, enum source source)
{
	if (request->source != SOURCE_NONE && request->source != source)
		return -EEXIST;
	request->source = source;
	return 0;
}

int ghmem_request_set_fd(struct ghmem_request *request, int fd, uint64_t offset, uint64_t size)
{
	int r;

	if (fd < 0)
		return -EBADF;
	if (offset > INT64_MAX || size > INT64_MAX - offset)
		return -EINVAL;
	r = request_choose(request, SOURCE_FD);
	if (r < 0)
		return r;
	request->fd = fd;
	request->offset = offset;
	request->size = size;
	return 0;
}

void ghmem_request_set_copy(struct ghmem_request *request, bool copy)
{
	request->copy = copy;
}

int ghmem_request_set_allocate(struct ghmem_request *request, uint64_t size)
{
	int r;

	if (size == 0 || size > INT64_MAX)
		return -EINVAL;
	r = request_choose(request, SOURCE_ALLOCATE);
	if (r < 0)
		return r;
	request->size = size;
	return 0;
}

void ghmem_request_set_private(struct ghmem_request *request, bool is_private)
{
	request->is_private = is_private;
}

void ghmem_request_set_pool(struct ghmem_request *request, bool pool)
{
	request->pool = pool;
}

int ghmem_request_add_region(struct ghmem_request *request, uint64_t address, uint64_t size)
{
	int r;

	if (size == 0 || address > INT64_MAX || size > INT64_MAX - address)
		return -EINVAL;
	if (request->n_regions == request->allocated_regions) {
		size_t n = request->allocated_regions ? request->allocated_regions * 2 : 16;
		struct ghmem_region *regions =
			reallocarray(request->regions, n, sizeof(*request->regions));

		if (!regions)
			return -ENOMEM;
		request->regions = regions;
		request->allocated_regions = n;
	}
	r = request_choose(request, SOURCE_REGIONS);
	if (r < 0)
		return r;
	request->regions[request->n_regions++] = (struct ghmem_region){ address, size };
	return 0;
}

int ghmem_request_set_regions_fd(struct ghmem_request *request, int fd)
{
	int r;

	if (fd < 0)
		return -EBADF;
	r = request_choose(request, SOURCE_REGIONS_FD);
	if (r < 0)
		return r;
	request->fd = fd;
	return 0;
}

static const char *access_word(unsigned access)
{
	switch (access) {
	case GHMEM_READ: return "r";
	case GHMEM_READ | GHMEM_WRITE: return "rw";
	case GHMEM_READ | GHMEM_EXEC: return "rx";
	case GHMEM_READ | GHMEM_WRITE | GHMEM_EXEC: return "rwx";
	default: return NULL;
	}
}

int ghmem_request_add_vm(struct ghmem_request *request, uint16_t vmid, unsigned access)
{
	struct grant *grants;

	if (!access_word(access))
		return -EINVAL;
	grants = reallocarray(request->grants, request->n_grants + 1, sizeof(*grants));
	if (!grants)
		return -ENOMEM;
	request->grants = grants;
	grants[request->n_grants++] = (struct grant){ vmid, access };
	return 0;
}

void ghmem_request_set_memory_type(struct ghmem_request *request, enum ghmem_memory_type type)
{
	request->memory_type = type;
}

void ghmem_request_set_label(struct ghmem_request *request, uint32_t label)
{
	request->has_label = true;
	request->label = label;
}

int ghmem_request_set_host_access(struct ghmem_request *request, unsigned access)
{
	if (!access_word(access))
		return -EINVAL;
	request->host_access = access;
	return 0;
}

void ghmem_request_set_sanitize(struct ghmem_request *request, bool sanitize)
{
	request->sanitize = sanitize;
}

void ghmem_request_set_notify(struct ghmem_request *request, bool notify)
{
	request->notify = notify;
}

void ghmem_request_set_detached(struct ghmem_request *request, bool detached)
{
	request->detached = detached;
}

void ghmem_request_set_wait(struct ghmem_request *request, uint32_t milliseconds)
{
	request->wait = milliseconds;
}

/* ---- into JSON ---- */

static int set(json_t *object, const char *name, json_t *value)
{
	return json_object_set_new(object, name, value) < 0 ? -ENOMEM : 0;
}

static json_t *grants_json(const struct ghmem_request *request)
{
	json_t *array = json_array();

	for (size_t i = 0; array && request && i < request->n_grants; i++) {
		const struct grant *grant = &request->grants[i];
		json_t *object = json_pack(
			"{s:i, s:s}", "vm", (int)grant->vmid, "access", access_word(grant->access));

		if (json_array_append_new(array, object) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static json_t *regions_json(const struct ghmem_request *request)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < request->n_regions; i++) {
		json_t *object =
			json_pack("{s:I, s:I}", "address", (json_int_t)request->regions[i].address,
				"size", (json_int_t)request->regions[i].size);

		if (json_array_append_new(array, object) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t written = write(fd, bytes, n);

		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			n -= (size_t)written;
		}
	}
	return 0;
}

static int regions_memfd(const struct ghmem_request *request, int *ret)
{
	size_t n = request->n_regions * 16;
	_cleanup_free_ char *bytes = malloc(n);
	_cleanup_close_ int fd = memfd_create("ghmem-regions", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int r;

	if (!bytes)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	for (size_t i = 0; i < request->n_regions; i++) {
		util_put_le64(bytes + 16 * i, request->regions[i].address);
		util_put_le64(bytes + 16 * i + 8, request->regions[i].size);
	}
	r = write_all(fd, bytes, n);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
		return -errno;
	*ret = TAKE_FD(fd);
	return 0;
}

static int memory_regions(
	const struct ghmem_request *request, json_t *memory, struct request_fds *fds)
{
	int r;

	if (request->n_regions <= REQUEST_REGIONS_INLINE)
		return set(memory, "regions", regions_json(request));
	r = regions_memfd(request, &fds->own);
	if (r < 0)
		return r;
	fds->fds[fds->n++] = fds->own;
	return set(memory, "regions_fd", json_integer(0));
}

static int memory_fd(const struct ghmem_request *request, json_t *memory, struct request_fds *fds)
{
	int r;

	fds->fds[fds->n++] = request->fd;
	r = set(memory, "fd", json_integer(0));
	if (r == 0 && request->offset > 0)
		r = set(memory, "offset", json_integer((json_int_t)request->offset));
	if (r == 0 && request->size > 0)
		r = set(memory, "size", json_integer((json_int_t)request->size));
	if (r == 0 && request->copy)
		r = set(memory, "copy", json_true());
	return r;
}

static int memory_allocate(const struct ghmem_request *request, json_t *memory)
{
	int r = set(memory, "allocate", json_integer((json_int_t)request->size));

	if (r == 0 && request->is_private)
		r = set(memory, "private", json_true());
	if (r == 0 && request->pool)
		r = set(memory, "pool", json_true());
	return r;
}

static int request_memory(
	const struct ghmem_request *request, json_t *parameters, struct request_fds *fds)
{
	json_t *memory = json_object();
	int r = set(parameters, "memory", memory);

	if (r < 0)
		return r;
	switch (request->source) {
	case SOURCE_NONE: return -EINVAL;
	case SOURCE_FD: return memory_fd(request, memory, fds);
	case SOURCE_ALLOCATE: return memory_allocate(request, memory);
	case SOURCE_REGIONS: return memory_regions(request, memory, fds);
	case SOURCE_REGIONS_FD:
		fds->fds[fds->n++] = request->fd;
		return set(memory, "regions_fd", json_integer(0));
	}
	return -EINVAL;
}

/* The fields that are plain values; only those that are not at their default are sent. */
static int request_plain(
	const struct ghmem_request *request, enum request_method method, json_t *parameters)
{
	bool gives = method != REQUEST_CHECK;
	bool keeps = method == REQUEST_SHARE || method == REQUEST_LEND;
	int r = 0;

	if (request->memory_type == GHMEM_IO)
		r = set(parameters, "memory_type", json_string("io"));
	if (r == 0 && request->has_label)
		r = set(parameters, "label", json_integer(request->label));
	if (r == 0 && method == REQUEST_SHARE && request->host_access)
		r = set(parameters, "host_access", json_string(access_word(request->host_access)));
	if (r == 0 && gives && request->sanitize)
		r = set(parameters, "sanitize", json_true());
	if (r == 0 && gives && request->notify)
		r = set(parameters, "notify", json_true());
	if (r == 0 && method != REQUEST_DONATE && request->detached)
		r = set(parameters, "lifetime", json_string("detached"));
	if (r == 0 && keeps && request->wait)
		r = set(parameters, "wait", json_integer(request->wait));
	return r;
}

static const char *request_fault(const struct ghmem_request *request, enum request_method method)
{
	if (method == REQUEST_CHECK)
		return NULL;
	if (!request || request->source == SOURCE_NONE)
		return "the request names no memory";
	if (request->n_grants == 0)
		return "the request names no virtual machine";
	if (method == REQUEST_DONATE && request->n_grants != 1)
		return "memory can be donated to one virtual machine only";
	if (method != REQUEST_SHARE && request->host_access)
		return "only a share can say what access the host keeps";
	return NULL;
}

int request_build(const struct ghmem_request *request, enum request_method method, json_t **ret,
	struct request_fds *ret_fds, const char **ret_fault)
{
	_cleanup_json_ json_t *parameters = json_object();
	int r;

	*ret_fds = (struct request_fds){ .own = -1 };
	*ret_fault = request_fault(request, method);
	if (*ret_fault)
		return -EINVAL;
	if (!parameters)
		return -ENOMEM;
	if (method == REQUEST_DONATE)
		r = set(parameters, "vm", json_integer(request->grants[0].vmid));
	else
		r = set(parameters, "grants", grants_json(request));
	if (r == 0 && request && request->source != SOURCE_NONE)
		r = request_memory(request, parameters, ret_fds);
	if (r == 0 && request)
		r = request_plain(request, method, parameters);
	if (r < 0) {
		request_fds_done(ret_fds);
		return r;
	}
	*ret = TAKE_PTR(parameters);
	return 0;
}

void request_fds_done(struct request_fds *fds)
{
	fds->own = util_close(fds->own);
	fds->n = 0;
}
