/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A server with an interface made for tests (org.example.test), in this process and on a real
 * socket, and clients that write what bytes they like.
 */

#include <stdatomic.h>

#include "daemon/varlink/server.h"

struct fixture_counters {
	_Atomic unsigned opened, closed;
	_Atomic unsigned notes;       /* calls of Note */
	_Atomic unsigned kept;        /* calls of Hold */
	_Atomic unsigned orphans;     /* of those, finished after their connection's end */
	_Atomic unsigned undelivered; /* replies that were told to go nowhere */
	_Atomic unsigned threads_started, threads_stopped;
};

extern struct fixture_counters counters;
extern char fixture_path[];
extern struct varlink_server *fixture_server;

void fixture_start(void); /* two I/O threads */
/* bounds: only its connections_ fields count. */
void fixture_start_with(unsigned threads, const struct varlink_server_options *bounds);
void fixture_stop(void);

/* Waits until a counter has this value; fails the test after ten seconds. */
void fixture_await(const _Atomic unsigned *counter, unsigned value);

/* Descriptors open in this process. */
unsigned fixture_count_fds(void);

struct client {
	int fd;
	char *buffer; /* received and not yet looked at */
	size_t used;
	int fds[16]; /* received with those bytes */
	size_t n_fds;
};

void client_open(struct client *client);    /* a socket only */
int client_try(struct client *client);      /* connects it; 0 or -errno */
void client_connect(struct client *client); /* both */
void client_close(struct client *client);
/* Single quotes in text become double ones, its NUL is sent. */
void client_send(struct client *client, const char *text);
void client_send_raw(struct client *client, const void *data, size_t size);
void client_send_fds(struct client *client, const char *text, const int *fds, size_t n);
json_t *client_receive(struct client *client);
/* Receives one message, which must be this JSON (single quotes as above). */
void client_expect(struct client *client, const char *text);
/* Nothing more comes, and the server has closed. */
void client_expect_end(struct client *client);
/* An org.varlink.service error with one parameter. */
void client_expect_error(
	struct client *client, const char *name, const char *field, const char *value);
/* True when a message comes, which is dropped, false at the end of the connection. */
bool client_gets_answer(struct client *client);
/* Echo works: the connection is in order. */
void client_expect_alive(struct client *client);

/* A memfd with this text. */
int file_of(const char *text);
