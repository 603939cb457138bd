/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/core/broker.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "daemon/core/internal.h"
#include "util/log.h"

#define RETRY_FIRST_SEC 1
#define RETRY_LAST_SEC  30

struct parcel *broker_find(struct broker *broker, uint32_t handle)
{
	struct parcel *parcel;

	/* At most 64 parcels are live; a quarantined one without a handle is found by nobody. */
	TAILQ_FOREACH (parcel, &broker->parcels, entry)
		if (parcel->handle_known && parcel->handle == handle)
			return parcel;
	return NULL;
}

struct parcel *broker_find_number(struct broker *broker, uint64_t number)
{
	struct parcel *parcel;

	TAILQ_FOREACH (parcel, &broker->parcels, entry)
		if (parcel->number == number)
			return parcel;
	return NULL;
}

void broker_forget(struct broker *broker, struct parcel *parcel)
{
	TAILQ_REMOVE(&broker->parcels, parcel, entry);
	broker->n_parcels--;
	slot_give_back(broker, parcel);
	parcel_free(parcel);
}

/* ---- parcels that nobody owns any more ---- */

static void on_retry(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct broker *broker = userdata;
	struct parcel *parcel, *next;

	TAILQ_FOREACH_SAFE (parcel, &broker->parcels, entry, next)
		if (parcel->wanted_back)
			parcel_take_back(broker, parcel);
}

void broker_schedule_retry(struct broker *broker)
{
	long seconds = RETRY_FIRST_SEC << (broker->retry_round < 5 ? broker->retry_round : 5);

	if (broker->stopping || evtimer_pending(broker->retry_timer, NULL))
		return;
	if (seconds > RETRY_LAST_SEC)
		seconds = RETRY_LAST_SEC;
	broker->retry_round++;
	evtimer_add(broker->retry_timer, &(struct timeval){ .tv_sec = seconds });
}

/* ---- clients ---- */

static void on_client_opened(struct letter *letter _unused_, void *userdata)
{
	struct broker *broker = userdata;

	broker->n_clients++;
}

static void on_client_closed(struct letter *letter, void *userdata)
{
	struct client *client = container_of(letter, struct client, closed);
	struct broker *broker = userdata;
	struct operation *operation, *next_operation;
	struct parcel *parcel, *next;

	broker->n_clients--;
	client->gone = true;
	client->requests++; /* stays for the length of this function */
	TAILQ_FOREACH_SAFE (operation, &broker->operations, entry, next_operation)
		if (operation->client == client)
			operation_abort(operation);
	TAILQ_FOREACH_SAFE (parcel, &broker->parcels, entry, next) {
		if (parcel->client != client)
			continue;
		parcel->client = NULL;
		parcel->wanted_back = true;
		parcel_take_back(broker, parcel);
	}
	if (--client->requests == 0)
		client_free(client);
}

void broker_post_opened(struct broker *broker, struct client *client)
{
	client->opened.deliver = on_client_opened;
	mailbox_post(&broker->mailbox, &client->opened);
}

void broker_post_closed(struct broker *broker, struct client *client)
{
	client->closed.deliver = on_client_closed;
	mailbox_post(&broker->mailbox, &client->closed);
}

/* ---- requests ---- */

static void on_request(struct letter *letter, void *userdata)
{
	struct request *request = container_of(letter, struct request, letter);
	struct broker *broker = userdata;

	if (request->client->gone || broker->stopping) {
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "the daemon is stopping");
		request_finish(request);
		return;
	}
	switch (request->verb) {
	case VERB_SHARE:
	case VERB_LEND: broker_create(broker, request); break;
	case VERB_RECLAIM: broker_reclaim(broker, request); break;
	case VERB_DESCRIBE:
	case VERB_LIST:
	case VERB_STATUS:
	case VERB_CHECK:
	case VERB_RELOAD: broker_query(broker, request); break;
	}
}

void broker_post_request(struct broker *broker, struct request *request)
{
	request->letter.deliver = on_request;
	mailbox_post(&broker->mailbox, &request->letter);
}

static void on_undelivered(struct letter *letter, void *userdata)
{
	struct request *request = container_of(letter, struct request, letter);
	const struct reply *reply = &request->reply;
	struct broker *broker = userdata;
	struct parcel *parcel =
		reply->n_parcels > 0 ? broker_find_number(broker, reply->parcels[0].number) : NULL;

	if (parcel) {
		parcel->client = NULL;
		parcel->wanted_back = true;
		parcel_take_back(broker, parcel);
	}
	request_free(request);
}

void broker_post_undelivered(struct broker *broker, struct request *request)
{
	request->letter.deliver = on_undelivered;
	mailbox_post(&broker->mailbox, &request->letter);
}

/* ---- what the Resource Manager tells ---- */

static void on_notification(struct broker *broker, const struct rm_event *event)
{
	struct ghrm_participant participant;
	struct parcel *parcel;

	switch (event->msg_id) {
	case GHRM_NOTIF_MEM_ACCEPTED:
	case GHRM_NOTIF_MEM_RELEASED:
		if (!ghrm_decode_participant(event->payload, event->size, &participant))
			return;
		parcel = broker_find(broker, participant.handle);
		if (!parcel) { /* another program's, or one whose handle is still to come */
			struct early *early =
				&broker->early[broker->n_early++ % ARRAY_SIZE(broker->early)];

			*early = (struct early){ event->msg_id, participant };
			return;
		}
		parcel_note_holder(
			parcel, participant.vmid, event->msg_id == GHRM_NOTIF_MEM_ACCEPTED);
		if (event->msg_id == GHRM_NOTIF_MEM_RELEASED && parcel->wanted_back)
			parcel_take_back(broker, parcel);
		return;
	default: return;
	}
}

void broker_replay_early(struct broker *broker, struct parcel *parcel)
{
	size_t n = ARRAY_SIZE(broker->early);
	size_t first = broker->n_early > n ? broker->n_early - n : 0;

	for (size_t i = first; i < broker->n_early; i++) {
		const struct early *early = &broker->early[i % n];

		if (early->participant.handle == parcel->handle)
			parcel_note_holder(parcel, early->participant.vmid,
				early->msg_id == GHRM_NOTIF_MEM_ACCEPTED);
	}
}

/* The answer to a request that had been given up as unknown. */
static void on_late_reply(struct broker *broker, const struct rm_event *event)
{
	struct parcel *parcel = broker_find_number(broker, event->cookie);
	bool gone;

	if (!parcel || parcel->operation)
		return;
	switch (event->msg_id) {
	case GHRM_MEM_SHARE:
	case GHRM_MEM_LEND:
		if (!event->handle_known) {
			broker_dissolve(broker, parcel); /* refused: nothing was ever out */
			return;
		}
		parcel->handle_known = true;
		parcel->handle = event->handle;
		break;
	case GHRM_MEM_RECLAIM:
		/* Same link, so the same RM: a handle that it does not know is reclaimed. */
		gone = event->error == GHRM_OK || event->error == GHRM_HANDLE_INVALID;
		if (gone) {
			broker_dissolve(broker, parcel);
			return;
		}
		break;
	default: break; /* an APPEND: half a parcel, which has to go */
	}
	if (parcel->wanted_back)
		parcel_take_back(broker, parcel);
}

static void on_link_lost(struct broker *broker)
{
	struct parcel *parcel;

	broker->link_up = false;
	log_err("the link to the Resource Manager (%s) is closed: no memory is lent, and what is "
		"out stays "
		"pinned",
		broker->options.endpoint);
	TAILQ_FOREACH (parcel, &broker->parcels, entry)
		if (!parcel->operation)
			parcel_set_reason(parcel, "the link to the Resource Manager is closed");
}

void broker_on_rm_event(struct letter *letter, void *userdata)
{
	struct rm_event *event = container_of(letter, struct rm_event, letter);
	struct broker *broker = userdata;
	struct parcel *parcel;

	switch (event->kind) {
	case RM_EVENT_NOTIFICATION: on_notification(broker, event); break;
	case RM_EVENT_LINK_LOST: on_link_lost(broker); break;
	case RM_EVENT_LATE_REPLY: on_late_reply(broker, event); break;
	case RM_EVENT_SETTLED:
		/* A reclaim may be asked again now: nothing older is pending, so 7 means it is ours. */
		parcel = broker_find_number(broker, event->cookie);
		if (parcel && parcel->wanted_back)
			parcel_take_back(broker, parcel);
		break;
	}
	free(event);
}

/* ---- life ---- */

int broker_reload(struct broker *broker, char **ret_error)
{
	struct policy *policy = NULL;
	int r;

	if (!broker->options.reload)
		return -EOPNOTSUPP;
	r = broker->options.reload(broker->options.userdata, &policy, ret_error);
	if (r < 0) {
		log_lines(LOG_ERR, *ret_error ? *ret_error : strerror(-r));
		log_err("the old policy stays in force");
		return r;
	}
	policy_unref(broker->policy);
	broker->policy = policy;
	log_notice("policy read again: %zu rules in %zu files", policy_n_rules(policy),
		policy_n_files(policy));
	return 0;
}

int broker_new(struct broker **ret, const struct broker_options *options)
{
	struct broker *broker = calloc(1, sizeof(*broker));
	uint64_t random[1];
	int r;

	if (!broker)
		return -ENOMEM;
	broker->options = *options;
	TAILQ_INIT(&broker->parcels);
	TAILQ_INIT(&broker->operations);
	TAILQ_INIT(&broker->waiting);
	broker->link_up = true;
	broker->started_usec = util_now_usec();
	broker->policy = policy_ref(options->policy);
	r = util_random(random, sizeof(random));
	if (r == 0)
		r = quota_new(&broker->quota);
	if (r == 0) {
		snprintf(broker->epoch, sizeof(broker->epoch), "%08" PRIx32, (uint32_t)random[0]);
		broker->tag = (uint32_t)(random[0] >> 16) | 1; /* 0 means none */
		/* Fresh ones differ between daemons. */
		broker->last_label = (uint32_t)(random[0] >> 33);
		broker->retry_timer = evtimer_new(options->base, on_retry, broker);
		r = broker->retry_timer ? mailbox_init(&broker->mailbox, options->base, broker)
					: -ENOMEM;
	}
	if (r < 0) {
		broker_free(broker, false);
		return r;
	}
	*ret = broker;
	return 0;
}

struct mailbox *broker_mailbox(struct broker *broker)
{
	return &broker->mailbox;
}

void broker_check_stopped(struct broker *broker)
{
	if (!broker->stopping || broker->stopped || !TAILQ_EMPTY(&broker->operations))
		return;
	broker->stopped = true;
	if (broker->options.stopped)
		broker->options.stopped(broker->options.userdata);
}

void broker_stop(struct broker *broker)
{
	struct operation *operation, *next_operation;
	struct parcel *parcel, *next;

	if (broker->stopping)
		return;
	broker->stopping = true;
	evtimer_del(broker->retry_timer);
	TAILQ_FOREACH_SAFE (operation, &broker->operations, entry, next_operation)
		operation_abort(operation);
	TAILQ_FOREACH_SAFE (parcel, &broker->parcels, entry, next) {
		parcel->wanted_back = true;
		parcel_take_back(broker, parcel);
	}
	broker_check_stopped(broker);
}

static void unpin_abandoned(struct broker *broker, struct parcel *parcel)
{
	struct memory_job *job = calloc(1, sizeof(*job));

	if (!job)
		return; /* the holder keeps it, and the next daemon drops it */
	job->kind = MEMORY_UNPIN;
	job->fd = -1;
	job->pinned = TAKE_PTR(parcel->pinned);
	broker->options.memory_ops->submit(broker->options.memory, job);
}

struct broker *broker_free(struct broker *broker, bool abandon)
{
	struct parcel *parcel;

	if (!broker)
		return NULL;
	broker->stopped = true;
	mailbox_done(&broker->mailbox); /* letters may still speak of parcels */
	while ((parcel = TAILQ_FIRST(&broker->parcels))) {
		if (abandon && parcel->pinned)
			unpin_abandoned(broker, parcel);
		quota_give_back(broker->quota, &parcel->charge);
		broker_forget(broker, parcel);
	}
	if (broker->retry_timer)
		event_free(broker->retry_timer);
	quota_free(broker->quota);
	policy_unref(broker->policy);
	free(broker);
	return NULL;
}
