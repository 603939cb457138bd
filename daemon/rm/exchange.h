/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The lane's conversation with the Resource Manager: one request at a time, its deadline, the
 * barrier after one that was not answered. Everything happens in the thread of its event base.
 */

#include "daemon/rm/job.h"
#include "daemon/rm/packetio.h"
#include "daemon/rm/queue.h"

enum exchange_phase {
	EXCHANGE_IDLE,
	EXCHANGE_SENDING, /* a job's request, not all of it is on the link yet */
	EXCHANGE_WAITING, /* for its answer */
	EXCHANGE_STALLED, /* for the barrier's answer; nothing else is sent */
	EXCHANGE_CLOSED,
};

/* A request without an answer whose job has gone back as RM_UNKNOWN. */
struct late_request {
	struct ghrm_expected expected;
	bool creates;
	uint64_t cookie;
};

struct exchange {
	struct lane_options options;
	struct link *link;
	struct event *readable, *writable, *send_again, *timer;
	enum exchange_phase phase;
	struct job_queue queue;
	uint16_t seq; /* used last */

	struct rm_job *job;            /* SENDING, WAITING; still in the queue */
	struct job_request request;    /* its */
	struct ghrm_expected expected; /* the answer to its request, or to the barrier */
	uint64_t started_at;           /* when its request was begun, or the barrier */
	struct late_request late;

	/* Made before they are needed, so that what must be told can be told. */
	struct rm_event *settle, *lost;

	uint64_t garbage, complained_at;
	struct outbox outbox;
	struct inbox inbox;
	struct ghrm_reassembly reassembly;
};

/*
 * Starts to listen. exchange is zero-initialised and so large that it belongs on the heap. The link
 * belongs to it from a success on. Returns 0 or -errno; after either, exchange_done is to be called.
 */
int exchange_init(struct exchange *exchange, struct event_base *base, struct link *link,
	const struct lane_options *options);
void exchange_done(struct exchange *exchange); /* no jobs may be left: exchange_close */

/* Takes a job, which comes back through options.mailbox. */
void exchange_add(struct exchange *exchange, struct rm_job *job);

/* Gives back the queued jobs that have been cancelled. */
void exchange_return_cancelled(struct exchange *exchange);

/* Stops and gives back all jobs, as those that are added later. */
void exchange_close(struct exchange *exchange);
