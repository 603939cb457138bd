/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Packets on and off a link, many in one system call where the link is a socket. Nothing here
 * blocks. Not thread-safe.
 */

#include "daemon/rm/link.h"
#include "ghrm/packet.h"

/* One message on its way out. */
struct outbox {
	size_t n, sent; /* packets */
	uint16_t sizes[GHRM_PACKETS_MAX];
	uint8_t packets[GHRM_PACKETS_MAX][GHRM_PACKET_MAX];
};

void outbox_fill(struct outbox *outbox, const struct ghrm_message *message);

/* Returns 0 when all is sent, -EAGAIN when the link is full, else -errno, which may be temporary. */
int outbox_send(struct outbox *outbox, const struct link *link);

/* True for an error of outbox_send that says nothing about the link: try again a little later. */
bool outbox_error_is_temporary(int error);

#define INBOX_PACKETS 16
/* One byte more than a packet may have, so that a longer one is noticed. */
#define INBOX_ROOM (GHRM_PACKET_MAX + 1)

struct inbox {
	size_t n;
	size_t sizes[INBOX_PACKETS];
	uint8_t packets[INBOX_PACKETS][INBOX_ROOM];
	bool closed; /* the other end is gone; the packets before that are in the box */
};

/* Takes what is there, at most INBOX_PACKETS. Returns 0, -EAGAIN (nothing there), or -errno. */
int inbox_receive(struct inbox *inbox, const struct link *link);
