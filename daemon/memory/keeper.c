/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util/util.h"

#define READY_PATIENCE 5000 /* milliseconds */

/* ---- in the child: only calls that are safe after a fork in a process with threads ---- */

static void close_all_but(const int *fds, size_t n)
{
	unsigned next = 0;

	for (size_t i = 0; i < n; i++) {
		if ((unsigned)fds[i] > next)
			close_range(next, (unsigned)fds[i] - 1, 0);
		next = (unsigned)fds[i] + 1;
	}
	close_range(next, ~0u, 0);
}

/* Without capabilities, so that a holder that has fewer than this process may copy rings. */
static void drop_capabilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = { 0 };

	syscall(SYS_capset, &header, none);
}

static void spare_from_oom(void)
{
	int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);

	/* Best effort: it takes CAP_SYS_RESOURCE. */
	if (fd >= 0 && write(fd, "-1000", 5) < 0)
		errno = 0;
	util_close(fd);
}

/* Past the C library, which leaves two numbers of its own out of every set. */
static void block_all_signals(void)
{
	static const uint64_t all = ~UINT64_C(0);

	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
}

/* Nearly every signal is blocked, from before the fork on. */
static _Noreturn void keep(const int *fds, size_t n, int ready_fd)
{
	block_all_signals();
	setsid();
	prctl(PR_SET_NAME, "ghmemd-keeper", 0, 0, 0);
	spare_from_oom();
	drop_capabilities();
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	/* Yama, where there is one: the next holder is not born yet. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0);
	if (chdir("/") < 0 || write(ready_fd, "", 1) != 1)
		_exit(1);
	close_all_but(fds, n);
	for (;;)
		pause();
}

/* ---- in the parent ---- */

static int compare(const void *a, const void *b)
{
	return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

static int await_ready(int fd)
{
	struct pollfd ready = { fd, POLLIN, 0 };
	char byte;
	int r;

	do
		r = poll(&ready, 1, READY_PATIENCE);
	while (r < 0 && errno == EINTR);
	if (r == 0)
		return -ETIMEDOUT;
	return read(fd, &byte, 1) == 1 ? 0 : -ECHILD;
}

int keeper_start(struct keeper *ret, int *fds, size_t n)
{
	struct keeper keeper = KEEPER_NONE;
	sigset_t all, before;
	int ends[2], r = 0;

	qsort(fds, n, sizeof(*fds), compare);
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* A signal's handler would, in the child, speak to this process's event loop. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	keeper.pid = fork();
	if (keeper.pid == 0)
		keep(fds, n, ends[1]);
	if (keeper.pid < 0) {
		r = -errno;
		keeper.pid = 0;
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	util_close(ends[1]);
	if (r == 0) {
		keeper.pidfd = (int)syscall(SYS_pidfd_open, keeper.pid, 0);
		r = keeper.pidfd < 0 ? -errno : await_ready(ends[0]);
	}
	util_close(ends[0]);
	if (r < 0) {
		keeper_end(&keeper);
		return r;
	}
	*ret = keeper;
	return 0;
}

bool keeper_lives(const struct keeper *keeper)
{
	struct pollfd end = { keeper->pidfd, POLLIN, 0 };

	return keeper->pid > 0 && poll(&end, 1, 0) == 0;
}

void keeper_end(struct keeper *keeper)
{
	if (keeper->pid > 0) {
		/* Not waited for by anybody else, so that the number is still its own. */
		kill(keeper->pid, SIGKILL);
		while (waitpid(keeper->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	keeper_leave(keeper);
}

void keeper_leave(struct keeper *keeper)
{
	util_close(keeper->pidfd);
	*keeper = KEEPER_NONE;
}
