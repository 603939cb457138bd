/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A Varlink server: framing, org.varlink.service, descriptors, peer credentials. It knows nothing of
 * memory parcels; the interfaces that it serves are given to it as tables.
 *
 * A server has I/O threads, each with a libevent base and its own share of the connections. Methods
 * are called in the connection's thread and must not block: a method either finishes the call at once
 * or keeps the struct varlink_call and finishes it later, in that same thread. Calls of one connection
 * are handed out one at a time, in order; the next one is read when the last is finished.
 *
 * What is done with bad input: a frame that is no JSON object or has no method string, or is over
 * 16 MiB, is answered with org.varlink.service.InvalidParameter and the connection is closed, after
 * the answers before it are out; everything else is an error reply and the connection goes on.
 */

#include <jansson.h>
#include <sys/types.h>

#include <event2/event.h>

#include "util/util.h"

/* Bytes of a message without the terminating NUL (contract §3), descriptors with one. */
#define VARLINK_MESSAGE_MAX                  (16u * 1024 * 1024)
#define VARLINK_FDS_MAX                      16

#define VARLINK_ERROR_INTERFACE_NOT_FOUND    "org.varlink.service.InterfaceNotFound"
#define VARLINK_ERROR_METHOD_NOT_FOUND       "org.varlink.service.MethodNotFound"
#define VARLINK_ERROR_METHOD_NOT_IMPLEMENTED "org.varlink.service.MethodNotImplemented"
#define VARLINK_ERROR_INVALID_PARAMETER      "org.varlink.service.InvalidParameter"
#define VARLINK_ERROR_PERMISSION_DENIED      "org.varlink.service.PermissionDenied"
#define VARLINK_ERROR_EXPECTED_MORE          "org.varlink.service.ExpectedMore"

struct varlink_server;
struct varlink_connection;
struct varlink_call;

/* The kernel's word about the process that connected; valid as long as the connection. */
struct varlink_peer {
	uid_t uid;
	gid_t gid;
	pid_t pid;
	int pidfd;     /* -1 when the process was gone already or cannot be told for certain */
	gid_t *groups; /* primary and supplementary */
	size_t n_groups;
	char *unit;        /* systemd unit, NULL when there is none or it is unknown */
	bool unit_unknown; /* could not be found out: no NULL to rely on */
};

struct varlink_method {
	const char *name; /* without the interface */
	/*
	 * Owns the call until it finishes it with varlink_reply or varlink_error. parameters: an
	 * object, never NULL, borrowed until the call is finished.
	 */
	void (*call)(struct varlink_call *call, json_t *parameters, void *userdata);
	bool needs_more; /* without `more` the call is answered ExpectedMore */
};

struct varlink_interface {
	const char *name;
	const char *description; /* the definition, as GetInterfaceDescription returns it */
	const struct varlink_method *methods; /* ends with a NULL name */
};

/* Copied by varlink_server_new, but not what it points to. */
struct varlink_server_options {
	const char *vendor, *product, *version, *url;      /* for GetInfo */
	const struct varlink_interface *const *interfaces; /* NULL-terminated */
	void *userdata;
	unsigned threads;
	/*
	 * Open connections: of all, the last ones of these for uid 0 only, and of each uid but 0. One
	 * over a bound is closed as soon as it is accepted. 0: no such bound.
	 */
	size_t connections_max, connections_reserved, connections_per_uid;
	/*
	 * Called in the connection's thread. opened returns the connection's own userdata (may be NULL);
	 * closed is called exactly once per connection, after which no call of it is alive in the
	 * server: calls kept by a method must be finished all the same (the reply goes nowhere).
	 */
	void *(*opened)(struct varlink_connection *connection, void *userdata);
	void (*closed)(
		struct varlink_connection *connection, void *connection_userdata, void *userdata);
	/*
	 * Called once in each I/O thread before its loop starts (perhaps before varlink_server_new has
	 * returned) and after it ended, when all its connections are closed. May be NULL.
	 */
	void *(*thread_started)(struct event_base *base, unsigned index, void *userdata);
	void (*thread_stopped)(void *thread_userdata, void *userdata);
};

/* Sets the bounds so that a process with so many descriptors does not run out of them. */
void varlink_server_bound_connections(struct varlink_server_options *options, size_t descriptors);

/*
 * Serves a listening stream socket, which belongs to the server from a success on. Returns 0 or
 * -errno.
 */
int varlink_server_new(
	struct varlink_server **ret, int listen_fd, const struct varlink_server_options *options);

/* Stops accepting connections; open ones go on. */
void varlink_server_stop_listening(struct varlink_server *server);

/* Closes all connections and ends the threads. Accepts and returns NULL. */
struct varlink_server *varlink_server_free(struct varlink_server *server);

/* ---- connections; only in their own thread ---- */

const struct varlink_peer *varlink_connection_peer(const struct varlink_connection *connection);
uint64_t varlink_connection_id(const struct varlink_connection *connection); /* never repeats */
void *varlink_connection_userdata(const struct varlink_connection *connection);
void *varlink_connection_thread_userdata(const struct varlink_connection *connection);

/* ---- calls; only in their connection's thread ---- */

/* NULL when the connection is closed: the call must still be finished. */
struct varlink_connection *varlink_call_connection(const struct varlink_call *call);
bool varlink_call_more(const struct varlink_call *call);
bool varlink_call_oneway(const struct varlink_call *call);

/* Number of descriptors that came with the message. */
size_t varlink_call_n_fds(const struct varlink_call *call);
/* Takes descriptor number i out of the message: the caller's to close. -1 if there is none, or it
 * has been taken. Descriptors that nobody takes are closed with the call. */
int varlink_call_take_fd(struct varlink_call *call, size_t i);

/*
 * Finishes the call. parameters is stolen (NULL: {}); fd, when not -1, travels with the reply and is
 * closed. With `oneway` nothing is sent. Returns false when the reply can certainly not be delivered:
 * the connection is gone.
 */
bool varlink_reply(struct varlink_call *call, json_t *parameters, int fd);

/*
 * One reply of several: continues is true, the call stays open. Only for calls with `more`. Steals
 * parameters. Returns false when the connection is gone.
 */
bool varlink_reply_continues(struct varlink_call *call, json_t *parameters);

/*
 * Finishes the call without an answer and closes its connection, after what was answered before is
 * out: for a reply that cannot be made, since an empty one would pass for another answer.
 */
void varlink_abort(struct varlink_call *call);

/* Finishes the call with an error, name fully qualified. Steals parameters. As varlink_reply. */
bool varlink_error(struct varlink_call *call, const char *name, json_t *parameters);

/* org.varlink.service.InvalidParameter with the field's name, a path for inner ones ("memory.fd"). */
bool varlink_error_invalid_parameter(struct varlink_call *call, const char *parameter);

/* org.varlink.service.MethodNotImplemented for a method that the interface has and this version not. */
bool varlink_error_not_implemented(struct varlink_call *call);
