/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/varlink/internal.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>

/* Linux 6.5; the headers of Debian 12 do not have it. */
#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77
#endif

/* PF_EXITING among the flags of /proc/PID/stat; never taken back. */
#define PROCESS_FLAG_EXITING 0x4u

static bool pidfd_is_alive(int pidfd)
{
	struct pollfd pollfd = { .fd = pidfd, .events = POLLIN };

	return poll(&pollfd, 1, 0) == 0;
}

/* The primary group first, then the supplementary ones. */
static int peer_read_groups(struct varlink_peer *peer, int fd)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t size = 32 * sizeof(gid_t);

	for (;;) {
		gid_t *larger = realloc(groups, size + sizeof(gid_t));

		if (!larger)
			return -ENOMEM;
		groups = larger;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups + 1, &size) >= 0)
			break;
		/* ERANGE tells the size that is needed. */
		if (errno != ERANGE)
			return -errno;
	}
	groups[0] = peer->gid;
	peer->n_groups = 1;
	for (size_t i = 1; i <= size / sizeof(gid_t); i++)
		if (groups[i] != peer->gid)
			groups[peer->n_groups++] = groups[i];
	peer->groups = TAKE_PTR(groups);
	return 0;
}

/* Effective ids of a process as they are now. */
static int process_read_ids(pid_t pid, uid_t *ret_uid, gid_t *ret_gid)
{
	char path[64], line[256];
	bool uid = false, gid = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (!(uid && gid) && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Uid: %*u %u", ret_uid) == 1)
			uid = true;
		else if (sscanf(line, "Gid: %*u %u", ret_gid) == 1)
			gid = true;
	}
	fclose(file);
	return uid && gid ? 0 : -ESRCH;
}

/*
 * Before Linux 6.5 the pid must be turned into a pidfd by hand, and the process may have ended since
 * it connected and its pid be somebody else's. The pidfd is believed only if the ids of its process
 * are the ones that the kernel noted at connect, and it lives after they were read (which means that
 * /proc/PID was it all the time). What remains is the reuse of a pid by a process of the same user
 * and group while the connection waited to be accepted.
 */
static int peer_open_pidfd(struct varlink_peer *peer, bool *ret_gone)
{
	_cleanup_close_ int pidfd = -1;
	uid_t uid;
	gid_t gid;

	/* A process of a PID namespace that cannot be seen from here. */
	if (peer->pid <= 0)
		return 0;
	pidfd = pidfd_open(peer->pid, 0);
	if (pidfd < 0 && errno != ESRCH && errno != EINVAL)
		return -errno;
	*ret_gone = pidfd < 0 || !pidfd_is_alive(pidfd);
	if (*ret_gone || process_read_ids(peer->pid, &uid, &gid) < 0)
		return 0;
	if (uid == peer->uid && gid == peer->gid && pidfd_is_alive(pidfd))
		peer->pidfd = TAKE_FD(pidfd);
	return 0;
}

static int peer_read_pidfd(struct varlink_peer *peer, int fd, bool *ret_gone)
{
	socklen_t size = sizeof(peer->pidfd);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &peer->pidfd, &size) >= 0) {
		*ret_gone = !pidfd_is_alive(peer->pidfd);
		return 0;
	}
	peer->pidfd = -1;
	switch (errno) {
	case ENOPROTOOPT: return peer_open_pidfd(peer, ret_gone);
	case ENODATA:
	case ESRCH:
	case EINVAL: /* some kernels' word for a process that has been reaped */
		*ret_gone = true;
		return 0;
	default: return -errno;
	}
}

/*
 * A process whose first thread ends before the others is alive, yet the kernel tells the root as that
 * thread's place in a version 1 hierarchy, so that it could walk out of its unit. True also when it
 * cannot be found out.
 */
static bool process_is_exiting(pid_t pid)
{
	char path[64], text[512];
	const char *end;
	unsigned flags;
	size_t n;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	file = fopen(path, "re");
	if (!file)
		return true;
	n = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	text[n] = '\0';
	/* The name before the last parenthesis is the process's own choice. */
	end = strrchr(text, ')');
	return !end || sscanf(end, ") %*c %*d %*d %*d %*d %*d %u", &flags) != 1 ||
	       (flags & PROCESS_FLAG_EXITING);
}

/*
 * What cannot be found out must not pass for "in no unit": deny rules with `units` would be evaded.
 * "In no unit" is believed of a process that is still there, from systemd, which says so with
 * -ENODATA; without systemd there are no units to be in.
 */
static int peer_read_unit(struct varlink_peer *peer)
{
	char *unit = NULL;
	bool known;
	int r;

	if (peer->pidfd < 0 || peer->pid <= 0)
		return 0;
	r = sd_pid_get_unit(peer->pid, &unit);
	if (r == -ENOMEM || r == -EMFILE || r == -ENFILE)
		return r;
	known = r >= 0 || sd_booted() == 0 || (r == -ENODATA && !process_is_exiting(peer->pid));
	/* It was looked up by number: it is about this process if that still lives. */
	if (known && pidfd_is_alive(peer->pidfd)) {
		peer->unit = unit;
		peer->unit_unknown = false;
	} else {
		free(unit);
	}
	return 0;
}

int peer_read_credentials(struct varlink_peer *peer, int fd)
{
	struct ucred ucred;
	socklen_t size = sizeof(ucred);

	*peer = (struct varlink_peer){ .pidfd = -1, .unit_unknown = true };
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) < 0)
		return -errno;
	peer->uid = ucred.uid;
	peer->gid = ucred.gid;
	peer->pid = ucred.pid;
	return 0;
}

int peer_read_process(struct varlink_peer *peer, int fd, bool *ret_gone)
{
	int r;

	*ret_gone = false;
	r = peer_read_groups(peer, fd);
	if (r >= 0)
		r = peer_read_pidfd(peer, fd, ret_gone);
	if (r >= 0)
		r = peer_read_unit(peer);
	if (r < 0)
		peer_done(peer);
	return r;
}

void peer_done(struct varlink_peer *peer)
{
	util_close(peer->pidfd);
	free(peer->groups);
	free(peer->unit);
	*peer = (struct varlink_peer){ .pidfd = -1, .unit_unknown = true };
}
