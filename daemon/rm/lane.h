/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The lane: one thread that owns the link to the Resource Manager and has at most one request
 * outstanding on it (architecture.md, "The RM lane"). It decides nothing: it sends what it is given,
 * urgent jobs before bulk ones, chosen again before every single request, and tells what came back.
 *
 * Threads: lane_submit and lane_cancel may be called by any thread; job results and events arrive
 * in the owner's thread through the mailbox given to lane_new.
 */

#include <bsd/sys/queue.h>
#include <stdatomic.h>
#include <sys/types.h>

#include "ghrm/message.h"
#include "util/mailbox.h"

struct bulk_turn;
struct lane;

enum rm_job_kind {
	RM_JOB_CREATE,   /* DONATE, LEND or SHARE and all its APPENDs: bulk */
	RM_JOB_RECLAIM,  /* urgent */
	RM_JOB_NOTIFY,   /* urgent; SHARED, RECALL or the 12-byte probe */
	RM_JOB_HELLO,    /* VM_GET_VMID: is a Resource Manager there, and who are we to it? */
	RM_JOB_VM_STATE, /* VM_GET_STATE: does this VM run? */
};

enum rm_outcome {
	RM_DONE,        /* the Resource Manager answered OK to all of it */
	RM_REFUSED,     /* it answered `error` to the last request sent; see `handle` */
	RM_CANCELLED,   /* stopped between two requests because of lane_cancel; see `handle` */
	RM_UNAVAILABLE, /* the failing request was not sent, or not whole, so that it is never
			 * executed: no link, or waited too long */
	RM_UNKNOWN,     /* a request was sent and no answer came within the deadline */
};

struct rm_job {
	struct letter letter; /* the submitter sets deliver; posted back when the job is done */
	enum rm_job_kind kind;
	bool urgent;
	uid_t uid; /* bulk jobs take turns by uid, then by connection */
	uint64_t connection;
	uint64_t
		cookie; /* the submitter's name for the job, for events that come after it is back */

	/* RM_JOB_CREATE; the lists are borrowed until the job is back */
	enum ghrm_msg_id verb;
	uint8_t mem_type, flags; /* flags: GHRM_CREATE_SANITIZE; APPEND is the lane's business */
	uint32_t label;
	const struct ghrm_acl_entry *acl;
	size_t n_acl;
	const struct ghrm_region *regions;
	size_t n_regions;

	/* RM_JOB_RECLAIM, RM_JOB_NOTIFY */
	uint8_t back_flags;   /* enum ghrm_back_flag */
	uint8_t notify_flags; /* enum ghrm_notify_flag */
	uint32_t tag;
	const uint16_t *targets; /* borrowed; n_targets 0: the probe */
	size_t n_targets;

	uint16_t vmid;   /* RM_JOB_VM_STATE: which one */
	uint32_t handle; /* in: reclaim, notify. out: create, when handle_known */

	/* results */
	enum rm_outcome outcome;
	uint32_t
		error; /* RM_REFUSED: the Resource Manager's number; GHRM_BUSY never comes over the wire */
	bool handle_known; /* create: a parcel exists and this is its handle, whatever the outcome */
	bool execution_unknown; /* RM_UNKNOWN: the last request may have been executed or not */
	uint32_t value;         /* hello: our VMID; VM state: enum ghrm_vm_status */
	uint32_t messages;      /* requests answered OK: 1 + appends */
	size_t described;       /* regions in them */
	uint64_t rm_usec;       /* time spent waiting for the Resource Manager, microseconds */

	/* the lane's own; zero when submitted */
	struct letter submitted;
	atomic_bool cancelled;
	TAILQ_ENTRY(rm_job) entry;
	struct bulk_turn *turn; /* a bulk job's place among its connection's */
	uint64_t queued_at;
};

/* What the lane tells without being asked. */
enum rm_event_kind {
	RM_EVENT_NOTIFICATION, /* a whole notification: msg_id, payload */
	RM_EVENT_LINK_LOST, /* the link is closed; queued jobs have come back RM_UNAVAILABLE before */
	RM_EVENT_LATE_REPLY, /* the answer to a request whose job came back RM_UNKNOWN */
	RM_EVENT_SETTLED, /* the barrier is answered: that request is not pending any more and its
				* answer is lost for good */
};

struct rm_event {
	struct letter letter; /* deliver is lane_options.on_event; the receiver frees the event */
	enum rm_event_kind kind;
	uint64_t cookie; /* LATE_REPLY, SETTLED: rm_job.cookie of the job */
	uint32_t error;  /* LATE_REPLY: the answer's error word */
	bool handle_known;
	uint32_t handle; /* LATE_REPLY to a create */
	uint32_t msg_id; /* NOTIFICATION; LATE_REPLY: what was asked */
	size_t size;
	uint8_t payload[]; /* NOTIFICATION: size bytes */
};

struct lane_options {
	struct mailbox *mailbox; /* the owner's; jobs and events are posted here */
	void (*on_event)(struct letter *letter, void *userdata);
	uint64_t deadline_usec; /* how long to wait for one answer */
};

/*
 * Starts the lane on a connected link; link is what link_open returned and belongs to the lane from
 * a success on. Returns 0 or -errno.
 */
struct link;
int lane_new(struct lane **ret, struct link *link, const struct lane_options *options);

/*
 * Ends the thread; every job still queued is posted back as RM_UNAVAILABLE, an outstanding one as
 * RM_UNKNOWN. The mailbox must still exist. Accepts and returns NULL.
 */
struct lane *lane_free(struct lane *lane);

/* Hands a job over until it is posted back. Never fails. */
void lane_submit(struct lane *lane, struct rm_job *job);

/*
 * Asks a submitted job to stop before its next request; it comes back as it would have, or
 * RM_CANCELLED. Harmless for one that is already on its way back.
 */
void lane_cancel(struct lane *lane, struct rm_job *job);
