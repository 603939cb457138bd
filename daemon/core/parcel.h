/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A memory parcel in the broker's books, and the only place where one changes state.
 * Belongs to the core thread.
 */

#include <bsd/sys/queue.h>

#include "daemon/core/quota.h"
#include "daemon/core/request.h"
#include "daemon/memory/memory.h"

enum parcel_event {
	PARCEL_DESCRIBED, /* the Resource Manager has the whole list */
	PARCEL_ACCEPTED,  /* a virtual machine holds it */
	PARCEL_RELEASED,  /* none holds it any more */
	PARCEL_RECLAIM,   /* a RECLAIM is on its way */
	PARCEL_IN_USE,    /* RECLAIM was refused: somebody holds it */
	PARCEL_RETAINED,  /* RECLAIM was not executed and nobody is known to hold it */
	PARCEL_LOST,      /* its fate is not known, or a roll-back failed: withhold */
};

struct operation;

struct parcel {
	TAILQ_ENTRY(parcel) entry;
	uint64_t number; /* never repeats while the daemon runs; cookie of its RM requests */
	char *id;
	enum parcel_state state;

	bool handle_known;
	uint32_t handle; /* 0 is a valid one */
	enum verb verb;
	uint8_t mem_type;
	uint32_t label;
	uint32_t tag;               /* mem_info_tag of its announcements */
	struct ghrm_acl_entry *acl; /* as sent: the grantees, then the host for a SHARE */
	bool *accepted;             /* one for each entry of acl */
	size_t n_acl, n_grants;
	uint16_t *running; /* the grantees that it was announced to */
	size_t n_running;
	enum policy_lifetime lifetime;
	bool sanitize;      /* asked for by the client: when the parcel is made */
	bool sanitize_back; /* asked for by the rule: when it is reclaimed */

	struct client *client; /* whose end takes it back; NULL: detached, or the client has gone */
	uid_t uid;
	pid_t pid;
	char *unit;

	struct policy *policy; /* the snapshot that it was made under: keeps the rule alive */
	const struct policy_rule *rule;
	struct charge charge;
	bool has_slot; /* it counts among the Resource Manager's 64 */

	struct pinned *pinned;
	uint64_t bytes;
	uint64_t made_up_base, made_up_span; /* addresses set aside in case they must be invented */
	uint32_t messages;
	uint64_t created_usec, rm_usec;

	struct operation *operation; /* the one that works on it; at most one */
	bool wanted_back;            /* nobody owns it any more: reclaim as soon as it goes */
	char *reason;                /* what it waits for, in words; NULL: at rest */
};

TAILQ_HEAD(parcel_list, parcel);

/* Makes a parcel in state building. Returns NULL when out of memory. */
struct parcel *parcel_new(uint64_t number, const char *epoch);

/* Gives nothing back: the charge and the pin must be gone before. Accepts and returns NULL. */
struct parcel *parcel_free(struct parcel *parcel);

/*
 * Moves the parcel on. An event that its state does not know is a bug of ours: it is logged and the
 * parcel quarantined, since withholding is always safe.
 */
void parcel_handle_event(struct parcel *parcel, enum parcel_event event);

/* Says in words what the parcel waits for; NULL format clears it. Out of memory: says nothing. */
void parcel_set_reason(struct parcel *parcel, const char *format, ...) _printf_(2, 3);

/* Notes that a VM accepted or released it; does nothing for a VM that is not in its access list. */
void parcel_note_holder(struct parcel *parcel, uint16_t vmid, bool accepted);

/* Number of VMs known to hold it. */
size_t parcel_n_holding(const struct parcel *parcel);

/* Fills a view with copies. Returns 0 or -ENOMEM (then view is empty). */
int parcel_describe(const struct parcel *parcel, struct parcel_view *ret);
