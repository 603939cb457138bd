/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Whose request is next (architecture.md, "The RM lane"): urgent jobs before bulk ones, at most
 * eight requests in a row while a bulk job waits; bulk jobs take turns by uid, then by connection, a
 * turn being one request. Jobs of one connection are done in the order they came.
 *
 * A job stays in the queue until it is removed, however many requests it takes. Not thread-safe.
 */

#include "daemon/rm/lane.h"

#define QUEUE_URGENT_IN_A_ROW 8

TAILQ_HEAD(rm_job_list, rm_job);
TAILQ_HEAD(bulk_turn_list, bulk_turn);
TAILQ_HEAD(bulk_uid_list, bulk_uid);

struct job_queue {
	struct rm_job_list urgent;
	struct bulk_uid_list bulk;   /* in the order of their turns */
	struct bulk_uid *served_uid; /* had the last turn, NULL when it is gone */
	struct bulk_turn *served;
	unsigned urgent_in_a_row; /* while a bulk job waited */
};

void queue_init(struct job_queue *queue);
void queue_done(struct job_queue *queue); /* must be empty */

/* Returns 0 or -ENOMEM; an urgent job is always taken. */
int queue_add(struct job_queue *queue, struct rm_job *job);
void queue_remove(struct job_queue *queue, struct rm_job *job);

/* The job whose request is to be sent now, which has had its turn thereby; NULL when empty. */
struct rm_job *queue_choose(struct job_queue *queue);

/*
 * Every job once, in no particular order; visit may remove the job that it is called for, and no
 * other.
 */
void queue_visit(
	struct job_queue *queue, void (*visit)(struct rm_job *job, void *userdata), void *userdata);
