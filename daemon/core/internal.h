/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of core share: the broker's books, and operations.
 *
 * An operation is a short list of steps. A step is done at once or finished by a completion; beside
 * it stands its undo. When a step fails, or the client has died, the undos run in reverse, beginning
 * with that of the failed step itself, which may have got half-way. Undos look at what there is to
 * undo, so running one for a step that did nothing is harmless. An undo that cannot be done ends the
 * operation with the parcel withheld.
 */

#include "daemon/core/broker.h"
#include "daemon/core/parcel.h"

enum progress {
	STEP_DONE,
	STEP_WAIT, /* a completion will call operation_resume */
	STEP_FAILED,
};

struct step {
	enum progress (*begin)(struct operation *operation);
	enum progress (*undo)(struct operation *operation); /* NULL: nothing to undo */
};

struct plan {
	const struct step *steps;
	size_t n_steps;
	bool serves_client; /* fails, and undoes itself, when its client dies */
	/* Called once, after the last step or the last undo; succeeded tells which. */
	void (*finish)(struct operation *operation, bool succeeded);
};

struct operation {
	TAILQ_ENTRY(operation) entry;
	struct broker *broker;
	const struct plan *plan;
	size_t at;
	bool undoing;
	struct request *request; /* NULL: nobody waits for an answer */
	struct client *client;   /* NULL: the broker's own */
	struct parcel *parcel;
	struct rm_job rm;
	bool rm_submitted;
	struct memory_job memory;
	TAILQ_ENTRY(operation) queue; /* among those that wait for a slot */
	struct event *wait_timer;     /* not NULL: it waits */
	size_t asked;                 /* notify: grantees whose state has been asked */
	enum parcel_state before;     /* reclaim: what the parcel was */
};

TAILQ_HEAD(operation_list, operation);

struct broker {
	struct broker_options options;
	struct mailbox mailbox;
	struct policy *policy;
	struct quota *quota;
	struct parcel_list parcels;
	size_t n_parcels;
	struct operation_list operations;
	struct operation_list waiting; /* for a slot, in the order of their coming */
	size_t slots_used;
	size_t n_clients;
	/* Notifications may come before the answer that tells the handle; the last few are kept. */
	struct early {
		uint32_t msg_id;
		struct ghrm_participant participant;
	} early[16];
	size_t n_early; /* taken in so far; the place is n_early % 16 */
	char epoch[17];
	uint64_t last_number;
	uint32_t last_label;
	uint32_t tag; /* of what we announce, so that our parcels can be told */
	bool link_up;
	bool stopping;             /* no more requests are taken, what can be reclaimed is */
	bool stopped;              /* and that is done: nothing is begun any more */
	struct event *retry_timer; /* for parcels that nobody owns but a VM holds */
	unsigned retry_round;
	uint64_t started_usec;
};

#define BROKER_SLOTS GHRM_PARCELS_MAX /* rm-protocol §5.10 */

/* ---- operation.c ---- */

/*
 * Runs a new operation until it waits or ends; takes request. Returns false when out of memory: then
 * nothing has happened and everything is still the caller's.
 */
bool operation_start(struct broker *broker, const struct plan *plan, struct request *request,
	struct client *client, struct parcel *parcel);

/* Continues after a completion. */
void operation_resume(struct operation *operation, enum progress progress);

/* The client is gone: stop at the next occasion. */
void operation_abort(struct operation *operation);

/* Ends the wait for a slot, if it waits: the operation fails. */
void slot_stop_waiting(struct operation *operation);

/* The parcel's slot, if it has one, goes to who waits longest. */
void slot_give_back(struct broker *broker, struct parcel *parcel);

struct operation *operation_of_rm_letter(struct letter *letter);

/* Steps that several plans use. */
void operation_submit_rm(struct operation *operation, void (*deliver)(struct letter *, void *));
void operation_submit_memory(struct operation *operation, void (*deliver)(struct letter *, void *));
enum progress step_unpin(struct operation *operation);
enum progress step_slot(struct operation *operation);   /* slot.c */
enum progress step_notify(struct operation *operation); /* notify.c */

/* ---- answers ---- */

/* Sets the outcome and its reason; the first one stays. request may be NULL. */
void request_fail(struct request *request, enum outcome outcome, const char *format, ...)
	_printf_(3, 4);

/* Sends the answer back to the face. */
void request_finish(struct request *request);

/* Fills the one parcel of a reply. Fails the request when out of memory. */
void request_reply_parcel(struct request *request, const struct parcel *parcel);

/* Sets a ManagerError, ManagerUnavailable or OutcomeUnknown from a job that did not end RM_DONE. */
void request_fail_rm(struct request *request, const struct rm_job *job, const char *doing);

/* ---- policy.c: who may ---- */

/*
 * Decides a request about memory and writes the audit line. Returns the rule that allows it, or NULL
 * and the request is failed with PolicyDenied.
 */
const struct policy_rule *broker_decide_memory(struct broker *broker, struct request *request,
	struct client *client, enum policy_operation operation);

/* The same for operations without memory. quiet: a question of ours, not audited. */
bool broker_may(
	struct broker *broker, const struct client *client, enum policy_operation operation);

/* Fails the request with PolicyDenied unless the client may. Audits the refusal. */
bool broker_require(struct broker *broker, struct request *request, struct client *client,
	enum policy_operation operation);

/* True when a client may know that the parcel exists: its uid's, or the client is an admin. */
bool broker_visible(
	struct broker *broker, const struct client *client, const struct parcel *parcel);

/* What the deciding policy sees of a request. Borrows from both. */
struct policy_request broker_policy_request(const struct request *request,
	const struct client *client, enum policy_operation operation);

/* One structured line for every grant and every refusal (contract §8). */
void broker_audit(const struct client *client, const char *operation, const struct parcel *parcel,
	const char *rule, const char *rm_error, const char *what);

/* The line for a request that was not granted, if its outcome was not policy's: that is audited. */
void broker_audit_failure(const struct request *request, const struct parcel *parcel);

/* ---- create.c, reclaim.c, query.c: the verbs ---- */

void broker_create(struct broker *broker, struct request *request);
void broker_reclaim(struct broker *broker, struct request *request);
void broker_query(struct broker *broker, struct request *request);

/* Gives back pin and charge of a parcel that the Resource Manager never made. */
void broker_dissolve(struct broker *broker, struct parcel *parcel);

/* Takes a parcel back without anybody waiting; does nothing while an operation works on it. */
void parcel_take_back(struct broker *broker, struct parcel *parcel);

/* Takes a parcel out of the books: everything it had has been given back. */
void broker_forget(struct broker *broker, struct parcel *parcel);

/* Takes in what VMs said of the parcel before its handle was known here. */
void broker_replay_early(struct broker *broker, struct parcel *parcel);

struct parcel *broker_find(struct broker *broker, uint32_t handle);
struct parcel *broker_find_number(struct broker *broker, uint64_t number);

/* Tries parcels that nobody owns again after a while. */
void broker_schedule_retry(struct broker *broker);

/* Tells stopped() when nothing is running any more. */
void broker_check_stopped(struct broker *broker);
