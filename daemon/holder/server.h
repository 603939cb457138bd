/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The holder's socket, its one connection, and the commands that come over it. */

#include <stdbool.h>

#include "daemon/holder/keep.h"

struct server {
	struct keep keep;
	int directory_fd; /* STATE_DIR */
	int listen_fd;
	int connection_fd; /* -1: none */
	int self_fd;       /* pidfd of this process, for the daemon's pidfd_getfd */
	bool greeted;      /* the connection has shown the lock */
	uint64_t epoch;
	uint32_t abilities;
	uint64_t
		hello_deadline; /* microseconds, while connected and not greeted; else UINT64_MAX */
	uint64_t
		client_deadline; /* when clients are closed; UINT64_MAX: not while a daemon is there */
	uint64_t accept_after;    /* 0, or when to try again after there was no descriptor */
	uint64_t empty_since;     /* UINT64_MAX: not empty, or connected */
	uint64_t client_patience; /* microseconds */
};

/* Accepts what waits at the socket: the first becomes the connection, others are refused. */
void server_accept(struct server *server);

/* Answers one request of the connection. */
void server_answer(struct server *server);

void server_disconnect(struct server *server);

/* Does what is due, and returns the microseconds until something will be; UINT64_MAX: nothing. */
uint64_t server_tick(struct server *server);
