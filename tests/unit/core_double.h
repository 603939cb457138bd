/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A broker with doubles for memory and the Resource Manager, for the unit tests of core: jobs are kept
 * until the test answers them, so that every order of events can be played.
 */

#include "daemon/core/internal.h"

#define DOUBLE_JOBS 80

struct bench {
	struct event_base *base;
	struct broker *broker;
	struct policy *policy;
	struct mailbox answers; /* what a face would get */
	struct rm_job *rm[DOUBLE_JOBS];
	size_t n_rm, n_rm_total, n_cancelled;
	struct memory_job *memory[DOUBLE_JOBS];
	size_t n_memory;
	long pins; /* successful pin jobs minus unpin jobs */
	struct request *answer[DOUBLE_JOBS];
	size_t n_answers;
	bool stopped;
};

/* policy_text: the contents of the only policy file. */
void bench_init(struct bench *bench, const char *policy_text);

/* Frees it after checking that nothing is left: parcels, pins, accounts, operations. */
void bench_done(struct bench *bench);

/* Frees it with parcels still out, as at an exit while a VM holds memory. */
void bench_abandon(struct bench *bench);

/* Lets core take in everything that was posted. */
void bench_run(struct bench *bench);

struct client *bench_client(struct bench *bench, uid_t uid);
void bench_close(struct bench *bench, struct client *client);

/* A request to lend 64 KiB to VM 0x80, not posted yet. */
struct request *bench_lend(struct client *client);
struct request *bench_about(struct client *client, enum verb verb, uint32_t handle);
void bench_post(struct bench *bench, struct request *request);

/* Answers the oldest pin job with n regions, or with a failure. */
void bench_pin(struct bench *bench, size_t n_regions);
void bench_pin_fails(struct bench *bench, enum memory_outcome outcome);
/* Answers the oldest unpin job. */
void bench_unpin(struct bench *bench);

/* Answers the oldest RM job. */
void bench_rm_created(struct bench *bench, uint32_t handle);
void bench_rm(struct bench *bench, enum rm_outcome outcome, uint32_t error);

/* Events of the lane; a late reply answers msg_id. */
void bench_event(struct bench *bench, enum rm_event_kind kind, uint64_t cookie);
void bench_late(struct bench *bench, uint32_t msg_id, uint64_t cookie, uint32_t error,
	bool handle_known, uint32_t handle);
void bench_notification(struct bench *bench, uint32_t msg_id, uint32_t handle, uint16_t vmid);

/* The only answer so far; it is taken out and the caller frees it. */
struct request *bench_answer(struct bench *bench);

/* The whole of a lend: its answer is checked and freed. */
void bench_lend_whole(struct bench *bench, struct client *client, uint32_t handle);

/* Users of bench_policy: root may do everything, alice lends within limits, bob is denied. */
#define ROOT  0
#define ALICE 1001
#define BOB   1002
extern const char bench_policy[];

/* Posts a request that must end with this outcome at once; the caller frees the answer. */
struct request *bench_refused(struct bench *bench, struct request *request, enum outcome outcome);
