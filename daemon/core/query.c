/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The verbs that change nothing: Describe, List, Status, Check; and Reload. */

#include <errno.h>
#include <inttypes.h>

#include "daemon/core/internal.h"

static void describe(struct broker *broker, struct request *request)
{
	const struct parcel *parcel = broker_find(broker, request->handle);

	if (parcel && broker_visible(broker, request->client, parcel))
		request_reply_parcel(request, parcel);
	else
		request_fail(request, OUTCOME_PARCEL_NOT_FOUND, "there is no parcel %" PRIu32,
			request->handle);
}

static void list(struct broker *broker, struct request *request)
{
	const struct parcel *parcel;
	bool admin;

	if (!broker_require(broker, request, request->client, POLICY_LIST))
		return;
	admin = broker_may(broker, request->client, POLICY_ADMIN);
	request->reply.parcels = calloc(broker->n_parcels + 1, sizeof(struct parcel_view));
	if (!request->reply.parcels) {
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "the daemon is out of memory");
		return;
	}
	TAILQ_FOREACH (parcel, &broker->parcels, entry) {
		if (!admin && parcel->uid != request->client->uid)
			continue;
		if (parcel_describe(parcel, &request->reply.parcels[request->reply.n_parcels]) <
			0) {
			request_fail(request, OUTCOME_MANAGER_UNAVAILABLE,
				"the daemon is out of memory");
			return;
		}
		request->reply.n_parcels++;
	}
}

static void status(struct broker *broker, struct request *request)
{
	const struct broker_options *options = &broker->options;
	const struct parcel *parcel;
	struct broker_status *to;

	if (!broker_require(broker, request, request->client, POLICY_STATUS))
		return;
	to = calloc(1, sizeof(*to));
	if (!to) {
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "the daemon is out of memory");
		return;
	}
	request->reply.status = to;
	*to = (struct broker_status){
		.endpoint = strdup(options->endpoint),
		.link_up = broker->link_up,
		.emulated = options->emulated,
		.slots_used = broker->slots_used,
		.slots_maximum = BROKER_SLOTS,
		.clients = broker->n_clients,
		.policy_files = policy_n_files(broker->policy),
		.policy_rules = policy_n_rules(broker->policy),
		.uptime_usec = util_now_usec() - broker->started_usec,
		.frame_numbers = options->abilities.frame_numbers,
		.pins = options->abilities.pins,
		.limitation = *options->abilities.text ? strdup(options->abilities.text) : NULL,
		.left_over_entries = options->left_over_entries,
		.left_over_pages = options->left_over_pages,
	};
	TAILQ_FOREACH (parcel, &broker->parcels, entry) {
		to->parcels[parcel->state]++;
		to->bytes[parcel->state] += parcel->bytes;
		to->pages_pinned += parcel->pinned ? parcel->pinned->pages : 0;
	}
}

/* Answers by the very matcher that decides, for the caller or, for admins, for another uid. */
static void check(struct broker *broker, struct request *request)
{
	struct policy_request asked =
		broker_policy_request(request, request->client, request->check_operation);
	struct policy_decision decision;

	if (!broker_require(broker, request, request->client, POLICY_CHECK))
		return;
	if (request->check_uid_given && request->check_uid != request->client->uid) {
		if (!broker_require(broker, request, request->client, POLICY_ADMIN))
			return;
		asked.subject = (struct policy_subject){
			.uid = request->check_uid, .groups_unknown = true, .unit_unknown = true
		};
	}
	if (policy_explain(broker->policy, &asked, &decision, &request->reply.reason) < 0) {
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "the daemon is out of memory");
		return;
	}
	request->reply.allowed = decision.allowed;
	request->reply.rule = decision.rule ? strdup(policy_rule_name(decision.rule)) : NULL;
}

static void reload(struct broker *broker, struct request *request)
{
	_cleanup_free_ char *error = NULL;

	if (!broker_require(broker, request, request->client, POLICY_ADMIN))
		return;
	if (broker_reload(broker, &error) < 0) {
		request_fail(request, OUTCOME_POLICY_INVALID, "the old policy stays in force: %s",
			error ? error : "out of memory");
		return;
	}
	request->reply.policy_files = policy_n_files(broker->policy);
	request->reply.policy_rules = policy_n_rules(broker->policy);
}

void broker_query(struct broker *broker, struct request *request)
{
	switch (request->verb) {
	case VERB_DESCRIBE: describe(broker, request); break;
	case VERB_LIST: list(broker, request); break;
	case VERB_STATUS: status(broker, request); break;
	case VERB_CHECK: check(broker, request); break;
	case VERB_RELOAD: reload(broker, request); break;
	case VERB_SHARE:
	case VERB_LEND:
	case VERB_RECLAIM: break; /* not questions */
	}
	request_finish(request);
}
