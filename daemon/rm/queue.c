/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/rm/queue.h"

#include <errno.h>

/* The bulk jobs of one connection; exists as long as it has any. */
struct bulk_turn {
	TAILQ_ENTRY(bulk_turn) entry;
	struct bulk_uid *uid;
	uint64_t connection;
	struct rm_job_list jobs;
};

/* The connections of one uid that have bulk jobs; exists as long as there are any. */
struct bulk_uid {
	TAILQ_ENTRY(bulk_uid) entry;
	uid_t uid;
	struct bulk_turn_list turns; /* in the order of their turns */
};

void queue_init(struct job_queue *queue)
{
	*queue = (struct job_queue){ 0 };
	TAILQ_INIT(&queue->urgent);
	TAILQ_INIT(&queue->bulk);
}

void queue_done(struct job_queue *queue)
{
	if (!TAILQ_EMPTY(&queue->urgent) || !TAILQ_EMPTY(&queue->bulk))
		abort();
}

static struct bulk_uid *queue_uid(struct job_queue *queue, uid_t uid)
{
	struct bulk_uid *found;

	TAILQ_FOREACH (found, &queue->bulk, entry)
		if (found->uid == uid)
			return found;
	return NULL;
}

static struct bulk_turn *uid_turn(struct bulk_uid *uid, uint64_t connection)
{
	struct bulk_turn *found;

	TAILQ_FOREACH (found, &uid->turns, entry)
		if (found->connection == connection)
			return found;
	return NULL;
}

int queue_add(struct job_queue *queue, struct rm_job *job)
{
	_cleanup_free_ struct bulk_uid *new_uid = NULL;
	struct bulk_uid *uid;
	struct bulk_turn *turn;

	if (job->urgent) {
		TAILQ_INSERT_TAIL(&queue->urgent, job, entry);
		return 0;
	}
	uid = queue_uid(queue, job->uid);
	if (!uid) {
		uid = new_uid = calloc(1, sizeof(*uid));
		if (!uid)
			return -ENOMEM;
		uid->uid = job->uid;
		TAILQ_INIT(&uid->turns);
	}
	turn = uid_turn(uid, job->connection);
	if (!turn) {
		turn = calloc(1, sizeof(*turn));
		if (!turn)
			return -ENOMEM;
		turn->uid = uid;
		turn->connection = job->connection;
		TAILQ_INIT(&turn->jobs);
		TAILQ_INSERT_TAIL(&uid->turns, turn, entry);
	}
	if (new_uid) {
		TAILQ_INSERT_TAIL(&queue->bulk, uid, entry);
		new_uid = NULL;
	}
	job->turn = turn;
	TAILQ_INSERT_TAIL(&turn->jobs, job, entry);
	return 0;
}

void queue_remove(struct job_queue *queue, struct rm_job *job)
{
	struct bulk_turn *turn = job->turn;
	struct bulk_uid *uid;

	if (!turn) {
		TAILQ_REMOVE(&queue->urgent, job, entry);
		return;
	}
	job->turn = NULL;
	TAILQ_REMOVE(&turn->jobs, job, entry);
	if (!TAILQ_EMPTY(&turn->jobs))
		return;
	uid = turn->uid;
	TAILQ_REMOVE(&uid->turns, turn, entry);
	if (queue->served == turn)
		queue->served = NULL;
	free(turn);
	if (!TAILQ_EMPTY(&uid->turns))
		return;
	TAILQ_REMOVE(&queue->bulk, uid, entry);
	if (queue->served_uid == uid)
		queue->served_uid = NULL;
	free(uid);
}

/* Only now, so that what was added meanwhile comes before what has just been served. */
static void queue_rotate(struct job_queue *queue)
{
	struct bulk_uid *uid = queue->served_uid;
	struct bulk_turn *turn = queue->served;

	if (uid) {
		TAILQ_REMOVE(&queue->bulk, uid, entry);
		TAILQ_INSERT_TAIL(&queue->bulk, uid, entry);
	}
	if (turn) {
		TAILQ_REMOVE(&turn->uid->turns, turn, entry);
		TAILQ_INSERT_TAIL(&turn->uid->turns, turn, entry);
	}
}

static struct rm_job *queue_choose_bulk(struct job_queue *queue)
{
	queue_rotate(queue);
	queue->served_uid = TAILQ_FIRST(&queue->bulk);
	queue->served = TAILQ_FIRST(&queue->served_uid->turns);
	return TAILQ_FIRST(&queue->served->jobs);
}

struct rm_job *queue_choose(struct job_queue *queue)
{
	struct rm_job *urgent = TAILQ_FIRST(&queue->urgent);

	if (TAILQ_EMPTY(&queue->bulk)) {
		queue->urgent_in_a_row = 0;
		return urgent;
	}
	if (urgent && queue->urgent_in_a_row < QUEUE_URGENT_IN_A_ROW) {
		queue->urgent_in_a_row++;
		return urgent;
	}
	queue->urgent_in_a_row = 0;
	return queue_choose_bulk(queue);
}

void queue_visit(
	struct job_queue *queue, void (*visit)(struct rm_job *job, void *userdata), void *userdata)
{
	struct bulk_uid *uid, *next_uid;
	struct bulk_turn *turn, *next_turn;
	struct rm_job *job, *next;

	/* The last job of a turn takes the turn and perhaps the uid along, so look ahead. */
	for (job = TAILQ_FIRST(&queue->urgent); job; job = next) {
		next = TAILQ_NEXT(job, entry);
		visit(job, userdata);
	}
	for (uid = TAILQ_FIRST(&queue->bulk); uid; uid = next_uid) {
		next_uid = TAILQ_NEXT(uid, entry);
		for (turn = TAILQ_FIRST(&uid->turns); turn; turn = next_turn) {
			next_turn = TAILQ_NEXT(turn, entry);
			for (job = TAILQ_FIRST(&turn->jobs); job; job = next) {
				next = TAILQ_NEXT(job, entry);
				visit(job, userdata);
			}
		}
	}
}
