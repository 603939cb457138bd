/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/holder_peer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/util.h"

#define OPEN_PATIENCE  6000000u /* microseconds; above the holder's own for a predecessor */
#define OPEN_PAUSE     20000u
#define STARTS_MAX     2
#define HELLO_PATIENCE 20  /* seconds; it may still be pinning for a predecessor */
#define ASK_PATIENCE   120 /* seconds; pinning takes 0.03 s/GiB (platform.md §1), under load more */
#define DEATH_PATIENCE 200 /* milliseconds; a dying process closes its sockets a little earlier */

void holder_peer_done(struct holder_peer *peer)
{
	peer->socket = util_close(peer->socket);
	peer->pidfd = util_close(peer->pidfd);
}

bool holder_peer_is_dead(const struct holder_peer *peer)
{
	struct pollfd fd = { peer->pidfd, POLLIN, 0 };

	return peer->pidfd >= 0 && poll(&fd, 1, DEATH_PATIENCE) == 1;
}

int holder_peer_copy(const struct holder_peer *peer, int fd)
{
	int copy = (int)syscall(SYS_pidfd_getfd, peer->pidfd, fd, 0);

	return copy < 0 ? -errno : copy;
}

/* ---- packets ---- */

static int send_request(int socket_fd, const struct holder_request *request, int fd)
{
	struct iovec iov = { (void *)request, sizeof(*request) };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		message.msg_control = control.room;
		message.msg_controllen = sizeof(control.room);
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.align), &fd, sizeof(int));
	}
	while (sendmsg(socket_fd, &message, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
	return 0;
}

static int receive_reply(int socket_fd, struct holder_reply *ret, int *ret_fd)
{
	char packet[sizeof(*ret) + 1];
	struct iovec iov = { packet, sizeof(packet) };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *header;
	int fd = -1;
	ssize_t n;

	do {
		message.msg_control = control.room;
		message.msg_controllen = sizeof(control.room);
		n = recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
		header->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(header), sizeof(int));
	if (ret_fd && n == sizeof(*ret))
		*ret_fd = fd;
	else
		util_close(fd);
	if (n == 0)
		return -ECONNRESET;
	if (n != sizeof(*ret))
		return -EPROTO;
	memcpy(ret, packet, sizeof(*ret));
	return 0;
}

int holder_peer_ask(struct holder_peer *peer, const struct holder_request *request, int fd,
	struct holder_reply *ret, int *ret_fd)
{
	int sent, r;

	if (ret_fd)
		*ret_fd = -1;
	sent = send_request(peer->socket, request, fd);
	/* A refusal may wait although the holder has closed its end. */
	if (sent < 0 && sent != -EPIPE && sent != -ECONNRESET)
		return sent;
	r = receive_reply(peer->socket, ret, ret_fd);
	return r < 0 && sent < 0 ? sent : r;
}

/* ---- finding it ---- */

/* Through the directory's descriptor, since a socket's name is shorter than a path may be. */
static void set_address(struct sockaddr_un *address, const struct holder_place *place)
{
	*address = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(address->sun_path, sizeof(address->sun_path), "/proc/self/fd/%d/" HOLDER_SOCKET,
		place->directory_fd);
}

static int set_patience(int fd, time_t seconds)
{
	struct timeval patience = { .tv_sec = seconds };

	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	return 0;
}

static int connect_to(struct holder_peer *peer, const struct holder_place *place)
{
	struct sockaddr_un address;
	_cleanup_close_ int fd = -1;

	set_address(&address, place);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0 || set_patience(fd, place->patience ? place->patience : HELLO_PATIENCE) < 0)
		return -errno;
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		if (errno != EINTR)
			return -errno;
	peer->socket = TAKE_FD(fd);
	return 0;
}

static int greet(struct holder_peer *peer, const struct holder_place *place)
{
	struct holder_request request = { .command = HOLDER_HELLO };
	int r = connect_to(peer, place);

	if (r < 0)
		return r;
	r = holder_peer_ask(peer, &request, place->lock_fd, &peer->hello, &peer->pidfd);
	if (r == 0)
		r = peer->hello.result;
	if (r == 0 && peer->hello.version != HOLDER_VERSION)
		r = -EPROTONOSUPPORT;
	if (r == 0 && peer->pidfd < 0)
		r = -EPROTO;
	if (r == 0)
		r = set_patience(peer->socket, place->patience ? place->patience : ASK_PATIENCE);
	if (r < 0)
		holder_peer_done(peer);
	return r;
}

/* ---- starting it ---- */

/* The holder's socket is made here, so that nothing has to be waited for. */
static int make_socket(const struct holder_place *place)
{
	struct sockaddr_un address;
	_cleanup_close_ int fd = -1;

	set_address(&address, place);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	/* Before bind this is the mode of the file to be; umask would be other threads' too. */
	if (fd < 0 || fchmod(fd, 0600) < 0)
		return -errno;
	/* Nobody listens on the old one, and who has the lock may make a new one. */
	unlinkat(place->directory_fd, HOLDER_SOCKET, 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* In the child: only calls that are safe after a fork in a process with threads. */
static _Noreturn void execute(const char *path, char **argv, int listen_fd)
{
	static const char sorry[] = "ghmemd: cannot execute ghmemd-holder\n";
	struct sigaction ignore = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		sigaction(number, &ignore, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (listen_fd == 3)
		fcntl(listen_fd, F_SETFD, 0);
	else
		dup2(listen_fd, 3);
	close_range(4, ~0u, 0);
	execv(path, argv);
	if (write(STDERR_FILENO, sorry, sizeof(sorry) - 1) < 0)
		_exit(126);
	_exit(127);
}

static int start(const struct holder_place *place)
{
	char *argv[] = { (char *)"ghmemd-holder", (char *)"--state-dir", (char *)place->state_dir,
		(char *)"--listen-fd", (char *)"3", NULL };
	_cleanup_close_ int listen_fd = make_socket(place);
	pid_t pid;

	if (listen_fd < 0)
		return listen_fd;
	if (access(place->holder_path, X_OK) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0) {
		/* Not this process's child, nor of its session: it is to outlive both. */
		setsid();
		pid = fork();
		if (pid == 0)
			execute(place->holder_path, argv, listen_fd);
		_exit(pid < 0);
	}
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	return 0;
}

int holder_peer_open(struct holder_peer *peer, const struct holder_place *place, bool may_start)
{
	uint64_t until = util_now_usec() + OPEN_PATIENCE;
	unsigned starts = 0;

	for (;;) {
		int r = greet(peer, place);

		if (r == -ENOENT || r == -ECONNREFUSED) {
			if (!may_start || starts == STARTS_MAX)
				return r;
			starts++;
			r = start(place);
			if (r < 0)
				return r;
			continue;
		}
		if (r != -EBUSY && r != -ECONNRESET && r != -EPIPE)
			return r;
		if (util_now_usec() >= until)
			return r;
		usleep(OPEN_PAUSE);
	}
}
