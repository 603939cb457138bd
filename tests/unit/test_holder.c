/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may speak to ghmemd-holder, and how. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "holder_bench.h"

#define PAGE SMALL_PAGE

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

#define SIZE     sizeof(struct holder_request)
#define LONG_TAG "0123456789abcdef0123456789abcdef"

START_TEST(what_is_no_request_ends_the_connection_and_nothing_else)
{
	static const struct {
		struct holder_request request;
		size_t size, fds;
	} cases[] = {
		{ { .command = HOLDER_LIST }, 1, 0 },
		{ { .command = HOLDER_LIST }, SIZE - 1, 0 },
		{ { .command = HOLDER_LIST }, SIZE + 1, 0 },
		{ { .command = HOLDER_LIST }, 4096, 0 },
		{ { .command = 0 }, SIZE, 0 },
		{ { .command = 7 }, SIZE, 0 },
		{ { .command = UINT32_MAX }, SIZE, 0 },
		{ { .command = HOLDER_LIST }, SIZE, 1 },
		{ { .command = HOLDER_LIST, .class = 1 }, SIZE, 0 },
		{ { .command = HOLDER_LIST, .offset = 1 }, SIZE, 0 },
		{ { .command = HOLDER_GET, .size = 1 }, SIZE, 0 },
		{ { .command = HOLDER_DROP, .name = 1, .tag = "x" }, SIZE, 0 },
		{ { .command = HOLDER_HELLO }, SIZE, 0 },
		{ { .command = HOLDER_HELLO, .name = 1 }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE }, SIZE, 0 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE }, SIZE, 2 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE }, SIZE, 8 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE }, SIZE + 1, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 0, .size = PAGE }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = UINT64_MAX, .size = PAGE }, SIZE,
			1 },
		{ { .command = HOLDER_PUT, .class = 0, .name = 1, .size = PAGE }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 4, .name = 1, .size = PAGE }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1 }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE - 1 }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = PAGE, .offset = 1 }, SIZE,
			1 },
		{ { .command = HOLDER_PUT, .class = 1, .name = 1, .size = 1ull << 63 }, SIZE, 1 },
		{ { .command = HOLDER_PUT,
			  .class = 1,
			  .name = 1,
			  .size = 2 * PAGE,
			  .offset = (1ull << 63) - PAGE },
			SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 2, .name = 1, .size = PAGE }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 3, .name = 1, .tag = "a\nb" }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 3, .name = 1, .tag = "a\0b" }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 3, .name = 1, .tag = LONG_TAG }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 3, .name = 1, .ring_fd = 1 }, SIZE, 1 },
		{ { .command = HOLDER_PUT, .class = 3, .name = 1, .reserved = 1 }, SIZE, 1 },
		{ { .command = HOLDER_LIST, .ring_fd = 1 }, SIZE, 0 },
		{ { .command = HOLDER_LIST, .reserved = 1 }, SIZE, 0 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 1, .size = PAGE }, SIZE, 0 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 1, .size = PAGE }, SIZE, 2 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 0, .size = PAGE }, SIZE, 1 },
		{ { .command = HOLDER_ADOPT, .class = 3, .name = 1, .size = PAGE }, SIZE, 1 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 1, .size = 1 }, SIZE, 1 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 1, .size = 0 }, SIZE, 1 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 1, .size = 1ull << 63 }, SIZE, 1 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 1, .size = PAGE, .offset = PAGE },
			SIZE, 1 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 1, .size = PAGE, .ring_fd = -1 },
			SIZE, 1 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 1, .size = PAGE, .reserved = 1 },
			SIZE, 1 },
		{ { .command = HOLDER_ADOPT, .class = 1, .name = 1, .size = PAGE, .tag = "a\nb" },
			SIZE, 1 },
	};
	int fds[8], keeper, memfd = make_small_memfd();
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

/* It may still be busy with a peer that has gone. */
static bool is_welcome(void *child)
{
	struct holder_peer peer = HOLDER_PEER_NONE;
	int r = holder_peer_open(&peer, &((struct child *)child)->dir.place, false);

	holder_peer_done(&peer);
	return r == 0;
}

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
	ck_assert(wait_until(is_welcome, &child));
	done(&child);
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
