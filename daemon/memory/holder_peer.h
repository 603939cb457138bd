/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* One connection to ghmemd-holder: finding or starting it, and asking it one thing at a time. */

#include <stdbool.h>

#include "daemon/holder/protocol.h"

struct holder_place {
	const char *state_dir;
	const char *holder_path;
	int directory_fd;  /* state_dir, opened */
	int lock_fd;       /* the locked lock file in it */
	unsigned patience; /* seconds that an answer may take; 0: what pinning may take */
};

struct holder_peer {
	int socket; /* -1: not connected */
	int pidfd;  /* of the holder, as it gave it */
	struct holder_reply hello;
};

#define HOLDER_PEER_NONE ((struct holder_peer){ .socket = -1, .pidfd = -1 })

void holder_peer_done(struct holder_peer *peer);

/*
 * Connects to the holder of that place; starts one when none is there and may_start. Waits some
 * seconds for a predecessor's connection or an ending holder to go away. Returns 0 or -errno:
 * -ENOENT or -ECONNREFUSED: no holder, and none was to be started; -EBUSY: it serves another.
 */
int holder_peer_open(struct holder_peer *peer, const struct holder_place *place, bool may_start);

/*
 * One request and its reply. fd, -1 for none, goes with the request and stays the caller's; ret_fd,
 * NULL when none is awaited, gets the descriptor that came with the reply or -1. Returns 0 when
 * there is a reply, whatever its result, or -errno after which the connection is useless.
 */
int holder_peer_ask(struct holder_peer *peer, const struct holder_request *request, int fd,
	struct holder_reply *ret, int *ret_fd);

/* Copies a descriptor out of the holder. Returns it or -errno. */
int holder_peer_copy(const struct holder_peer *peer, int fd);

/* Whether the holder's process has ended. */
bool holder_peer_is_dead(const struct holder_peer *peer);
