/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What becomes of pins when somebody dies or misbehaves. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory_bench.h"
#include "util/log.h"

#define KPAGE_SWAPBACKED (1ull << 14) /* Documentation/admin-guide/mm/pagemap.rst */

/* In a child: pins, tells how much, and waits for its end. */
static _Noreturn void pin_and_wait(struct bench *bench, int tell)
{
	struct pinned *pinned;
	uint64_t first;

	bench_start_memory(bench, "test:1", false);
	pinned = allocate(bench, 16 * MIB);
	first = pinned->regions.regions[0].address;
	if (write(tell, &first, sizeof(first)) != sizeof(first))
		abort();
	for (;;)
		pause();
}

START_TEST(a_pin_outlives_the_daemon_and_is_left_over_to_the_next)
{
	int64_t before = settled_pins(), pages = (int64_t)(16 * MIB / PAGE);
	struct holder_request list = { .command = HOLDER_LIST };
	struct holder_peer peer = HOLDER_PEER_NONE;
	uint64_t first, entries, left;
	struct holder_reply reply;
	struct bench bench;
	int pipe_fds[2];
	pid_t child;

	if (!have_privilege())
		return;
	bench_open(&bench);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	child = fork();
	if (child == 0)
		pin_and_wait(&bench, pipe_fds[1]);
	close(pipe_fds[1]);
	ck_assert_int_eq(read(pipe_fds[0], &first, sizeof(first)), sizeof(first));
	ck_assert_int_eq(kill(child, SIGKILL), 0);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	expect_pins(before + pages);

	ck_assert_int_eq(holder_peer_open(&peer, &bench.dir.place, false), 0);
	ck_assert_int_eq(holder_peer_ask(&peer, &list, -1, &reply, NULL), 0);
	ck_assert_int_eq(reply.result, 0);
	ck_assert_uint_eq(reply.pages, (uint64_t)pages);
	ck_assert_uint_eq(reply.class, HOLDER_MEMORY);
	ck_assert_str_eq(reply.tag, "test:1");
	list.name = reply.name;
	ck_assert_int_eq(holder_peer_ask(&peer, &list, -1, &reply, NULL), 0);
	ck_assert_int_eq(reply.result, -ENOENT);
	holder_peer_done(&peer);

	bench_start_memory(&bench, "test:2", false);
	memory_left_over(bench.memory, &entries, &left);
	ck_assert_uint_eq(entries, 1);
	ck_assert_uint_eq(left, (uint64_t)pages);
	/* The successor has become the pin's second owner. */
	kill_holder(&bench);
	usleep(300000);
	expect_pins(before + pages);
	await_adoption(&bench);
	bench.memory = memory_free(bench.memory);
	expect_pins(before + pages);
	close(pipe_fds[0]);
	bench_done(&bench);
	expect_pins(before);
}
END_TEST

START_TEST(what_a_dead_emulators_daemon_left_is_dropped)
{
	struct memory_job job = pin_job(-1);
	uint64_t entries, pages;
	struct bench bench;

	bench_open(&bench);
	bench_start_memory(&bench, "emulator:1", true);
	job.size = MIB;
	run(&bench, &job);
	ck_assert_msg(job.outcome == MEMORY_OK, "%s", job.reason);
	bench.memory = memory_free(bench.memory);
	pinned_free(job.pinned);
	bench_start_memory(&bench, "emulatoR:2", true);
	memory_left_over(bench.memory, &entries, &pages);
	ck_assert_uint_eq(entries, 0);
	ck_assert_uint_eq(pages, 0);

	job = pin_job(-1);
	job.size = MIB;
	run(&bench, &job);
	bench.memory = memory_free(bench.memory);
	pinned_free(job.pinned);
	bench_start_memory(&bench, "emulator:3", true);
	memory_left_over(bench.memory, &entries, &pages);
	ck_assert_uint_eq(entries, 1);
	bench_done(&bench);
}
END_TEST

START_TEST(a_pin_outlives_the_holder_and_others_are_made)
{
	int64_t before = settled_pins(), pages = (int64_t)(16 * MIB / PAGE);
	struct pinned *first, *second;
	struct bench bench;
	unsigned fds;

	if (!have_privilege())
		return;
	bench_open(&bench);
	bench_start_memory(&bench, "test", false);
	fds = count_fds();
	first = allocate(&bench, 16 * MIB);
	kill_holder(&bench);
	usleep(300000); /* a ring that nobody has any more is gone after that */
	expect_pins(before + pages);
	expect_frames_of(first, first->memfd);

	second = allocate(&bench, 16 * MIB);
	ck_assert_uint_gt(second->name, first->name);
	expect_pins(before + 2 * pages);
	unpin(&bench, first);
	expect_pins(before + pages);
	expect_frames_of(second, second->memfd);
	unpin(&bench, second);
	expect_pins(before);
	ck_assert_uint_eq(count_fds(), fds);
	bench_done(&bench);
}
END_TEST

START_TEST(unpinning_needs_no_holder)
{
	int64_t before = settled_pins();
	struct pinned *pinned;
	struct bench bench;

	if (!have_privilege())
		return;
	bench_open(&bench);
	bench_start_memory(&bench, "test", false);
	pinned = allocate(&bench, 16 * MIB);
	kill_holder(&bench);
	unpin(&bench, pinned);
	expect_pins(before);
	bench_done(&bench);
}
END_TEST

/* ---- a client that punches holes ---- */

struct puncher {
	char *map;
	int fd;
	uint64_t size;
	atomic_bool stop;
	unsigned seed;
};

static void *punch(void *userdata)
{
	struct puncher *puncher = userdata;

	while (!atomic_load(&puncher->stop)) {
		uint64_t page = (uint64_t)rand_r(&puncher->seed) % (puncher->size / PAGE);

		fallocate(puncher->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			(off_t)(page * PAGE), PAGE);
		*(volatile char *)(puncher->map + page * PAGE) = 'x';
		usleep((unsigned)rand_r(&puncher->seed) % 200);
	}
	return NULL;
}

/*
 * The memfd is emptied: what was not pinned goes back to the kernel; what was pinned stays a page
 * of shared memory that nothing maps. Every frame that was reported must be of the second kind.
 */
static void expect_pinned_frames(const struct pinned *pinned, const struct puncher *puncher)
{
	int flags_fd = open("/proc/kpageflags", O_RDONLY | O_CLOEXEC);
	int count_fd = open("/proc/kpagecount", O_RDONLY | O_CLOEXEC);

	ck_assert_int_eq(fallocate(puncher->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
				 (off_t)puncher->size),
		0);
	for (size_t i = 0; i < pinned->regions.n; i++) {
		const struct ghrm_region *region = &pinned->regions.regions[i];

		for (uint64_t at = 0; at < region->size; at += PAGE) {
			off_t entry = (off_t)((region->address + at) / PAGE * 8);
			uint64_t flags, count;

			ck_assert_int_eq(pread(flags_fd, &flags, 8, entry), 8);
			ck_assert_int_eq(pread(count_fd, &count, 8, entry), 8);
			ck_assert(flags & KPAGE_SWAPBACKED);
			ck_assert_uint_eq(count, 0);
		}
	}
	close(flags_fd);
	close(count_fd);
}

START_TEST(holes_punched_meanwhile_give_right_frames_or_a_refusal)
{
	unsigned right = 0, refused = 0;
	struct bench bench;

	if (!have_privilege())
		return;
	bench_open(&bench);
	bench_start_memory(&bench, "test", false);
	for (unsigned round = 0; round < 60; round++) {
		/* Small memory escapes now and then, large memory never. */
		uint64_t size = (round % 4 ? 64 : 2048) * PAGE;
		struct puncher puncher = { .size = size, .seed = round };
		struct memory_job job;
		pthread_t thread;

		puncher.fd = make_memfd(size, MFD_ALLOW_SEALING);
		puncher.map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, puncher.fd, 0);
		ck_assert_ptr_ne(puncher.map, MAP_FAILED);
		ck_assert_int_eq(pthread_create(&thread, NULL, punch, &puncher), 0);
		job = pin_job(dup(puncher.fd));
		run(&bench, &job);
		atomic_store(&puncher.stop, true);
		pthread_join(thread, NULL);
		munmap(puncher.map, size);
		if (job.outcome == MEMORY_OK) {
			right++;
			expect_pinned_frames(job.pinned, &puncher);
			unpin(&bench, job.pinned);
		} else {
			refused++;
			ck_assert_str_eq(job.reason,
				"pages of the memory vanished while it was being pinned: the "
				"client punches holes");
			ck_assert_int_eq(job.outcome, MEMORY_INVALID);
		}
		close(puncher.fd);
	}
	ck_assert_uint_gt(right, 0);
	fprintf(stderr, "holes: %u pinned, %u refused\n", right, refused);
	bench_done(&bench);
}
END_TEST

/* ---- many at once ---- */

#define MANY 24

START_TEST(jobs_in_flight_survive_the_holders_death)
{
	struct memory_job jobs[MANY];
	int64_t before = settled_pins();
	struct bench bench;

	if (!have_privilege())
		return;
	bench_open(&bench);
	bench_start_memory(&bench, "test", false);
	for (unsigned round = 0; round < 4; round++) {
		pid_t holder = find_holder(&bench);

		for (size_t i = 0; i < MANY; i++) {
			jobs[i] = pin_job(-1);
			jobs[i].size = 2 * MIB;
			submit(&bench, &jobs[i]);
		}
		usleep(1000 + round * 2000);
		kill(holder, SIGKILL);
		await(&bench, MANY);
		for (size_t i = 0; i < MANY; i++)
			ck_assert_msg(jobs[i].outcome == MEMORY_OK, "%s", jobs[i].reason);
		expect_pins(before + (int64_t)(MANY * 2 * MIB / PAGE));
		for (size_t i = 0; i < MANY; i++)
			unpin(&bench, jobs[i].pinned);
		expect_pins(before);
		unpin(&bench, allocate(&bench, MIB)); /* there is a holder again */
	}
	bench_done(&bench);
}
END_TEST

START_TEST(freeing_finishes_what_is_queued_and_names_never_repeat)
{
	struct memory_job jobs[MANY];
	struct bench bench;

	bench_open(&bench);
	bench_start_memory(&bench, "emulator:test", true);
	for (size_t i = 0; i < MANY; i++) {
		jobs[i] = pin_job(-1);
		jobs[i].size = (i + 1) * PAGE;
		submit(&bench, &jobs[i]);
	}
	bench.memory = memory_free(bench.memory);
	mailbox_drain(&bench.mailbox);
	ck_assert_uint_eq(bench.delivered, MANY);
	for (size_t i = 0; i < MANY; i++) {
		ck_assert_msg(jobs[i].outcome == MEMORY_OK, "%s", jobs[i].reason);
		for (size_t j = 0; j < i; j++)
			ck_assert_uint_ne(jobs[i].pinned->name, jobs[j].pinned->name);
	}
	for (size_t i = 0; i < MANY; i++)
		pinned_free(jobs[i].pinned);
	bench_done(&bench);
}
END_TEST

START_TEST(a_holder_that_cannot_be_started_is_an_error_at_once)
{
	struct bench bench;
	struct memory_options options = {
		.workers = 1,
		.holder_path = "/nonexistent/ghmemd-holder",
		.may_invent = true,
		.epoch = "test",
	};
	struct memory *memory = NULL;
	char *error = NULL;

	bench_open(&bench);
	options.state_dir = bench.dir.path;
	options.lock_fd = bench.dir.lock_fd;
	ck_assert_int_eq(memory_new(&memory, &options, &error), -ENOENT);
	ck_assert_ptr_null(memory);
	ck_assert_ptr_nonnull(strstr(error, "/nonexistent/ghmemd-holder"));
	free(error);
	bench_done(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory_life");
	TCase *tests = tcase_create("all");
	SRunner *runner;
	int failed;

	log_open("test_memory_life", LOG_ERR - 1); /* deaths are on purpose here */
	state_dirs_open();
	tcase_set_timeout(tests, 120);
	tcase_add_test(tests, a_pin_outlives_the_daemon_and_is_left_over_to_the_next);
	tcase_add_test(tests, what_a_dead_emulators_daemon_left_is_dropped);
	tcase_add_test(tests, a_pin_outlives_the_holder_and_others_are_made);
	tcase_add_test(tests, unpinning_needs_no_holder);
	tcase_add_test(tests, holes_punched_meanwhile_give_right_frames_or_a_refusal);
	tcase_add_test(tests, jobs_in_flight_survive_the_holders_death);
	tcase_add_test(tests, freeing_finishes_what_is_queued_and_names_never_repeat);
	tcase_add_test(tests, a_holder_that_cannot_be_started_is_an_error_at_once);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (state_dirs_close() > 0) {
		fprintf(stderr, "test_memory_life: holders were left over\n");
		failed++;
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
