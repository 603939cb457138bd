/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "holder_bench.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a holder that is this test's child ---- */

pid_t execute(const char *const *arguments)
{
	pid_t pid = fork();

	if (pid == 0) {
		int null_fd = open("/dev/null", O_RDWR);

		dup2(null_fd, STDOUT_FILENO);
		dup2(null_fd, STDERR_FILENO);
		execv(state_dirs_holder(), (char *const *)arguments);
		_exit(127);
	}
	return pid;
}

int dial(const struct child *child)
{
	struct timeval patience = { .tv_sec = 10 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/holder.sock",
		child->dir.place.directory_fd);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	close(fd);
	return -1;
}

static bool is_reachable(void *userdata)
{
	int fd = dial(userdata);

	util_close(fd);
	return fd >= 0;
}

void start(struct child *child, const char *patience)
{
	const char *arguments[] = { "ghmemd-holder", "--state-dir", child->dir.path,
		"--client-deadline", patience, NULL };

	state_dir_make(&child->dir);
	arguments[2] = child->dir.path;
	child->pid = execute(arguments);
	ck_assert(wait_until(is_reachable, child));
}

bool has_ended(void *userdata)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)((struct child *)userdata)->pid, &info,
		       WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid != 0;
}

void await_end(struct child *child)
{
	int status;

	ck_assert(wait_until(has_ended, child));
	ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(faccessat(child->dir.place.directory_fd, HOLDER_SOCKET, F_OK, 0), -1);
}

void done(struct child *child)
{
	state_dir_end_holder(&child->dir);
	await_end(child);
	util_close(child->dir.lock_fd);
	util_close(child->dir.place.directory_fd);
}

/* ---- packets ---- */

void tell(int fd, const void *packet, size_t size, const int *fds, size_t n_fds)
{
	struct iovec iov = { (void *)packet, size };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(8 * sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (n_fds > 0) {
		message.msg_control = control.room;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(fd, &message, MSG_NOSIGNAL), (ssize_t)size);
}

int hear(int fd, struct holder_reply *reply, int *ret_fd)
{
	struct iovec iov = { reply, sizeof(*reply) };
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof(control.room),
	};

	ck_assert_int_eq(recvmsg(fd, &message, MSG_CMSG_CLOEXEC), sizeof(*reply));
	ck_assert_int_eq(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC), 0);
	if (CMSG_FIRSTHDR(&message)) {
		ck_assert_ptr_nonnull(ret_fd);
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	} else if (ret_fd) {
		*ret_fd = -1;
	}
	return reply->result;
}

bool has_hung_up(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

int ask(int fd, struct holder_request request, int pass, struct holder_reply *reply)
{
	tell(fd, &request, sizeof(request), &pass, pass >= 0);
	return hear(fd, reply, NULL);
}

int hello(int fd, int lock_fd)
{
	struct holder_request request = { .command = HOLDER_HELLO };
	struct holder_reply reply;
	int pidfd, r;

	tell(fd, &request, sizeof(request), &lock_fd, 1);
	r = hear(fd, &reply, &pidfd);
	ck_assert_int_eq(pidfd >= 0, r == 0);
	util_close(pidfd);
	return r;
}

int join(const struct child *child)
{
	int fd = dial(child);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(hello(fd, child->dir.lock_fd), 0);
	return fd;
}

struct holder_request put(uint64_t name, enum holder_class class, uint64_t size)
{
	return (struct holder_request){
		.command = HOLDER_PUT, .class = class, .name = name, .size = size, .tag = "tag"
	};
}

int make_small_memfd(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, 4 * SMALL_PAGE), 0);
	return fd;
}

int put_memory(int fd, uint64_t name)
{
	_cleanup_close_ int memfd = make_small_memfd();
	struct holder_reply reply;
	int r = ask(fd, put(name, HOLDER_MEMORY, 4 * SMALL_PAGE), memfd, &reply);

	if (r == 0) {
		ck_assert_uint_eq(reply.pages, 4);
		ck_assert_int_ge(reply.ring_fd, 0);
	}
	return r;
}

unsigned fds_of(pid_t pid)
{
	char path[32];
	unsigned n = 0;
	DIR *all;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	all = opendir(path);
	ck_assert_ptr_nonnull(all);
	while (readdir(all))
		n++;
	closedir(all);
	return n;
}
