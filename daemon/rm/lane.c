/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/rm/lane.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "daemon/rm/exchange.h"
#include "util/util.h"

struct lane {
	pthread_t thread;
	struct event_base *base;
	struct mailbox intake;
	struct letter stop, look; /* look: at the cancelled flags */
	atomic_bool look_posted;
	struct exchange exchange; /* the thread's */
};

/* ---- in the thread ---- */

static void lane_on_submitted(struct letter *letter, void *userdata)
{
	struct lane *lane = userdata;

	exchange_add(&lane->exchange, container_of(letter, struct rm_job, submitted));
}

static void lane_on_look(struct letter *letter _unused_, void *userdata)
{
	struct lane *lane = userdata;

	/* Before looking: a flag set after that posts the letter again. */
	atomic_store(&lane->look_posted, false);
	exchange_return_cancelled(&lane->exchange);
}

static void lane_on_stop(struct letter *letter _unused_, void *userdata)
{
	struct lane *lane = userdata;

	exchange_close(&lane->exchange);
	event_base_loopbreak(lane->base);
}

static void *lane_run(void *userdata)
{
	struct lane *lane = userdata;

	event_base_loop(lane->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

/* ---- for the owner ---- */

static void lane_destroy(struct lane *lane)
{
	mailbox_done(&lane->intake);
	exchange_done(&lane->exchange);
	if (lane->base)
		event_base_free(lane->base);
	free(lane);
}

static void lane_destroyp(struct lane **lane)
{
	if (*lane)
		lane_destroy(*lane);
}

static int lane_spawn(struct lane *lane)
{
	sigset_t all, before;
	int r;

	/* Signals are the main thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&lane->thread, NULL, lane_run, lane);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pthread_setname_np(lane->thread, "rm-lane");
	return r;
}

int lane_new(struct lane **ret, struct link *link, const struct lane_options *options)
{
	_cleanup_(lane_destroyp) struct lane *lane = calloc(1, sizeof(*lane));
	int r;

	if (!lane)
		return -ENOMEM;
	lane->stop.deliver = lane_on_stop;
	lane->look.deliver = lane_on_look;
	lane->base = event_base_new();
	if (!lane->base)
		return -ENOMEM;
	r = mailbox_init(&lane->intake, lane->base, lane);
	if (r < 0) {
		lane->intake.event = NULL; /* so that mailbox_done knows that there is none */
		return r;
	}
	r = exchange_init(&lane->exchange, lane->base, link, options);
	if (r < 0)
		return r;
	r = lane_spawn(lane);
	if (r < 0) {
		lane->exchange.link = NULL; /* stays the caller's */
		return r;
	}
	*ret = TAKE_PTR(lane);
	return 0;
}

struct lane *lane_free(struct lane *lane)
{
	if (!lane)
		return NULL;
	mailbox_post(&lane->intake, &lane->stop);
	pthread_join(lane->thread, NULL);
	lane_destroy(lane);
	return NULL;
}

void lane_submit(struct lane *lane, struct rm_job *job)
{
	job->submitted.deliver = lane_on_submitted;
	mailbox_post(&lane->intake, &job->submitted);
}

void lane_cancel(struct lane *lane, struct rm_job *job)
{
	atomic_store(&job->cancelled, true);
	if (!atomic_exchange(&lane->look_posted, true))
		mailbox_post(&lane->intake, &lane->look);
}
