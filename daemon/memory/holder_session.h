/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What is put, dropped and owed over the changing holders of a state directory. At any time each
 * ring of the table is this process's and a second one's: the holder's, or a keeper's while no
 * holder has it. One thread at a time.
 */

#include "daemon/memory/holder_peer.h"
#include "daemon/memory/keeper.h"
#include "daemon/memory/pin_table.h"

struct holder_session {
	struct holder_place place;
	struct holder_peer peer;
	struct pin_table table;
	struct keeper keeper;
	char tag[HOLDER_TAG_MAX];
	const char *dead_tag; /* while it starts */
	uint64_t next_name;
	uint64_t left_entries, left_pages;     /* found at the start and kept */
	uint64_t opened_at, retry_at, backoff; /* microseconds */
	bool holder_died;                      /* the last one, for certain */
	bool keeper_stale;                     /* it has a ring that has been dropped */
	bool complained;
};

/* Before anything else; place's strings and descriptors stay the caller's. */
void holder_session_init(
	struct holder_session *session, const struct holder_place *place, const char *tag);

/* Closes everything here. Pins go on with the holder, or with the keeper that was left. */
void holder_session_done(struct holder_session *session);

/*
 * Reaches or starts the holder, drops entries whose tag begins with dead_tag, becomes second owner
 * of the rest. Returns 0 or -errno; *ret_doing says what failed.
 */
int holder_session_start(
	struct holder_session *session, const char *dead_tag, const char **ret_doing);

/* The connection has ended. */
void holder_session_lost(struct holder_session *session, int why);

/*
 * Does what is still to be done: a connection, drops that are owed, rings that the holder lacks.
 * Returns 0 or -errno; holder_session_timeout() tells when to try again.
 */
int holder_session_restore(struct holder_session *session);

/* Milliseconds until restoring is due; -1: there is nothing to restore. */
int holder_session_timeout(const struct holder_session *session);

/*
 * Puts under a new name, which goes to the request. Returns 0 when there is a reply, -EREMOTEIO in
 * it for a pin that could not be copied out of the holder; or -errno.
 */
int holder_session_put(struct holder_session *session, struct holder_request *request, int fd,
	struct holder_reply *ret);

/* Returns 0: nobody keeps it any more; or -errno: the drop is owed, and done when it can be. */
int holder_session_drop(struct holder_session *session, uint64_t name);

/* The process is about to end: makes sure that somebody else has every ring. */
void holder_session_part(struct holder_session *session);
