/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/varlink_fixture.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <event2/thread.h>
#include <poll.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <bsd/sys/queue.h>

#include "util/log.h"

struct fixture_counters counters;
char fixture_path[64];
struct varlink_server *fixture_server;

/* ---- the interface ---- */

struct kept {
	LIST_ENTRY(kept) link;
	struct varlink_call *call;
	event_callback_fn callback;
	struct event *event;
	unsigned ticks;
};

struct fixture_thread {
	struct event_base *base;
	LIST_HEAD(, kept) kept;
};

static void kept_finish(struct kept *kept)
{
	LIST_REMOVE(kept, link);
	event_free(kept->event);
	free(kept);
}

static void kept_start(struct varlink_call *call, event_callback_fn callback, json_int_t msec)
{
	struct fixture_thread *thread =
		varlink_connection_thread_userdata(varlink_call_connection(call));
	struct timeval interval = { .tv_sec = msec / 1000, .tv_usec = msec % 1000 * 1000 };
	struct kept *kept = calloc(1, sizeof(*kept));

	kept->call = call;
	kept->callback = callback;
	LIST_INSERT_HEAD(&thread->kept, kept, link);
	kept->event = event_new(thread->base, -1, EV_PERSIST, callback, kept);
	event_add(kept->event, &interval);
}

static json_int_t number(const json_t *parameters, const char *name)
{
	return json_integer_value(json_object_get(parameters, name));
}

static void do_echo(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	varlink_reply(call, json_incref(parameters), -1);
}

static void do_note(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	atomic_fetch_add(&counters.notes, 1);
	varlink_reply(call, json_incref(parameters), -1);
}

/* The contents of the descriptors that are taken; the others are left to the server. */
static void do_read(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	size_t leave = (size_t)number(parameters, "leave");
	json_t *contents = json_array();

	for (size_t i = 0; i + leave < varlink_call_n_fds(call); i++) {
		int fd = varlink_call_take_fd(call, i);
		char text[32] = "";

		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(varlink_call_take_fd(call, i), -1);
		ck_assert_int_ge(pread(fd, text, sizeof(text) - 1, 0), 0);
		json_array_append_new(contents, json_string(text));
		close(fd);
	}
	ck_assert_int_eq(varlink_call_take_fd(call, varlink_call_n_fds(call)), -1);
	varlink_reply(call, json_pack("{s:o}", "contents", contents), -1);
}

static void do_open(struct varlink_call *call, json_t *parameters _unused_, void *userdata _unused_)
{
	varlink_reply(call, json_pack("{s:i}", "fd", 0), file_of("from the server"));
}

static void later(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct kept *kept = userdata;

	varlink_reply(kept->call, json_pack("{s:b}", "later", 1), -1);
	kept_finish(kept);
}

static void do_later(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	kept_start(call, later, number(parameters, "msec"));
}

static void hold(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct kept *kept = userdata;

	if (varlink_call_connection(kept->call))
		return;
	if (!varlink_reply(kept->call, json_object(), file_of("nobody's")))
		atomic_fetch_add(&counters.undelivered, 1);
	atomic_fetch_add(&counters.orphans, 1);
	kept_finish(kept);
}

static void do_hold(struct varlink_call *call, json_t *parameters _unused_, void *userdata _unused_)
{
	kept_start(call, hold, 5);
	atomic_fetch_add(&counters.kept, 1);
}

static void do_stream(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	json_int_t n = number(parameters, "count"), i;
	size_t size = (size_t)number(parameters, "size");
	char *text = calloc(1, size + 1);

	memset(text, 'x', size);
	for (i = 1; i < n; i++)
		if (!varlink_reply_continues(
			    call, json_pack("{s:I, s:s}", "number", i, "text", text))) {
			atomic_fetch_add(&counters.undelivered, 1);
			break;
		}
	varlink_reply(call, json_pack("{s:I}", "number", i), -1);
	free(text);
}

static void tick(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct kept *kept = userdata;

	if (varlink_reply_continues(kept->call, json_pack("{s:i}", "tick", kept->ticks++)))
		return;
	atomic_fetch_add(&counters.undelivered, 1);
	varlink_reply(kept->call, NULL, -1);
	kept_finish(kept);
}

static void do_tick(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	kept_start(call, tick, number(parameters, "msec"));
}

static void do_who(struct varlink_call *call, json_t *parameters _unused_, void *userdata _unused_)
{
	struct varlink_connection *connection = varlink_call_connection(call);
	const struct varlink_peer *peer = varlink_connection_peer(connection);
	json_t *groups = json_array();

	for (size_t i = 0; i < peer->n_groups; i++)
		json_array_append_new(groups, json_integer(peer->groups[i]));
	varlink_reply(call,
		json_pack("{s:i, s:i, s:i, s:o, s:b, s:s?, s:b, s:I}", "uid", peer->uid, "gid",
			peer->gid, "pid", peer->pid, "groups", groups, "pidfd", peer->pidfd >= 0,
			"unit", peer->unit, "unit_unknown", peer->unit_unknown, "id",
			(json_int_t)varlink_connection_id(connection)),
		-1);
}

static void do_deny(struct varlink_call *call, json_t *parameters _unused_, void *userdata _unused_)
{
	varlink_error(call, VARLINK_ERROR_PERMISSION_DENIED, NULL);
}

static void abort_later(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct kept *kept = userdata;

	varlink_abort(kept->call);
	kept_finish(kept);
}

static void do_abort(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	if (varlink_call_more(call))
		varlink_reply_continues(call, json_pack("{s:i}", "part", 1));
	if (json_object_get(parameters, "msec"))
		kept_start(call, abort_later, number(parameters, "msec"));
	else
		varlink_abort(call);
}

static const struct varlink_method methods[] = {
	{ "Echo", do_echo, false },
	{ "Note", do_note, false },
	{ "Read", do_read, false },
	{ "Open", do_open, false },
	{ "Later", do_later, false },
	{ "Hold", do_hold, false },
	{ "Stream", do_stream, true },
	{ "Tick", do_tick, true },
	{ "Who", do_who, false },
	{ "Deny", do_deny, false },
	{ "Abort", do_abort, false },
	{ "Planned", NULL, false },
	{ 0 },
};

static const struct varlink_interface interface = {
	.name = "org.example.test",
	.description = "interface org.example.test\nmethod Echo() -> ()\n",
	.methods = methods,
};

/* ---- the server ---- */

static void *on_opened(struct varlink_connection *connection, void *userdata)
{
	ck_assert_ptr_eq(userdata, &counters);
	atomic_fetch_add(&counters.opened, 1);
	return (void *)(uintptr_t)varlink_connection_id(connection);
}

static void on_closed(
	struct varlink_connection *connection, void *connection_userdata, void *userdata)
{
	ck_assert_ptr_eq(userdata, &counters);
	ck_assert_uint_eq((uintptr_t)connection_userdata, varlink_connection_id(connection));
	ck_assert_ptr_eq(connection_userdata, varlink_connection_userdata(connection));
	atomic_fetch_add(&counters.closed, 1);
}

static void *on_thread_started(struct event_base *base, unsigned index _unused_, void *userdata)
{
	struct fixture_thread *thread = calloc(1, sizeof(*thread));

	ck_assert_ptr_eq(userdata, &counters);
	thread->base = base;
	LIST_INIT(&thread->kept);
	atomic_fetch_add(&counters.threads_started, 1);
	return thread;
}

/* What methods still keep has no connection any more and is finished without its timer. */
static void on_thread_stopped(void *thread_userdata, void *userdata)
{
	struct fixture_thread *thread = thread_userdata;
	struct kept *kept;

	ck_assert_ptr_eq(userdata, &counters);
	while ((kept = LIST_FIRST(&thread->kept))) {
		ck_assert_ptr_null(varlink_call_connection(kept->call));
		kept->callback(-1, 0, kept);
	}
	free(thread);
	atomic_fetch_add(&counters.threads_stopped, 1);
}

void fixture_start_with(unsigned threads, const struct varlink_server_options *bounds)
{
	static const struct varlink_interface *const interfaces[] = { &interface, NULL };
	struct varlink_server_options options = {
		.vendor = "Example",
		.product = "Test",
		.version = "7",
		.url = "https://example.org",
		.interfaces = interfaces,
		.userdata = &counters,
		.threads = threads,
		.connections_max = bounds->connections_max,
		.connections_reserved = bounds->connections_reserved,
		.connections_per_uid = bounds->connections_per_uid,
		.opened = on_opened,
		.closed = on_closed,
		.thread_started = on_thread_started,
		.thread_stopped = on_thread_stopped,
	};
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	log_open("test_varlink", LOG_WARNING);
	evthread_use_pthreads();
	memset(&counters, 0, sizeof(counters));
	snprintf(fixture_path, sizeof(fixture_path), "/tmp/test_varlink.%d", (int)getpid());
	unlink(fixture_path);
	strcpy(address.sun_path, fixture_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(chmod(fixture_path, 0666), 0);
	ck_assert_int_eq(listen(fd, 1024), 0);
	ck_assert_int_eq(varlink_server_new(&fixture_server, fd, &options), 0);
}

void fixture_start(void)
{
	fixture_start_with(2, &(struct varlink_server_options){ 0 });
}

void fixture_stop(void)
{
	fixture_server = varlink_server_free(fixture_server);
	unlink(fixture_path);
	ck_assert_uint_eq(counters.opened, counters.closed);
	ck_assert_uint_eq(counters.threads_started, counters.threads_stopped);
}

void fixture_await(const _Atomic unsigned *counter, unsigned value)
{
	for (unsigned i = 0; i < 10000 && atomic_load(counter) != value; i++)
		usleep(1000);
	ck_assert_uint_eq(atomic_load(counter), value);
}

unsigned fixture_count_fds(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned n = 0;

	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

/* ---- clients ---- */

void client_open(struct client *client)
{
	struct timeval timeout = { .tv_sec = 20 };

	*client = (struct client){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	ck_assert_int_ge(client->fd, 0);
	setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
	setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
}

int client_try(struct client *client)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	strcpy(address.sun_path, fixture_path);
	return connect(client->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
}

void client_connect(struct client *client)
{
	client_open(client);
	ck_assert_int_eq(client_try(client), 0);
}

void client_close(struct client *client)
{
	client->fd = util_close(client->fd);
	for (size_t i = 0; i < client->n_fds; i++)
		close(client->fds[i]);
	client->n_fds = 0;
	free(client->buffer);
	client->buffer = NULL;
}

static char *quoted(const char *text)
{
	char *copy = strdup(text);

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	return copy;
}

void client_send_raw(struct client *client, const void *data, size_t size)
{
	const char *from = data;

	while (size > 0) {
		ssize_t n = send(client->fd, from, size, MSG_NOSIGNAL);

		/* The server may close in the middle of what it has already refused. */
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		ck_assert_int_gt(n, 0);
		from += n;
		size -= (size_t)n;
	}
}

void client_send(struct client *client, const char *text)
{
	_cleanup_free_ char *json = quoted(text);

	client_send_raw(client, json, strlen(json) + 1);
}

void client_send_fds(struct client *client, const char *text, const int *fds, size_t n)
{
	_cleanup_free_ char *json = quoted(text);
	struct iovec iovec = { .iov_base = json, .iov_len = strlen(json) + 1 };
	struct msghdr header = { .msg_iov = &iovec, .msg_iovlen = 1 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(64 * sizeof(int))];
	} control = { .bytes = { 0 } };
	struct cmsghdr *cmsg;

	header.msg_control = control.bytes;
	header.msg_controllen = CMSG_SPACE(n * sizeof(int));
	cmsg = CMSG_FIRSTHDR(&header);
	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(cmsg), fds, n * sizeof(int));
	ck_assert_int_eq(sendmsg(client->fd, &header, MSG_NOSIGNAL), (ssize_t)iovec.iov_len);
}

/* Receives some bytes and descriptors; 0 at the end. */
static size_t client_fill(struct client *client)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control;
	struct iovec iovec;
	struct msghdr header = { .msg_iov = &iovec, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	client->buffer = realloc(client->buffer, client->used + 65536);
	iovec = (struct iovec){ .iov_base = client->buffer + client->used, .iov_len = 65536 };
	header.msg_control = control.bytes;
	header.msg_controllen = sizeof(control.bytes);
	n = recvmsg(client->fd, &header, MSG_CMSG_CLOEXEC);
	if (n < 0 && errno == ECONNRESET)
		n = 0;
	ck_assert_msg(n >= 0, "recvmsg: %s", strerror(errno));
	cmsg = n > 0 ? CMSG_FIRSTHDR(&header) : NULL;
	if (cmsg) {
		client->n_fds = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(client->fds, CMSG_DATA(cmsg), client->n_fds * sizeof(int));
	}
	client->used += (size_t)n;
	return (size_t)n;
}

json_t *client_receive(struct client *client)
{
	size_t looked = 0;
	json_error_t error;
	json_t *message;
	char *end;

	while (!(end = client->used > looked
			       ? memchr(client->buffer + looked, '\0', client->used - looked)
			       : NULL)) {
		looked = client->used;
		ck_assert_msg(client_fill(client) > 0, "the server closed");
	}
	message = json_loads(client->buffer, 0, &error);
	ck_assert_msg(message != NULL, "%s", error.text);
	end++;
	client->used -= (size_t)(end - client->buffer);
	memmove(client->buffer, end, client->used);
	return message;
}

void client_expect(struct client *client, const char *text)
{
	_cleanup_free_ char *json = quoted(text);
	json_t *message = client_receive(client), *wanted = json_loads(json, 0, NULL);
	_cleanup_free_ char *got = json_dumps(message, JSON_COMPACT | JSON_SORT_KEYS);

	ck_assert_ptr_nonnull(wanted);
	ck_assert_msg(json_equal(message, wanted), "wanted %s, got %.300s", json, got);
	json_decref(message);
	json_decref(wanted);
}

void client_expect_end(struct client *client)
{
	ck_assert_uint_eq(client->used, 0);
	ck_assert_uint_eq(client_fill(client), 0);
}

bool client_gets_answer(struct client *client)
{
	if (client_fill(client) == 0)
		return false;
	json_decref(client_receive(client));
	return true;
}

void client_expect_error(
	struct client *client, const char *name, const char *field, const char *value)
{
	char text[512];

	snprintf(text, sizeof(text),
		"{'error': 'org.varlink.service.%s', 'parameters': {'%s': '%s'}}", name, field,
		value);
	client_expect(client, text);
}

void client_expect_alive(struct client *client)
{
	client_send(client, "{'method': 'org.example.test.Echo', 'parameters': {'alive': true}}");
	client_expect(client, "{'parameters': {'alive': true}}");
}

int file_of(const char *text)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	return fd;
}
