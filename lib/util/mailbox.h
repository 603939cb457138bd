/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The only way from one thread to another: a queue with an eventfd that the receiving thread's
 * libevent base watches. Letters are embedded in what they carry, so posting never allocates and
 * never fails; ownership of the carrying object passes to the receiver with the post.
 *
 * mailbox_post may be called by any thread, everything else by the receiving thread only.
 */

#include <event2/event.h>
#include <pthread.h>

#include "util/util.h"

struct letter {
	struct letter *next;
	/* Called in the receiver's thread with the userdata of its mailbox; owns the carrier. */
	void (*deliver)(struct letter *letter, void *userdata);
};

struct mailbox {
	pthread_mutex_t lock;
	struct letter *head, **tail;
	int fd;
	struct event *event;
	void *userdata;
};

/*
 * Watches the mailbox in base, which delivers each letter once, in the order of the posts.
 * Returns 0 or -errno.
 */
int mailbox_init(struct mailbox *mailbox, struct event_base *base, void *userdata);

/*
 * Stops watching, before the base is freed; letters still come in and mailbox_drain delivers them, in
 * whichever thread is the receiver's successor.
 */
void mailbox_unwatch(struct mailbox *mailbox);

/*
 * Ends a mailbox, watched or not. Letters that were not delivered are delivered now, so that none
 * leaks. Harmless for one that is zero or has ended.
 */
void mailbox_done(struct mailbox *mailbox);

/* Queues a letter, whose deliver must be set, and wakes the receiver. */
void mailbox_post(struct mailbox *mailbox, struct letter *letter);

/* Delivers all that is queued now; for the receiving thread when its loop no longer runs. */
void mailbox_drain(struct mailbox *mailbox);
