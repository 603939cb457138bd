/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/bench/place.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/bench/speak.h"
#include "tests/bench/stats.h"
#include "util/util.h"

#define START_SECONDS  30
#define STOP_SECONDS   60 /* a daemon reclaims first */
#define HOLDER_SECONDS 10 /* it stays about 2 s, in case that another daemon comes */
#define PAUSE_USEC     10000

static volatile sig_atomic_t signalled;

static void on_signal(int number _unused_)
{
	signalled = 1;
}

void place_catch_signals(void)
{
	/* No SA_RESTART: a blocking call of a floor or a client is to end. */
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGHUP, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
}

bool place_interrupted(void)
{
	return signalled;
}

/* ---- children ---- */

/* In the child. Its own process group: an interrupt from the terminal must not reach the emulator
 * before the daemon has reclaimed. */
static void become(const struct place *place, const char *log, char *const *argv)
{
	char path[PATH_MAX];
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC), log_fd;

	setpgid(0, 0);
	signal(SIGPIPE, SIG_DFL);
	snprintf(path, sizeof(path), "%s/%s", place->folder, log);
	log_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (null_fd >= 0 && log_fd >= 0 && dup2(null_fd, 0) == 0 && dup2(log_fd, 1) == 1 &&
		dup2(log_fd, 2) == 2)
		execv(argv[0], argv);
	_exit(127);
}

static int start(const struct place *place, pid_t *pid, const char *log, char *const *argv)
{
	pid_t child;

	if (access(argv[0], X_OK) < 0) {
		int r = -errno;

		fprintf(stderr,
			"ghmem-bench: %s: %s (build it first, or name the build tree with "
			"--build)\n",
			argv[0], strerror(-r));
		return r;
	}
	child = fork();
	if (child < 0)
		return -errno;
	if (child == 0)
		become(place, log, argv);
	*pid = child;
	return 0;
}

static void show_log(const struct place *place, const char *log)
{
	char path[PATH_MAX], line[512];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", place->folder, log);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file))
		fprintf(stderr, "  %s", line);
	if (file)
		fclose(file);
}

/* Until its socket can be connected to. */
static int await(const struct place *place, pid_t *pid, const char *log, const char *path, int type)
{
	double end = stats_now() + START_SECONDS;

	while (stats_now() < end && !place_interrupted()) {
		int fd = speak_connect(path, type), status;

		if (fd >= 0) {
			close(fd);
			return 0;
		}
		if (waitpid(*pid, &status, WNOHANG) == *pid) {
			*pid = 0;
			break;
		}
		usleep(PAUSE_USEC);
	}
	if (place_interrupted())
		return -EINTR;
	fprintf(stderr, "ghmem-bench: nobody listens on %s; %s says:\n", path, log);
	show_log(place, log);
	return -ECONNREFUSED;
}

bool place_reap(pid_t *pid, int signal, double seconds)
{
	double end = stats_now() + seconds;
	int status = 0;

	if (*pid <= 0)
		return true;
	if (signal)
		kill(*pid, signal);
	for (;;) {
		pid_t ended = waitpid(*pid, &status, WNOHANG);

		if (ended == *pid || (ended < 0 && errno == ECHILD))
			break;
		if (stats_now() > end) {
			fprintf(stderr, "ghmem-bench: process %d does not end and is killed\n",
				(int)*pid);
			kill(*pid, SIGKILL);
			end += seconds + 1;
		}
		usleep(PAUSE_USEC);
	}
	*pid = 0;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* ---- start ---- */

static int start_emulator(const struct place *place, const char *build, pid_t *pid, const char *log,
	const char *socket)
{
	char program[PATH_MAX];
	char *argv[] = { program, (char *)"--listen", (char *)socket, NULL };
	int r;

	snprintf(program, sizeof(program), "%s/tools/ghrm-emulator", build);
	r = start(place, pid, log, argv);
	return r < 0 ? r : await(place, pid, log, socket, SOCK_SEQPACKET);
}

/* Allows the own uid what is measured, and nothing else to anybody. */
static int write_policy(const struct place *place)
{
	char path[PATH_MAX];
	FILE *file;

	snprintf(path, sizeof(path), "%s/policy.d", place->folder);
	if (mkdir(path, 0755) < 0)
		return -errno;
	snprintf(path, sizeof(path), "%s/policy.d/10-bench.json", place->folder);
	file = fopen(path, "we");
	if (!file)
		return -errno;
	fprintf(file,
		"{\"rules\": [{\n"
		"  \"name\": \"bench\", \"effect\": \"allow\", \"subject\": {\"users\": [%u]},\n"
		"  \"operations\": [\"lend\", \"reclaim\", \"status\"], \"access\": \"rw\",\n"
		"  \"memory\": {\"sources\": [\"allocate\"]}\n"
		"}]}\n",
		geteuid());
	return fclose(file) < 0 ? -errno : 0;
}

static int start_daemon(struct place *place, const char *build)
{
	char program[PATH_MAX], rm[128], varlink[128], state[128], policy[128];
	char *argv[] = { program, rm, varlink, state, policy, (char *)"--bus=none", NULL };
	int r;

	snprintf(program, sizeof(program), "%s/daemon/ghmemd", build);
	snprintf(rm, sizeof(rm), "--rm=unix:%s", place->rm);
	snprintf(varlink, sizeof(varlink), "--varlink=%s", place->varlink);
	snprintf(state, sizeof(state), "--state-dir=%s/state", place->folder);
	snprintf(policy, sizeof(policy), "--policy-dir=%s/policy.d", place->folder);
	r = write_policy(place);
	if (r == 0)
		r = start(place, &place->daemon, "ghmemd.log", argv);
	return r < 0 ? r : await(place, &place->daemon, "ghmemd.log", place->varlink, SOCK_STREAM);
}

int place_open(struct place *place, const char *build)
{
	const char *tmp = getenv("TMPDIR");
	int r;

	*place = (struct place){ 0 };
	/* So that the holder, which the daemon detaches, becomes a child here and can be awaited. */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	if ((size_t)snprintf(place->folder, sizeof(place->folder), "%s/ghmem-bench.XXXXXX",
		    tmp ? tmp : "/tmp") >= sizeof(place->folder) ||
		!mkdtemp(place->folder)) {
		r = errno ? -errno : -ENAMETOOLONG;
		fprintf(stderr, "ghmem-bench: no temporary directory: %s\n", strerror(-r));
		place->folder[0] = '\0';
		return r;
	}
	snprintf(place->rm, sizeof(place->rm), "%s/rm", place->folder);
	snprintf(place->floor_rm, sizeof(place->floor_rm), "%s/floor-rm", place->folder);
	snprintf(place->varlink, sizeof(place->varlink), "%s/varlink", place->folder);
	r = start_emulator(place, build, &place->emulator, "emulator.log", place->rm);
	if (r == 0)
		r = start_emulator(place, build, &place->floor_emulator, "floor-emulator.log",
			place->floor_rm);
	return r < 0 ? r : start_daemon(place, build);
}

/* ---- end ---- */

/* What the daemon left behind and the kernel handed to this process. */
static void kill_heirs(void)
{
	FILE *file = fopen("/proc/thread-self/children", "re");
	int pid;

	while (file && fscanf(file, "%d", &pid) == 1) {
		fprintf(stderr, "ghmem-bench: process %d does not end and is killed\n", pid);
		kill(pid, SIGKILL);
	}
	if (file)
		fclose(file);
}

static void await_heirs(const struct place *place)
{
	double end = stats_now() + HOLDER_SECONDS;

	for (;;) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid < 0 && errno == ECHILD)
			return;
		if (pid > 0)
			continue;
		if (stats_now() > end) {
			show_log(place, "ghmemd.log");
			kill_heirs();
			end += HOLDER_SECONDS;
		}
		usleep(PAUSE_USEC);
	}
}

static int remove_entry(const char *path, const struct stat *st _unused_, int type _unused_,
	struct FTW *ftw _unused_)
{
	return remove(path);
}

static void stop(const struct place *place, pid_t *pid, const char *log)
{
	if (place_reap(pid, SIGTERM, STOP_SECONDS))
		return;
	fprintf(stderr, "ghmem-bench: a program ended badly; %s says:\n", log);
	show_log(place, log);
}

void place_close(struct place *place)
{
	stop(place, &place->daemon, "ghmemd.log");
	stop(place, &place->floor_emulator, "floor-emulator.log");
	stop(place, &place->emulator, "emulator.log");
	if (!place->folder[0])
		return;
	await_heirs(place);
	if (nftw(place->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
		fprintf(stderr, "ghmem-bench: %s cannot be removed: %s\n", place->folder,
			strerror(errno));
	place->folder[0] = '\0';
}
