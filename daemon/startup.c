/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/startup.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "util/log.h"

void startup_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return;
	limit.rlim_cur = limit.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		log_warning("cannot raise the limit of open files: %s", strerror(errno));
}

int startup_lock(const char *state_dir)
{
	_cleanup_free_ char *path = NULL;
	_cleanup_close_ int fd = -1;
	struct stat st;

	/* Others may look in, for the Varlink socket; what is in it protects itself. */
	if (mkdir(state_dir, 0755) < 0 && errno != EEXIST) {
		int r = -errno;

		log_err("cannot make the state directory %s: %s; give another one with "
			"--state-dir=",
			state_dir, strerror(-r));
		return r;
	}
	if (stat(state_dir, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022)) {
		log_err("the state directory %s must be a directory of uid %u that nobody else can "
			"write",
			state_dir, geteuid());
		return -EPERM;
	}
	if (asprintf(&path, "%s/lock", state_dir) < 0)
		return -ENOMEM;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = -errno;

		if (r == -EWOULDBLOCK)
			log_err("another ghmemd uses the state directory %s", state_dir);
		else
			log_err("cannot lock %s: %s", path, strerror(-r));
		return r;
	}
	return TAKE_FD(fd);
}

int startup_sibling(const char *name, char **ret)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return -errno;
	self[n] = '\0';
	return asprintf(ret, "%s/%s", dirname(self), name) < 0 ? -ENOMEM : 0;
}

/* ---- policy ---- */

static char *faults_to_text(const struct policy_report *report)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return NULL;
	for (size_t i = 0; i < report->n_faults; i++) {
		const struct policy_fault *fault = &report->faults[i];

		if (fault->severity != POLICY_ERROR)
			continue;
		fprintf(stream, "%s%s:", ftell(stream) > 0 ? "\n" : "", fault->file);
		if (fault->line > 0)
			fprintf(stream, "%u:%u:", fault->line, fault->column);
		fprintf(stream, " %s", fault->message);
	}
	fclose(stream);
	return text;
}

static int load(const char *const *dirs, size_t n_dirs, struct policy **ret, char **ret_error)
{
	struct policy_report report;
	int r;

	r = policy_load(dirs, n_dirs, ret, &report);
	for (size_t i = 0; i < report.n_faults; i++)
		if (report.faults[i].severity == POLICY_WARNING)
			log_warning("%s:%u:%u: %s", report.faults[i].file, report.faults[i].line,
				report.faults[i].column, report.faults[i].message);
	if (r == -EBADMSG)
		*ret_error = faults_to_text(&report);
	else if (r < 0)
		*ret_error = strdup(strerror(-r));
	policy_report_done(&report);
	return r;
}

int startup_policy(const struct options *options, struct policy **ret, char **ret_error)
{
	_cleanup_free_ char *in_build_tree = NULL;
	const char *defaults[] = { GHMEM_POLICY_DIR, "/run/ghmemd/policy.d",
		"/etc/ghmemd/policy.d" };

	if (options->n_policy_dirs > 0)
		return load((const char *const *)options->policy_dirs, options->n_policy_dirs, ret,
			ret_error);
	if (startup_sibling("../policy/policy.d", &in_build_tree) == 0 &&
		access(in_build_tree, F_OK) == 0)
		defaults[0] = in_build_tree;
	return load(defaults, ARRAY_SIZE(defaults), ret, ret_error);
}

/* ---- listening ---- */

static int socket_from_systemd(void)
{
	char **names = NULL;
	int n = sd_listen_fds_with_names(1, &names), fd = -1;

	for (int i = 0; i < n; i++) {
		if (fd < 0 && names && names[i] && strcmp(names[i], "varlink") == 0)
			fd = SD_LISTEN_FDS_START + i;
		if (names)
			free(names[i]);
	}
	free(names);
	return fd;
}

/* Removes a dead daemon's socket, and nothing else: who is alive keeps its own. */
static int clear_path(const char *path, const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		log_err("%s is in the way: it is no socket", path);
		return -EEXIST;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
		errno != ECONNREFUSED) {
		log_err("another program listens on %s", path);
		return -EADDRINUSE;
	}
	return unlink(path) < 0 ? -errno : 0;
}

void startup_unlisten(const char *path, const struct stat *made)
{
	struct stat st;

	if (made->st_ino != 0 && lstat(path, &st) == 0 && st.st_dev == made->st_dev &&
		st.st_ino == made->st_ino)
		unlink(path);
}

int startup_listen(const char *path, struct stat *ret_made)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket_from_systemd();
	mode_t mask;
	int r;

	*ret_made = (struct stat){};
	if (fd >= 0)
		return TAKE_FD(fd);
	if (strlen(path) >= sizeof(address.sun_path)) {
		log_err("the socket's path %s is longer than %zu bytes", path,
			sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = clear_path(path, &address);
	if (r < 0)
		return r;
	mask = umask(0111);
	r = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(mask);
	if (r == 0 && listen(fd, SOMAXCONN) < 0)
		r = -errno;
	if (r < 0) {
		log_err("cannot listen on %s: %s", path, strerror(-r));
		return r;
	}
	if (lstat(path, ret_made) < 0)
		return -errno;
	return TAKE_FD(fd);
}
