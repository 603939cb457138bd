/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A lane whose owner and whose Resource Manager are both played by the test's own thread. */

#include "daemon/rm/lane.h"
#include "ghrm/packet.h"

#define LONG_DEADLINE  20000000ull /* microseconds; never reached */
#define SHORT_DEADLINE 100000ull

extern struct lane *lane;
extern struct event_base *base; /* the owner's */
extern int peer;                /* the Resource Manager's end of the link */
extern struct ghrm_reassembly reassembly;
extern struct ghrm_region regions[5000];

/* How many jobs and events came back, and how many of them were expected. */
extern size_t n_returned, n_seen;

void setup(void);
void teardown(void);
void start(uint64_t deadline, bool is_socket);

/* ---- the owner's side ---- */

/* What every job's letter.deliver is. */
void on_job(struct letter *letter, void *userdata);

struct rm_job create_job(size_t n_regions);
struct rm_job reclaim_job(uint32_t handle);

/* Waits until more came back than was expected so far. */
void next_returned(void);
void expect_job(struct rm_job *job, enum rm_outcome outcome);
struct rm_event *expect_event(enum rm_event_kind kind); /* valid until teardown */

/* Returns when the lane has seen everything submitted so far; it must be busy. */
void sync_with_lane(void);

/* ---- the Resource Manager's side ---- */

/* The next request, which must be this; valid until the next call. */
struct ghrm_message request(uint32_t msg_id);
void quiet(void); /* no request comes */
void answer_bytes(const struct ghrm_message *to, const void *payload, size_t size);
void answer(const struct ghrm_message *to, uint32_t error);
void answer_u32(const struct ghrm_message *to, uint32_t value);
void notify(uint32_t handle); /* MEM_RELEASED */
