/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "memory_bench.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PINS_ROUNDED 512 /* other programs of the machine pin and unpin now and then */

/* ---- a daemon's memory, and jobs done at once ---- */

static void on_letter(struct letter *letter _unused_, void *userdata)
{
	((struct bench *)userdata)->delivered++;
}

void bench_start_memory(struct bench *bench, const char *epoch, bool may_invent)
{
	const struct memory_options options = {
		.workers = 2,
		.state_dir = bench->dir.path,
		.holder_path = *bench->holder_path ? bench->holder_path : state_dirs_holder(),
		.lock_fd = bench->dir.lock_fd,
		.may_invent = may_invent,
		.epoch = epoch,
	};
	char *error = NULL;
	int r = memory_new(&bench->memory, &options, &error);

	ck_assert_msg(r == 0, "memory_new: %d %s", r, error ? error : "");
	ck_assert_ptr_null(error);
}

void bench_open(struct bench *bench)
{
	*bench = (struct bench){ 0 };
	state_dir_make(&bench->dir);
	bench->base = event_base_new();
	ck_assert_int_eq(mailbox_init(&bench->mailbox, bench->base, bench), 0);
}

void bench_done(struct bench *bench)
{
	bench->memory = memory_free(bench->memory);
	mailbox_done(&bench->mailbox);
	event_base_free(bench->base);
	state_dir_done(&bench->dir);
}

struct memory_job pin_job(int fd)
{
	return (struct memory_job){
		.kind = MEMORY_PIN,
		.fd = fd,
		.made_up_base = 1ull << 32,
	};
}

void submit(struct bench *bench, struct memory_job *job)
{
	job->letter.deliver = on_letter;
	job->reply_to = &bench->mailbox;
	memory_submit(bench->memory, job);
}

void await(struct bench *bench, unsigned deliveries)
{
	while (bench->delivered < deliveries)
		event_base_loop(bench->base, EVLOOP_ONCE);
	bench->delivered -= deliveries;
}

void run(struct bench *bench, struct memory_job *job)
{
	submit(bench, job);
	await(bench, 1);
}

struct pinned *allocate(struct bench *bench, uint64_t size)
{
	struct memory_job job = pin_job(-1);

	job.size = size;
	run(bench, &job);
	ck_assert_msg(job.outcome == MEMORY_OK, "%s", job.reason);
	ck_assert_str_eq(job.reason, "");
	ck_assert_ptr_nonnull(job.pinned);
	ck_assert_uint_eq(job.pinned->regions.bytes, size);
	return job.pinned;
}

void unpin(struct bench *bench, struct pinned *pinned)
{
	struct memory_job job = { .kind = MEMORY_UNPIN, .fd = -1, .pinned = pinned };

	run(bench, &job);
	ck_assert_msg(job.outcome == MEMORY_OK, "%s", job.reason);
	ck_assert_ptr_null(job.pinned);
}

/* ---- the processes beside it ---- */

pid_t find_holder(const struct bench *bench)
{
	char wanted[sizeof(bench->dir.path) + 16], path[300], line[512];
	size_t size = (size_t)snprintf(wanted, sizeof(wanted), "--state-dir %s", bench->dir.path);
	struct dirent *entry;
	DIR *all = opendir("/proc");
	pid_t found = -1;

	wanted[strlen("--state-dir")] = '\0';
	while ((entry = readdir(all))) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/cmdline", entry->d_name);
		file = atoi(entry->d_name) > 0 ? fopen(path, "re") : NULL;
		if (!file)
			continue;
		if (memmem(line, fread(line, 1, sizeof(line), file), wanted, size))
			found = atoi(entry->d_name);
		fclose(file);
	}
	closedir(all);
	return found;
}

pid_t find_keeper(pid_t parent)
{
	char path[300], name[32], state;
	struct dirent *entry;
	DIR *all = opendir("/proc");
	pid_t found = -1;
	int its_parent;

	while ((entry = readdir(all))) {
		FILE *file;

		snprintf(path, sizeof(path), "/proc/%s/stat", entry->d_name);
		file = atoi(entry->d_name) > 0 ? fopen(path, "re") : NULL;
		if (!file)
			continue;
		if (fscanf(file, "%*d (%31[^)]) %c %d", name, &state, &its_parent) == 3 &&
			strcmp(name, "ghmemd-keeper") == 0 && its_parent == parent && state != 'Z')
			found = atoi(entry->d_name);
		fclose(file);
	}
	closedir(all);
	return found;
}

void end_process(pid_t pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd end = { pidfd, POLLIN, 0 };

	ck_assert_int_gt(pid, 0); /* kill() takes the others for many processes at once */
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(poll(&end, 1, 5000), 1);
	close(pidfd);
}

pid_t kill_holder(const struct bench *bench)
{
	pid_t pid = find_holder(bench);

	ck_assert_int_gt(pid, 0);
	end_process(pid);
	return pid;
}

static bool is_adopted(void *userdata)
{
	return find_holder(userdata) > 0 && find_keeper(getpid()) < 0;
}

void await_adoption(struct bench *bench)
{
	ck_assert(wait_until(is_adopted, bench));
}

/* ---- what the kernel says ---- */

/* valgrind 3.19 does not know it, and then nothing can be pinned. */
bool have_pidfd_getfd(void)
{
	return syscall(SYS_pidfd_getfd, -1, -1, 0) < 0 && errno != ENOSYS;
}

bool have_privilege(void)
{
	if (geteuid() == 0 && have_pidfd_getfd())
		return true;
	fprintf(stderr, "%s: a test with real pins was left out\n",
		geteuid() == 0 ? "no pidfd_getfd" : "not root");
	return false;
}

struct pins_expected {
	int64_t pins;
};

static bool pins_are(void *userdata)
{
	int64_t difference = count_pins() - ((struct pins_expected *)userdata)->pins;

	return difference > -PINS_ROUNDED && difference < PINS_ROUNDED;
}

void expect_pins(int64_t pins)
{
	struct pins_expected expected = { pins };

	ck_assert_msg(wait_until(pins_are, &expected), "pins %" PRId64 ", expected %" PRId64,
		count_pins(), pins);
}

uint64_t frame_of(int pagemap, const char *at)
{
	uint64_t entry;

	ck_assert_int_eq(pread(pagemap, &entry, 8, (off_t)((uintptr_t)at / PAGE * 8)), 8);
	ck_assert(entry >> 63);
	return entry & ((1ull << 55) - 1);
}

void expect_frames_of(const struct pinned *pinned, int memfd)
{
	uint64_t size = pinned->regions.bytes, previous = 0, at = 0;
	char *map = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_POPULATE, memfd, 0);
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	size_t runs = 0;

	ck_assert_ptr_ne(map, MAP_FAILED);
	for (uint64_t page = 0; page < size / PAGE; page++) {
		uint64_t frame = frame_of(pagemap, map + page * PAGE);
		const struct ghrm_region *region;

		if (page == 0 || frame != previous + 1) {
			runs++;
			at = 0;
		}
		ck_assert_uint_le(runs, pinned->regions.n);
		region = &pinned->regions.regions[runs - 1];
		ck_assert_uint_lt(at, region->size);
		ck_assert_uint_eq(region->address + at, frame * PAGE);
		at += PAGE;
		previous = frame;
	}
	ck_assert_uint_eq(runs, pinned->regions.n);
	munmap(map, size);
	close(pagemap);
}

int make_memfd(uint64_t size, unsigned flags)
{
	int fd = memfd_create("test", flags | MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, (off_t)size), 0);
	return fd;
}
