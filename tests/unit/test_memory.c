/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory_bench.h"
#include "util/log.h"

#define NOBODY 65534

/* ---- regions ---- */

START_TEST(neighbours_are_joined_in_the_given_order)
{
	static const struct {
		struct ghrm_region in[4], out[4];
		size_t n_in, n_out;
	} cases[] = {
		{ { { 0x1000, 0x1000 } }, { { 0x1000, 0x1000 } }, 1, 1 },
		{ { { 0x1000, 0x1000 }, { 0x2000, 0x3000 } }, { { 0x1000, 0x4000 } }, 2, 1 },
		{ { { 0x2000, 0x1000 }, { 0x1000, 0x1000 } },
			{ { 0x2000, 0x1000 }, { 0x1000, 0x1000 } }, 2, 2 },
		{ { { 0x1000, 0x1000 }, { 0x1000, 0x1000 } },
			{ { 0x1000, 0x1000 }, { 0x1000, 0x1000 } }, 2, 2 },
		{ { { 0x1000, 0x1000 }, { 0x3000, 0x1000 }, { 0x2000, 0x1000 },
			  { 0x3000, 0x1000 } },
			{ { 0x1000, 0x1000 }, { 0x3000, 0x1000 }, { 0x2000, 0x2000 } }, 4, 3 },
		{ { { 0x1000, 0 }, { 0x1000, 0x1000 } }, { { 0x1000, 0x1000 } }, 2, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct region_list list = { 0 };
		uint64_t bytes = 0;

		for (size_t j = 0; j < cases[i].n_in; j++) {
			bytes += cases[i].in[j].size;
			ck_assert_int_eq(
				region_list_add(&list, cases[i].in[j].address, cases[i].in[j].size),
				0);
		}
		ck_assert_uint_eq(list.n, cases[i].n_out);
		ck_assert_uint_eq(list.bytes, bytes);
		for (size_t j = 0; j < list.n; j++) {
			ck_assert_uint_eq(list.regions[j].address, cases[i].out[j].address);
			ck_assert_uint_eq(list.regions[j].size, cases[i].out[j].size);
		}
		region_list_done(&list);
		ck_assert_uint_eq(list.n, 0);
	}
}
END_TEST

START_TEST(made_up_span_has_a_gap_per_eight_pages)
{
	static const struct {
		uint64_t size, span;
	} cases[] = {
		{ 0, 0 },
		{ 1, 2 * PAGE },
		{ PAGE, 2 * PAGE },
		{ 8 * PAGE, 9 * PAGE },
		{ 9 * PAGE, 11 * PAGE },
		{ 16 * PAGE, 18 * PAGE },
		{ UINT64_MAX, UINT64_MAX },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_uint_eq(memory_made_up_span(cases[i].size), cases[i].span);
}
END_TEST

/* ---- what is no good source ---- */

struct bad_source {
	int (*make)(void);
	uint64_t offset, size;
	bool size_given;
	enum memory_outcome outcome;
	const char *reason;
};

static int make_plain(void)
{
	return make_memfd(4 * PAGE, MFD_ALLOW_SEALING);
}

static int make_odd(void)
{
	return make_memfd(4 * PAGE + 1, MFD_ALLOW_SEALING);
}

static int make_empty(void)
{
	return make_memfd(0, MFD_ALLOW_SEALING);
}

static int make_unsealable(void)
{
	return make_memfd(4 * PAGE, 0);
}

static int make_sealed(int seals)
{
	int fd = make_plain();

	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static int make_write_sealed(void)
{
	return make_sealed(F_SEAL_WRITE | F_SEAL_SHRINK);
}

static int make_future_write_sealed(void)
{
	return make_sealed(F_SEAL_FUTURE_WRITE);
}

static int reopen(int flags)
{
	int fd = make_plain(), again;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	ck_assert_int_ge(again, 0);
	close(fd);
	return again;
}

static int make_read_only(void)
{
	return reopen(O_RDONLY);
}

static int make_write_only(void)
{
	return reopen(O_WRONLY);
}

static int make_path(void)
{
	return reopen(O_PATH);
}

static int make_directory(void)
{
	return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static int make_device(void)
{
	return open("/dev/zero", O_RDWR | O_CLOEXEC);
}

static int make_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
}

/* The test's own program: a file on whatever file system the tests are built on. */
static int make_disk_file(void)
{
	return open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static int make_none(void)
{
	return -1;
}

static int make_closed(void)
{
	return 900000;
}

#define INVALID MEMORY_INVALID

static const struct bad_source bad_sources[] = {
	{ make_plain, 100, 0, false, INVALID,
		"memory.offset 100 is not a multiple of the page size 4096" },
	{ make_plain, 0, 100, true, INVALID,
		"memory.size 100 is not a multiple of the page size 4096" },
	{ make_plain, 0, 0, true, INVALID, "memory.size 0 is no memory at all" },
	{ make_plain, 4 * PAGE, 0, false, INVALID,
		"memory.offset 16384 is not inside the memfd of 16384 bytes" },
	{ make_plain, 0, 5 * PAGE, true, INVALID,
		"memory.size 20480 at memory.offset 0 reaches beyond the memfd of 16384 bytes" },
	{ make_plain, 2 * PAGE, 3 * PAGE, true, INVALID,
		"memory.size 12288 at memory.offset 8192 reaches beyond the memfd of 16384 bytes" },
	{ make_plain, PAGE, UINT64_MAX - PAGE + 1, true, INVALID,
		"memory.size 18446744073709547520 at memory.offset 4096 reaches beyond the memfd "
		"of "
		"16384 bytes" },
	{ make_plain, UINT64_MAX - PAGE + 1, PAGE, true, INVALID,
		"memory.offset 18446744073709547520 is not inside the memfd of 16384 bytes" },
	{ make_odd, 0, 0, false, INVALID,
		"memory.fd has 16385 bytes, which is not a multiple of the page size 4096" },
	{ make_empty, 0, 0, false, INVALID, "memory.offset 0 is not inside the memfd of 0 bytes" },
	{ make_unsealable, 0, 0, false, INVALID,
		"memory.fd lacks F_SEAL_SHRINK and is sealed against more seals: create it with "
		"MFD_ALLOW_SEALING" },
	{ make_write_sealed, 0, 0, false, INVALID,
		"memory.fd is sealed against writing (F_SEAL_WRITE): such memory cannot be "
		"pinned" },
	{ make_future_write_sealed, 0, 0, false, INVALID,
		"memory.fd is sealed against writing (F_SEAL_FUTURE_WRITE): such memory cannot be "
		"pinned" },
	{ make_read_only, 0, 0, false, INVALID, "memory.fd is not open for reading and writing" },
	{ make_write_only, 0, 0, false, INVALID, "memory.fd is not open for reading and writing" },
	{ make_path, 0, 0, false, INVALID,
		"memory.fd was opened with O_PATH, which gives no access" },
	{ make_directory, 0, 0, false, INVALID, "memory.fd is not a memfd (a directory)" },
	{ make_device, 0, 0, false, INVALID, "memory.fd is not a memfd (a character device)" },
	{ make_socket, 0, 0, false, INVALID, "memory.fd is not a memfd (a socket)" },
	{ make_disk_file, 0, 0, false, INVALID,
		"memory.fd is not a memfd (a regular file on disk)" },
	{ make_closed, 0, 0, false, INVALID, "memory.fd cannot be examined: Bad file descriptor" },
	{ make_none, 0, 0, true, INVALID, "memory.allocate 0 is no memory at all" },
	{ make_none, 0, 0, false, INVALID, "memory.allocate 0 is no memory at all" },
	{ make_none, 0, 100, true, INVALID,
		"memory.allocate 100 is not a multiple of the page size 4096" },
	{ make_none, PAGE, PAGE, true, INVALID, "memory.offset is for memory.fd only" },
	{ make_none, 0, UINT64_MAX - PAGE + 1, true, MEMORY_EXHAUSTED,
		"memory.allocate 18446744073709547520 is too large" },
};

START_TEST(bad_sources_are_refused_with_a_reason)
{
	struct bench bench;
	unsigned fds;

	bench_open(&bench);
	bench_start_memory(&bench, "test", true);
	fds = count_fds();
	for (size_t i = 0; i < ARRAY_SIZE(bad_sources); i++) {
		struct memory_job job = pin_job(bad_sources[i].make());

		job.offset = bad_sources[i].offset;
		job.size = bad_sources[i].size;
		job.size_given = bad_sources[i].size_given;
		run(&bench, &job);
		ck_assert_str_eq(job.reason, bad_sources[i].reason);
		ck_assert_int_eq(job.outcome, bad_sources[i].outcome);
		ck_assert_ptr_null(job.pinned);
		ck_assert_int_eq(job.fd, -1);
		ck_assert_uint_eq(count_fds(), fds);
	}
	bench_done(&bench);
}
END_TEST

START_TEST(more_than_the_machine_has_is_refused_before_it_is_taken)
{
	struct memory_job job = pin_job(make_memfd(1ull << 50, MFD_ALLOW_SEALING));
	struct bench bench;

	bench_open(&bench);
	bench_start_memory(&bench, "test", true);
	run(&bench, &job);
	ck_assert_int_eq(job.outcome, MEMORY_EXHAUSTED);
	ck_assert_ptr_nonnull(strstr(job.reason, "are still to be allocated"));
	bench_done(&bench);
}
END_TEST

/* ---- pinning in earnest ---- */

START_TEST(allocated_memory_is_pinned_and_its_frames_are_right)
{
	struct pinned *pinned;
	struct bench bench;
	int64_t before;
	unsigned fds;

	if (!have_privilege())
		return;
	bench_open(&bench);
	bench_start_memory(&bench, "test", false);
	ck_assert(memory_abilities(bench.memory)->frame_numbers);
	ck_assert(memory_abilities(bench.memory)->pins);
	ck_assert_str_eq(memory_abilities(bench.memory)->text, "");
	before = settled_pins();
	fds = count_fds();
	pinned = allocate(&bench, 64 * MIB);
	ck_assert(pinned->is_pinned);
	ck_assert(!pinned->made_up);
	ck_assert_uint_eq(pinned->pages, 64 * MIB / PAGE);
	ck_assert_int_eq(fcntl(pinned->memfd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
	ck_assert_uint_eq(count_fds(), fds + 2);
	expect_frames_of(pinned, pinned->memfd);
	expect_pins(before + (int64_t)(64 * MIB / PAGE));
	unpin(&bench, pinned);
	expect_pins(before);
	ck_assert_uint_eq(count_fds(), fds);
	bench_done(&bench);
}
END_TEST

START_TEST(part_of_a_clients_memfd_is_pinned)
{
	int fd = make_memfd(8 * PAGE, MFD_ALLOW_SEALING), keep = dup(fd);
	struct memory_job job = pin_job(fd);
	struct bench bench;
	int pagemap;
	char *map;

	if (!have_privilege())
		return;
	bench_open(&bench);
	bench_start_memory(&bench, "test", false);
	job.offset = 2 * PAGE;
	run(&bench, &job);
	ck_assert_msg(job.outcome == MEMORY_OK, "%s", job.reason);
	ck_assert_uint_eq(job.pinned->pages, 6);
	ck_assert_uint_eq(job.pinned->regions.bytes, 6 * PAGE);
	ck_assert_int_eq(job.pinned->memfd, -1);
	ck_assert(fcntl(keep, F_GET_SEALS) & F_SEAL_SHRINK);
	map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED | MAP_POPULATE, keep, 2 * PAGE);
	pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	ck_assert_uint_eq(job.pinned->regions.regions[0].address, frame_of(pagemap, map) * PAGE);
	munmap(map, PAGE);
	close(pagemap);
	unpin(&bench, job.pinned);
	close(keep);
	bench_done(&bench);
}
END_TEST

START_TEST(made_up_addresses_have_gaps_and_nobody_needs_a_privilege)
{
	static const char *const texts[] = { "no frame numbers", "RLIMIT_MEMLOCK" };
	struct memory_job job = pin_job(-1);
	struct bench bench;
	char *error = NULL;
	struct memory *memory = NULL;

	if (!have_pidfd_getfd())
		return;
	if (geteuid() == 0) {
		ck_assert_int_eq(setgroups(0, NULL), 0);
		ck_assert_int_eq(setresgid(NOBODY, NOBODY, NOBODY), 0);
		ck_assert_int_eq(setresuid(NOBODY, NOBODY, NOBODY), 0);
		prctl(PR_SET_DUMPABLE, 1);
	}
	bench_open(&bench);
	ck_assert_int_eq(memory_new(&memory,
				 &(struct memory_options){ .workers = 1,
					 .state_dir = bench.dir.path,
					 .holder_path = state_dirs_holder(),
					 .lock_fd = bench.dir.lock_fd,
					 .epoch = "test" },
				 &error),
		-EPERM);
	ck_assert_ptr_nonnull(strstr(error, "CAP_SYS_ADMIN and CAP_IPC_LOCK"));
	ck_assert_ptr_null(strchr(error, '\n'));
	free(error);

	bench_start_memory(&bench, "emulator:test", true);
	ck_assert(!memory_abilities(bench.memory)->frame_numbers);
	ck_assert(!memory_abilities(bench.memory)->pins);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		ck_assert_ptr_nonnull(strstr(memory_abilities(bench.memory)->text, texts[i]));
	job.size = 20 * PAGE;
	job.made_up_base = 0x80000000;
	run(&bench, &job);
	ck_assert_msg(job.outcome == MEMORY_OK, "%s", job.reason);
	ck_assert(job.pinned->is_pinned);
	ck_assert(job.pinned->made_up);
	ck_assert_uint_eq(job.pinned->regions.n, 3);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_uint_eq(
			job.pinned->regions.regions[i].address, 0x80000000 + i * 9 * PAGE);
		ck_assert_uint_eq(job.pinned->regions.regions[i].size, i < 2 ? 8 * PAGE : 4 * PAGE);
	}
	unpin(&bench, job.pinned);

	job = pin_job(-1);
	job.size = 64 * MIB; /* above RLIMIT_MEMLOCK */
	run(&bench, &job);
	ck_assert_msg(job.outcome == MEMORY_OK, "%s", job.reason);
	ck_assert(!job.pinned->is_pinned);
	ck_assert_uint_eq(job.pinned->pages, 0);
	ck_assert_uint_eq(job.pinned->regions.bytes, 64 * MIB);
	unpin(&bench, job.pinned);

	job = pin_job(-1);
	job.size = PAGE;
	job.made_up_base = (1ull << 44) - PAGE;
	run(&bench, &job);
	ck_assert_int_eq(job.outcome, MEMORY_EXHAUSTED);
	ck_assert_str_eq(job.reason, "no made-up addresses are left below 2^44");
	bench_done(&bench);
}
END_TEST

/* For this process and the holder that it starts. */
static void forbid_io_uring(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

START_TEST(without_io_uring_only_an_emulator_gets_memory)
{
	struct memory *memory = NULL;
	struct pinned *pinned;
	struct bench bench;
	char *error = NULL;

	forbid_io_uring();
	bench_open(&bench);
	ck_assert_int_eq(memory_new(&memory,
				 &(struct memory_options){ .workers = 1,
					 .state_dir = bench.dir.path,
					 .holder_path = state_dirs_holder(),
					 .lock_fd = bench.dir.lock_fd,
					 .epoch = "test" },
				 &error),
		-EPERM);
	ck_assert_ptr_nonnull(strstr(error, "io_uring is forbidden"));
	free(error);
	bench_start_memory(&bench, "emulator:test", true);
	ck_assert(!memory_abilities(bench.memory)->pins);
	pinned = allocate(&bench, MIB);
	ck_assert(!pinned->is_pinned);
	ck_assert_int_eq(pinned->made_up, geteuid() != 0);
	unpin(&bench, pinned);
	bench_done(&bench);
}
END_TEST

/* ---- huge pages ---- */

#define HUGE       (2 * MIB)
#define HUGE_COUNT "/proc/sys/vm/nr_hugepages"

static long huge_pages(long more)
{
	FILE *file = fopen(HUGE_COUNT, "r+e");
	long n = -1;

	if (!file || fscanf(file, "%ld", &n) != 1)
		n = -1;
	if (n >= 0 && more) {
		rewind(file);
		fprintf(file, "%ld", n + more);
	}
	if (file)
		fclose(file);
	return n;
}

START_TEST(huge_pages_are_pinned_whole_and_only_whole)
{
	long before = have_privilege() ? huge_pages(4) : -1, got;
	struct memory_job job;
	struct bench bench;
	int fd;

	got = before < 0 ? 0 : huge_pages(0) - before;
	fd = memfd_create("huge", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);
	if (got < 4 || fd < 0 || ftruncate(fd, 4 * HUGE) < 0) {
		fprintf(stderr, "test_memory: no huge pages here: not tested\n");
		if (got > 0)
			huge_pages(-got);
		return;
	}
	bench_open(&bench);
	bench_start_memory(&bench, "test", false);
	job = pin_job(dup(fd));
	job.offset = PAGE;
	run(&bench, &job);
	ck_assert_str_eq(job.reason,
		"memory.offset 4096 is not a multiple of the memfd's huge page size 2097152");
	job = pin_job(dup(fd));
	job.offset = HUGE;
	job.size = 2 * HUGE;
	job.size_given = true;
	run(&bench, &job);
	if (job.outcome == MEMORY_OK) {
		ck_assert_uint_eq(job.pinned->pages, 2 * HUGE / PAGE);
		ck_assert_uint_le(job.pinned->regions.n, 2);
		ck_assert_uint_eq(job.pinned->regions.regions[0].address % HUGE, 0);
		unpin(&bench, job.pinned);
	}
	bench_done(&bench);
	close(fd);
	huge_pages(-got);
	ck_assert_msg(job.outcome == MEMORY_OK, "%s", job.reason);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("memory");
	TCase *tests = tcase_create("all");
	SRunner *runner;
	int failed;

	log_open("test_memory", LOG_NOTICE);
	state_dirs_open();
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, neighbours_are_joined_in_the_given_order);
	tcase_add_test(tests, made_up_span_has_a_gap_per_eight_pages);
	tcase_add_test(tests, bad_sources_are_refused_with_a_reason);
	tcase_add_test(tests, more_than_the_machine_has_is_refused_before_it_is_taken);
	tcase_add_test(tests, allocated_memory_is_pinned_and_its_frames_are_right);
	tcase_add_test(tests, part_of_a_clients_memfd_is_pinned);
	tcase_add_test(tests, made_up_addresses_have_gaps_and_nobody_needs_a_privilege);
	tcase_add_test(tests, without_io_uring_only_an_emulator_gets_memory);
	tcase_add_test(tests, huge_pages_are_pinned_whole_and_only_whole);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	if (state_dirs_close() > 0) {
		fprintf(stderr, "test_memory: holders were left over\n");
		failed++;
	}
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
