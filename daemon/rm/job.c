/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/rm/job.h"

bool job_creates(const struct rm_job *job)
{
	return job->kind == RM_JOB_CREATE && job->messages == 0;
}

bool job_asks_value(const struct rm_job *job)
{
	return job_creates(job) || job->kind == RM_JOB_HELLO || job->kind == RM_JOB_VM_STATE;
}

static void encode_create(const struct rm_job *job, struct job_request *ret)
{
	size_t left = job->n_regions - job->described;
	const struct ghrm_region *regions = job->regions + job->described;
	uint8_t flags;

	ret->regions = left < GHRM_LIST_MAX ? left : GHRM_LIST_MAX;
	if (!job_creates(job)) {
		ret->msg_id = GHRM_MEM_APPEND;
		flags = ret->regions == left ? GHRM_APPEND_END : 0;
		ret->size = ghrm_encode_append(ret->payload, sizeof(ret->payload), job->handle,
			flags, regions, ret->regions);
		return;
	}
	ret->msg_id = job->verb;
	flags = job->flags & GHRM_CREATE_SANITIZE;
	if (ret->regions < left)
		flags |= GHRM_CREATE_APPEND;
	ret->size = ghrm_encode_create(ret->payload, sizeof(ret->payload), job->mem_type, flags,
		job->label, job->acl, job->n_acl, regions, ret->regions, NULL, 0);
}

void job_encode(const struct rm_job *job, struct job_request *ret)
{
	ret->regions = 0;
	switch (job->kind) {
	case RM_JOB_CREATE: encode_create(job, ret); break;
	case RM_JOB_RECLAIM:
		ret->msg_id = GHRM_MEM_RECLAIM;
		ret->size = ghrm_encode_back(
			ret->payload, sizeof(ret->payload), job->handle, job->back_flags);
		break;
	case RM_JOB_NOTIFY:
		ret->msg_id = GHRM_MEM_NOTIFY;
		ret->size = ghrm_encode_notify(ret->payload, sizeof(ret->payload), job->handle,
			job->notify_flags, job->tag, job->targets, job->n_targets);
		break;
	case RM_JOB_HELLO:
		ret->msg_id = GHRM_VM_GET_VMID;
		ret->size = 0;
		break;
	case RM_JOB_VM_STATE:
		ret->msg_id = GHRM_VM_GET_STATE;
		ret->size = ghrm_encode_vmid(ret->payload, sizeof(ret->payload), job->vmid);
		break;
	}
	ret->fits = ret->size > 0 || job->kind == RM_JOB_HELLO;
}

bool job_decode_answer(
	bool has_value, const void *payload, size_t size, uint32_t *ret_error, uint32_t *ret_value)
{
	if (has_value)
		return ghrm_decode_reply_u32(payload, size, ret_error, ret_value);
	return size == sizeof(*ret_error) && ghrm_decode_reply(payload, size, ret_error);
}

bool job_advance(struct rm_job *job, const struct job_request *request, uint32_t value)
{
	if (job_creates(job)) {
		job->handle = value;
		job->handle_known = true;
	}
	/* VM_GET_STATE's word is four fields, the VM's status first (rm-protocol.md §3.11). */
	job->value = job->kind == RM_JOB_VM_STATE ? value & 0xff : value;
	job->messages++;
	job->described += request->regions;
	return job->kind != RM_JOB_CREATE || job->described >= job->n_regions;
}
