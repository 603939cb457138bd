/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The broker: all parcels, clients, quota and the policy snapshot, in one thread. It knows no JSON, no
 * D-Bus and no sockets; it sees memory and the Resource Manager through two small operation tables, so
 * that tests put doubles there.
 *
 * Threads: everything but the broker_post_ functions is for the core thread only.
 */

#include <event2/event.h>

#include "daemon/core/request.h"
#include "daemon/memory/memory.h"
#include "daemon/rm/lane.h"

struct broker;

struct memory_ops {
	/* Checks a client's descriptor without blocking; see memory_measure(). */
	enum memory_outcome (*measure)(int fd, uint64_t offset, uint64_t size, bool size_given,
		uint64_t *ret_bytes, char reason[static MEMORY_REASON_MAX]);
	uint64_t (*made_up_span)(uint64_t size);
	void (*submit)(void *memory, struct memory_job *job);
};

struct rm_ops {
	void (*submit)(void *rm, struct rm_job *job);
	void (*cancel)(void *rm, struct rm_job *job);
};

struct broker_options {
	struct event_base *base;
	const struct memory_ops *memory_ops;
	void *memory;
	const struct rm_ops *rm_ops;
	void *rm;
	struct policy *policy; /* the broker takes a reference of its own */
	/* Reads the policy files again; *ret_error (the caller's to free) says why not. May be NULL. */
	int (*reload)(void *userdata, struct policy **ret, char **ret_error);
	/* All that could be reclaimed is, after broker_stop. */
	void (*stopped)(void *userdata);
	void *userdata;

	const char *endpoint; /* for status */
	bool emulated;        /* the RM is an emulator */
	/*
	 * VMs may be notified. Not on a device, where other programs stop VMs behind our back: a
	 * notification to a VM without a channel ends the real Resource Manager.
	 */
	bool may_notify;
	struct memory_abilities abilities;
	uint64_t left_over_entries, left_over_pages;
};

/* Returns 0 or -errno. All pointers of the options must outlive the broker. */
int broker_new(struct broker **ret, const struct broker_options *options);

/*
 * Forgets everything: what is still out stays pinned by the holder, unless abandon is true: then
 * nothing can reach it any more (the built-in emulator has ended) and it is unpinned. No operation
 * may be running. Accepts and returns NULL.
 */
struct broker *broker_free(struct broker *broker, bool abandon);

/* Where jobs and events of lane and memory come in. */
struct mailbox *broker_mailbox(struct broker *broker);

/* ---- from any thread ---- */

void broker_post_opened(struct broker *broker, struct client *client);
void broker_post_closed(
	struct broker *broker, struct client *client); /* the last letter about it */
void broker_post_request(struct broker *broker, struct request *request);

/*
 * Gives back a request to make a parcel that succeeded and whose reply could not be delivered: that
 * counts as the client's death, so the parcel is taken back whatever its lifetime. Takes the request;
 * its client may be freed already.
 */
void broker_post_undelivered(struct broker *broker, struct request *request);

/* ---- core thread ---- */

/* Events of the lane (lane_options.on_event); userdata is the broker. */
void broker_on_rm_event(struct letter *letter, void *userdata);

/* Reads the policy again; logs what came of it. Returns 0 or -errno; the old one stays on failure. */
int broker_reload(struct broker *broker, char **ret_error);

/* Takes no more requests, reclaims what can be reclaimed, then calls stopped. */
void broker_stop(struct broker *broker);
