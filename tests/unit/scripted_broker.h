/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A broker of a few lines, in a thread: it answers each call with the next of the given answers,
 * whatever they are, and then says nothing more.
 */

#include <pthread.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ghmem/ghmem.h"
#include "util/util.h"

#define SCRIPTED_CALLS_MAX 8
#define SCRIPTED_FDS_MAX   20

struct answer {
	const char *bytes; /* without the NUL that ends a frame; NULL: hang up */
	size_t n;          /* length of bytes, when they hold several frames; 0: strlen */
	size_t n_fds;      /* descriptors of /dev/null to send with it */
	size_t chunk;      /* bytes a piece; 0: all at once */
	bool endless; /* send the bytes without the NUL for as long as the other end takes them */
	bool early;   /* send it before there is a call */
};

struct broker {
	struct sockaddr_un address;
	char text[128];
	int listener, connection;
	pthread_t thread;
	const struct answer *answers; /* ends with an empty one */
	size_t n_calls;
	char *calls[SCRIPTED_CALLS_MAX];
	int fds[SCRIPTED_FDS_MAX];
	size_t n_fds;
	struct ghmem *client;
};

/* Listens, without anybody who accepts. */
void broker_listen(struct broker *broker, const struct answer *answers);

/* Listens, answers, and connects broker->client. answers must live until broker_hang_up. */
void broker_start(struct broker *broker, const struct answer *answers);

/* Closes the client's connection and waits until the broker has read everything. */
void broker_hang_up(struct broker *broker);
void broker_done(struct broker *broker);
void broker_stop(struct broker *broker); /* both */
