/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state_dir.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util/util.h"

static char base[32];
static char holder_path[64];

static void copy_file(const char *from, const char *to)
{
	_cleanup_close_ int in = open(from, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0755);
	char buffer[65536];
	ssize_t n;

	if (in < 0 || out < 0)
		abort();
	while ((n = read(in, buffer, sizeof(buffer))) > 0)
		if (write(out, buffer, (size_t)n) != n)
			abort();
}

void state_dirs_open(void)
{
	snprintf(base, sizeof(base), "/tmp/ghmem-test.XXXXXX");
	if (!mkdtemp(base) || chmod(base, 0777) < 0)
		abort();
	snprintf(holder_path, sizeof(holder_path), "%s/holder-program", base);
	copy_file(TEST_HOLDER, holder_path);
}

const char *state_dirs_holder(void)
{
	return holder_path;
}

void state_dir_make(struct state_dir *dir)
{
	char lock[sizeof(dir->path) + 8];

	snprintf(dir->path, sizeof(dir->path), "%s/state.XXXXXX", base);
	ck_assert_ptr_nonnull(mkdtemp(dir->path));
	snprintf(lock, sizeof(lock), "%s/lock", dir->path);
	dir->lock_fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(dir->lock_fd, 0);
	ck_assert_int_eq(flock(dir->lock_fd, LOCK_EX | LOCK_NB), 0);
	dir->place = (struct holder_place){
		.state_dir = dir->path,
		.holder_path = holder_path,
		.directory_fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.lock_fd = dir->lock_fd,
	};
	ck_assert_int_ge(dir->place.directory_fd, 0);
}

void state_dir_done(struct state_dir *dir)
{
	state_dir_end_holder(dir);
	util_close(dir->lock_fd);
	util_close(dir->place.directory_fd);
}

/* Returns whether there was one. */
static bool end_holder(const struct holder_place *place)
{
	struct holder_request request = { .command = HOLDER_LIST };
	struct holder_peer peer = HOLDER_PEER_NONE;
	struct holder_reply reply;
	struct pollfd end;

	if (holder_peer_open(&peer, place, false) < 0)
		return false;
	for (;;) {
		request.command = HOLDER_LIST;
		if (holder_peer_ask(&peer, &request, -1, &reply, NULL) < 0 || reply.result < 0)
			break;
		request = (struct holder_request){ .command = HOLDER_DROP, .name = reply.name };
		holder_peer_ask(&peer, &request, -1, &reply, NULL);
	}
	kill(peer.hello.pid, SIGTERM);
	end = (struct pollfd){ peer.pidfd, POLLIN, 0 };
	if (poll(&end, 1, 5000) != 1)
		kill(peer.hello.pid, SIGKILL);
	holder_peer_done(&peer);
	return true;
}

void state_dir_end_holder(struct state_dir *dir)
{
	end_holder(&dir->place);
}

unsigned state_dirs_close(void)
{
	struct dirent *entry;
	unsigned ended = 0;
	char path[512], file[600];
	DIR *all = opendir(base);

	while (all && (entry = readdir(all))) {
		struct holder_place place = { .state_dir = path };

		if (strncmp(entry->d_name, "state.", 6) != 0)
			continue;
		snprintf(path, sizeof(path), "%s/%s", base, entry->d_name);
		snprintf(file, sizeof(file), "%s/lock", path);
		place.directory_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		place.lock_fd = open(file, O_RDWR | O_CLOEXEC);
		flock(place.lock_fd, LOCK_EX | LOCK_NB);
		ended += end_holder(&place);
		unlinkat(place.directory_fd, "lock", 0);
		unlinkat(place.directory_fd, HOLDER_SOCKET, 0);
		util_close(place.lock_fd);
		util_close(place.directory_fd);
		rmdir(path);
	}
	closedir(all);
	unlink(holder_path);
	rmdir(base);
	return ended;
}

bool wait_until(bool (*condition)(void *userdata), void *userdata)
{
	for (int i = 0; i < 500; i++) {
		if (condition(userdata))
			return true;
		usleep(10000);
	}
	return false;
}

unsigned count_fds(void)
{
	DIR *all = opendir("/proc/self/fd");
	unsigned n = 0;

	while (all && readdir(all))
		n++;
	closedir(all);
	return n;
}

int64_t settled_pins(void)
{
	int64_t before = count_pins();

	for (int quiet = 0, i = 0; quiet < 20 && i < 250; i++) {
		int64_t now;

		usleep(20000);
		now = count_pins();
		quiet = now == before ? quiet + 1 : 0;
		before = now;
	}
	return before;
}

int64_t count_pins(void)
{
	FILE *file = fopen("/proc/vmstat", "re");
	int64_t acquired = 0, released = 0, value;
	char line[128];

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "nr_foll_pin_acquired %" SCNd64, &value) == 1)
			acquired = value;
		else if (sscanf(line, "nr_foll_pin_released %" SCNd64, &value) == 1)
			released = value;
	}
	fclose(file);
	return acquired - released;
}
