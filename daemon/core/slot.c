/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Resource Manager's parcels are the scarcest thing on the machine: 64 for the whole VM. A request
 * that finds none free may wait; who came first is served first.
 */

#include "daemon/core/internal.h"

static void take(struct operation *operation)
{
	operation->parcel->has_slot = true;
	operation->broker->slots_used++;
}

static enum progress refuse(struct operation *operation)
{
	struct request *request = operation->request;

	request_fail(request, OUTCOME_QUOTA_EXCEEDED,
		"all %d parcels that the Resource Manager gives to one VM are in use",
		BROKER_SLOTS);
	if (request->reply.outcome == OUTCOME_QUOTA_EXCEEDED && !request->reply.limit) {
		request->reply.limit = strdup("manager-slots");
		request->reply.used = operation->broker->slots_used;
		request->reply.maximum = BROKER_SLOTS;
	}
	return STEP_FAILED;
}

static void stop_waiting(struct operation *operation)
{
	TAILQ_REMOVE(&operation->broker->waiting, operation, queue);
	event_free(operation->wait_timer);
	operation->wait_timer = NULL;
}

static void on_waited_enough(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct operation *operation = userdata;

	stop_waiting(operation);
	operation_resume(operation, refuse(operation));
}

enum progress step_slot(struct operation *operation)
{
	struct broker *broker = operation->broker;
	uint64_t wait = operation->request->wait_usec;
	struct timeval time = {
		.tv_sec = (time_t)(wait / 1000000),
		.tv_usec = (suseconds_t)(wait % 1000000),
	};

	if (broker->slots_used < BROKER_SLOTS && TAILQ_EMPTY(&broker->waiting)) {
		take(operation);
		return STEP_DONE;
	}
	if (wait == 0)
		return refuse(operation);
	operation->wait_timer = evtimer_new(broker->options.base, on_waited_enough, operation);
	if (!operation->wait_timer || evtimer_add(operation->wait_timer, &time) < 0) {
		if (operation->wait_timer)
			event_free(operation->wait_timer);
		operation->wait_timer = NULL;
		return refuse(operation);
	}
	TAILQ_INSERT_TAIL(&broker->waiting, operation, queue);
	return STEP_WAIT;
}

void slot_stop_waiting(struct operation *operation)
{
	if (!operation->wait_timer)
		return;
	stop_waiting(operation);
	operation_resume(operation, STEP_FAILED);
}

void slot_give_back(struct broker *broker, struct parcel *parcel)
{
	struct operation *next;

	if (!parcel->has_slot)
		return;
	parcel->has_slot = false;
	broker->slots_used--;
	next = TAILQ_FIRST(&broker->waiting);
	if (!next || broker->stopping)
		return;
	stop_waiting(next);
	take(next);
	operation_resume(next, STEP_DONE);
}
