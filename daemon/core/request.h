/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What a face hands to core and gets back: one struct request with its struct reply inside, for every
 * face alike. The cell of the reply is part of the request, so a reply can always be delivered.
 *
 * Ownership: the face makes a request and posts it; from then on it is core's, until core posts it
 * back to reply_to with the reply filled in; the face frees it. The same goes for a client: made by a
 * face, core's from broker_client_opened to broker_client_closed.
 */

#include <sys/types.h>

#include "daemon/core/outcome.h"
#include "ghrm/message.h"
#include "policy/policy.h"
#include "util/mailbox.h"

enum verb {
	VERB_SHARE,
	VERB_LEND,
	VERB_RECLAIM,
	VERB_DESCRIBE,
	VERB_LIST,
	VERB_STATUS,
	VERB_CHECK,
	VERB_RELOAD,
};

/* The word for a verb in lines of the log: "lend". Static string. */
const char *verb_name(enum verb verb);

enum parcel_state {
	PARCEL_BUILDING,
	PARCEL_OFFERED,
	PARCEL_HELD,
	PARCEL_RECLAIMING,
	PARCEL_QUARANTINED,
};
#define PARCEL_N_STATES 5

/* The contract's word for a state: "offered". Static string. */
const char *parcel_state_name(enum parcel_state state);

struct parcel_holder {
	uint16_t vmid;
	uint8_t rights;
	bool accepted; /* as far as notifications and refused reclaims tell */
};

/* A copy of what is known about a parcel, for replies and events; strings are its own. */
struct parcel_view {
	uint64_t number; /* the broker's own, never shown */
	char *id;
	bool handle_known;
	uint32_t handle;
	enum verb verb; /* VERB_SHARE or VERB_LEND */
	uint8_t mem_type;
	uint32_t label;
	enum parcel_state state;
	uint64_t size;
	size_t regions;
	uint32_t messages;
	struct parcel_holder *holders;
	size_t n_holders;
	enum policy_lifetime lifetime;
	uid_t uid;
	pid_t pid;
	char *unit;
	char *rule;
	uint64_t age_usec;
	uint64_t populate_usec, pin_usec, resolve_usec,
		rm_usec; /* where the time of making it went */
	bool pinned, made_up;
	char *reason; /* why it is not at rest; NULL when it is */
};

struct broker_status {
	char *endpoint;
	bool link_up;
	bool emulated;
	size_t parcels[PARCEL_N_STATES];
	uint64_t bytes[PARCEL_N_STATES];
	size_t slots_used, slots_maximum;
	size_t clients;
	size_t policy_files, policy_rules;
	uint64_t uptime_usec;
	uint64_t pages_pinned;
	bool frame_numbers, pins;
	char *limitation; /* what the machine does not allow; NULL: nothing */
	uint64_t left_over_entries, left_over_pages; /* kept by the holder from an earlier daemon */
};

struct reply {
	enum outcome outcome;
	/* What the error names; which of them counts follows from the outcome (contract §3). */
	char *reason;
	char *rule;
	char *parameter;
	uint32_t code; /* ManagerError */
	char *limit;   /* QuotaExceeded */
	uint64_t used, maximum;
	uint16_t *vms; /* ParcelInUse */
	size_t n_vms;
	ssize_t index; /* MemoryInvalid: position in regions; -1: none */

	struct parcel_view *parcels; /* Share, Lend, Describe: one; List: all */
	size_t n_parcels;
	int fd; /* the memory that the broker allocated; -1: none */
	struct broker_status *status;
	bool allowed;                      /* Check */
	size_t policy_files, policy_rules; /* Reload */
};

struct client;

struct request {
	struct letter letter;
	struct client *client;
	enum verb verb;

	/* Share, Lend, Check */
	enum policy_operation check_operation; /* Check: what is asked about */
	bool check_uid_given;
	uid_t check_uid;
	bool has_memory;
	unsigned sources;      /* enum policy_source */
	int fd;                /* the client's memfd; -1 when the broker allocates. Owned */
	uint64_t offset, size; /* bytes; for the broker's own allocation size is all of it */
	bool size_given;
	struct ghrm_region *regions; /* fixed physical ranges */
	size_t n_regions;
	bool hidden; /* `private`: the memfd is not passed to anybody */
	struct ghrm_acl_entry *grants;
	size_t n_grants;
	uint8_t mem_type;
	uint32_t label;
	bool label_given;
	uint8_t host_rights; /* Share */
	bool sanitize;
	bool notify; /* announce it to the grantees that run */
	enum policy_lifetime lifetime;

	/* Reclaim, Describe */
	uint32_t handle;
	uint64_t wait_usec; /* Share, Lend: how long it may queue for a free slot, microseconds */

	/* where the answer goes */
	struct mailbox *reply_to;
	void (*deliver)(struct letter *letter, void *userdata);
	void *cookie; /* the face's own */
	struct reply reply;
};

/* Returns NULL when out of memory. */
struct request *request_new(void);
struct request *request_free(struct request *request); /* accepts and returns NULL */

void parcel_view_done(struct parcel_view *view);

/* Who asks. Made by the face from the kernel's word, never changed afterwards. */
struct client {
	struct letter opened, closed;
	uint64_t id; /* never repeats */
	uid_t uid;
	pid_t pid;
	gid_t *groups;
	size_t n_groups;
	char *unit;
	bool unit_unknown;

	bool gone;       /* core's: the connection has ended */
	size_t requests; /* core's: operations that still refer to it */
};

/* Copies groups and unit. Returns NULL when out of memory. */
struct client *client_new(uint64_t id, uid_t uid, pid_t pid, const gid_t *groups, size_t n_groups,
	const char *unit, bool unit_unknown);
struct client *client_free(struct client *client); /* accepts and returns NULL */
