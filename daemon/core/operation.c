/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/core/internal.h"

#include <stdarg.h>
#include <stdio.h>

#include "util/log.h"

static void operation_end(struct operation *operation)
{
	struct broker *broker = operation->broker;
	struct client *client = operation->client;

	if (operation->parcel)
		operation->parcel->operation = NULL;
	operation->plan->finish(operation, !operation->undoing);
	TAILQ_REMOVE(&broker->operations, operation, entry);
	if (client && --client->requests == 0 && client->gone)
		client_free(client);
	free(operation);
	broker_check_stopped(broker);
}

static bool client_lost(const struct operation *operation)
{
	return operation->plan->serves_client && operation->client &&
	       (operation->client->gone || operation->broker->stopping);
}

static void operation_run(struct operation *operation)
{
	const struct plan *plan = operation->plan;
	enum progress progress = STEP_DONE;

	while (!operation->undoing && operation->at < plan->n_steps) {
		if (client_lost(operation))
			break;
		progress = plan->steps[operation->at].begin(operation);
		if (progress == STEP_WAIT)
			return;
		if (progress == STEP_FAILED)
			operation->undoing = true;
		else
			operation->at++;
	}
	/* A reply that cannot be delivered counts as the client's death, at the very end too. */
	if (client_lost(operation))
		operation->undoing = true;
	if (operation->undoing && operation->at == plan->n_steps)
		operation->at--;
	while (operation->undoing) {
		const struct step *step = &plan->steps[operation->at];

		progress = step->undo ? step->undo(operation) : STEP_DONE;
		if (progress == STEP_WAIT)
			return;
		if (progress == STEP_FAILED || operation->at == 0)
			break;
		operation->at--;
	}
	operation_end(operation);
}

bool operation_start(struct broker *broker, const struct plan *plan, struct request *request,
	struct client *client, struct parcel *parcel)
{
	struct operation *operation = calloc(1, sizeof(*operation));

	if (!operation)
		return false;
	operation->broker = broker;
	operation->plan = plan;
	operation->request = request;
	operation->client = client;
	operation->parcel = parcel;
	if (client)
		client->requests++;
	if (parcel)
		parcel->operation = operation;
	TAILQ_INSERT_TAIL(&broker->operations, operation, entry);
	operation_run(operation);
	return true;
}

/* The completion of a step, or of an undo: both go on in the direction they were going. */
void operation_resume(struct operation *operation, enum progress progress)
{
	if (!operation->undoing) {
		if (progress == STEP_FAILED)
			operation->undoing = true;
		else
			operation->at++;
	} else if (progress == STEP_FAILED || operation->at == 0) {
		operation_end(operation);
		return;
	} else {
		operation->at--;
	}
	operation_run(operation);
}

void operation_abort(struct operation *operation)
{
	if (operation->wait_timer) {
		slot_stop_waiting(operation);
		return;
	}
	if (operation->plan->serves_client && operation->rm_submitted && !operation->undoing)
		operation->broker->options.rm_ops->cancel(
			operation->broker->options.rm, &operation->rm);
}

void operation_submit_rm(struct operation *operation, void (*deliver)(struct letter *, void *))
{
	const struct broker_options *options = &operation->broker->options;

	operation->rm.letter.deliver = deliver;
	operation->rm.cookie = operation->parcel->number;
	operation->rm.uid = operation->parcel->uid;
	operation->rm.connection = operation->client ? operation->client->id : 0;
	operation->rm_submitted = true;
	options->rm_ops->submit(options->rm, &operation->rm);
}

struct operation *operation_of_rm_letter(struct letter *letter)
{
	struct operation *operation = container_of(letter, struct operation, rm.letter);

	operation->rm_submitted = false;
	operation->parcel->rm_usec += operation->rm.rm_usec;
	return operation;
}

void operation_submit_memory(struct operation *operation, void (*deliver)(struct letter *, void *))
{
	const struct broker_options *options = &operation->broker->options;

	operation->memory.letter.deliver = deliver;
	operation->memory.reply_to = &operation->broker->mailbox;
	options->memory_ops->submit(options->memory, &operation->memory);
}

static void on_unpinned(struct letter *letter, void *userdata _unused_)
{
	operation_resume(container_of(letter, struct operation, memory.letter), STEP_DONE);
}

enum progress step_unpin(struct operation *operation)
{
	if (!operation->parcel || !operation->parcel->pinned)
		return STEP_DONE;
	operation->memory = (struct memory_job){ .kind = MEMORY_UNPIN, .fd = -1 };
	operation->memory.pinned = TAKE_PTR(operation->parcel->pinned);
	operation_submit_memory(operation, on_unpinned);
	return STEP_WAIT;
}

/* ---- answers ---- */

void request_fail(struct request *request, enum outcome outcome, const char *format, ...)
{
	va_list args;

	if (!request || request->reply.outcome != OUTCOME_OK)
		return;
	request->reply.outcome = outcome;
	va_start(args, format);
	if (vasprintf(&request->reply.reason, format, args) < 0)
		request->reply.reason = NULL;
	va_end(args);
}

void request_finish(struct request *request)
{
	if (!request)
		return;
	request->letter.deliver = request->deliver;
	mailbox_post(request->reply_to, &request->letter);
}

void request_reply_parcel(struct request *request, const struct parcel *parcel)
{
	if (!request)
		return;
	request->reply.parcels = calloc(1, sizeof(struct parcel_view));
	if (!request->reply.parcels || parcel_describe(parcel, request->reply.parcels) < 0) {
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "the daemon is out of memory");
		return;
	}
	request->reply.n_parcels = 1;
}

void request_fail_rm(struct request *request, const struct rm_job *job, const char *doing)
{
	if (!request)
		return;
	switch (job->outcome) {
	case RM_DONE: return;
	case RM_REFUSED:
		request_fail(request, OUTCOME_MANAGER_ERROR, "%s: %s%s", doing,
			ghrm_error_text(job->error),
			job->kind == RM_JOB_CREATE && job->messages == 0 &&
					job->error == GHRM_ARGUMENT_INVALID
				? "; is there such a virtual machine?"
				: "");
		request->reply.code = job->error;
		return;
	case RM_CANCELLED:
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE, "%s was cancelled", doing);
		return;
	case RM_UNAVAILABLE:
		request_fail(request, OUTCOME_MANAGER_UNAVAILABLE,
			"%s: the Resource Manager cannot be reached", doing);
		return;
	case RM_UNKNOWN:
		request_fail(request, OUTCOME_UNKNOWN,
			"%s: the Resource Manager did not answer in time; the memory stays "
			"withheld until "
			"its fate is known",
			doing);
		return;
	}
}
