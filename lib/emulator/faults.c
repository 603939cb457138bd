/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Faults on order: late replies, swallowed replies, requests refused without being executed. */
#include "emulator/server-internal.h"

#include <errno.h>

#include "util/util.h"

/* Only clients suffer them: what guests inside the emulator say is no test's business. */
static bool faults_concern(const struct server *server, uint16_t vmid)
{
	return server->links[vmid] != NULL;
}

bool faults_refuse(void *userdata, uint16_t vmid, uint32_t msg_id, uint32_t *ret_error)
{
	struct server *server = userdata;
	struct failure *failure;

	if (!faults_concern(server, vmid))
		return false;
	TAILQ_FOREACH (failure, &server->faults.failures, entry) {
		if (failure->msg_id != msg_id)
			continue;
		*ret_error = failure->error;
		if (--failure->left == 0) {
			TAILQ_REMOVE(&server->faults.failures, failure, entry);
			free(failure);
		}
		return true;
	}
	return false;
}

int faults_add_failure(struct server *server, uint32_t msg_id, uint32_t error, uint64_t count)
{
	struct failure *failure;

	if (count == 0)
		return 0;
	failure = calloc(1, sizeof(*failure));
	if (!failure)
		return -ENOMEM;
	failure->msg_id = msg_id;
	failure->error = error;
	failure->left = count;
	TAILQ_INSERT_TAIL(&server->faults.failures, failure, entry);
	return 0;
}

static void arm(struct server *server)
{
	struct delayed *first = TAILQ_FIRST(&server->faults.delayed);
	uint64_t now = util_now_usec(), left;
	struct timeval wait;

	if (!first)
		return;
	left = first->due > now ? first->due - now : 0;
	wait.tv_sec = (time_t)(left / 1000000);
	wait.tv_usec = (suseconds_t)(left % 1000000);
	event_add(server->faults.timer, &wait);
}

static void on_due(evutil_socket_t fd _unused_, short events _unused_, void *userdata)
{
	struct server *server = userdata;
	struct delayed *first;

	while ((first = TAILQ_FIRST(&server->faults.delayed)) && first->due <= util_now_usec()) {
		struct ghrm_message reply = { .type = GHRM_REPLY,
			.seq = first->seq,
			.msg_id = first->msg_id,
			.payload = first->payload,
			.size = first->size };

		TAILQ_REMOVE(&server->faults.delayed, first, entry);
		emulator_send_reply(server->emulator, first->vmid, &reply);
		free(first);
	}
	arm(server);
}

bool faults_withhold(void *userdata, uint16_t vmid, const struct ghrm_message *reply)
{
	struct server *server = userdata;
	struct delayed *delayed;

	if (!faults_concern(server, vmid))
		return false;
	if (server->faults.drop > 0) {
		server->faults.drop--;
		return true;
	}
	/* While late replies are on their way no later one may overtake them. */
	if (server->faults.delay_usec == 0 && TAILQ_EMPTY(&server->faults.delayed))
		return false;
	delayed = malloc(sizeof(*delayed) + reply->size);
	if (!delayed)
		return false;
	delayed->due = util_now_usec() + server->faults.delay_usec;
	delayed->vmid = vmid;
	delayed->seq = reply->seq;
	delayed->msg_id = reply->msg_id;
	delayed->size = reply->size;
	memcpy(delayed->payload, reply->payload, reply->size);
	TAILQ_INSERT_TAIL(&server->faults.delayed, delayed, entry);
	arm(server);
	return true;
}

void faults_forget_delayed(struct server *server)
{
	struct delayed *delayed;

	while ((delayed = TAILQ_FIRST(&server->faults.delayed))) {
		TAILQ_REMOVE(&server->faults.delayed, delayed, entry);
		free(delayed);
	}
}

int faults_init(struct server *server)
{
	server->faults.timer = event_new(server->base, -1, 0, on_due, server);
	return server->faults.timer ? 0 : -ENOMEM;
}

void faults_done(struct server *server)
{
	struct failure *failure;

	faults_forget_delayed(server);
	while ((failure = TAILQ_FIRST(&server->faults.failures))) {
		TAILQ_REMOVE(&server->faults.failures, failure, entry);
		free(failure);
	}
	if (server->faults.timer)
		event_free(server->faults.timer);
}
