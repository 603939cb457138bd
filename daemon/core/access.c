/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Who may do what: the questions that core asks policy, and the audit lines that come of it. */

#include <inttypes.h>
#include <stdio.h>

#include "daemon/core/internal.h"
#include "util/log.h"

/* One kind of event each, so that `journalctl MESSAGE_ID=` finds them. */
#define MESSAGE_ID_GRANTED "6d1f1c8e0b5c4c0f9a1d8c0a7e3b4f21"
#define MESSAGE_ID_REFUSED "a2c7e6f4d9134b0c8f6e5d2b1a0c9e83"
#define MESSAGE_ID_BACK    "0f9b3a7c5e1d4826b4c8d7e6f5a49302"
#define MESSAGE_ID_FAILED  "c4e8b2d6f0a14957831c5d9e7b3f6a08"

static const char *message_id(const char *what)
{
	switch (what[0]) {
	case 'g': return MESSAGE_ID_GRANTED;
	case 'f': return MESSAGE_ID_FAILED;
	default: return strcmp(what, "done") == 0 ? MESSAGE_ID_BACK : MESSAGE_ID_REFUSED;
	}
}

void broker_audit(const struct client *client, const char *operation, const struct parcel *parcel,
	const char *rule, const char *rm_error, const char *what)
{
	char handle[16] = "", uid[16] = "", vms[256] = "", size[UTIL_BYTES_MAX] = "";
	const char *unit = client ? client->unit : parcel ? parcel->unit : NULL;
	size_t used = 0;

	if (client || parcel)
		snprintf(uid, sizeof(uid), "%u", client ? client->uid : parcel->uid);
	if (parcel && parcel->handle_known)
		snprintf(handle, sizeof(handle), "%" PRIu32, parcel->handle);
	for (size_t i = 0; parcel && i < parcel->n_grants && used < sizeof(vms) - 8; i++)
		used += (size_t)snprintf(vms + used, sizeof(vms) - used, "%s0x%x", i ? "," : "",
			parcel->acl[i].vmid);
	if (parcel)
		util_format_bytes(parcel->bytes, size, sizeof(size));

	const struct log_field fields[] = {
		{ "GHMEM_OPERATION", operation },
		{ "GHMEM_UID", *uid ? uid : NULL },
		{ "GHMEM_UNIT", unit },
		{ "GHMEM_VMID", *vms ? vms : NULL },
		{ "GHMEM_HANDLE", *handle ? handle : NULL },
		{ "GHMEM_RULE", rule },
		{ "GHMEM_RM_ERROR", rm_error },
	};

	log_event(LOG_INFO, message_id(what), fields, ARRAY_SIZE(fields), "%s%s%s %s", operation,
		*size ? " of " : "", size, what);
}

void broker_audit_failure(const struct request *request, const struct parcel *parcel)
{
	const struct reply *reply = &request->reply;
	const char *rm_error =
		reply->outcome == OUTCOME_MANAGER_ERROR ? ghrm_error_name(reply->code) : NULL;
	char what[128];

	if (reply->outcome == OUTCOME_OK || reply->outcome == OUTCOME_POLICY_DENIED)
		return;
	snprintf(what, sizeof(what), "failed: %s, %s", outcome_name(reply->outcome),
		reply->reason ? reply->reason : "");
	broker_audit(request->client, verb_name(request->verb), parcel,
		parcel ? policy_rule_name(parcel->rule) : NULL, rm_error, what);
}

struct policy_request broker_policy_request(
	const struct request *request, const struct client *client, enum policy_operation operation)
{
	struct policy_request asked = {
		.subject = {
			.uid = client->uid,
			.groups = client->groups,
			.n_groups = client->n_groups,
			.unit = client->unit,
			.unit_unknown = client->unit_unknown,
		},
		.operation = operation,
		.lifetime = POLICY_CONNECTION,
	};

	if (request && request->has_memory) {
		asked.has_memory = true;
		asked.grants = request->grants;
		asked.n_grants = request->n_grants;
		asked.mem_type = request->mem_type;
		asked.regions = request->regions;
		asked.n_regions = request->n_regions;
		asked.sources = request->sources;
		asked.label = request->label;
		asked.label_given = request->label_given;
		asked.lifetime = request->lifetime;
	}
	return asked;
}

/* What was asked, in words: "lend memory to VM 0x80, 0x81", "ask for status". */
static void describe_wish(const struct policy_request *asked, char *text, size_t size)
{
	const char *name = policy_operation_name(asked->operation);
	size_t used;

	if (!asked->has_memory) {
		snprintf(text, size, "%s", name);
		return;
	}
	used = (size_t)snprintf(text, size, "%s memory to VM", name);
	for (size_t i = 0; i < asked->n_grants && used < size - 16; i++)
		used += (size_t)snprintf(
			text + used, size - used, "%s 0x%x", i ? "," : "", asked->grants[i].vmid);
}

static void refuse(struct request *request, const struct client *client,
	const struct policy_request *asked, const struct policy_rule *rule)
{
	char wish[128];

	describe_wish(asked, wish, sizeof(wish));
	if (rule)
		request_fail(
			request, OUTCOME_POLICY_DENIED, "uid %u may not %s", client->uid, wish);
	else
		request_fail(request, OUTCOME_POLICY_DENIED, "no rule allows uid %u to %s",
			client->uid, wish);
	request->reply.rule = rule ? strdup(policy_rule_name(rule)) : NULL;
	broker_audit(client, policy_operation_name(asked->operation), NULL,
		rule ? policy_rule_name(rule) : NULL, NULL, "denied by policy");
}

const struct policy_rule *broker_decide_memory(struct broker *broker, struct request *request,
	struct client *client, enum policy_operation operation)
{
	const struct policy_request asked = broker_policy_request(request, client, operation);
	struct policy_decision decision = policy_decide(broker->policy, &asked);

	if (decision.allowed)
		return decision.rule;
	refuse(request, client, &asked, decision.rule);
	return NULL;
}

bool broker_may(struct broker *broker, const struct client *client, enum policy_operation operation)
{
	const struct policy_request asked = broker_policy_request(NULL, client, operation);

	return policy_decide(broker->policy, &asked).allowed;
}

bool broker_require(struct broker *broker, struct request *request, struct client *client,
	enum policy_operation operation)
{
	const struct policy_request asked = broker_policy_request(NULL, client, operation);
	struct policy_decision decision = policy_decide(broker->policy, &asked);

	if (!decision.allowed)
		refuse(request, client, &asked, decision.rule);
	return decision.allowed;
}

bool broker_visible(struct broker *broker, const struct client *client, const struct parcel *parcel)
{
	return parcel->uid == client->uid || broker_may(broker, client, POLICY_ADMIN);
}
