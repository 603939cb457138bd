/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A daemon's memory for tests, with a state directory of its own; jobs are done at once. */

#include "daemon/memory/memory.h"
#include "state_dir.h"

#define MIB  (1ull << 20)
#define PAGE 4096ull

struct bench {
	struct state_dir dir;
	char holder_path[96]; /* empty: the one in the usual place */
	struct event_base *base;
	struct mailbox mailbox;
	struct memory *memory;
	unsigned delivered;
};

/* Makes the state directory and the mailbox; the memory is started apart. */
void bench_open(struct bench *bench);
void bench_start_memory(struct bench *bench, const char *epoch, bool may_invent);
void bench_done(struct bench *bench);

/* A job for that descriptor, -1: allocate; without limit. */
struct memory_job pin_job(int fd);

void submit(struct bench *bench, struct memory_job *job);
void await(struct bench *bench, unsigned deliveries);
void run(struct bench *bench, struct memory_job *job);

/* These assert that it works. */
struct pinned *allocate(struct bench *bench, uint64_t size);
void unpin(struct bench *bench, struct pinned *pinned);

/* The holder of the bench, by its command line: its one connection is not ours; -1: none. */
pid_t find_holder(const struct bench *bench);

/* Kills and waits for the end. */
pid_t kill_holder(const struct bench *bench);
void end_process(pid_t pid);

/* The keeper that is a child of that process, -1: none. */
pid_t find_keeper(pid_t parent);

/* After a holder's death: waits until another one has every pin. */
void await_adoption(struct bench *bench);

/* Root, on a kernel that pins; says so when not. */
bool have_privilege(void);
bool have_pidfd_getfd(void);

/* Waits until that many pages of the machine are pinned, nearly. */
void expect_pins(int64_t pins);

/* The frame behind an address of this process, read now. */
uint64_t frame_of(int pagemap, const char *at);

/* Reads the frames once more, through a mapping of its own and one by one. */
void expect_frames_of(const struct pinned *pinned, int memfd);

int make_memfd(uint64_t size, unsigned flags);
