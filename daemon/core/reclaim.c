/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Taking memory back: RECLAIM → unpin → out of the books. Asked for by a client, or because nobody
 * owns the parcel any more.
 */

#include <inttypes.h>

#include "daemon/core/internal.h"
#include "util/log.h"

static void fail_in_use(struct request *request, const struct parcel *parcel, const char *why)
{
	if (!request)
		return;
	request_fail(request, OUTCOME_PARCEL_IN_USE, "parcel %" PRIu32 " cannot be taken back: %s",
		parcel->handle, why);
	request->reply.vms = calloc(parcel->n_grants + 1, sizeof(uint16_t));
	for (size_t i = 0; request->reply.vms && i < parcel->n_grants; i++)
		if (parcel->accepted[i])
			request->reply.vms[request->reply.n_vms++] = parcel->acl[i].vmid;
}

/* RECLAIM was refused because somebody holds it; with one grantee it is known who. */
static void note_in_use(struct parcel *parcel)
{
	parcel_handle_event(parcel, PARCEL_IN_USE);
	if (parcel->n_grants == 1)
		parcel->accepted[0] = true;
	if (parcel->wanted_back)
		parcel_set_reason(parcel,
			"a virtual machine still holds it; it is taken back as soon as the VM lets "
			"go or is reset");
}

static void note_retained(struct parcel *parcel, bool was_quarantined, const char *why)
{
	parcel_handle_event(parcel, was_quarantined                ? PARCEL_LOST
				    : parcel_n_holding(parcel) > 0 ? PARCEL_IN_USE
								   : PARCEL_RETAINED);
	parcel_set_reason(parcel, "%s", why);
}

static void on_reclaimed(struct letter *letter, void *userdata _unused_)
{
	struct operation *operation = operation_of_rm_letter(letter);
	struct parcel *parcel = operation->parcel;
	const struct rm_job *job = &operation->rm;
	bool was_quarantined = operation->before == PARCEL_QUARANTINED;

	switch (job->outcome) {
	case RM_DONE: operation_resume(operation, STEP_DONE); return;
	case RM_REFUSED:
		if (job->error == GHRM_HANDLE_INVALID) {
			/* Same link, so the same RM: somebody else in this VM has reclaimed it. */
			log_warning("parcel %s (handle %" PRIu32 ") had been reclaimed already",
				parcel->id, parcel->handle);
			operation_resume(operation, STEP_DONE);
			return;
		}
		if (job->error == GHRM_MEM_INUSE) {
			note_in_use(parcel);
			fail_in_use(operation->request, parcel, "a virtual machine holds it");
		} else {
			parcel_handle_event(parcel, PARCEL_LOST);
			parcel_set_reason(parcel,
				"the Resource Manager refused to reclaim it: %s (%s)",
				ghrm_error_name(job->error), ghrm_error_text(job->error));
		}
		break;
	case RM_UNKNOWN:
		parcel_handle_event(parcel, PARCEL_LOST);
		parcel_set_reason(
			parcel, "the Resource Manager did not answer whether it was reclaimed");
		break;
	case RM_CANCELLED:
	case RM_UNAVAILABLE:
		note_retained(parcel, was_quarantined, "the Resource Manager cannot be reached");
		break;
	}
	request_fail_rm(operation->request, job, "taking the parcel back");
	operation_resume(operation, STEP_FAILED);
}

static enum progress begin_reclaim(struct operation *operation)
{
	struct parcel *parcel = operation->parcel;
	const struct request *request = operation->request;

	/* A wish that a later try must not forget. */
	parcel->sanitize_back |= request && request->sanitize;
	parcel_set_reason(parcel, NULL);
	operation->before = parcel->state;
	parcel_handle_event(parcel, PARCEL_RECLAIM);
	operation->rm = (struct rm_job){
		.kind = RM_JOB_RECLAIM,
		.urgent = true,
		.handle = parcel->handle,
		.back_flags = parcel->sanitize_back ? GHRM_BACK_SANITIZE : 0,
	};
	operation_submit_rm(operation, on_reclaimed);
	return STEP_WAIT;
}

static void finish_reclaim(struct operation *operation, bool succeeded)
{
	struct broker *broker = operation->broker;
	struct parcel *parcel = operation->parcel;

	if (succeeded) {
		broker_audit(operation->client, "reclaim", parcel, policy_rule_name(parcel->rule),
			NULL, "done");
		quota_give_back(broker->quota, &parcel->charge);
		broker_forget(broker, parcel);
		broker->retry_round = 0;
	} else if (parcel->wanted_back || parcel->state == PARCEL_QUARANTINED) {
		/* Whoever asked has been told that it is withheld: it is ours to take back now. */
		parcel->wanted_back = true;
		broker_schedule_retry(broker);
	}
	if (!succeeded && operation->request)
		broker_audit_failure(operation->request, parcel);
	request_finish(operation->request);
}

static const struct step reclaim_steps[] = {
	{ begin_reclaim, NULL },
	{ step_unpin, NULL },
};

static const struct plan reclaim_plan = {
	.steps = reclaim_steps,
	.n_steps = ARRAY_SIZE(reclaim_steps),
	.serves_client = false, /* a reclaim is finished even if nobody waits for it any more */
	.finish = finish_reclaim,
};

/* The Resource Manager never made it: only the pin and the charge are left to give back. */
static const struct step dissolve_steps[] = {
	{ step_unpin, NULL },
};

static const struct plan dissolve_plan = {
	.steps = dissolve_steps,
	.n_steps = ARRAY_SIZE(dissolve_steps),
	.finish = finish_reclaim,
};

void broker_dissolve(struct broker *broker, struct parcel *parcel)
{
	if (!broker->stopped && !operation_start(broker, &dissolve_plan, NULL, NULL, parcel))
		broker_schedule_retry(broker);
}

void parcel_take_back(struct broker *broker, struct parcel *parcel)
{
	if (broker->stopped || parcel->operation || !parcel->handle_known)
		return;
	if (!operation_start(broker, &reclaim_plan, NULL, NULL, parcel))
		broker_schedule_retry(broker);
}

void broker_reclaim(struct broker *broker, struct request *request)
{
	struct parcel *parcel = broker_find(broker, request->handle);

	if (!parcel || !broker_visible(broker, request->client, parcel)) {
		request_fail(request, OUTCOME_PARCEL_NOT_FOUND, "there is no parcel %" PRIu32,
			request->handle);
		request_finish(request);
		return;
	}
	if (!broker_may(broker, request->client, POLICY_ADMIN) &&
		!broker_require(broker, request, request->client, POLICY_RECLAIM)) {
		request_finish(request);
		return;
	}
	if (request->sanitize && parcel->mem_type == GHRM_MEM_IO) {
		request_fail(
			request, OUTCOME_INVALID_PARAMETER, "device memory cannot be sanitized");
		request->reply.parameter = strdup("sanitize");
		request_finish(request);
		return;
	}
	if (parcel->operation) { /* being made or being taken back this very moment */
		fail_in_use(request, parcel, "it is being made or taken back at this moment");
		request_finish(request);
		return;
	}
	if (operation_start(broker, &reclaim_plan, request, request->client, parcel))
		return;
	request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "the daemon is out of memory");
	request_finish(request);
}
