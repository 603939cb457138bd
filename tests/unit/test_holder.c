/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ghmemd-holder, spoken to in raw packets. */

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "state_dir.h"
#include "util/util.h"

#define PAGE   4096u
#define NOBODY 65534

/* ---- a holder that is this test's child ---- */

struct child {
	struct state_dir dir;
	pid_t pid;
};

static pid_t execute(const char *const *arguments)
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

static int dial(const struct child *child)
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

static void start(struct child *child, const char *patience)
{
	const char *arguments[] = { "ghmemd-holder", "--state-dir", child->dir.path,
		"--client-deadline", patience, NULL };

	state_dir_make(&child->dir);
	arguments[2] = child->dir.path;
	child->pid = execute(arguments);
	ck_assert(wait_until(is_reachable, child));
}

static bool has_ended(void *userdata)
{
	siginfo_t info = { 0 };

	return waitid(P_PID, (id_t)((struct child *)userdata)->pid, &info,
		       WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid != 0;
}

/* Waits for the holder's own end, orderly. */
static void await_end(struct child *child)
{
	int status;

	ck_assert(wait_until(has_ended, child));
	ck_assert_int_eq(waitpid(child->pid, &status, 0), child->pid);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert_int_eq(faccessat(child->dir.place.directory_fd, HOLDER_SOCKET, F_OK, 0), -1);
}

static void done(struct child *child)
{
	state_dir_end_holder(&child->dir);
	await_end(child);
	util_close(child->dir.lock_fd);
	util_close(child->dir.place.directory_fd);
}

/* ---- packets ---- */

static void tell(int fd, const void *packet, size_t size, const int *fds, size_t n_fds)
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

/* The reply's result; a descriptor that came along goes to *ret_fd, NULL: there must be none. */
static int hear(int fd, struct holder_reply *reply, int *ret_fd)
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

static bool has_hung_up(int fd)
{
	char byte;
	ssize_t n = recv(fd, &byte, 1, 0);

	return n == 0 || (n < 0 && errno != EAGAIN);
}

static int ask(int fd, struct holder_request request, int pass, struct holder_reply *reply)
{
	tell(fd, &request, sizeof(request), &pass, pass >= 0);
	return hear(fd, reply, NULL);
}

static int hello(int fd, int lock_fd)
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

static int join(const struct child *child)
{
	int fd = dial(child);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(hello(fd, child->dir.lock_fd), 0);
	return fd;
}

static struct holder_request put(uint64_t name, enum holder_class class, uint64_t size)
{
	return (struct holder_request){
		.command = HOLDER_PUT, .class = class, .name = name, .size = size, .tag = "tag"
	};
}

static int make_memfd(void)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_eq(ftruncate(fd, 4 * PAGE), 0);
	return fd;
}

static int put_memory(int fd, uint64_t name)
{
	_cleanup_close_ int memfd = make_memfd();
	struct holder_reply reply;
	int r = ask(fd, put(name, HOLDER_MEMORY, 4 * PAGE), memfd, &reply);

	if (r == 0) {
		ck_assert_uint_eq(reply.pages, 4);
		ck_assert_int_ge(reply.ring_fd, 0);
	}
	return r;
}

static unsigned fds_of(pid_t pid)
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

/* ---- who may speak to it ---- */

START_TEST(hello_with_the_locked_lock_is_welcomed)
{
	struct holder_request request = { .command = HOLDER_HELLO };
	struct holder_reply reply;
	struct child child;
	struct pollfd alive;
	int fd, pidfd = -1;
	struct stat st;

	start(&child, "30");
	ck_assert_int_eq(fstatat(child.dir.place.directory_fd, HOLDER_SOCKET, &st, 0), 0);
	ck_assert_uint_eq(st.st_mode, S_IFSOCK | 0600);
	fd = dial(&child);
	tell(fd, &request, sizeof(request), &child.dir.lock_fd, 1);
	ck_assert_int_eq(hear(fd, &reply, &pidfd), 0);
	ck_assert_uint_eq(reply.version, HOLDER_VERSION);
	ck_assert_uint_ne(reply.epoch, 0);
	ck_assert_uint_eq(reply.name, 0);
	ck_assert_uint_eq(reply.entries, 0);
	ck_assert_uint_eq(reply.pages, 0);
	ck_assert_int_eq(reply.pid, child.pid);
	alive = (struct pollfd){ pidfd, POLLIN, 0 };
	ck_assert_int_eq(poll(&alive, 1, 0), 0);
	close(fd);
	done(&child);
	ck_assert_int_eq(poll(&alive, 1, 1000), 1); /* the descriptor was of that process */
	close(pidfd);
}
END_TEST

START_TEST(hello_without_the_locked_lock_is_refused)
{
	struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	char path[160];
	struct child child;
	int fd, other, file;

	start(&child, "30");
	snprintf(path, sizeof(path), "%s/lock", child.dir.path);

	file = open("/etc/passwd", O_RDONLY | O_CLOEXEC);
	fd = dial(&child);
	ck_assert_int_eq(hello(fd, file), -EACCES);
	ck_assert(has_hung_up(fd));
	close(fd);
	close(file);

	/* The right file, locked, but through another open file description. */
	other = open(path, O_RDWR | O_CLOEXEC);
	fd = dial(&child);
	ck_assert_int_eq(hello(fd, other), -EACCES);
	close(fd);

	/* The right file and nobody's lock. */
	flock(child.dir.lock_fd, LOCK_UN);
	fd = dial(&child);
	ck_assert_int_eq(hello(fd, other), -EACCES);
	close(fd);

	/* The other kind of lock does as well, on the description that has it. */
	ck_assert_int_eq(fcntl(other, F_OFD_SETLK, &whole), 0);
	fd = dial(&child);
	ck_assert_int_eq(hello(fd, child.dir.lock_fd), -EACCES);
	close(fd);
	fd = dial(&child);
	ck_assert_int_eq(hello(fd, other), 0);
	close(fd);
	close(other);
	ck_assert_int_eq(flock(child.dir.lock_fd, LOCK_EX | LOCK_NB), 0);
	done(&child);
}
END_TEST

START_TEST(the_lock_is_not_kept_alive_by_the_holder)
{
	char path[160];
	struct child child;
	int fd, again;

	start(&child, "30");
	fd = join(&child);
	snprintf(path, sizeof(path), "%s/lock", child.dir.path);
	again = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(flock(again, LOCK_EX | LOCK_NB), -1);
	close(child.dir.lock_fd);
	child.dir.lock_fd = -1;
	ck_assert_int_eq(flock(again, LOCK_EX | LOCK_NB), 0);
	child.dir.lock_fd = child.dir.place.lock_fd = again;
	close(fd);
	done(&child);
}
END_TEST

START_TEST(another_uid_is_refused)
{
	struct child child;
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		fprintf(stderr, "test_holder: not root: other uids are not tested\n");
		return;
	}
	start(&child, "30");
	ck_assert_int_eq(fchmod(child.dir.place.directory_fd, 0755), 0);
	ck_assert_int_eq(fchmodat(child.dir.place.directory_fd, HOLDER_SOCKET, 0666, 0), 0);
	pid = fork();
	if (pid == 0) {
		struct holder_reply reply;
		int fd;

		if (setgroups(0, NULL) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)
			_exit(1);
		fd = dial(&child);
		_exit(fd >= 0 && hear(fd, &reply, NULL) == -EPERM && has_hung_up(fd) ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	done(&child);
}
END_TEST

START_TEST(a_second_connection_is_refused_while_the_first_lives)
{
	struct holder_reply reply;
	struct child child;
	int first, second;

	start(&child, "30");
	first = join(&child);
	second = dial(&child);
	ck_assert_int_eq(hear(second, &reply, NULL), -EBUSY);
	ck_assert(has_hung_up(second));
	close(second);
	ck_assert_int_eq(put_memory(first, 1), 0);
	close(first);
	second = join(&child);
	close(second);
	done(&child);
}
END_TEST

START_TEST(nothing_is_done_before_hello)
{
	struct holder_reply reply;
	struct child child;
	int fd;

	start(&child, "30");
	fd = dial(&child);
	ck_assert_int_eq(put_memory(fd, 1), -EACCES);
	ck_assert(has_hung_up(fd));
	close(fd);
	fd = dial(&child);
	ck_assert_int_eq(
		ask(fd, (struct holder_request){ .command = HOLDER_LIST }, -1, &reply), -EACCES);
	close(fd);
	done(&child);
}
END_TEST

/* ---- requests that are none ---- */

#define LONG_TAG "0123456789abcdef0123456789abcdef"

START_TEST(what_is_no_request_ends_the_connection_and_nothing_else)
{
	static const struct {
		struct holder_request request;
		size_t size, fds;
	} cases[] = {
		{ { .command = HOLDER_LIST }, 1, 0 },
		{ { .command = HOLDER_LIST }, 63, 0 },
		{ { .command = HOLDER_LIST }, 65, 0 },
		{ { .command = HOLDER_LIST }, 4096, 0 },
		{ { .command = 0 }, 64, 0 },
		{ { .command = 6 }, 64, 0 },
		{ { .command = UINT32_MAX }, 64, 0 },
		{ { .command = HOLDER_LIST }, 64, 1 },
		{ { .command = HOLDER_LIST, .class = 1 }, 64, 0 },
		{ { .command = HOLDER_LIST, .offset = 1 }, 64, 0 },
		{ { .command = HOLDER_GET, .size = 1 }, 64, 0 },
		{ { .command = HOLDER_DROP, .name = 1, .tag = "x" }, 64, 0 },
		{ { .command = HOLDER_HELLO }, 64, 0 },
		{ { .command = HOLDER_HELLO, .name = 1 }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE }, 64, 0 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE }, 64, 2 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE }, 64, 8 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE }, 65, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 0, .size = PAGE }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = UINT64_MAX, .size = PAGE }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 0, .name = 1, .size = PAGE }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 4, .name = 1, .size = PAGE }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1 }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE - 1 }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE, .offset = 1 }, 64,
			1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = 1ull << 63 }, 64, 1 },
		{ { .command = HOLDER_PUT,
			  .class = 1,
			  .name = 1,
			  .size = 2 * PAGE,
			  .offset = (1ull << 63) - PAGE },
			64, 1 },
		{ { .command = HOLDER_PUT, .class = 2, .name = 1, .size = PAGE }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 3, .name = 1, .tag = "a\nb" }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 3, .name = 1, .tag = "a\0b" }, 64, 1 },
		{ { .command = HOLDER_PUT, .class = 3, .name = 1, .tag = LONG_TAG }, 64, 1 },
	};
	int fds[8], keeper, memfd = make_memfd();
	struct holder_reply reply;
	struct child child;
	unsigned open_fds;

	start(&child, "30");
	keeper = join(&child);
	open_fds = fds_of(child.pid);
	close(keeper);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = memfd;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char packet[4096] = { 0 };
		int fd = join(&child);

		memcpy(packet, &cases[i].request, sizeof(cases[i].request));
		tell(fd, packet, cases[i].size, fds, cases[i].fds);
		ck_assert_msg(hear(fd, &reply, NULL) == -EPROTO, "case %zu", i);
		ck_assert_msg(has_hung_up(fd), "case %zu", i);
		close(fd);
	}
	keeper = join(&child);
	ck_assert_uint_eq(fds_of(child.pid), open_fds);
	ck_assert_int_eq(ask(keeper, (struct holder_request){ .command = HOLDER_LIST }, -1, &reply),
		-ENOENT);
	close(keeper);
	close(memfd);
	done(&child);
}
END_TEST

START_TEST(a_peer_that_never_reads_is_cut_off)
{
	struct holder_request list = { .command = HOLDER_LIST };
	struct child child;
	int fd;

	start(&child, "30");
	fd = join(&child);
	for (int i = 0; i < 100000; i++)
		if (send(fd, &list, sizeof(list), MSG_NOSIGNAL) < 0)
			break;
	ck_assert(errno == EPIPE || errno == ECONNRESET);
	close(fd);
	fd = join(&child);
	close(fd);
	done(&child);
}
END_TEST

/* ---- entries ---- */

START_TEST(what_cannot_be_pinned_is_refused_and_the_connection_goes_on)
{
	int disk, fd, memfd = make_memfd();
	struct holder_reply reply;
	struct child child;

	start(&child, "30");
	fd = join(&child);
	disk = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(ask(fd, put(1, HOLDER_MEMORY, PAGE), disk, &reply), -EBADF);
	ck_assert_int_eq(ask(fd, put(2, HOLDER_MEMORY, 5 * PAGE), memfd, &reply), -ERANGE);
	ck_assert_int_eq(ask(fd, put(3, HOLDER_MEMORY, PAGE), fd, &reply), -EBADF);
	ck_assert_int_eq(put_memory(fd, 4), 0);
	close(disk);
	close(memfd);
	close(fd);
	done(&child);
}
END_TEST

START_TEST(names_never_repeat)
{
	static const struct {
		uint64_t name;
		int result;
	} puts[] = {
		{ 5, 0 },
		{ 5, -EEXIST },
		{ 4, -EEXIST },
		{ 1, -EEXIST },
		{ 6, 0 },
		{ 1000, 0 },
		{ 7, -EEXIST },
	};
	struct holder_reply reply;
	struct child child;
	int fd;

	start(&child, "30");
	fd = join(&child);
	for (size_t i = 0; i < ARRAY_SIZE(puts); i++)
		ck_assert_int_eq(put_memory(fd, puts[i].name), puts[i].result);
	ck_assert_int_eq(ask(fd, (struct holder_request){ .command = HOLDER_DROP, .name = 1000 },
				 -1, &reply),
		0);
	ck_assert_int_eq(put_memory(fd, 1000), -EEXIST);
	close(fd);
	fd = join(&child); /* nor over another connection */
	ck_assert_int_eq(put_memory(fd, 1000), -EEXIST);
	ck_assert_int_eq(put_memory(fd, 1001), 0);
	close(fd);
	done(&child);
}
END_TEST

START_TEST(entries_are_listed_got_and_dropped)
{
	static const uint64_t names[] = { 3, 7, 8, 100 };
	struct holder_request list = { .command = HOLDER_LIST };
	int got, fd, file = memfd_create("other", MFD_CLOEXEC);
	struct stat mine, theirs;
	struct holder_reply reply;
	struct child child;
	unsigned fds;

	start(&child, "30");
	fd = join(&child);
	fds = fds_of(child.pid);
	for (size_t i = 0; i < 3; i++)
		ck_assert_int_eq(put_memory(fd, names[i]), 0);
	ck_assert_int_eq(ask(fd, put(100, HOLDER_OTHER, 12345), file, &reply), 0);
	ck_assert_int_eq(reply.ring_fd, -1);
	ck_assert_uint_eq(fds_of(child.pid), fds + 7);
	close(fd);

	fd = join(&child); /* a successor */
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ck_assert_int_eq(ask(fd, list, -1, &reply), 0);
		ck_assert_uint_eq(reply.name, names[i]);
		ck_assert_uint_eq(reply.class, i < 3 ? HOLDER_MEMORY : HOLDER_OTHER);
		ck_assert_uint_eq(reply.size, i < 3 ? 4 * PAGE : 12345);
		ck_assert_uint_eq(reply.pages, i < 3 ? 4 : 0);
		ck_assert_str_eq(reply.tag, "tag");
		ck_assert_uint_eq(reply.entries, 4);
		list.name = reply.name;
	}
	ck_assert_int_eq(ask(fd, list, -1, &reply), -ENOENT);

	list = (struct holder_request){ .command = HOLDER_GET, .name = 100 };
	tell(fd, &list, sizeof(list), NULL, 0);
	ck_assert_int_eq(hear(fd, &reply, &got), 0);
	fstat(file, &mine);
	fstat(got, &theirs);
	ck_assert_uint_eq(mine.st_ino, theirs.st_ino);
	list.name = 99;
	ck_assert_int_eq(ask(fd, list, -1, &reply), -ENOENT);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		list = (struct holder_request){ .command = HOLDER_DROP, .name = names[i] };
		ck_assert_int_eq(ask(fd, list, -1, &reply), 0);
		ck_assert_int_eq(ask(fd, list, -1, &reply), -ENOENT);
	}
	ck_assert_uint_eq(fds_of(child.pid), fds);
	close(file);
	close(got);
	close(fd);
	done(&child);
}
END_TEST

static void put_client(int fd, uint64_t name, int pair[2])
{
	struct holder_reply reply;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	ck_assert_int_eq(ask(fd, put(name, HOLDER_CLIENT, 0), pair[1], &reply), 0);
}

START_TEST(clients_are_closed_when_no_daemon_comes_back)
{
	struct pollfd client = { .events = POLLIN };
	struct holder_reply reply;
	struct child child;
	int pair[2], fd;

	start(&child, "1");
	fd = join(&child);
	put_client(fd, 1, pair); /* this process keeps its copy of the holder's end, too */
	ck_assert_int_eq(put_memory(fd, 2), 0);
	client.fd = pair[0];

	close(fd); /* a daemon that comes back in time */
	ck_assert_int_eq(poll(&client, 1, 500), 0);
	fd = join(&child);
	ck_assert_int_eq(poll(&client, 1, 1200), 0);

	close(fd); /* one that shows no lock is none */
	fd = dial(&child);
	ck_assert_int_eq(poll(&client, 1, 3000), 1);
	ck_assert_int_ne(client.revents & POLLHUP, 0);
	close(fd);

	fd = join(&child);
	ck_assert_int_eq(ask(fd, (struct holder_request){ .command = HOLDER_LIST }, -1, &reply), 0);
	ck_assert_uint_eq(reply.name, 2);
	ck_assert_uint_eq(reply.entries, 1);
	close(fd);
	close(pair[0]);
	close(pair[1]);
	done(&child);
}
END_TEST

/* ---- life ---- */

START_TEST(it_ends_when_empty_and_alone_but_not_before)
{
	struct child child;
	int fd;

	start(&child, "30");
	fd = join(&child);
	usleep(2500000);
	ck_assert(!has_ended(&child));
	ck_assert_int_eq(put_memory(fd, 1), 0);
	close(fd);
	usleep(2500000);
	ck_assert(!has_ended(&child));
	fd = join(&child);
	ck_assert_int_eq(ask(fd, (struct holder_request){ .command = HOLDER_DROP, .name = 1 }, -1,
				 &(struct holder_reply){ 0 }),
		0);
	close(fd);
	ck_assert(!has_ended(&child));
	await_end(&child);
	close(child.dir.lock_fd);
	close(child.dir.place.directory_fd);
}
END_TEST

START_TEST(signals_end_it_only_when_it_is_empty)
{
	static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGPIPE };
	struct holder_reply reply;
	struct child child;
	int fd;

	start(&child, "30");
	fd = join(&child);
	ck_assert_int_eq(put_memory(fd, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		kill(child.pid, signals[i]);
	usleep(100000);
	ck_assert_int_eq(
		ask(fd, (struct holder_request){ .command = HOLDER_DROP, .name = 1 }, -1, &reply),
		0);
	kill(child.pid, SIGTERM);
	await_end(&child);
	close(fd);
	close(child.dir.lock_fd);
	close(child.dir.place.directory_fd);
}
END_TEST

START_TEST(one_holder_serves_a_state_directory)
{
	const char *arguments[] = { "ghmemd-holder", "--state-dir", NULL, NULL };
	struct child child;
	int status, fd;
	pid_t second;

	start(&child, "30");
	fd = join(&child);
	arguments[2] = child.dir.path;
	second = execute(arguments);
	ck_assert_int_eq(waitpid(second, &status, 0), second);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1);
	ck_assert_int_eq(put_memory(fd, 1), 0);
	close(fd);
	done(&child);
}
END_TEST

START_TEST(options_are_checked)
{
	static const struct {
		const char *arguments[4];
		int status;
	} cases[] = {
		{ { "ghmemd-holder", "--help" }, 0 },
		{ { "ghmemd-holder", "--version" }, 0 },
		{ { "ghmemd-holder", "--nonsense" }, 2 },
		{ { "ghmemd-holder", "extra" }, 2 },
		{ { "ghmemd-holder", "--listen-fd", "x" }, 2 },
		{ { "ghmemd-holder", "--client-deadline", "-1" }, 2 },
		{ { "ghmemd-holder", "--state-dir", "/nonexistent" }, 1 },
		{ { "ghmemd-holder", "--listen-fd", "9" }, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		pid_t pid = execute(cases[i].arguments);
		int status;

		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert(WIFEXITED(status));
		ck_assert_int_eq(WEXITSTATUS(status), cases[i].status);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("holder");
	TCase *tests = tcase_create("all");
	SRunner *runner;
	int failed;

	state_dirs_open();
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, hello_with_the_locked_lock_is_welcomed);
	tcase_add_test(tests, hello_without_the_locked_lock_is_refused);
	tcase_add_test(tests, the_lock_is_not_kept_alive_by_the_holder);
	tcase_add_test(tests, another_uid_is_refused);
	tcase_add_test(tests, a_second_connection_is_refused_while_the_first_lives);
	tcase_add_test(tests, nothing_is_done_before_hello);
	tcase_add_test(tests, what_is_no_request_ends_the_connection_and_nothing_else);
	tcase_add_test(tests, a_peer_that_never_reads_is_cut_off);
	tcase_add_test(tests, what_cannot_be_pinned_is_refused_and_the_connection_goes_on);
	tcase_add_test(tests, names_never_repeat);
	tcase_add_test(tests, entries_are_listed_got_and_dropped);
	tcase_add_test(tests, clients_are_closed_when_no_daemon_comes_back);
	tcase_add_test(tests, it_ends_when_empty_and_alone_but_not_before);
	tcase_add_test(tests, signals_end_it_only_when_it_is_empty);
	tcase_add_test(tests, one_holder_serves_a_state_directory);
	tcase_add_test(tests, options_are_checked);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (state_dirs_close() > 0) {
		fprintf(stderr, "test_holder: holders were left over\n");
		failed++;
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
