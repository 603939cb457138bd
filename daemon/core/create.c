/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Share and Lend: decide → charge → wait for a slot → pin → charge the list → describe → announce.
 */

#include <errno.h>
#include <inttypes.h>

#include "daemon/core/internal.h"
#include "util/log.h"

/*
 * Where addresses are invented when they have to be: a stretch of normal memory that VM 3 owns in the
 * emulator's default machine and in that of the conformance recordings.
 */
#define MADE_UP_FIRST 0x800000000ull
#define MADE_UP_LIMIT 0x1000000000ull

/* ---- validation that needs no policy ---- */

static bool fail_parameter(struct request *request, const char *field, const char *why)
{
	request_fail(request, OUTCOME_INVALID_PARAMETER, "%s", why);
	request->reply.parameter = strdup(field);
	return false;
}

static bool validate(struct request *request)
{
	if (request->sources &
		~(unsigned)(POLICY_SOURCE_FD | POLICY_SOURCE_ALLOCATE | POLICY_SOURCE_PRIVATE)) {
		request_fail(request, OUTCOME_MEMORY_INVALID,
			"this version takes a descriptor (fd) or allocates memory itself; copy, "
			"pool, "
			"regions and regions_fd are not there yet");
		return false;
	}
	if (request->mem_type == GHRM_MEM_IO) {
		request_fail(request, OUTCOME_MEMORY_INVALID,
			"memory from fd and allocate is normal memory, not device memory");
		return false;
	}
	if (request->n_grants == 0)
		return fail_parameter(
			request, "grants", "at least one virtual machine must be named");
	if (request->n_grants > 255) /* rm-protocol §8.1 */
		return fail_parameter(
			request, "grants", "at most 255 virtual machines can be named");
	for (size_t i = 0; i < request->n_grants; i++) {
		if (request->grants[i].vmid == GHRM_VMID_HOST)
			return fail_parameter(request, "grants", "VM 3 is the host itself");
		for (size_t j = 0; j < i; j++)
			if (request->grants[i].vmid == request->grants[j].vmid)
				return fail_parameter(
					request, "grants", "a virtual machine is named twice");
	}
	return true;
}

/* How many bytes it is about; checks the client's descriptor without touching it. */
static bool measure(struct broker *broker, struct request *request)
{
	char reason[MEMORY_REASON_MAX];
	enum memory_outcome outcome;
	uint64_t bytes;

	outcome = broker->options.memory_ops->measure(
		request->fd, request->offset, request->size, request->size_given, &bytes, reason);
	if (outcome != MEMORY_OK) {
		request_fail(request, OUTCOME_MEMORY_INVALID, "%s", reason);
		return false;
	}
	request->size = bytes;
	request->size_given = true;
	return true;
}

/* ---- building the parcel ---- */

static uint64_t choose_made_up_base(struct broker *broker, uint64_t span)
{
	uint64_t base = MADE_UP_FIRST;
	struct parcel *parcel;
	bool moved = true;

	while (moved) {
		moved = false;
		TAILQ_FOREACH (parcel, &broker->parcels, entry) {
			if (parcel->made_up_span == 0 ||
				base >= parcel->made_up_base + parcel->made_up_span ||
				base + span <= parcel->made_up_base)
				continue;
			base = parcel->made_up_base + parcel->made_up_span;
			moved = true;
		}
	}
	return base + span <= MADE_UP_LIMIT ? base : 0;
}

static uint32_t fresh_label(struct broker *broker)
{
	if (++broker->last_label ==
		0) /* label 0 with all rights is taken as guest RAM: rm-protocol §5.9 */
		broker->last_label = 1;
	return broker->last_label;
}

static bool fill_access_list(struct parcel *parcel, const struct request *request)
{
	size_t n = request->n_grants;

	parcel->acl = calloc(n + 1, sizeof(*parcel->acl));
	parcel->accepted = calloc(n + 1, sizeof(*parcel->accepted));
	if (!parcel->acl || !parcel->accepted)
		return false;
	memcpy(parcel->acl, request->grants, n * sizeof(*parcel->acl));
	parcel->n_grants = parcel->n_acl = n;
	if (request->verb ==
		VERB_SHARE) /* a SHARE lists the owner, a LEND must not: rm-protocol §3.1 */
		parcel->acl[parcel->n_acl++] =
			(struct ghrm_acl_entry){ GHRM_VMID_HOST, request->host_rights };
	return true;
}

static struct parcel *build(
	struct broker *broker, struct request *request, const struct policy_rule *rule)
{
	const struct client *client = request->client;
	struct parcel *parcel = parcel_new(++broker->last_number, broker->epoch);

	if (!parcel)
		return NULL;
	parcel->verb = request->verb;
	parcel->mem_type = request->mem_type;
	parcel->label = request->label_given ? request->label : fresh_label(broker);
	parcel->tag = broker->tag;
	parcel->lifetime = request->lifetime;
	parcel->sanitize = request->sanitize;
	parcel->sanitize_back = policy_rule_sanitize(rule) && request->mem_type == GHRM_MEM_NORMAL;
	parcel->uid = client->uid;
	parcel->pid = client->pid;
	parcel->bytes = request->size;
	parcel->policy = policy_ref(broker->policy);
	parcel->rule = rule;
	parcel->made_up_span = broker->options.memory_ops->made_up_span(request->size);
	parcel->made_up_base = choose_made_up_base(broker, parcel->made_up_span);
	parcel->unit = client->unit ? strdup(client->unit) : NULL;
	if ((client->unit && !parcel->unit) || !fill_access_list(parcel, request))
		return parcel_free(parcel);
	TAILQ_INSERT_TAIL(&broker->parcels, parcel, entry);
	broker->n_parcels++;
	return parcel;
}

/* ---- steps ---- */

static enum progress charge(
	struct operation *operation, uint64_t parcels, uint64_t bytes, uint64_t regions)
{
	struct parcel *parcel = operation->parcel;
	struct policy_limits limits = policy_rule_limits(parcel->rule);
	const struct charge more = { .parcels = parcels, .bytes = bytes, .regions = regions };
	struct quota_refusal refusal;
	struct request *request = operation->request;
	int r;

	r = quota_charge(operation->broker->quota, &parcel->charge, parcel->uid,
		policy_rule_name(parcel->rule), &limits, &more, &refusal);
	if (r == 0)
		return STEP_DONE;
	if (r < 0) {
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "the daemon is out of memory");
		return STEP_FAILED;
	}
	request_fail(request, OUTCOME_QUOTA_EXCEEDED,
		"uid %u has %" PRIu64 " of %" PRIu64 " %s under rule %s (%s:%u)", parcel->uid,
		refusal.used, refusal.maximum, refusal.name, policy_rule_name(parcel->rule),
		policy_rule_file(parcel->rule), policy_rule_line(parcel->rule));
	request->reply.limit = strdup(refusal.name);
	request->reply.used = refusal.used;
	request->reply.maximum = refusal.maximum;
	return STEP_FAILED;
}

static enum progress begin_charge(struct operation *operation)
{
	return charge(operation, 1, operation->parcel->bytes, 0);
}

static enum progress undo_charge(struct operation *operation)
{
	quota_give_back(operation->broker->quota, &operation->parcel->charge);
	return STEP_DONE;
}

static void on_pinned(struct letter *letter, void *userdata _unused_)
{
	struct operation *operation = container_of(letter, struct operation, memory.letter);
	struct memory_job *job = &operation->memory;

	switch (job->outcome) {
	case MEMORY_OK:
		operation->parcel->pinned = TAKE_PTR(job->pinned);
		operation_resume(operation, STEP_DONE);
		return;
	case MEMORY_INVALID:
	case MEMORY_EXHAUSTED:
		request_fail(operation->request, OUTCOME_MEMORY_INVALID, "%s", job->reason);
		break;
	case MEMORY_UNAVAILABLE:
		request_fail(operation->request, OUTCOME_MANAGER_UNAVAILABLE, "%s", job->reason);
		break;
	}
	operation_resume(operation, STEP_FAILED);
}

static enum progress begin_pin(struct operation *operation)
{
	struct request *request = operation->request;

	operation->memory = (struct memory_job){
		.kind = MEMORY_PIN,
		.uid = operation->parcel->uid,
		.fd = TAKE_FD(request->fd),
		.offset = request->offset,
		.size = request->size,
		.size_given = true,
		.made_up_base = operation->parcel->made_up_base,
	};
	operation_submit_memory(operation, on_pinned);
	return STEP_WAIT;
}

static enum progress begin_charge_regions(struct operation *operation)
{
	const struct region_list *regions = &operation->parcel->pinned->regions;

	if (regions->n > GHRM_REGIONS_MAX) {
		request_fail(operation->request, OUTCOME_MEMORY_INVALID,
			"the memory is in %zu pieces, and the Resource Manager takes at most %u in "
			"one parcel",
			regions->n, GHRM_REGIONS_MAX);
		return STEP_FAILED;
	}
	return charge(operation, 0, 0, regions->n);
}

static void on_described(struct letter *letter, void *userdata _unused_)
{
	struct operation *operation = operation_of_rm_letter(letter);
	struct parcel *parcel = operation->parcel;
	const struct rm_job *job = &operation->rm;

	parcel->messages = job->messages;
	parcel->handle_known = job->handle_known;
	parcel->handle = job->handle_known ? job->handle : 0;
	if (job->outcome == RM_DONE) {
		parcel_handle_event(parcel, PARCEL_DESCRIBED);
		broker_replay_early(operation->broker, parcel);
		operation_resume(operation, STEP_DONE);
		return;
	}
	request_fail_rm(operation->request, job,
		parcel->messages == 0 ? "describing the memory to the Resource Manager"
				      : "adding to the memory's description");
	operation_resume(operation, STEP_FAILED);
}

static enum progress begin_describe(struct operation *operation)
{
	struct parcel *parcel = operation->parcel;

	operation->rm = (struct rm_job){
		.kind = RM_JOB_CREATE,
		.verb = parcel->verb == VERB_SHARE ? GHRM_MEM_SHARE : GHRM_MEM_LEND,
		.mem_type = parcel->mem_type,
		.flags = parcel->sanitize ? GHRM_CREATE_SANITIZE : 0,
		.label = parcel->label,
		.acl = parcel->acl,
		.n_acl = parcel->n_acl,
		.regions = parcel->pinned->regions.regions,
		.n_regions = parcel->pinned->regions.n,
	};
	operation_submit_rm(operation, on_described);
	return STEP_WAIT;
}

/* The roll-back could not be done, or it is not known what there is to roll back: withhold. */
static enum progress withhold(struct operation *operation, const char *why)
{
	struct parcel *parcel = operation->parcel;

	parcel_handle_event(parcel, PARCEL_LOST);
	parcel->wanted_back = true;
	parcel_set_reason(parcel, "%s", why);
	log_warning("parcel %s (%" PRIu64 " bytes of uid %u) is quarantined: %s", parcel->id,
		parcel->bytes, parcel->uid, why);
	return STEP_FAILED;
}

static void on_rolled_back(struct letter *letter, void *userdata _unused_)
{
	struct operation *operation = operation_of_rm_letter(letter);
	struct parcel *parcel = operation->parcel;
	const struct rm_job *job = &operation->rm;

	/* The link is the same since the create: a handle that RM no longer knows has been reclaimed. */
	if (job->outcome == RM_DONE ||
		(job->outcome == RM_REFUSED && job->error == GHRM_HANDLE_INVALID)) {
		parcel->handle_known = false;
		if (operation->request && operation->request->reply.outcome == OUTCOME_UNKNOWN) {
			free(operation->request->reply.reason);
			operation->request->reply.reason =
				strdup("the Resource Manager did not answer in time; the parcel "
				       "has been taken back");
			operation->request->reply.outcome = OUTCOME_MANAGER_UNAVAILABLE;
		}
		operation_resume(operation, STEP_DONE);
		return;
	}
	operation_resume(operation,
		withhold(operation, job->outcome == RM_REFUSED && job->error == GHRM_MEM_INUSE
					    ? "a virtual machine took it while it was being "
					      "described, and holds it"
					    : "the Resource Manager did not take the roll-back"));
}

static enum progress undo_describe(struct operation *operation)
{
	struct parcel *parcel = operation->parcel;

	if (parcel->handle_known) {
		parcel_handle_event(parcel, PARCEL_RECLAIM);
		operation->rm = (struct rm_job){
			.kind = RM_JOB_RECLAIM,
			.urgent = true,
			.handle = parcel->handle,
			.back_flags = parcel->sanitize_back ? GHRM_BACK_SANITIZE : 0,
		};
		operation_submit_rm(operation, on_rolled_back);
		return STEP_WAIT;
	}
	if (operation->rm.kind == RM_JOB_CREATE && operation->rm.outcome == RM_UNKNOWN)
		return withhold(operation,
			"the Resource Manager did not answer whether it made the parcel");
	return STEP_DONE;
}

/* A step, so that a reply that cannot be made is undone like any other failure. */
static enum progress begin_reply(struct operation *operation)
{
	request_reply_parcel(operation->request, operation->parcel);
	return operation->request->reply.outcome == OUTCOME_OK ? STEP_DONE : STEP_FAILED;
}

static void finish_create(struct operation *operation, bool succeeded)
{
	struct broker *broker = operation->broker;
	struct parcel *parcel = operation->parcel;
	struct request *request = operation->request;

	if (succeeded) {
		if (parcel->lifetime == POLICY_CONNECTION)
			parcel->client = operation->client;
		if (!request->hidden)
			request->reply.fd = TAKE_FD(parcel->pinned->memfd);
		parcel->pinned->memfd = util_close(parcel->pinned->memfd);
		broker_audit(operation->client, verb_name(parcel->verb), parcel,
			policy_rule_name(parcel->rule), NULL, "granted");
	} else {
		if (request->reply.outcome == OUTCOME_OK)
			request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "%s",
				broker->stopping ? "the daemon is stopping"
						 : "the client went away");
		broker_audit_failure(request, parcel);
		if (parcel->state == PARCEL_QUARANTINED) {
			char *reason = NULL;

			/* The error names what is left behind (contract §3, Atomic). */
			if (asprintf(&reason, "%s; parcel %s stays quarantined: %s",
				    request->reply.reason ? request->reply.reason : "", parcel->id,
				    parcel->reason ? parcel->reason : "") >= 0) {
				free(request->reply.reason);
				request->reply.reason = reason;
			}
			broker_schedule_retry(broker);
		} else {
			broker_forget(broker, parcel);
		}
	}
	request_finish(request);
}

static const struct step create_steps[] = {
	{ begin_charge, undo_charge },
	{ step_slot, NULL }, /* it goes with the parcel */
	{ begin_pin, step_unpin },
	{ begin_charge_regions, NULL }, /* the charge is one, given back by undo_charge */
	{ begin_describe, undo_describe },
	{ step_notify, NULL },
	{ begin_reply, NULL },
};

static const struct plan create_plan = {
	.steps = create_steps,
	.n_steps = ARRAY_SIZE(create_steps),
	.serves_client = true,
	.finish = finish_create,
};

void broker_create(struct broker *broker, struct request *request)
{
	const struct policy_rule *rule;
	enum policy_operation operation = request->verb == VERB_SHARE ? POLICY_SHARE : POLICY_LEND;
	struct parcel *parcel;

	if (!validate(request))
		goto refused;
	rule = broker_decide_memory(broker, request, request->client, operation);
	if (!rule)
		goto refused;
	if (!measure(broker, request))
		goto refused;
	if (request->notify && !broker->options.may_notify) {
		fail_parameter(request, "notify",
			"other programs manage VMs on this link, so none is notified through it");
		goto refused;
	}
	if (!broker->link_up) {
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE,
			"the link to the Resource Manager (%s) is closed",
			broker->options.endpoint);
		goto refused;
	}
	parcel = build(broker, request, rule);
	if (!parcel) {
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "the daemon is out of memory");
		goto refused;
	}
	if (parcel->made_up_base == 0 && !broker->options.abilities.frame_numbers) {
		request_fail(request, OUTCOME_MEMORY_INVALID,
			"so much memory is out that no more addresses can be made up");
		broker_forget(broker, parcel);
		goto refused;
	}
	if (operation_start(broker, &create_plan, request, request->client, parcel))
		return;
	request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "the daemon is out of memory");
	broker_forget(broker, parcel);

refused:
	broker_audit_failure(request, NULL);
	request_finish(request);
}
