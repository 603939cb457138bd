/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/varlink/internal.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

#include "util/log.h"

/* Calls of one connection handled in a row before the others of the thread have their turn. */
#define CALLS_IN_A_ROW 32

/*
 * The end of a connection. "Hung up" is the state of the socket when nobody at the other end has it
 * open any more; a mere shutdown for writing is not that. Then
 *
 * - a call that waits for a reply has nobody who waits, so the connection ends with it still open;
 * - oneway calls were complete when they were sent: what lies in the socket is still read and done;
 * - if the process that connected has ended and the socket has not hung up, another process keeps
 *   it. The client is the one that connected: the connection ends at once.
 *
 * The socket is watched edge-triggered: while a call is handed out nothing is read, and yet the wake-up
 * for the hang-up must come through, without one per loop for the bytes that wait.
 */
static bool connection_is_hung_up(const struct varlink_connection *connection)
{
	struct pollfd pollfd = { .fd = connection->fd };

	return poll(&pollfd, 1, 0) > 0 && pollfd.revents & POLLHUP;
}

/* Ends the connection if nobody is left to read what may still be sent. */
static void connection_check_peer(struct varlink_connection *connection)
{
	if (connection->current ? connection->current->oneway
				: !connection->eof && !connection->fault)
		return;
	if (connection_is_hung_up(connection))
		connection->dead = true;
}

static void connection_flush(struct varlink_connection *connection)
{
	int r;

	if (connection->dead || STAILQ_EMPTY(&connection->output.packets))
		return;
	r = output_flush(&connection->output, connection->fd);
	if (r == -EAGAIN)
		r = event_add(&connection->write_event, NULL) < 0 ? -ENOMEM : 0;
	if (r < 0)
		connection->dead = true;
}

/* Answers a frame that is no call, as the last thing on this connection. */
static void connection_refuse(struct varlink_connection *connection, const char *field)
{
	log_debug("Varlink client of uid %u, pid %d broke the protocol (%s)", connection->peer.uid,
		(int)connection->peer.pid, field);
	connection->fault = true;
	connection_send(connection,
		json_pack("{s:s, s:{s:s}}", "error", VARLINK_ERROR_INVALID_PARAMETER, "parameters",
			"parameter", field),
		-1);
}

/* Reads one message and hands it out. Returns false when there is no more to do now. */
static bool connection_next(struct varlink_connection *connection)
{
	const char *fault;

	switch (input_read(&connection->input, connection->fd)) {
	case VARLINK_INPUT_MESSAGE: break;
	case VARLINK_INPUT_WAIT: return false;
	case VARLINK_INPUT_EOF:
		connection->eof = true;
		connection_check_peer(connection);
		return false;
	case VARLINK_INPUT_FAULT: connection_refuse(connection, "message"); return false;
	case VARLINK_INPUT_ERROR: connection->dead = true; return false;
	}
	fault = call_dispatch(connection);
	input_reset(&connection->input);
	if (fault) {
		connection_refuse(connection, fault);
		return false;
	}
	if (connection->current) {
		/* The hang-up's wake-up may have been that of the message. */
		connection_check_peer(connection);
		return false;
	}
	return true;
}

/* Hands out calls until one is kept, nothing is left, or too much waits to be sent. */
static void connection_run(struct varlink_connection *connection)
{
	static const struct timeval at_once = { 0 };
	unsigned calls = 0;

	connection->running = true;
	while (!connection->dead && !connection->current && !connection->eof &&
		!connection->fault) {
		if (output_is_full(&connection->output)) {
			connection_flush(connection);
			if (output_is_full(&connection->output))
				break;
		}
		if (calls++ == CALLS_IN_A_ROW) {
			/* By way of the timers, since an activated event would not let poll run. */
			if (event_add(&connection->resume_event, &at_once) < 0)
				connection->dead = true;
			break;
		}
		if (!connection_next(connection))
			break;
	}
	connection_flush(connection);
	connection->running = false;
}

/* The last thing that each callback from the loop does; the connection may be gone afterwards. */
static void connection_settle(struct varlink_connection *connection)
{
	if ((connection->eof || connection->fault) && !connection->current &&
		STAILQ_EMPTY(&connection->output.packets))
		connection->dead = true;
	if (connection->dead)
		connection_free(connection);
}

static void connection_on_read(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct varlink_connection *connection = userdata;

	connection_check_peer(connection);
	connection_run(connection);
	connection_settle(connection);
}

static void connection_on_write(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct varlink_connection *connection = userdata;

	connection_flush(connection);
	connection_run(connection);
	connection_settle(connection);
}

static void connection_on_pidfd(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct varlink_connection *connection = userdata;

	if (!connection_is_hung_up(connection))
		connection->dead = true;
	connection_run(connection);
	connection_settle(connection);
}

static void connection_on_resume(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct varlink_connection *connection = userdata;

	connection_run(connection);
	connection_settle(connection);
}

/* Methods call in here; freeing and the next call are left to the loop. */
static void connection_resume_later(struct varlink_connection *connection)
{
	if (!connection->running)
		event_active(&connection->resume_event, EV_TIMEOUT, 0);
}

void connection_call_finished(struct varlink_connection *connection)
{
	connection->current = NULL;
	connection_resume_later(connection);
}

bool connection_send(struct varlink_connection *connection, json_t *message, int fd)
{
	char *data = connection->dead ? NULL : json_dumps(message, JSON_COMPACT);

	json_decref(message);
	if (!data) {
		util_close(fd);
		connection->dead = true;
	} else if (output_queue(&connection->output, data, strlen(data) + 1, fd) < 0) {
		connection->dead = true;
	}
	/* In connection_run many replies may go with one system call. */
	if (!connection->running || connection->output.unsent > VARLINK_OUTPUT_MAX)
		connection_flush(connection);
	if (connection->output.unsent > VARLINK_OUTPUT_MAX)
		connection->dead = true;
	if (connection->dead)
		connection_resume_later(connection);
	return !connection->dead;
}

static int connection_watch(struct varlink_connection *connection)
{
	struct event_base *base = connection->thread->base;
	int pidfd = connection->peer.pidfd;

	if (event_assign(&connection->read_event, base, connection->fd,
		    EV_READ | EV_PERSIST | EV_ET, connection_on_read, connection) < 0 ||
		event_assign(&connection->write_event, base, connection->fd, EV_WRITE | EV_ET,
			connection_on_write, connection) < 0 ||
		event_assign(&connection->pidfd_event, base, pidfd, pidfd < 0 ? 0 : EV_READ,
			connection_on_pidfd, connection) < 0 ||
		event_assign(&connection->resume_event, base, -1, 0, connection_on_resume,
			connection) < 0)
		return -EINVAL;
	if (event_add(&connection->read_event, NULL) < 0)
		return -ENOMEM;
	if (pidfd >= 0 && event_add(&connection->pidfd_event, NULL) < 0) {
		event_del(&connection->read_event);
		return -ENOMEM;
	}
	return 0;
}

/* Before more is spent on the connection than it takes to know whose it is. */
static int connection_enter_bounds(struct varlink_connection *connection)
{
	struct varlink_server *server = connection->thread->server;
	const struct varlink_server_options *options = &server->options;
	uid_t uid = connection->peer.uid;
	struct bounds_use use;
	int r;

	r = bounds_enter(server, uid, &use);
	if (r == -EUSERS && server_may_complain(&server->next_refusal))
		log_warning("uid %u may not connect: it has %zu connections (of %zu), and %zu are "
			    "open in all (of %zu)",
			uid, use.of_uid, options->connections_per_uid, use.all,
			options->connections_max);
	return r;
}

static int connection_init(struct varlink_connection *connection)
{
	bool gone;
	int r;

	r = peer_read_process(&connection->peer, connection->fd, &gone);
	if (r >= 0 && gone && !connection_is_hung_up(connection))
		r = -ESRCH;
	return r < 0 ? r : connection_watch(connection);
}

int connection_new(struct varlink_thread *thread, int fd)
{
	struct varlink_server *server = thread->server;
	struct varlink_connection *connection = calloc(1, sizeof(*connection));
	uid_t uid;
	int r;

	if (!connection) {
		util_close(fd);
		return -ENOMEM;
	}
	connection->thread = thread;
	connection->fd = fd;
	output_init(&connection->output);
	r = peer_read_credentials(&connection->peer, fd);
	if (r >= 0)
		r = connection_enter_bounds(connection);
	if (r < 0)
		goto refused;
	uid = connection->peer.uid;
	r = connection_init(connection);
	if (r < 0) {
		bounds_leave(server, uid);
		goto refused;
	}
	connection->id = atomic_fetch_add(&server->next_id, 1);
	LIST_INSERT_HEAD(&thread->connections, connection, link);
	if (server->options.opened)
		connection->userdata = server->options.opened(connection, server->options.userdata);
	return 0;

refused:
	peer_done(&connection->peer);
	util_close(fd);
	free(connection);
	return r;
}

struct varlink_connection *connection_free(struct varlink_connection *connection)
{
	struct varlink_server *server = connection->thread->server;

	connection->dead = true;
	if (server->options.closed)
		server->options.closed(connection, connection->userdata, server->options.userdata);
	if (connection->current)
		connection->current->connection = NULL;
	event_del(&connection->read_event);
	event_del(&connection->write_event);
	event_del(&connection->pidfd_event);
	event_del(&connection->resume_event);
	LIST_REMOVE(connection, link);
	input_done(&connection->input);
	output_done(&connection->output);
	/* Before the client can see its end: it may connect again at once. */
	bounds_leave(server, connection->peer.uid);
	peer_done(&connection->peer);
	util_close(connection->fd);
	free(connection);
	return NULL;
}

const struct varlink_peer *varlink_connection_peer(const struct varlink_connection *connection)
{
	return &connection->peer;
}

uint64_t varlink_connection_id(const struct varlink_connection *connection)
{
	return connection->id;
}

void *varlink_connection_userdata(const struct varlink_connection *connection)
{
	return connection->userdata;
}

void *varlink_connection_thread_userdata(const struct varlink_connection *connection)
{
	return connection->thread->userdata;
}
