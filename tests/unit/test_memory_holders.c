/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Pins that go from a dead holder to the next one, or to a keeper; and what a slow holder is owed. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/memory/holder_link.h"
#include "memory_bench.h"
#include "util/log.h"

#define SIZE  (4 * MIB)
#define PAGES ((int64_t)(SIZE / PAGE))
#define MANY  70 /* more than a Resource Manager has parcels */

/* ---- a daemon that is a child ---- */

static _Noreturn void pin_and_wait(struct bench *bench, unsigned n, int ready_fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* when the test has failed */
	bench_start_memory(bench, "test:1", false);
	for (unsigned i = 0; i < n; i++)
		pinned_free(allocate(bench, SIZE)); /* which lets go of nothing */
	close(ready_fd);
	for (;;)
		pause();
}

static pid_t start_outsider(struct bench *bench, unsigned n)
{
	int ends[2];
	char byte;
	pid_t pid;

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0)
		pin_and_wait(bench, n, ends[1]);
	close(ends[1]);
	ck_assert_int_eq(read(ends[0], &byte, 1), 0);
	close(ends[0]);
	return pid;
}

struct wanted {
	const struct bench *bench;
	pid_t daemon;
	bool holder, keeper;
};

static bool is_there(void *userdata)
{
	const struct wanted *wanted = userdata;

	return (find_holder(wanted->bench) > 0) == wanted->holder &&
	       (find_keeper(wanted->daemon) > 0) == wanted->keeper;
}

static void await_processes(const struct bench *bench, pid_t daemon, bool holder, bool keeper)
{
	struct wanted wanted = { bench, daemon, holder, keeper };

	ck_assert(wait_until(is_there, &wanted));
}

/* A place from which the holder can be taken away. */
static void use_own_holder(struct bench *bench)
{
	snprintf(bench->holder_path, sizeof(bench->holder_path), "%s-holder", bench->dir.path);
	ck_assert_int_eq(symlink(state_dirs_holder(), bench->holder_path), 0);
}

static void expect_listed(const struct bench *bench, unsigned n)
{
	struct holder_request request = { .command = HOLDER_LIST };
	struct holder_peer peer = HOLDER_PEER_NONE;
	struct holder_reply reply;

	ck_assert_int_eq(holder_peer_open(&peer, &bench->dir.place, false), 0);
	for (unsigned i = 0; i < n; i++) {
		uint64_t last = request.name;

		request.command = HOLDER_LIST;
		ck_assert_int_eq(holder_peer_ask(&peer, &request, -1, &reply, NULL), 0);
		ck_assert_int_eq(reply.result, 0);
		ck_assert_uint_gt(reply.name, last);
		ck_assert_uint_eq(reply.class, HOLDER_MEMORY);
		ck_assert_uint_eq(reply.size, SIZE);
		ck_assert_uint_eq(reply.pages, (uint64_t)PAGES);
		ck_assert_uint_eq(reply.entries, n);
		ck_assert_str_eq(reply.tag, "test:1");
		request.name = reply.name;
		request.command = HOLDER_GET;
		ck_assert_int_eq(holder_peer_ask(&peer, &request, -1, &reply, NULL), 0);
		ck_assert_int_eq(reply.result, -ENODATA);
	}
	ck_assert_uint_eq(peer.hello.name, request.name);
	holder_peer_done(&peer);
}

/* ---- the next holder ---- */

START_TEST(a_new_holder_takes_over_and_the_pins_outlive_the_daemon)
{
	int64_t before = settled_pins();
	struct bench bench;
	pid_t daemon, holder;

	if (!have_privilege())
		return;
	bench_open(&bench);
	daemon = start_outsider(&bench, 3);
	expect_pins(before + 3 * PAGES);
	holder = kill_holder(&bench);
	await_processes(&bench, daemon, true, false);
	ck_assert_int_ne(find_holder(&bench), holder);
	expect_pins(before + 3 * PAGES);
	end_process(daemon);
	ck_assert_int_eq(waitpid(daemon, NULL, 0), daemon);
	usleep(300000);
	expect_pins(before + 3 * PAGES);
	expect_listed(&bench, 3);
	bench_done(&bench);
	expect_pins(before);
}
END_TEST

START_TEST(many_pins_move_more_than_once_and_can_be_unpinned)
{
	int64_t before = settled_pins();
	struct pinned *pinned[MANY];
	struct bench bench;
	unsigned fds;

	if (!have_privilege())
		return;
	bench_open(&bench);
	bench_start_memory(&bench, "test:1", false);
	fds = count_fds();
	for (size_t i = 0; i < MANY; i++)
		pinned[i] = allocate(&bench, MIB);
	for (unsigned round = 0; round < 3; round++) {
		kill_holder(&bench);
		await_adoption(&bench);
		expect_pins(before + MANY * (int64_t)(MIB / PAGE));
	}
	for (size_t i = 0; i < MANY; i++)
		unpin(&bench, pinned[i]);
	expect_pins(before);
	ck_assert_uint_eq(count_fds(), fds);
	ck_assert_uint_eq(memory_owed(bench.memory), 0);
	bench_done(&bench);
	ck_assert_int_lt(find_keeper(getpid()), 0);
}
END_TEST

START_TEST(what_an_earlier_daemon_left_moves_along)
{
	int64_t before = settled_pins();
	struct bench bench;
	uint64_t entries, pages;
	pid_t daemon;

	if (!have_privilege())
		return;
	bench_open(&bench);
	daemon = start_outsider(&bench, 2);
	end_process(daemon);
	ck_assert_int_eq(waitpid(daemon, NULL, 0), daemon);
	bench_start_memory(&bench, "test:2", false);
	memory_left_over(bench.memory, &entries, &pages);
	ck_assert_uint_eq(entries, 2);
	ck_assert_uint_eq(pages, 2 * (uint64_t)PAGES);
	kill_holder(&bench);
	await_adoption(&bench);
	bench.memory = memory_free(bench.memory);
	usleep(300000);
	expect_pins(before + 2 * PAGES);
	expect_listed(&bench, 2);
	bench_done(&bench);
	expect_pins(before);
}
END_TEST

START_TEST(a_holder_that_dies_just_before_the_end_is_noticed)
{
	int64_t before = settled_pins();
	struct bench bench;

	if (!have_privilege())
		return;
	bench_open(&bench);
	for (unsigned round = 1; round <= 3; round++) {
		bench_start_memory(&bench, "test:1", false);
		pinned_free(allocate(&bench, SIZE));
		kill_holder(&bench);
		bench.memory = memory_free(bench.memory);
		usleep(300000);
		expect_pins(before + round * PAGES);
	}
	ck_assert_int_lt(find_keeper(getpid()), 0);
	bench_done(&bench);
	expect_pins(before);
}
END_TEST

/* ---- no holder ---- */

START_TEST(without_a_holder_a_keeper_outlives_the_daemon)
{
	int64_t before = settled_pins();
	struct pinned *pinned[3];
	struct bench bench;
	pid_t keeper;
	unsigned fds;

	if (!have_privilege())
		return;
	bench_open(&bench);
	use_own_holder(&bench);
	fds = count_fds();
	bench_start_memory(&bench, "test:1", false);
	for (size_t i = 0; i < 3; i++)
		pinned[i] = allocate(&bench, SIZE);
	ck_assert_int_eq(unlink(bench.holder_path), 0);
	kill_holder(&bench);
	await_processes(&bench, getpid(), false, true);
	expect_pins(before + 3 * PAGES);
	unpin(&bench, pinned[1]); /* the keeper lets go of it, too */
	expect_pins(before + 2 * PAGES);
	pinned_free(pinned[0]);
	pinned_free(pinned[2]);
	bench.memory = memory_free(bench.memory);
	ck_assert_uint_eq(count_fds(), fds);
	usleep(300000);
	expect_pins(before + 2 * PAGES);
	keeper = find_keeper(getpid());
	ck_assert_int_gt(keeper, 0);
	for (int number = 1; number < SIGRTMAX; number++)
		if (number != SIGKILL && number != SIGSTOP)
			kill(keeper, number);
	usleep(300000);
	ck_assert_int_eq(find_keeper(getpid()), keeper);
	expect_pins(before + 2 * PAGES);
	end_process(keeper);
	ck_assert_int_eq(waitpid(keeper, NULL, 0), keeper);
	expect_pins(before);
	bench_done(&bench);
}
END_TEST

START_TEST(without_a_holder_pins_outlive_the_daemons_sudden_end)
{
	int64_t before = settled_pins();
	struct bench bench;
	pid_t daemon, keeper;

	if (!have_privilege())
		return;
	bench_open(&bench);
	use_own_holder(&bench);
	daemon = start_outsider(&bench, 2);
	ck_assert_int_eq(unlink(bench.holder_path), 0);
	kill_holder(&bench);
	await_processes(&bench, daemon, false, true);
	keeper = find_keeper(daemon);
	end_process(daemon);
	ck_assert_int_eq(waitpid(daemon, NULL, 0), daemon);
	usleep(300000);
	expect_pins(before + 2 * PAGES);
	end_process(keeper);
	expect_pins(before);
	bench_done(&bench);
}
END_TEST

START_TEST(a_holder_that_can_be_had_again_takes_over_from_the_keeper)
{
	int64_t before = settled_pins();
	struct pinned *first, *second;
	struct memory_job job;
	struct bench bench;
	pid_t keeper;
	unsigned fds;

	if (!have_privilege())
		return;
	bench_open(&bench);
	use_own_holder(&bench);
	bench_start_memory(&bench, "test:1", false);
	fds = count_fds();
	first = allocate(&bench, SIZE);
	ck_assert_int_eq(unlink(bench.holder_path), 0);
	kill_holder(&bench);
	await_processes(&bench, getpid(), false, true);
	keeper = find_keeper(getpid());
	end_process(keeper); /* another one is made in its place */
	job = pin_job(-1);
	job.size = SIZE;
	run(&bench, &job);
	ck_assert_int_eq(job.outcome, MEMORY_UNAVAILABLE);
	await_processes(&bench, getpid(), false, true);
	ck_assert_int_ne(find_keeper(getpid()), keeper);
	expect_pins(before + PAGES);

	use_own_holder(&bench);
	await_adoption(&bench);
	expect_pins(before + PAGES);
	second = allocate(&bench, SIZE);
	ck_assert_uint_gt(second->name, first->name);
	unpin(&bench, first);
	unpin(&bench, second);
	expect_pins(before);
	ck_assert_uint_eq(count_fds(), fds);
	ck_assert_int_eq(unlink(bench.holder_path), 0);
	bench_done(&bench);
}
END_TEST

/* ---- a holder that does not answer in time ---- */

struct slow {
	struct bench bench;
	struct holder_link *link;
	struct holder_put put;
	pid_t holder;
	int64_t before;
};

static void slow_open(struct slow *slow)
{
	char *error = NULL;

	slow->before = settled_pins();
	bench_open(&slow->bench);
	ck_assert_int_eq(holder_link_new(&slow->link,
				 &(struct holder_link_options){
					 .state_dir = slow->bench.dir.path,
					 .holder_path = state_dirs_holder(),
					 .lock_fd = slow->bench.dir.lock_fd,
					 .tag = "test:1",
					 .dead_tag = "dead",
					 .patience = 1,
				 },
				 &error),
		0);
	slow->put = (struct holder_put){
		.class = HOLDER_MEMORY,
		.fd = make_memfd(SIZE, 0),
		.size = SIZE,
	};
	slow->holder = find_holder(&slow->bench);
	ck_assert_int_gt(slow->holder, 0);
}

/* Nothing is asserted while the holder is stopped: a failed test would leave it so. */
struct stopped {
	int result;
	uint64_t owed;
	bool lost;
};

static struct stopped while_stopped(struct slow *slow, bool is_put, int then)
{
	struct stopped stopped = { 0 };

	kill(slow->holder, SIGSTOP);
	if (is_put)
		stopped.result = holder_link_put(slow->link, &slow->put, &stopped.lost);
	else
		stopped.result = holder_link_drop(slow->link, slow->put.name);
	stopped.owed = holder_link_owed(slow->link);
	kill(slow->holder, then);
	return stopped;
}

static bool owes_nothing(void *userdata)
{
	return holder_link_owed(((struct slow *)userdata)->link) == 0;
}

static void slow_done(struct slow *slow)
{
	ck_assert_int_eq(find_holder(&slow->bench), slow->holder);
	slow->link = holder_link_free(slow->link);
	close(slow->put.fd);
	bench_done(&slow->bench);
	expect_pins(slow->before);
}

START_TEST(a_put_of_unknown_outcome_is_undone)
{
	struct stopped stopped;
	struct slow slow;
	bool lost;

	if (!have_privilege())
		return;
	slow_open(&slow);
	stopped = while_stopped(&slow, true, SIGCONT);
	ck_assert_int_eq(stopped.result, -ETIMEDOUT);
	ck_assert(stopped.lost);
	ck_assert_uint_eq(stopped.owed, 1);
	ck_assert(wait_until(owes_nothing, &slow));
	expect_pins(slow.before);
	ck_assert_int_eq(holder_link_put(slow.link, &slow.put, &lost), 0);
	expect_pins(slow.before + PAGES);
	ck_assert_int_eq(holder_link_drop(slow.link, slow.put.name), 0);
	expect_pins(slow.before);
	slow_done(&slow);
}
END_TEST

START_TEST(a_drop_that_was_not_answered_is_owed_and_other_pins_stay)
{
	struct stopped stopped;
	uint64_t first;
	struct slow slow;
	bool lost;

	if (!have_privilege())
		return;
	slow_open(&slow);
	ck_assert_int_eq(holder_link_put(slow.link, &slow.put, &lost), 0);
	first = slow.put.name;
	ck_assert_int_eq(holder_link_put(slow.link, &slow.put, &lost), 0);
	expect_pins(slow.before + 2 * PAGES);
	stopped = while_stopped(&slow, false, SIGCONT);
	ck_assert_int_eq(stopped.result, -ETIMEDOUT);
	ck_assert_uint_eq(stopped.owed, 1);
	ck_assert(wait_until(owes_nothing, &slow));
	expect_pins(slow.before + PAGES);
	ck_assert_int_eq(holder_link_drop(slow.link, first), 0);
	slow_done(&slow);
}
END_TEST

START_TEST(a_drop_that_is_owed_ends_with_the_holder)
{
	struct stopped stopped;
	struct slow slow;
	bool lost;

	if (!have_privilege())
		return;
	slow_open(&slow);
	ck_assert_int_eq(holder_link_put(slow.link, &slow.put, &lost), 0);
	stopped = while_stopped(&slow, false, SIGKILL);
	ck_assert_int_eq(stopped.result, -ETIMEDOUT);
	ck_assert_uint_eq(stopped.owed, 1);
	ck_assert(wait_until(owes_nothing, &slow));
	expect_pins(slow.before);
	slow.holder = find_holder(&slow.bench);
	slow_done(&slow);
}
END_TEST

/* ---- beside systemd ---- */

START_TEST(a_service_refuses_a_new_holder_in_its_own_control_group)
{
	struct bench bench;
	struct memory_options options = {
		.workers = 1,
		.holder_path = state_dirs_holder(),
		.epoch = "test:1",
	};
	struct memory *memory = NULL;
	char pid[16], *error = NULL;

	if (!have_privilege())
		return;
	bench_open(&bench);
	options.state_dir = bench.dir.path;
	options.lock_fd = bench.dir.lock_fd;
	snprintf(pid, sizeof(pid), "%d", getpid());
	setenv("SYSTEMD_EXEC_PID", pid, 1);
	ck_assert_int_eq(memory_new(&memory, &options, &error), -EPERM);
	ck_assert_ptr_nonnull(strstr(error, "ghmemd-holder.socket"));
	free(error);
	options.may_invent = true; /* an emulator's daemon does not mind */
	ck_assert_int_eq(memory_new(&memory, &options, &error), 0);
	memory_free(memory);
	options.may_invent = false;
	setenv("SYSTEMD_EXEC_PID", "1", 1); /* somebody else's service */
	ck_assert_int_eq(memory_new(&memory, &options, &error), 0);
	memory_free(memory);
	bench_done(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory_holders");
	TCase *tests = tcase_create("all");
	SRunner *runner;
	int failed;

	log_open("test_memory_holders", LOG_ERR - 1); /* deaths are on purpose here */
	state_dirs_open();
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, a_new_holder_takes_over_and_the_pins_outlive_the_daemon);
	tcase_add_test(tests, many_pins_move_more_than_once_and_can_be_unpinned);
	tcase_add_test(tests, what_an_earlier_daemon_left_moves_along);
	tcase_add_test(tests, a_holder_that_dies_just_before_the_end_is_noticed);
	tcase_add_test(tests, without_a_holder_a_keeper_outlives_the_daemon);
	tcase_add_test(tests, without_a_holder_pins_outlive_the_daemons_sudden_end);
	tcase_add_test(tests, a_holder_that_can_be_had_again_takes_over_from_the_keeper);
	tcase_add_test(tests, a_put_of_unknown_outcome_is_undone);
	tcase_add_test(tests, a_drop_that_was_not_answered_is_owed_and_other_pins_stay);
	tcase_add_test(tests, a_drop_that_is_owed_ends_with_the_holder);
	tcase_add_test(tests, a_service_refuses_a_new_holder_in_its_own_control_group);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (state_dirs_close() > 0) {
		fprintf(stderr, "test_memory_holders: holders were left over\n");
		failed++;
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
