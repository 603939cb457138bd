/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghmem/wire.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/util.h"

#define WIRE_READ_MIN 4096u

static int wire_break(struct wire *wire, int error)
{
	wire->broken = true;
	return error;
}

static void wire_drop_fds(struct wire *wire)
{
	for (size_t i = 0; i < wire->n_fds; i++)
		util_close(wire->fds[i]);
	wire->n_fds = 0;
}

static int wire_address(const char *address, struct sockaddr_un *ret, socklen_t *ret_n)
{
	const char *path;
	size_t n;

	if (strncmp(address, "unix:", 5) != 0)
		return -EINVAL;
	path = address + 5;
	n = strcspn(path, ";"); /* Varlink addresses may carry parameters for servers */
	if (n == 0 || (n == 1 && path[0] == '@'))
		return -EINVAL;
	if (n >= sizeof(ret->sun_path))
		return -ENAMETOOLONG;
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	memcpy(ret->sun_path, path, n);
	*ret_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
	if (path[0] == '@') {
		ret->sun_path[0] = '\0';
		(*ret_n)--;
	}
	return 0;
}

int wire_init(struct wire *wire, const char *address)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un to;
	socklen_t n;
	int r = wire_address(address, &to, &n);

	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	do
		r = connect(fd, (struct sockaddr *)&to, n) < 0 ? -errno : 0;
	while (r == -EINTR);
	if (r < 0)
		return r;
	r = util_set_nonblock(fd);
	if (r < 0)
		return r;
	*wire = (struct wire){ .fd = TAKE_FD(fd), .cancel_fd = -1 };
	return 0;
}

void wire_done(struct wire *wire)
{
	wire_drop_fds(wire);
	wire->fd = util_close(wire->fd);
	free(wire->in);
	wire->in = NULL;
}

/* Waits for the socket. The descriptor to cancel by comes first: it must win over a busy peer. */
static int wire_wait(struct wire *wire, short events)
{
	struct pollfd polls[2] = {
		{ .fd = wire->cancel_fd, .events = POLLIN }, /* poll ignores a negative one */
		{ .fd = wire->fd, .events = events },
	};

	for (;;) {
		if (poll(polls, ARRAY_SIZE(polls), -1) < 0) {
			if (errno == EINTR)
				continue;
			return wire_break(wire, -errno);
		}
		if (polls[0].revents)
			return wire_break(wire, -ECANCELED);
		if (polls[1].revents)
			return 0;
	}
}

static ssize_t wire_send_some(
	struct wire *wire, const char *bytes, size_t n, const int *fds, size_t n_fds)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec vector = { .iov_base = (char *)bytes, .iov_len = n };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
	ssize_t sent;

	if (n_fds > 0) {
		struct cmsghdr *header;

		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * n_fds);
	}
	sent = sendmsg(wire->fd, &message, MSG_NOSIGNAL);
	return sent < 0 ? -errno : sent;
}

int wire_send(struct wire *wire, const char *frame, size_t n, const int *fds, size_t n_fds)
{
	size_t sent = 0;

	if (wire->broken)
		return -ENOTCONN;
	if (n_fds > WIRE_FDS_MAX)
		return -EINVAL;
	if (n > WIRE_MESSAGE_MAX + 1)
		return -EMSGSIZE;
	while (sent < n) {
		ssize_t r = wire_send_some(wire, frame + sent, n - sent, fds, n_fds);

		if (r == -EAGAIN || r == -EINTR) {
			r = wire_wait(wire, POLLOUT);
			if (r < 0)
				return (int)r;
		} else if (r == -EPIPE || r == -ECONNRESET) {
			return 0;
		} else if (r < 0) {
			/* A descriptor that cannot travel is the caller's fault and costs one call. */
			return sent == 0 ? (int)r : wire_break(wire, (int)r);
		} else {
			sent += (size_t)r;
			n_fds = 0;
		}
	}
	return 0;
}

static int wire_reserve(struct wire *wire)
{
	size_t wanted = wire->allocated * 2;
	char *in;

	if (wire->allocated - wire->n_in >= WIRE_READ_MIN)
		return 0;
	if (wanted < 4 * WIRE_READ_MIN)
		wanted = 4 * WIRE_READ_MIN;
	in = realloc(wire->in, wanted);
	if (!in)
		return wire_break(wire, -ENOMEM);
	wire->in = in;
	wire->allocated = wanted;
	return 0;
}

/* Keeps the descriptors of one received message; closes those over the limit. */
static bool wire_keep_fds(struct wire *wire, struct msghdr *message)
{
	bool all = !(message->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
		header = CMSG_NXTHDR(message, header)) {
		size_t n;

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
			if (wire->n_fds < WIRE_FDS_MAX) {
				wire->fds[wire->n_fds++] = fd;
			} else {
				util_close(fd);
				all = false;
			}
		}
	}
	return all;
}

static int wire_read_some(struct wire *wire)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * WIRE_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec vector;
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
	ssize_t n;
	int r = wire_reserve(wire);

	if (r < 0)
		return r;
	vector = (struct iovec){ wire->in + wire->n_in, wire->allocated - wire->n_in };
	message.msg_control = control.bytes;
	message.msg_controllen = sizeof(control.bytes);
	n = recvmsg(wire->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0) {
		if (errno == EAGAIN || errno == EINTR)
			return wire_wait(wire, POLLIN);
		return wire_break(wire, -errno);
	}
	if (n == 0)
		return wire_break(wire, -ECONNRESET);
	wire->n_in += (size_t)n;
	if (!wire_keep_fds(wire, &message))
		return wire_break(wire, -EMFILE);
	return 0;
}

int wire_receive(struct wire *wire, const char **ret, size_t *ret_n)
{
	if (wire->broken)
		return -ENOTCONN;
	wire_drop_fds(wire);
	if (wire->frame > 0) {
		wire->n_in -= wire->frame;
		memmove(wire->in, wire->in + wire->frame, wire->n_in);
		wire->frame = 0;
	}
	wire->searched = 0;
	for (;;) {
		char *end = wire->n_in > wire->searched ? memchr(wire->in + wire->searched, '\0',
								  wire->n_in - wire->searched)
							: NULL;
		int r;

		if (end) {
			wire->frame = (size_t)(end - wire->in) + 1;
			if (wire->frame > WIRE_MESSAGE_MAX + 1)
				return wire_break(wire, -EMSGSIZE);
			*ret = wire->in;
			*ret_n = wire->frame - 1;
			return 0;
		}
		wire->searched = wire->n_in;
		if (wire->n_in > WIRE_MESSAGE_MAX)
			return wire_break(wire, -EMSGSIZE);
		r = wire_read_some(wire);
		if (r < 0)
			return r;
	}
}

int wire_take_fd(struct wire *wire, size_t i)
{
	return i < wire->n_fds ? TAKE_FD(wire->fds[i]) : -1;
}

bool wire_has_input(const struct wire *wire)
{
	return wire->n_in > wire->frame;
}
