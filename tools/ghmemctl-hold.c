/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Holding a parcel. Only Reclaim's reply gives memory back, so every orderly end goes through an
 * explicit Reclaim; the closing of the connection is for the disorderly ones.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/ghmemctl.h"

#define EXIT_NOT_EXECUTABLE 126 /* as the shell, env(1) and timeout(1) have it */
#define EXIT_NOT_FOUND      127
#define EXIT_SIGNALLED      128

int signals_new(void)
{
	static const int interesting[] = { SIGINT, SIGTERM, SIGHUP };
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(interesting); i++) {
		struct sigaction action;

		/* A blocked signal is delivered to a signalfd even if it is ignored: nohup(1). */
		if (sigaction(interesting[i], NULL, &action) == 0 && action.sa_handler != SIG_IGN)
			sigaddset(&set, interesting[i]);
	}
	if (sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return -errno;
	fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* `{fd}` replaced by the number, in new memory. */
static char *replace_fd(const char *argument, int fd)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);
	const char *at;

	if (!to)
		return NULL;
	while ((at = strstr(argument, "{fd}"))) {
		fprintf(to, "%.*s%d", (int)(at - argument), argument, fd);
		argument = at + 4;
	}
	fputs(argument, to);
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* Runs in the child and does not return. */
static void run_child(const struct hold *hold)
{
	char **argv = hold->options->argv;
	char number[16];
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (hold->memory >= 0) {
		if (fcntl(hold->memory, F_SETFD, 0) < 0)
			_exit(EXIT_FAILED);
		snprintf(number, sizeof(number), "%d", hold->memory);
		for (char **argument = argv; *argument; argument++) {
			*argument = replace_fd(*argument, hold->memory);
			if (!*argument)
				_exit(EXIT_FAILED);
		}
	}
	execvp(argv[0], argv);
	ctl_complain("cannot run %s: %s", argv[0], strerror(errno));
	_exit(errno == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE);
}

/* Takes the parcel back. Returns EXIT_DONE or EXIT_FAILED, having said what it means. */
static int hold_reclaim(const struct hold *hold)
{
	struct signalfd_siginfo info;
	uint64_t offset;
	uint32_t handle;
	int r;

	if (ghmem_parcel_handle(hold->parcel, &handle) < 0) {
		ctl_complain("the parcel has no handle yet: ghmemd takes it back by itself");
		return EXIT_FAILED;
	}
	/* What ended the holding must not also end the call; one more signal may. */
	while (read(hold->signals, &info, sizeof(info)) > 0)
		;
	ctl_progress("reclaiming parcel %" PRIu32 " …", handle);
	if (ghmem_parcel_offset(hold->parcel, &offset) == 0)
		r = ghmem_reclaim_piece(hold->connection, handle, offset, 0);
	else
		r = ghmem_reclaim(hold->connection, handle, 0);
	ctl_progress_clear();
	if (r == 0 || r == GHMEM_PARCEL_NOT_FOUND) /* somebody else was faster */
		return EXIT_DONE;
	if (r == GHMEM_PARCEL_IN_USE)
		ctl_complain(
			"%s: the memory is not back, do not touch it. ghmemd now tries to get it "
			"back; watch it with ghmemctl show %" PRIu32
			", or use ghmemctl reclaim --force %" PRIu32,
			ghmem_error_text(hold->connection), handle, handle);
	else
		ctl_complain("parcel %" PRIu32 " is not reclaimed: %s. ghmemd goes on by itself; "
			     "ghmemctl show %" PRIu32 " says when it is gone",
			handle, ghmem_error_text(hold->connection), handle);
	return EXIT_FAILED;
}

static void complain_closed(const struct hold *hold)
{
	char handle[HANDLE_MAX];

	ctl_complain(
		"ghmemd closed the connection and takes parcel %s back by itself; the memory may "
		"be in use until ghmemctl list no longer shows it",
		ctl_format_handle(hold->parcel, handle, sizeof(handle)));
}

/* One of the descriptors that are waited for. */
enum { WAIT_SIGNALS, WAIT_BROKER, WAIT_COMMAND, N_WAITS };

static int hold_until_signal(const struct hold *hold)
{
	struct pollfd polls[] = {
		[WAIT_SIGNALS] = { .fd = hold->signals, .events = POLLIN },
		[WAIT_BROKER] = { .fd = ghmem_get_fd(hold->connection), .events = POLLIN },
	};

	if (isatty(STDERR_FILENO))
		fputs("held until interrupted (Ctrl-C)\n", stderr);
	while (!polls[WAIT_SIGNALS].revents && !polls[WAIT_BROKER].revents) {
		if (poll(polls, ARRAY_SIZE(polls), -1) < 0 && errno != EINTR) {
			ctl_complain("cannot wait: %s", strerror(errno));
			break;
		}
	}
	if (!polls[WAIT_BROKER].revents)
		return hold_reclaim(hold);
	complain_closed(hold);
	return EXIT_FAILED;
}

/* Passes signals on. What the terminal sends, the command gets from the terminal. */
static void forward_signals(const struct hold *hold, pid_t child)
{
	struct signalfd_siginfo info;

	while (read(hold->signals, &info, sizeof(info)) == (ssize_t)sizeof(info))
		if (info.ssi_code != SI_KERNEL)
			kill(child, (int)info.ssi_signo);
}

static int wait_status(pid_t child)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return EXIT_FAILED;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_SIGNALLED + WTERMSIG(status);
}

/* Waits for the command; *ret_lost: the broker closed the connection meanwhile. */
static int hold_command(const struct hold *hold, pid_t child, int pidfd, bool *ret_lost)
{
	struct pollfd polls[N_WAITS] = {
		[WAIT_SIGNALS] = { .fd = hold->signals, .events = POLLIN },
		[WAIT_BROKER] = { .fd = ghmem_get_fd(hold->connection), .events = POLLIN },
		[WAIT_COMMAND] = { .fd = pidfd, .events = POLLIN },
	};

	*ret_lost = false;
	while (!polls[WAIT_COMMAND].revents) {
		if (poll(polls, N_WAITS, -1) < 0) {
			if (errno == EINTR)
				continue;
			break;
		}
		if (polls[WAIT_SIGNALS].revents)
			forward_signals(hold, child);
		if (polls[WAIT_BROKER].revents) {
			complain_closed(hold);
			polls[WAIT_BROKER].fd = -1;
			*ret_lost = true;
		}
	}
	return wait_status(child);
}

int hold_parcel(struct hold *hold)
{
	_cleanup_close_ int pidfd = -1;
	bool lost;
	pid_t child;
	int status, r;

	if (!hold->options->argv)
		return hold_until_signal(hold);
	child = fork();
	if (child == 0)
		run_child(hold);
	pidfd = child < 0 ? -1 : pidfd_open(child, 0);
	if (child < 0) {
		ctl_complain("cannot run %s: %s", hold->options->argv[0], strerror(errno));
		status = EXIT_FAILED;
		lost = false;
	} else if (pidfd < 0) {
		ctl_complain("cannot watch the command: %s", strerror(errno));
		status = wait_status(child);
		lost = false;
	} else {
		status = hold_command(hold, child, pidfd, &lost);
	}
	r = lost ? EXIT_FAILED : hold_reclaim(hold);
	return status != 0 ? status : r;
}
