/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Announcing a new parcel to the grantees that run. The Resource Manager exits when it is to notify a
 * VM without a message channel (rm-protocol.md §8.3), so each one's state is asked first.
 */

#include "daemon/core/internal.h"

static void ask_next(struct operation *operation);

static void on_notified(struct letter *letter, void *userdata _unused_)
{
	struct operation *operation = operation_of_rm_letter(letter);

	request_fail_rm(operation->request, &operation->rm, "announcing the parcel");
	operation_resume(operation, operation->rm.outcome == RM_DONE ? STEP_DONE : STEP_FAILED);
}

static void announce(struct operation *operation)
{
	struct parcel *parcel = operation->parcel;

	operation->rm = (struct rm_job){
		.kind = RM_JOB_NOTIFY,
		.urgent = true,
		.handle = parcel->handle,
		.notify_flags = GHRM_NOTIFY_SHARED,
		.tag = parcel->tag,
		.targets = parcel->running,
		.n_targets = parcel->n_running,
	};
	operation_submit_rm(operation, on_notified);
}

static void on_vm_state(struct letter *letter, void *userdata _unused_)
{
	struct operation *operation = operation_of_rm_letter(letter);
	struct parcel *parcel = operation->parcel;
	const struct rm_job *job = &operation->rm;

	switch (job->outcome) {
	case RM_DONE:
		if (job->value == GHRM_VM_STATUS_RUNNING)
			parcel->running[parcel->n_running++] = job->vmid;
		break;
	case RM_REFUSED:
		break; /* there is no such VM, or it is no peer: nothing to announce to it */
	case RM_CANCELLED:
	case RM_UNAVAILABLE:
	case RM_UNKNOWN:
		request_fail_rm(operation->request, job, "asking whether the VM runs");
		operation_resume(operation, STEP_FAILED);
		return;
	}
	ask_next(operation);
}

static void ask_next(struct operation *operation)
{
	struct parcel *parcel = operation->parcel;

	if (operation->asked == parcel->n_grants) {
		if (parcel->n_running > 0)
			announce(operation);
		else
			operation_resume(operation, STEP_DONE);
		return;
	}
	operation->rm = (struct rm_job){
		.kind = RM_JOB_VM_STATE,
		.urgent = true,
		.vmid = parcel->acl[operation->asked++].vmid,
	};
	operation_submit_rm(operation, on_vm_state);
}

enum progress step_notify(struct operation *operation)
{
	struct parcel *parcel = operation->parcel;

	if (!operation->request->notify)
		return STEP_DONE;
	parcel->running = calloc(parcel->n_grants, sizeof(*parcel->running));
	if (!parcel->running) {
		request_fail(operation->request, OUTCOME_MANAGER_UNAVAILABLE,
			"the daemon is out of memory");
		return STEP_FAILED;
	}
	operation->asked = 0;
	ask_next(operation);
	return STEP_WAIT;
}
