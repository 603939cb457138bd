/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/mailbox.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void mailbox_on_event(evutil_socket_t fd, short what _unused_, void *userdata)
{
	uint64_t count;

	if (read(fd, &count, sizeof(count)) < 0)
		return; /* woken without need */
	mailbox_drain(userdata);
}

int mailbox_init(struct mailbox *mailbox, struct event_base *base, void *userdata)
{
	*mailbox = (struct mailbox){ .fd = -1, .userdata = userdata };
	mailbox->tail = &mailbox->head;
	mailbox->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mailbox->fd < 0)
		return -errno;
	mailbox->event =
		event_new(base, mailbox->fd, EV_READ | EV_PERSIST, mailbox_on_event, mailbox);
	if (!mailbox->event || event_add(mailbox->event, NULL) < 0) {
		if (mailbox->event)
			event_free(mailbox->event);
		mailbox->event = NULL;
		mailbox->fd = util_close(mailbox->fd);
		return -ENOMEM;
	}
	pthread_mutex_init(&mailbox->lock, NULL);
	return 0;
}

void mailbox_unwatch(struct mailbox *mailbox)
{
	if (mailbox->event)
		event_free(mailbox->event);
	mailbox->event = NULL;
}

void mailbox_done(struct mailbox *mailbox)
{
	if (!mailbox->tail || mailbox->fd < 0)
		return;
	mailbox_unwatch(mailbox);
	mailbox_drain(mailbox);
	mailbox->fd = util_close(mailbox->fd);
	pthread_mutex_destroy(&mailbox->lock);
}

void mailbox_post(struct mailbox *mailbox, struct letter *letter)
{
	static const uint64_t one = 1;
	bool first;

	letter->next = NULL;
	pthread_mutex_lock(&mailbox->lock);
	first = !mailbox->head;
	*mailbox->tail = letter;
	mailbox->tail = &letter->next;
	pthread_mutex_unlock(&mailbox->lock);
	/* The counter cannot overflow: it is written once per emptied queue. */
	if (first && write(mailbox->fd, &one, sizeof(one)) < 0)
		abort();
}

void mailbox_drain(struct mailbox *mailbox)
{
	struct letter *letter, *next;

	pthread_mutex_lock(&mailbox->lock);
	letter = mailbox->head;
	mailbox->head = NULL;
	mailbox->tail = &mailbox->head;
	pthread_mutex_unlock(&mailbox->lock);
	for (; letter; letter = next) {
		next = letter->next;
		letter->deliver(letter, mailbox->userdata);
	}
}
