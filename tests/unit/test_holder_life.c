/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What ghmemd-holder keeps, for how long, and when it ends. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "holder_bench.h"

#define PAGE SMALL_PAGE

/* ---- entries ---- */

START_TEST(what_cannot_be_pinned_is_refused_and_the_connection_goes_on)
{
	int disk, fd, memfd = make_small_memfd();
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

static int offer(int fd, uint64_t name, int pidfd, int ring)
{
	struct holder_request request = {
		.command = HOLDER_ADOPT,
		.class = HOLDER_MEMORY,
		.name = name,
		.size = 4 * PAGE,
		.ring_fd = ring,
		.tag = "moved",
	};
	struct holder_reply reply;

	return ask(fd, request, pidfd, &reply);
}

START_TEST(rings_with_pins_are_adopted_and_nothing_else_is)
{
	struct holder_request list = { .command = HOLDER_LIST };
	int fd, ring, empty, pidfd, self = (int)syscall(SYS_pidfd_open, getpid(), 0);
	struct io_uring_params params = { 0 };
	struct holder_reply reply;
	struct child child;
	unsigned fds;

	if (geteuid() != 0 || syscall(SYS_pidfd_getfd, -1, -1, 0) == 0 || errno == ENOSYS) {
		fprintf(stderr, "a test with copied rings was left out\n");
		return;
	}
	start(&child, "30");
	fd = dial(&child);
	tell(fd, &(struct holder_request){ .command = HOLDER_HELLO }, sizeof(list),
		&child.dir.lock_fd, 1);
	ck_assert_int_eq(hear(fd, &reply, &pidfd), 0);
	fds = fds_of(child.pid);
	ck_assert_int_eq(ask(fd, put(5, HOLDER_MEMORY, 4 * PAGE), make_small_memfd(), &reply), 0);
	ring = (int)syscall(SYS_pidfd_getfd, pidfd, reply.ring_fd, 0);
	ck_assert_int_ge(ring, 0);
	empty = (int)syscall(SYS_io_uring_setup, 4, &params);
	ck_assert_int_ge(empty, 0);

	ck_assert_int_eq(offer(fd, 5, self, ring), -EEXIST);
	ck_assert_int_eq(offer(fd, 6, self, empty), -EBADF);
	ck_assert_int_eq(offer(fd, 6, self, fd), -EBADF);
	ck_assert_int_eq(offer(fd, 6, self, 1000000), -EBADF);
	ck_assert_int_eq(offer(fd, 6, fd, ring), -EBADF);
	ck_assert_int_eq(offer(fd, 9, self, ring), 0);
	ck_assert_int_eq(offer(fd, 3, self, ring), 0); /* in its place */
	ck_assert_int_eq(put_memory(fd, 8), -EEXIST);
	ck_assert_int_eq(put_memory(fd, 10), 0);
	ck_assert_uint_eq(fds_of(child.pid), fds + 6);
	for (size_t i = 0; i < 4; i++) {
		static const uint64_t names[] = { 3, 5, 9, 10 };

		ck_assert_int_eq(ask(fd, list, -1, &reply), 0);
		ck_assert_uint_eq(reply.name, names[i]);
		ck_assert_uint_eq(reply.pages, 4);
		ck_assert_str_eq(reply.tag, i % 2 ? "tag" : "moved");
		list.name = reply.name;
	}
	ck_assert_int_eq(
		ask(fd, (struct holder_request){ .command = HOLDER_GET, .name = 9 }, -1, &reply),
		-ENODATA);
	for (uint64_t name = 1; name <= 10; name++)
		ask(fd, (struct holder_request){ .command = HOLDER_DROP, .name = name }, -1,
			&reply);
	ck_assert_uint_eq(fds_of(child.pid), fds);
	close(pidfd);
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

	start(&child, "2");
	fd = join(&child);
	put_client(fd, 1, pair); /* this process keeps its copy of the holder's end, too */
	ck_assert_int_eq(put_memory(fd, 2), 0);
	client.fd = pair[0];

	close(fd); /* a daemon that comes back in time */
	ck_assert_int_eq(poll(&client, 1, 500), 0);
	fd = join(&child);
	ck_assert_int_eq(poll(&client, 1, 2200), 0);

	close(fd); /* one that shows no lock is none */
	fd = dial(&child);
	ck_assert_int_eq(poll(&client, 1, 1200), 0);
	close(fd);
	ck_assert_int_eq(poll(&client, 1, 1500), 1);
	ck_assert_int_ne(client.revents & POLLHUP, 0);

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

START_TEST(a_socket_from_systemd_is_served_and_left_in_place)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct child child;
	int listen_fd, status;

	state_dir_make(&child.dir);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/holder.sock", child.dir.path);
	listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(listen_fd, 4), 0);
	child.pid = fork();
	if (child.pid == 0) {
		char pid[16];

		dup2(listen_fd, 3);
		fcntl(3, F_SETFD, 0);
		snprintf(pid, sizeof(pid), "%d", getpid());
		setenv("LISTEN_PID", pid, 1);
		setenv("LISTEN_FDS", "1", 1);
		execl(state_dirs_holder(), "ghmemd-holder", "--state-dir", child.dir.path, NULL);
		_exit(127);
	}
	close(join(&child));
	ck_assert_int_eq(kill(child.pid, SIGTERM), 0);
	ck_assert_int_eq(waitpid(child.pid, &status, 0), child.pid);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(access(address.sun_path, F_OK), 0);
	close(listen_fd);
	close(child.dir.lock_fd);
	close(child.dir.place.directory_fd);
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
	Suite *suite = suite_create("holder_life");
	TCase *tests = tcase_create("all");
	SRunner *runner;
	int failed;

	state_dirs_open();
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, what_cannot_be_pinned_is_refused_and_the_connection_goes_on);
	tcase_add_test(tests, names_never_repeat);
	tcase_add_test(tests, entries_are_listed_got_and_dropped);
	tcase_add_test(tests, rings_with_pins_are_adopted_and_nothing_else_is);
	tcase_add_test(tests, clients_are_closed_when_no_daemon_comes_back);
	tcase_add_test(tests, it_ends_when_empty_and_alone_but_not_before);
	tcase_add_test(tests, signals_end_it_only_when_it_is_empty);
	tcase_add_test(tests, one_holder_serves_a_state_directory);
	tcase_add_test(tests, a_socket_from_systemd_is_served_and_left_in_place);
	tcase_add_test(tests, options_are_checked);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (state_dirs_close() > 0) {
		fprintf(stderr, "test_holder_life: holders were left over\n");
		failed++;
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
