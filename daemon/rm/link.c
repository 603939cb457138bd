/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/rm/link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "emulator/embedded.h"
#include "ghrm/message.h"
#include "util/util.h"

#define CONTROL_VMID    0xffff /* an emulator's control connection */
#define CONTROL_WAIT_MS 1000

struct link {
	int fd;
	bool is_socket, is_emulator;
	char *endpoint;
	struct emulator_embedded *embedded;
};

struct link *link_free(struct link *link)
{
	if (!link)
		return NULL;
	util_close(link->fd);
	if (link->embedded)
		emulator_embedded_free(link->embedded);
	free(link->endpoint);
	free(link);
	return NULL;
}

static void link_freep(struct link **link)
{
	link_free(*link);
}

static int link_new(const char *endpoint, struct link **ret)
{
	_cleanup_(link_freep) struct link *link = calloc(1, sizeof(*link));

	if (!link)
		return -ENOMEM;
	link->fd = -1;
	link->endpoint = strdup(endpoint);
	if (!link->endpoint)
		return -ENOMEM;
	*ret = TAKE_PTR(link);
	return 0;
}

int link_from_fd(int fd, bool is_socket, struct link **ret)
{
	_cleanup_(link_freep) struct link *link = NULL;
	char endpoint[32];
	int r;

	snprintf(endpoint, sizeof(endpoint), "fd:%d", fd);
	r = link_new(endpoint, &link);
	if (r < 0)
		return r;
	r = util_set_nonblock(fd);
	if (r < 0)
		return r;
	link->fd = fd;
	link->is_socket = is_socket;
	*ret = TAKE_PTR(link);
	return 0;
}

static int open_embedded(struct link *link, char **ret_error)
{
	int r;

	r = emulator_embedded_new(&link->embedded, &link->fd);
	if (r >= 0)
		r = util_set_nonblock(link->fd);
	if (r < 0) {
		*ret_error = strdup("cannot start the built-in emulator");
		return r;
	}
	link->is_socket = link->is_emulator = true;
	return 0;
}

/* Connects and says which VM we are. Returns a non-blocking descriptor or -errno. */
static int connect_as(const char *path, uint16_t vmid)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;
	uint8_t first[sizeof(vmid)];

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	util_put_le16(first, vmid);
	if (send(fd, first, sizeof(first), MSG_NOSIGNAL) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* An emulator answers `ping` on its control connection; whatever else listens does not. */
static bool answers_ping(const char *path)
{
	static const char ping[] = "ping";
	_cleanup_close_ int fd = connect_as(path, CONTROL_VMID);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	uint64_t until = util_now_usec() + CONTROL_WAIT_MS * 1000;
	char answer[2];
	int r;

	if (fd < 0 || send(fd, ping, strlen(ping), MSG_NOSIGNAL) < 0)
		return false;
	do {
		uint64_t now = util_now_usec();

		r = poll(&poll_fd, 1, now < until ? (int)((until - now) / 1000) : 0);
	} while (r < 0 && errno == EINTR);
	return r > 0 && recv(fd, answer, sizeof(answer), 0) == sizeof(answer) &&
	       memcmp(answer, "ok", sizeof(answer)) == 0;
}

static int open_socket(struct link *link, const char *path, char **ret_error)
{
	link->fd = connect_as(path, GHRM_VMID_HOST);
	if (link->fd < 0) {
		if (asprintf(ret_error, "cannot connect to %s: %s", path, strerror(-link->fd)) < 0)
			*ret_error = NULL;
		return link->fd;
	}
	link->is_socket = true;
	link->is_emulator = answers_ping(path);
	return 0;
}

static int device_fd(const char *path)
{
	_cleanup_close_ int fd = -1;
	struct stat status;

	/* Not before it is known to be a device: opening a FIFO or a lock file may have effects. */
	if (stat(path, &status) < 0)
		return -errno;
	if (!S_ISCHR(status.st_mode))
		return -ENODEV;
	fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_EXCL);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISCHR(status.st_mode))
		return -ENODEV;
	/* Drivers are free to ignore O_EXCL; the lock keeps a second daemon out in any case. */
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EBUSY : -errno;
	return TAKE_FD(fd);
}

static int open_device(struct link *link, const char *path, char **ret_error)
{
	link->fd = device_fd(path);
	if (link->fd >= 0)
		return 0;
	if (asprintf(ret_error, "cannot open %s: %s", path,
		    link->fd == -ENODEV ? "not a character device" : strerror(-link->fd)) < 0)
		*ret_error = NULL;
	return link->fd;
}

int link_open(const char *endpoint, struct link **ret, char **ret_error)
{
	static const char unix_prefix[] = "unix:", device_prefix[] = "dev:";
	_cleanup_(link_freep) struct link *link = NULL;
	const char *path;
	int r;

	*ret_error = NULL;
	r = link_new(endpoint, &link);
	if (r < 0)
		return r;
	if (strcmp(endpoint, "emulator") == 0) {
		r = open_embedded(link, ret_error);
	} else if (strncmp(endpoint, unix_prefix, strlen(unix_prefix)) == 0 &&
		   *(path = endpoint + strlen(unix_prefix))) {
		r = open_socket(link, path, ret_error);
	} else if (strncmp(endpoint, device_prefix, strlen(device_prefix)) == 0 &&
		   *(path = endpoint + strlen(device_prefix))) {
		r = open_device(link, path, ret_error);
	} else {
		r = -EINVAL;
		if (asprintf(ret_error, "'%s' is none of emulator, unix:PATH and dev:PATH",
			    endpoint) < 0)
			*ret_error = NULL;
	}
	if (r < 0)
		return r;
	*ret = TAKE_PTR(link);
	return 0;
}

int link_fd(const struct link *link)
{
	return link->fd;
}

const char *link_endpoint(const struct link *link)
{
	return link->endpoint;
}

bool link_is_socket(const struct link *link)
{
	return link->is_socket;
}

bool link_is_emulator(const struct link *link)
{
	return link->is_emulator;
}
