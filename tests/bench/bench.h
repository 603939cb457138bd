/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the parts of ghmem-bench give each other: what is to be measured, and what was. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghrm/message.h"
#include "tests/bench/place.h"
#include "tests/bench/stats.h"

struct bench_options {
	bool json, unpinned, calls_only;
	int cpu; /* -1: the last one that is allowed */
	unsigned rounds, calls, gib_rounds;
	const char *build; /* NULL: from where this program is */
};

struct metric {
	const char *key, *text;
	struct series series;  /* seconds, or seconds for a GiB */
	size_t request, reply; /* bytes, where one message is one call; 0 elsewhere */
};

struct comparison {
	const char *key, *text;
	struct ratio ratio;
};

/* What the daemon said of the memory that it lent. */
struct facts {
	bool pinned, made_up;
};

/* ---- single calls ---- */

enum call {
	CALL_ECHO,
	CALL_INFO,
	CALL_STATUS,
	CALL_LEND,
	CALL_POPULATE, /* parts of LEND, in whole microseconds: parcel.cost of the reply */
	CALL_PIN,
	CALL_RESOLVE,
	CALL_MANAGER,
	CALL_RECLAIM,
	CALL_BOTH,
	CALL_OWN, /* BOTH without the Resource Manager's part */
	CALL_RM_LEND,
	CALL_RM_RECLAIM,
	CALL_RM_BOTH,
	CALL_N
};

struct calls_result {
	struct metric metrics[CALL_N];
	struct ratio to_echo[CALL_N];
	struct ratio both_to_rm;
	unsigned rounds, calls;
	struct facts facts;
};

/* result must be zero-initialised, and needs calls_done() after a failure too. */
int calls_run(const struct place *place, const struct bench_options *options,
	struct calls_result *result);
void calls_done(struct calls_result *result);

/* ---- much memory ---- */

enum bulk {
	LEND_POPULATE,
	LEND_PIN,
	LEND_RESOLVE,
	LEND_MEMORY, /* the three together */
	LEND_MANAGER,
	LEND_REST, /* what is none of these */
	LEND_WHOLE,
	LEND_RECLAIM,
	FLOOR_POPULATE,
	FLOOR_PIN,
	FLOOR_RESOLVE,
	FLOOR_MEMORY,
	FLOOR_BACK,
	FLOOR_PACKETS,
	FLOOR_BOTH,
	BARE_LEND,
	BARE_RECLAIM,
	BACK_BOTH,
	BULK_N
};

#define BULK_COMPARISONS 8

struct bulk_result {
	uint64_t size; /* bytes */
	unsigned rounds;
	struct metric metrics[BULK_N];
	struct comparison comparisons[BULK_COMPARISONS];
	double regions, messages, packets, packet_bytes; /* medians of the rounds */
	double floor_regions;                            /* NAN: not known */
	struct facts facts;
};

int bulk_run(const struct place *place, uint64_t size, unsigned rounds, struct bulk_result *result);
void bulk_done(struct bulk_result *result);

/* ---- floors ---- */

/* A process that reads and writes the same bytes again, plainly. Its socket, or a negative errno. */
int floor_echo_start(pid_t *ret_pid, size_t message);

/* A process that takes packets. The same. */
int floor_packets_start(pid_t *ret_pid);
/* Sends so many full packets, 36 at a time, and waits until the last has been taken. */
int floor_packets_send(int fd, uint64_t packets);

struct floor_memory {
	double populate, pin, resolve, back; /* seconds; NAN: not possible here */
};

/*
 * The three steps on a fresh memfd in one process, and giving all back. pins: whether to pin at all.
 * regions: room for one a page, to be filled with the joined frames; NULL: the frames are not read.
 */
int floor_memory(uint64_t size, bool pins, struct ghrm_region *regions, struct floor_memory *ret,
	size_t *ret_regions);

/* ---- what machine this is, and telling ---- */

struct machine {
	char kernel[256], cpu[128], shmem_huge[64], tools[160], daemon[64];
	int cpus, pinned_to; /* pinned_to -1: not pinned */
	bool root, sanitized, optimized;
	double load_before, load_after;
};

void machine_examine(struct machine *machine);
double machine_load(void);

struct results {
	struct machine machine;
	struct calls_result calls;
	struct bulk_result bulks[2];
	size_t n_bulks;
	char left_out[256]; /* "" or what could not be measured and why */
};

void report_text(const struct results *results);
int report_json(const struct results *results);
