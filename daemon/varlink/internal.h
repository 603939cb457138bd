/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of the Varlink server share. Everything here belongs to one I/O thread, except
 * struct varlink_server, whose fields are constant once the threads run, but for the atomic ones and
 * the bounds.
 */

#include <stdatomic.h>

#include <bsd/sys/queue.h>
#include <bsd/sys/tree.h>
#include <event2/event_struct.h>
#include <pthread.h>

#include "daemon/varlink/server.h"
#include "util/mailbox.h"

/*
 * JSON trees are about fifty times larger than the densest text that makes them ("[[],[],…"). This
 * many values are more than a well-meant message of 16 MiB holds, and bound what a hostile one costs.
 */
#define VARLINK_VALUES_MAX     (2u * 1024 * 1024)
#define VARLINK_CONTAINERS_MAX (512u * 1024)

/* Above this many unsent bytes no further call is read, */
#define VARLINK_OUTPUT_PAUSE (256u * 1024)
/* and above this many the client is given up: it asks for `more` and does not read. */
#define VARLINK_OUTPUT_MAX (32u * 1024 * 1024)

/* ---- input.c: bytes to messages ---- */

struct varlink_input {
	char *buffer; /* the message so far, from its first byte */
	size_t used, capacity;
	int fds[VARLINK_FDS_MAX]; /* that came with the bytes in buffer */
	size_t n_fds;
};

enum varlink_input_result {
	VARLINK_INPUT_MESSAGE, /* a whole message, used counts its NUL */
	VARLINK_INPUT_WAIT,    /* not all there yet */
	VARLINK_INPUT_EOF,
	VARLINK_INPUT_FAULT, /* the peer broke the protocol */
	VARLINK_INPUT_ERROR, /* the socket or our memory failed */
};

enum varlink_input_result input_read(struct varlink_input *input, int fd);
/* Forgets the message; descriptors that nobody took are closed. */
void input_reset(struct varlink_input *input);
void input_done(struct varlink_input *input);

/* ---- output.c: replies to bytes ---- */

struct varlink_packet {
	STAILQ_ENTRY(varlink_packet) link;
	char *data;
	size_t size, sent;
	int fd; /* goes with the first byte; -1 */
};

struct varlink_output {
	STAILQ_HEAD(, varlink_packet) packets;
	size_t unsent; /* bytes */
	size_t n_fds;  /* descriptors that wait */
};

void output_init(struct varlink_output *output);
/* Owns data (size bytes, malloc'ed) and fd, also on failure. Returns 0 or -ENOMEM. */
int output_queue(struct varlink_output *output, char *data, size_t size, int fd);
/* So much waits that no further call is to be read: bytes, or any descriptor, since those are few. */
bool output_is_full(const struct varlink_output *output);
/* Returns 0 when all is sent, -EAGAIN when the peer must read first, another -errno when it is gone. */
int output_flush(struct varlink_output *output, int fd);
void output_done(struct varlink_output *output);

/* ---- peer.c ---- */

/* Asks the kernel for uid, gid and pid of the other end. Returns 0 or -errno. */
int peer_read_credentials(struct varlink_peer *peer, int fd);
/*
 * Then for all the rest, which costs more. pidfd stays -1 when the process cannot be told for
 * certain; gone says that it has ended. Returns 0 or -errno; peer is done then.
 */
int peer_read_process(struct varlink_peer *peer, int fd, bool *ret_gone);
void peer_done(struct varlink_peer *peer);

/* ---- bounds.c ---- */

/*
 * How many connections each uid has. The one thing that the threads share under a lock: a bound holds
 * for all threads together and decides at once, while a letter to an owner of the counts would leave
 * the accepted connection in between. The lock is held for a look into a tree, and across no call.
 */
struct bounds {
	pthread_mutex_t lock;
	size_t n;
	RB_HEAD(uid_use_tree, uid_use) uids; /* those that have any */
};

struct bounds_use {
	size_t of_uid, all;
};

void bounds_init(struct bounds *bounds);
void bounds_done(struct bounds *bounds);
/*
 * Counts a connection. Returns 0, -EUSERS when a bound is reached or -ENOMEM, and then it is not
 * counted; use is what there was before.
 */
int bounds_enter(struct varlink_server *server, uid_t uid, struct bounds_use *ret_use);
void bounds_leave(struct varlink_server *server, uid_t uid);

/* ---- connection.c ---- */

struct varlink_connection {
	LIST_ENTRY(varlink_connection) link;
	struct varlink_thread *thread;
	void *userdata;
	uint64_t id;
	int fd;
	struct varlink_peer peer;
	struct varlink_input input;
	struct varlink_output output;
	struct varlink_call *current; /* handed out and not finished */
	bool eof;                     /* nothing more to read */
	bool fault;                   /* to be closed when the output is out */
	bool dead;                    /* to be freed when the stack is back in the loop */
	bool running;                 /* connection_run is on the stack */
	struct event read_event, write_event, pidfd_event, resume_event;
};

/* Owns fd, also on failure, which costs that client only. Returns 0 or -errno. */
int connection_new(struct varlink_thread *thread, int fd);
/* Calls `closed`, orphans the call that a method keeps, closes. */
struct varlink_connection *connection_free(struct varlink_connection *connection);
/* Sends one message (stolen) and fd (owned). False when it cannot be delivered. */
bool connection_send(struct varlink_connection *connection, json_t *message, int fd);
/* To be called whenever current was finished. */
void connection_call_finished(struct varlink_connection *connection);

/* ---- call.c ---- */

struct varlink_call {
	struct varlink_connection *connection; /* NULL: closed */
	json_t *message, *parameters;
	const char *method; /* fully qualified; part of message */
	int fds[VARLINK_FDS_MAX];
	size_t n_fds;
	bool more, oneway;
};

/*
 * Makes a call of the message in the connection's input and hands it to its method. Returns NULL,
 * or the field to blame when the message is none: the connection ends then.
 */
const char *call_dispatch(struct varlink_connection *connection);

/*
 * varlink_reply (error NULL) or varlink_error for parameters that were just made: NULL, which those
 * take for {}, is a failure here and aborts the call.
 */
bool call_answer(struct varlink_call *call, const char *error, json_t *parameters);

/* ---- service.c ---- */

extern const struct varlink_interface varlink_service_interface;

const struct varlink_interface *service_find_interface(
	const struct varlink_server *server, const char *name, size_t length);

/* ---- server.c ---- */

struct varlink_thread {
	struct varlink_server *server;
	unsigned index;
	pthread_t pthread;
	struct event_base *base;
	void *userdata;
	struct mailbox mailbox;
	struct letter quit_letter, stop_listening_letter;
	struct event listen_event, pause_event;
	bool listening;
	LIST_HEAD(, varlink_connection) connections;
};

struct varlink_server {
	struct varlink_server_options options;
	struct varlink_thread *threads;
	unsigned n_started;
	int listen_fd;
	_Atomic unsigned n_listening; /* the thread that makes it 0 closes listen_fd */
	_Atomic bool stop_listening_posted;
	_Atomic uint64_t next_id;
	struct bounds bounds;
	/* When each may be logged again, monotonic microseconds. */
	_Atomic uint64_t next_complaint, next_refusal, next_abort;
};

/* True when the time has come, which is then moved on: a line in a while is enough. */
bool server_may_complain(_Atomic uint64_t *next);
