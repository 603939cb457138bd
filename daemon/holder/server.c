/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/holder/server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "util/util.h"

#define HELLO_PATIENCE  5000000u /* microseconds */
#define ACCEPT_PATIENCE 1000000u
#define FDS_MAX         4 /* received at most; more than one is refused */

/* ---- packets ---- */

static bool send_reply(int socket_fd, const struct holder_reply *reply, int fd)
{
	struct iovec iov = { (void *)reply, sizeof(*reply) };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *header = &control.align;

		message.msg_control = control.room;
		message.msg_controllen = sizeof(control.room);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(header), &fd, sizeof(int));
	}
	return sendmsg(socket_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == sizeof(*reply);
}

static int take_fds(struct msghdr *message, int *ret_fd)
{
	int fds[FDS_MAX], n = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header;
		header = CMSG_NXTHDR(message, header)) {
		size_t size = header->cmsg_len - CMSG_LEN(0);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= size && n < FDS_MAX; at += sizeof(int))
			memcpy(&fds[n++], CMSG_DATA(header) + at, sizeof(int));
	}
	*ret_fd = -1;
	if (n > 1) {
		while (n > 0)
			util_close(fds[--n]);
		return -EPROTO;
	}
	if (n == 1)
		*ret_fd = fds[0];
	else if (message->msg_flags & MSG_CTRUNC)
		return -EMFILE; /* the kernel had one and could not install it */
	return 0;
}

/* Returns 0; -ECONNRESET: the peer is gone; -EPROTO: not a request; -EMFILE: it had a descriptor. */
static int receive_request(int socket_fd, struct holder_request *ret, int *ret_fd)
{
	char packet[sizeof(*ret) + 1];
	struct iovec iov = { packet, sizeof(packet) };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};
	ssize_t n = recvmsg(socket_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	int r;

	*ret_fd = -1;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -EAGAIN : -ECONNRESET;
	r = take_fds(&message, ret_fd);
	if (n == 0)
		return -ECONNRESET;
	if (n != sizeof(*ret))
		return -EPROTO;
	memcpy(ret, packet, sizeof(*ret));
	return r;
}

/* ---- what a request must look like ---- */

static bool tag_is_text(const struct holder_request *request)
{
	size_t size = strnlen(request->tag, sizeof(request->tag));

	if (size == sizeof(request->tag))
		return false;
	for (size_t i = 0; i < sizeof(request->tag); i++)
		if (i < size ? request->tag[i] < 0x20 || request->tag[i] == 0x7f : request->tag[i])
			return false;
	return true;
}

static bool put_is_sound(const struct holder_request *request)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	if (request->name == 0 || request->name == UINT64_MAX || request->ring_fd ||
		!tag_is_text(request))
		return false;
	switch (request->class) {
	case HOLDER_MEMORY:
		return request->size > 0 && request->size % page == 0 &&
		       request->offset % page == 0 && request->size <= INT64_MAX &&
		       request->offset <= INT64_MAX - request->size;
	case HOLDER_CLIENT: return request->size == 0 && request->offset == 0;
	case HOLDER_OTHER: return true;
	default: return false;
	}
}

static bool adopt_is_sound(const struct holder_request *request)
{
	return request->name != 0 && request->name != UINT64_MAX && tag_is_text(request) &&
	       request->class == HOLDER_MEMORY && request->offset == 0 && request->size > 0 &&
	       request->size % (uint64_t)sysconf(_SC_PAGESIZE) == 0 && request->size <= INT64_MAX &&
	       request->ring_fd >= 0;
}

static bool request_is_sound(const struct holder_request *request, bool has_fd)
{
	static const char no_tag[HOLDER_TAG_MAX];
	bool bare = !request->class && !request->offset && !request->size && !request->ring_fd &&
		    memcmp(request->tag, no_tag, sizeof(no_tag)) == 0;

	if (request->reserved)
		return false;
	switch (request->command) {
	case HOLDER_HELLO: return has_fd && bare && !request->name;
	case HOLDER_PUT: return has_fd && put_is_sound(request);
	case HOLDER_ADOPT: return has_fd && adopt_is_sound(request);
	case HOLDER_GET:
	case HOLDER_LIST:
	case HOLDER_DROP: return bare && !has_fd;
	default: return false;
	}
}

/* ---- the lock ---- */

/* Held by whom does not matter to the first test; the second one names the holder of it. */
static bool flock_is_on(int fd, int fresh)
{
	if (flock(fresh, LOCK_EX | LOCK_NB) == 0) {
		flock(fresh, LOCK_UN);
		return false;
	}
	return errno == EWOULDBLOCK && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static bool ofd_lock_is_on(int fd, int fresh)
{
	struct flock seen = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct flock again = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	return fcntl(fresh, F_OFD_GETLK, &seen) == 0 && seen.l_type == F_WRLCK &&
	       fcntl(fd, F_OFD_SETLK, &again) == 0;
}

static int check_lock(const struct server *server, int fd)
{
	_cleanup_close_ int fresh = openat(
		server->directory_fd, HOLDER_LOCK, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat mine, theirs;

	if (fresh < 0 || fstat(fresh, &mine) < 0 || fstat(fd, &theirs) < 0)
		return -errno;
	if (mine.st_dev != theirs.st_dev || mine.st_ino != theirs.st_ino)
		return -EACCES;
	return flock_is_on(fd, fresh) || ofd_lock_is_on(fd, fresh) ? 0 : -EACCES;
}

/* ---- commands ---- */

static void describe(struct holder_reply *reply, const struct entry *entry)
{
	reply->class = entry->class;
	reply->name = entry->name;
	reply->offset = entry->offset;
	reply->size = entry->size;
	reply->pages = entry->pages;
	reply->ring_fd = entry->ring;
	memcpy(reply->tag, entry->tag, sizeof(reply->tag));
}

static int hello(struct server *server, struct holder_reply *reply, int fd)
{
	int r = check_lock(server, fd);

	if (r < 0)
		return r;
	server->greeted = true;
	server->hello_deadline = UINT64_MAX;
	server->client_deadline = UINT64_MAX;
	reply->name = server->keep.highest;
	reply->pages = server->keep.pages;
	return 0;
}

static int adopt(struct keep *keep, const struct holder_request *request, int pidfd)
{
	_cleanup_close_ int ring = (int)syscall(SYS_pidfd_getfd, pidfd, request->ring_fd, 0);
	int r;

	if (ring < 0)
		return -errno;
	r = keep_adopt(keep, request, ring);
	if (r == 0)
		TAKE_FD(ring);
	return r;
}

/* Fills the reply; *ret_pass is a descriptor to send with it, still the holder's. */
static int execute(struct server *server, const struct holder_request *request, int *fd,
	struct holder_reply *reply, int *ret_pass)
{
	struct keep *keep = &server->keep;
	const struct entry *entry = NULL;
	int r = 0;

	if (request->command == HOLDER_HELLO) {
		r = hello(server, reply, *fd);
		*ret_pass = r < 0 ? -1 : server->self_fd;
		return r;
	}
	if (!server->greeted)
		return -EACCES;
	switch (request->command) {
	case HOLDER_PUT:
		r = keep_put(keep, request, *fd);
		if (r < 0)
			return r;
		*fd = -1;
		entry = keep_get(keep, request->name);
		break;
	case HOLDER_ADOPT:
		r = adopt(keep, request, *fd);
		if (r < 0)
			return r;
		entry = keep_get(keep, request->name);
		break;
	case HOLDER_LIST: entry = keep_after(keep, request->name); break;
	default: entry = keep_get(keep, request->name); break;
	}
	if (!entry)
		return -ENOENT;
	describe(reply, entry);
	if (request->command == HOLDER_GET && entry->fd < 0)
		return -ENODATA;
	if (request->command == HOLDER_GET)
		*ret_pass = entry->fd;
	if (request->command == HOLDER_DROP)
		r = keep_drop(keep, request->name);
	return r;
}

static void fill(const struct server *server, struct holder_reply *reply)
{
	reply->epoch = server->epoch;
	reply->entries = (uint32_t)server->keep.n;
	reply->version = HOLDER_VERSION;
	reply->abilities = server->abilities;
	reply->pid = getpid();
}

void server_answer(struct server *server)
{
	struct holder_reply reply = { .ring_fd = -1 };
	struct holder_request request;
	_cleanup_close_ int fd = -1;
	int pass = -1, r;

	r = receive_request(server->connection_fd, &request, &fd);
	if (r == -EAGAIN)
		return;
	if (r == 0)
		r = request_is_sound(&request, fd >= 0) ? 0 : -EPROTO;
	if (r == -ECONNRESET) {
		server_disconnect(server);
		return;
	}
	if (r == 0)
		r = execute(server, &request, &fd, &reply, &pass);
	reply.result = r;
	fill(server, &reply);
	/* Before the reply, so that its reader finds no trace of it: above all not of the lock. */
	fd = util_close(fd);
	/* A peer that does not read its replies has no use for the connection. */
	if (!send_reply(server->connection_fd, &reply, pass) || r == -EPROTO || !server->greeted)
		server_disconnect(server);
}

/* ---- the connection's life ---- */

static int admit(const struct server *server, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (peer.uid != geteuid())
		return -EPERM;
	if (server->connection_fd >= 0)
		return -EBUSY;
	/* Yama: lets the daemon copy rings. Without Yama there is no such call and no need of it. */
	prctl(PR_SET_PTRACER, (unsigned long)peer.pid, 0, 0, 0);
	return 0;
}

void server_accept(struct server *server)
{
	struct holder_reply refusal = { .ring_fd = -1 };
	int fd = accept4(server->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
			server->accept_after = util_now_usec() + ACCEPT_PATIENCE;
		return;
	}
	refusal.result = admit(server, fd);
	if (refusal.result < 0) {
		fill(server, &refusal);
		send_reply(fd, &refusal, -1);
		util_close(fd);
		return;
	}
	server->connection_fd = fd;
	server->greeted = false;
	server->hello_deadline = util_now_usec() + HELLO_PATIENCE;
	server->empty_since = UINT64_MAX;
}

void server_disconnect(struct server *server)
{
	server->connection_fd = util_close(server->connection_fd);
	server->hello_deadline = UINT64_MAX;
	/* Who never showed the lock was no daemon: the clients' time goes on running. */
	if (server->greeted && keep_count(&server->keep, HOLDER_CLIENT) > 0)
		server->client_deadline = util_now_usec() + server->client_patience;
	server->greeted = false;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t server_tick(struct server *server)
{
	uint64_t now = util_now_usec(), next;

	if (now >= server->hello_deadline)
		server_disconnect(server);
	if (now >= server->client_deadline) {
		size_t n = keep_count(&server->keep, HOLDER_CLIENT);

		fprintf(stderr, "ghmemd-holder: no daemon came back: closing %zu clients\n", n);
		keep_drop_clients(&server->keep);
		server->client_deadline = UINT64_MAX;
	}
	if (now >= server->accept_after)
		server->accept_after = 0;
	if (server->keep.n > 0 || server->connection_fd >= 0)
		server->empty_since = UINT64_MAX;
	else if (server->empty_since == UINT64_MAX)
		server->empty_since = now;
	next = earlier(server->hello_deadline, server->client_deadline);
	if (server->accept_after)
		next = earlier(next, server->accept_after);
	return next == UINT64_MAX ? next : next > now ? next - now : 0;
}
