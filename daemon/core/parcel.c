/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/core/parcel.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "util/log.h"

#define STAYS    (-1)
#define UNKNOWN  (-2)
#define N_EVENTS (PARCEL_LOST + 1)

/*
 * States are few because the outside sees them all; what a parcel waits for is told by its reason.
 * A guest may accept a parcel that is still being described, which changes nothing until it is.
 */
static const int transitions[PARCEL_N_STATES][N_EVENTS] = {
	[PARCEL_BUILDING] = {
		[PARCEL_DESCRIBED] = PARCEL_OFFERED,
		[PARCEL_ACCEPTED] = STAYS,
		[PARCEL_RELEASED] = STAYS,
		[PARCEL_RECLAIM] = PARCEL_RECLAIMING,
		[PARCEL_IN_USE] = UNKNOWN,
		[PARCEL_RETAINED] = UNKNOWN,
		[PARCEL_LOST] = PARCEL_QUARANTINED,
	},
	[PARCEL_OFFERED] = {
		[PARCEL_DESCRIBED] = UNKNOWN,
		[PARCEL_ACCEPTED] = PARCEL_HELD,
		[PARCEL_RELEASED] = STAYS,
		[PARCEL_RECLAIM] = PARCEL_RECLAIMING,
		[PARCEL_IN_USE] = UNKNOWN,
		[PARCEL_RETAINED] = UNKNOWN,
		[PARCEL_LOST] = PARCEL_QUARANTINED,
	},
	[PARCEL_HELD] = {
		[PARCEL_DESCRIBED] = UNKNOWN,
		[PARCEL_ACCEPTED] = STAYS,
		[PARCEL_RELEASED] = PARCEL_OFFERED,
		[PARCEL_RECLAIM] = PARCEL_RECLAIMING,
		[PARCEL_IN_USE] = UNKNOWN,
		[PARCEL_RETAINED] = UNKNOWN,
		[PARCEL_LOST] = PARCEL_QUARANTINED,
	},
	[PARCEL_RECLAIMING] = {
		[PARCEL_DESCRIBED] = UNKNOWN,
		[PARCEL_ACCEPTED] = STAYS,
		[PARCEL_RELEASED] = STAYS,
		[PARCEL_RECLAIM] = UNKNOWN,
		[PARCEL_IN_USE] = PARCEL_HELD,
		[PARCEL_RETAINED] = PARCEL_OFFERED,
		[PARCEL_LOST] = PARCEL_QUARANTINED,
	},
	[PARCEL_QUARANTINED] = {
		[PARCEL_DESCRIBED] = UNKNOWN,
		[PARCEL_ACCEPTED] = STAYS,
		[PARCEL_RELEASED] = STAYS,
		[PARCEL_RECLAIM] = PARCEL_RECLAIMING,
		[PARCEL_IN_USE] = UNKNOWN,
		[PARCEL_RETAINED] = UNKNOWN,
		[PARCEL_LOST] = STAYS,
	},
};

struct parcel *parcel_new(uint64_t number, const char *epoch)
{
	struct parcel *parcel = calloc(1, sizeof(*parcel));

	if (!parcel)
		return NULL;
	parcel->number = number;
	parcel->state = PARCEL_BUILDING;
	parcel->created_usec = util_now_usec();
	if (asprintf(&parcel->id, "%s-%" PRIu64, epoch, number) < 0) {
		free(parcel);
		return NULL;
	}
	return parcel;
}

struct parcel *parcel_free(struct parcel *parcel)
{
	if (!parcel)
		return NULL;
	pinned_free(parcel->pinned);
	policy_unref(parcel->policy);
	free(parcel->id);
	free(parcel->acl);
	free(parcel->accepted);
	free(parcel->running);
	free(parcel->unit);
	free(parcel->reason);
	free(parcel);
	return NULL;
}

void parcel_handle_event(struct parcel *parcel, enum parcel_event event)
{
	int next = transitions[parcel->state][event];

	if (next == UNKNOWN) {
		log_err("parcel %s in state %s met event %d, which is a bug; it is quarantined",
			parcel->id, parcel_state_name(parcel->state), event);
		next = PARCEL_QUARANTINED;
	}
	if (next != STAYS)
		parcel->state = (enum parcel_state)next;
}

void parcel_set_reason(struct parcel *parcel, const char *format, ...)
{
	va_list args;

	free(parcel->reason);
	parcel->reason = NULL;
	if (!format)
		return;
	va_start(args, format);
	if (vasprintf(&parcel->reason, format, args) < 0)
		parcel->reason = NULL;
	va_end(args);
}

size_t parcel_n_holding(const struct parcel *parcel)
{
	size_t n = 0;

	for (size_t i = 0; i < parcel->n_grants; i++)
		n += parcel->accepted[i];
	return n;
}

void parcel_note_holder(struct parcel *parcel, uint16_t vmid, bool accepted)
{
	for (size_t i = 0; i < parcel->n_grants; i++) {
		if (parcel->acl[i].vmid != vmid)
			continue;
		parcel->accepted[i] = accepted;
		if (accepted)
			parcel_handle_event(parcel, PARCEL_ACCEPTED);
		else if (parcel_n_holding(parcel) == 0)
			parcel_handle_event(parcel, PARCEL_RELEASED);
	}
}

int parcel_describe(const struct parcel *parcel, struct parcel_view *ret)
{
	struct parcel_view view = {
		.number = parcel->number,
		.handle_known = parcel->handle_known,
		.handle = parcel->handle,
		.verb = parcel->verb,
		.mem_type = parcel->mem_type,
		.label = parcel->label,
		.state = parcel->state,
		.size = parcel->bytes,
		.messages = parcel->messages,
		.n_holders = parcel->n_grants,
		.lifetime = parcel->lifetime,
		.uid = parcel->uid,
		.pid = parcel->pid,
		.age_usec = util_now_usec() - parcel->created_usec,
		.rm_usec = parcel->rm_usec,
	};

	if (parcel->pinned) {
		view.regions = parcel->pinned->regions.n;
		view.populate_usec = parcel->pinned->populate_usec;
		view.pin_usec = parcel->pinned->pin_usec;
		view.resolve_usec = parcel->pinned->resolve_usec;
		view.pinned = parcel->pinned->is_pinned;
		view.made_up = parcel->pinned->made_up;
	}
	view.id = strdup(parcel->id);
	view.rule = strdup(policy_rule_name(parcel->rule));
	view.unit = parcel->unit ? strdup(parcel->unit) : NULL;
	view.reason = parcel->reason ? strdup(parcel->reason) : NULL;
	view.holders = calloc(parcel->n_grants + 1, sizeof(*view.holders));
	if (!view.id || !view.rule || !view.holders || (parcel->unit && !view.unit) ||
		(parcel->reason && !view.reason)) {
		parcel_view_done(&view);
		*ret = (struct parcel_view){};
		return -ENOMEM;
	}
	for (size_t i = 0; i < parcel->n_grants; i++)
		view.holders[i] = (struct parcel_holder){
			.vmid = parcel->acl[i].vmid,
			.rights = parcel->acl[i].rights,
			.accepted = parcel->accepted[i],
		};
	*ret = view;
	return 0;
}
