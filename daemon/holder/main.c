/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * ghmemd-holder: keeps pinned memory and descriptors alive while no daemon runs. It exits by
 * itself when it keeps nothing and no daemon is connected, and never while it keeps anything.
 */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <linux/capability.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/holder/server.h"
#include "util/util.h"

#define EMPTY_PATIENCE  2000000u  /* microseconds without a daemon before an empty holder ends */
#define CLIENT_PATIENCE 30000000u /* microseconds that clients wait for a daemon */
#define LOCK_PATIENCE   3000000u  /* microseconds that a predecessor has to end */

struct options {
	const char *state_dir;
	int listen_fd; /* -1: make the socket */
	uint64_t client_patience;
};

static const char usage[] =
	"Usage: ghmemd-holder [OPTION…]\n"
	"Keeps ghmemd's pinned memory and descriptors alive while no ghmemd runs.\n\n"
	"  --state-dir DIR        ghmemd's state directory (default /run/ghmemd)\n"
	"  --listen-fd N          a listening SOCK_SEQPACKET socket to serve instead of making\n"
	"                         DIR/holder.sock; sockets passed by systemd are found without it\n"
	"  --client-deadline SEC  how long clients' connections are kept without a daemon (30)\n"
	"  --help, --version\n\n"
	"It ends by itself when it keeps nothing and no daemon is connected. While it keeps\n"
	"anything it ignores SIGTERM, SIGINT and SIGHUP: memory that a virtual machine can reach\n"
	"must stay pinned.\n";

/* Says why and returns the exit status for it. */
static int fail(const char *what, const char *name, int error)
{
	fprintf(stderr, "ghmemd-holder: %s%s%s: %s\n", what, name ? " " : "", name ? name : "",
		strerror(error < 0 ? -error : error));
	return EXIT_FAILURE;
}

/* Returns -1 to go on, or the exit status. */
static int parse_options(int argc, char **argv, struct options *ret)
{
	static const struct option table[] = {
		{ "state-dir", required_argument, NULL, 's' },
		{ "listen-fd", required_argument, NULL, 'l' },
		{ "client-deadline", required_argument, NULL, 'c' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ 0 },
	};
	uint64_t number = 0;
	int c;

	*ret = (struct options){ "/run/ghmemd", -1, CLIENT_PATIENCE };
	while ((c = getopt_long(argc, argv, "", table, NULL)) >= 0) {
		if ((c == 'l' || c == 'c') &&
			(util_parse_u64(optarg, false, &number) < 0 || number > 86400)) {
			fprintf(stderr, "ghmemd-holder: not a number in range: %s\n", optarg);
			return 2;
		}
		switch (c) {
		case 's': ret->state_dir = optarg; break;
		case 'l': ret->listen_fd = (int)number; break;
		case 'c': ret->client_patience = number * 1000000; break;
		case 'h': fputs(usage, stdout); return EXIT_SUCCESS;
		case 'v': printf("ghmemd-holder %s\n", PACKAGE_VERSION); return EXIT_SUCCESS;
		default: fputs("Try ghmemd-holder --help\n", stderr); return 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "ghmemd-holder: unexpected argument: %s\n", argv[optind]);
		return 2;
	}
	return -1;
}

/* systemd's socket activation, sd_listen_fds(3): the first descriptor is number 3. */
static int passed_by_systemd(void)
{
	const char *pid = getenv("LISTEN_PID"), *fds = getenv("LISTEN_FDS");
	uint64_t number;

	if (!pid || !fds || util_parse_u64(pid, false, &number) < 0 || number != (uint64_t)getpid())
		return -1;
	return util_parse_u64(fds, false, &number) == 0 && number >= 1 ? 3 : -1;
}

static int check_listening(int fd)
{
	int type = 0, listening = 0, domain = 0;
	socklen_t size = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) < 0 ||
		getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) < 0)
		return -errno;
	if (domain != AF_UNIX || type != SOCK_SEQPACKET || !listening)
		return -EPROTOTYPE;
	return util_set_nonblock(fd);
}

/* The directory's lock, which this process has, makes the removal of an old socket safe. */
static int make_socket(int directory_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = -1;

	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" HOLDER_SOCKET,
		directory_fd);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	unlinkat(directory_fd, HOLDER_SOCKET, 0);
	umask(0177);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 16) < 0)
		return -errno;
	return TAKE_FD(fd);
}

/* One holder per state directory. A predecessor that is just ending gets the time to. */
static int lock_directory(int fd)
{
	uint64_t until = util_now_usec() + LOCK_PATIENCE;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || util_now_usec() >= until)
			return -errno;
		usleep(20000);
	}
	return 0;
}

static uint32_t find_abilities(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };

	if (syscall(SYS_capget, &header, data) < 0)
		return 0;
	return data[CAP_IPC_LOCK / 32].effective & (1u << CAP_IPC_LOCK % 32) ? HOLDER_PINS_ANY : 0;
}

/* Apart from the terminal, the directory and the descriptors of whoever started it. */
static void detach(int listen_fd)
{
	struct rlimit files;
	int null_fd, score_fd;

	if (listen_fd > 3)
		close_range(3, (unsigned)listen_fd - 1, 0);
	close_range(listen_fd >= 3 ? (unsigned)listen_fd + 1 : 3, ~0u, 0);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd >= 0) {
		dup2(null_fd, STDIN_FILENO);
		dup2(null_fd, STDOUT_FILENO);
		util_close(null_fd);
	}
	setsid();
	prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	score_fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (score_fd >= 0) {
		/* Best effort: it takes CAP_SYS_RESOURCE; systemd's unit does the same. */
		if (write(score_fd, "-1000", 5) < 0)
			errno = 0;
		util_close(score_fd);
	}
}

/* Nothing but SIGKILL ends it unasked: everything is blocked, SIGTERM is read from the result. */
static int block_signals(void)
{
	static const uint64_t all = ~UINT64_C(0);
	sigset_t term;

	/* Past the C library, which leaves two numbers of its own out of every set. */
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all));
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	return signalfd(-1, &term, SFD_CLOEXEC | SFD_NONBLOCK);
}

static bool terminated(int signal_fd, const struct server *server)
{
	struct signalfd_siginfo info;

	if (read(signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (server->keep.n == 0)
		return true;
	fprintf(stderr, "ghmemd-holder: SIGTERM ignored: %zu entries are kept, %llu pages pinned\n",
		server->keep.n, (unsigned long long)server->keep.pages);
	return false;
}

static void serve(struct server *server, int signal_fd)
{
	for (;;) {
		uint64_t wait = server_tick(server), now = util_now_usec();
		struct pollfd fds[3] = {
			{ server->connection_fd, POLLIN, 0 },
			{ server->accept_after ? -1 : server->listen_fd, POLLIN, 0 },
			{ signal_fd, POLLIN, 0 },
		};
		struct timespec timeout;

		if (server->empty_since != UINT64_MAX) {
			uint64_t end = server->empty_since + EMPTY_PATIENCE;

			if (now >= end)
				return;
			wait = end - now < wait ? end - now : wait;
		}
		timeout.tv_sec = (time_t)(wait / 1000000);
		timeout.tv_nsec = (long)(wait % 1000000) * 1000;
		if (ppoll(fds, 3, wait == UINT64_MAX ? NULL : &timeout, NULL) < 0)
			continue;
		/* The old connection's end is seen before the new connection is looked at. */
		if (fds[0].revents)
			server_answer(server);
		if (fds[1].revents)
			server_accept(server);
		if (fds[2].revents && terminated(signal_fd, server))
			return;
	}
}

int main(int argc, char **argv)
{
	struct server server = {
		.directory_fd = -1,
		.connection_fd = -1,
		.self_fd = -1,
		.hello_deadline = UINT64_MAX,
		.client_deadline = UINT64_MAX,
		.empty_since = UINT64_MAX,
	};
	struct options options;
	bool is_systemds = false;
	int signal_fd, r;

	r = parse_options(argc, argv, &options);
	if (r >= 0)
		return r;
	if (options.listen_fd < 0) {
		options.listen_fd = passed_by_systemd();
		is_systemds = options.listen_fd >= 0;
	}
	detach(options.listen_fd);
	signal_fd = block_signals();
	server.directory_fd = open(options.state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (server.directory_fd < 0)
		return fail("cannot open the state directory", options.state_dir, errno);
	r = lock_directory(server.directory_fd);
	if (r < 0)
		return fail("another holder serves", options.state_dir, r);
	server.listen_fd = options.listen_fd;
	if (server.listen_fd < 0)
		server.listen_fd = make_socket(server.directory_fd);
	r = server.listen_fd < 0 ? server.listen_fd : check_listening(server.listen_fd);
	if (r < 0)
		return fail("no socket to listen on", NULL, r);
	server.self_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
	if (signal_fd < 0 || server.self_fd < 0 || chdir("/") < 0)
		return fail("cannot start", NULL, errno);
	r = util_random(&server.epoch, sizeof(server.epoch));
	if (r < 0)
		return fail("no random numbers", NULL, r);
	server.abilities = find_abilities();
	server.client_patience = options.client_patience;
	serve(&server, signal_fd);
	/* First the name, then the socket: who finds the name finds somebody behind it. */
	if (!is_systemds)
		unlinkat(server.directory_fd, HOLDER_SOCKET, 0);
	keep_done(&server.keep);
	return EXIT_SUCCESS;
}
