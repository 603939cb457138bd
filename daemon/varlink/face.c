/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/varlink/face.h"

#include <errno.h>
#include <sys/resource.h>

#include "daemon/varlink/decode.h"
#include "daemon/varlink/idl.h"
#include "util/log.h"

/* One in each I/O thread: where core's answers come in. */
struct desk {
	struct face *face;
	struct mailbox mailbox;
	bool open;
};

struct face {
	struct broker *broker;
	struct varlink_server *server;
	struct desk *desks;
	unsigned n_desks;
};

/* ---- answers ---- */

/* An encoder's NULL is a failure, unlike varlink_reply's. Steals parameters and fd. */
static bool send_reply(struct varlink_call *call, json_t *parameters, int fd)
{
	if (parameters)
		return varlink_reply(call, parameters, fd);
	util_close(fd);
	varlink_abort(call);
	return false;
}

static bool send_error(struct varlink_call *call, enum outcome outcome, json_t *parameters)
{
	if (parameters)
		return varlink_error(call, outcome_varlink_error(outcome), parameters);
	varlink_abort(call);
	return false;
}

static json_t *encode_as_parcel(const struct parcel_view *view)
{
	return json_pack("{s:o}", "parcel", encode_parcel(view));
}

static bool finish_list(struct varlink_call *call, const struct reply *reply)
{
	/* A stream with nothing in it: one last reply without a parcel. */
	if (reply->n_parcels == 0)
		return varlink_reply(call, NULL, -1);
	for (size_t i = 0; i + 1 < reply->n_parcels; i++) {
		json_t *parameters = encode_as_parcel(&reply->parcels[i]);

		if (!parameters) {
			varlink_abort(call);
			return false;
		}
		if (!varlink_reply_continues(call, parameters))
			break;
	}
	return send_reply(call, encode_as_parcel(&reply->parcels[reply->n_parcels - 1]), -1);
}

static bool finish_create(struct varlink_call *call, struct reply *reply)
{
	json_t *fd = reply->fd >= 0 ? json_integer(0) : json_null();

	return send_reply(call,
		json_pack("{s:o, s:o}", "parcel", encode_parcel(&reply->parcels[0]), "fd", fd),
		TAKE_FD(reply->fd));
}

/* Returns false when the answer cannot be delivered. */
static bool finish_call(struct varlink_call *call, struct request *request)
{
	struct reply *reply = &request->reply;

	if (reply->outcome != OUTCOME_OK)
		return send_error(call, reply->outcome, encode_error(request));
	switch (request->verb) {
	case VERB_SHARE:
	case VERB_LEND: return finish_create(call, reply);
	case VERB_DESCRIBE: return send_reply(call, encode_as_parcel(&reply->parcels[0]), -1);
	case VERB_RECLAIM: return varlink_reply(call, NULL, -1);
	case VERB_LIST: return finish_list(call, reply);
	case VERB_STATUS:
		return send_reply(
			call, json_pack("{s:o}", "status", encode_status(reply->status)), -1);
	case VERB_CHECK: return send_reply(call, encode_check(reply), -1);
	case VERB_RELOAD:
		return send_reply(call,
			json_pack("{s:I, s:I}", "files", (json_int_t)reply->policy_files, "rules",
				(json_int_t)reply->policy_rules),
			-1);
	}
	varlink_abort(call);
	return false;
}

/* The client may be freed by now. */
static void on_answer(struct letter *letter, void *userdata)
{
	struct request *request = container_of(letter, struct request, letter);
	bool made = request->reply.outcome == OUTCOME_OK &&
		    (request->verb == VERB_SHARE || request->verb == VERB_LEND);
	const struct desk *desk = userdata;
	bool oneway = varlink_call_oneway(request->cookie);

	/* Nobody has learnt of the parcel, so nobody would ever take it back. */
	if (!finish_call(request->cookie, request) && made && !oneway)
		broker_post_undelivered(desk->face->broker, request);
	else
		request_free(request);
}

/* ---- calls ---- */

static void ask(struct varlink_call *call, struct request *request, bool decoded, char **bad_field,
	struct face *face)
{
	struct varlink_connection *connection = varlink_call_connection(call);
	_cleanup_free_ char *parameter = *bad_field;
	struct desk *desk;

	if (!decoded) {
		varlink_error_invalid_parameter(call, parameter ? parameter : "");
		request_free(request);
		return;
	}
	desk = varlink_connection_thread_userdata(connection);
	request->client = varlink_connection_userdata(connection);
	request->reply_to = &desk->mailbox;
	request->deliver = on_answer;
	request->cookie = call;
	broker_post_request(face->broker, request);
}

/* A fresh request, or the call is answered and NULL returned. */
static struct request *start(struct varlink_call *call, enum verb verb)
{
	struct request *request = NULL;
	struct varlink_connection *connection = varlink_call_connection(call);
	const struct desk *desk = varlink_connection_thread_userdata(connection);

	/* Out of memory when the client connected, or when its thread started. */
	if (varlink_connection_userdata(connection) && desk->open)
		request = request_new();
	if (!request) {
		send_error(call, OUTCOME_MANAGER_UNAVAILABLE,
			json_pack("{s:s}", "reason", "the daemon is out of memory"));
		return NULL;
	}
	request->verb = verb;
	return request;
}

static void create(struct varlink_call *call, json_t *parameters, enum verb verb, struct face *face)
{
	struct request *request = start(call, verb);
	char *field = NULL;

	if (request)
		ask(call, request, decode_share_or_lend(parameters, call, request, &field), &field,
			face);
}

static void method_share(struct varlink_call *call, json_t *parameters, void *userdata)
{
	create(call, parameters, VERB_SHARE, userdata);
}

static void method_lend(struct varlink_call *call, json_t *parameters, void *userdata)
{
	create(call, parameters, VERB_LEND, userdata);
}

static void method_reclaim(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct request *request = start(call, VERB_RECLAIM);
	char *field = NULL;

	if (request)
		ask(call, request, decode_reclaim(parameters, request, &field), &field, userdata);
}

static void method_describe(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct request *request = start(call, VERB_DESCRIBE);
	char *field = NULL;

	if (request)
		ask(call, request, decode_describe(parameters, request, &field), &field, userdata);
}

static void method_check(struct varlink_call *call, json_t *parameters, void *userdata)
{
	struct request *request = start(call, VERB_CHECK);
	char *field = NULL;

	if (request)
		ask(call, request, decode_check(parameters, request, &field), &field, userdata);
}

static void plain(struct varlink_call *call, json_t *parameters, enum verb verb, struct face *face)
{
	struct request *request = start(call, verb);
	char *field = NULL;

	if (request)
		ask(call, request, decode_nothing(parameters, &field), &field, face);
}

static void method_list(struct varlink_call *call, json_t *parameters, void *userdata)
{
	plain(call, parameters, VERB_LIST, userdata);
}

static void method_status(struct varlink_call *call, json_t *parameters, void *userdata)
{
	plain(call, parameters, VERB_STATUS, userdata);
}

static void method_reload(struct varlink_call *call, json_t *parameters, void *userdata)
{
	plain(call, parameters, VERB_RELOAD, userdata);
}

/* In the interface, but not in this version. */
static void method_later(
	struct varlink_call *call, json_t *parameters _unused_, void *userdata _unused_)
{
	varlink_error_not_implemented(call);
}

static const struct varlink_method methods[] = {
	{ .name = "Share", .call = method_share },
	{ .name = "Lend", .call = method_lend },
	{ .name = "Donate", .call = method_later },
	{ .name = "Reclaim", .call = method_reclaim },
	{ .name = "Describe", .call = method_describe },
	{ .name = "List", .call = method_list, .needs_more = true },
	{ .name = "ListIncoming", .call = method_later },
	{ .name = "Accept", .call = method_later },
	{ .name = "Release", .call = method_later },
	{ .name = "Check", .call = method_check },
	{ .name = "Monitor", .call = method_later },
	{ .name = "Status", .call = method_status },
	{ .name = "Reload", .call = method_reload },
	{},
};

static const struct varlink_interface broker_interface = {
	.name = "org.ghmem.Broker",
	.description = org_ghmem_Broker_varlink,
	.methods = methods,
};

static const struct varlink_interface *const interfaces[] = { &broker_interface, NULL };

/* ---- connections and threads ---- */

static void *on_opened(struct varlink_connection *connection, void *userdata)
{
	const struct varlink_peer *peer = varlink_connection_peer(connection);
	struct face *face = userdata;
	struct client *client;

	client = client_new(varlink_connection_id(connection), peer->uid, peer->pid, peer->groups,
		peer->n_groups, peer->unit, peer->unit_unknown);
	if (client)
		broker_post_opened(face->broker, client);
	return client;
}

static void on_closed(
	struct varlink_connection *connection _unused_, void *connection_userdata, void *userdata)
{
	struct face *face = userdata;

	if (connection_userdata)
		broker_post_closed(face->broker, connection_userdata);
}

static void *on_thread_started(struct event_base *base, unsigned index, void *userdata)
{
	struct face *face = userdata;
	struct desk *desk = &face->desks[index];

	desk->open = mailbox_init(&desk->mailbox, base, desk) == 0;
	return desk;
}

/* Core may still have requests of this thread; face_free takes in the answers. */
static void on_thread_stopped(void *thread_userdata, void *userdata _unused_)
{
	struct desk *desk = thread_userdata;

	mailbox_unwatch(&desk->mailbox);
}

static size_t descriptor_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_NOFILE, &limit) < 0 ? 1024 : limit.rlim_cur;
}

int face_new(struct face **ret, int listen_fd, struct broker *broker, unsigned threads)
{
	struct varlink_server_options options = {
		.vendor = "ghmemd project",
		.product = "ghmemd",
		.version = VERSION,
		.url = "man:ghmemd(8)",
		.interfaces = interfaces,
		.threads = threads,
		.opened = on_opened,
		.closed = on_closed,
		.thread_started = on_thread_started,
		.thread_stopped = on_thread_stopped,
	};
	struct face *face = calloc(1, sizeof(*face));
	int r;

	if (!face)
		return -ENOMEM;
	face->broker = broker;
	face->n_desks = threads;
	face->desks = calloc(threads, sizeof(*face->desks));
	if (!face->desks) {
		free(face);
		return -ENOMEM;
	}
	for (unsigned i = 0; i < threads; i++)
		face->desks[i].face = face;
	options.userdata = face;
	varlink_server_bound_connections(&options, descriptor_limit());
	r = varlink_server_new(&face->server, listen_fd, &options);
	if (r < 0) {
		free(face->desks);
		free(face);
		return r;
	}
	*ret = face;
	return 0;
}

void face_stop_listening(struct face *face)
{
	varlink_server_stop_listening(face->server);
}

struct face *face_free(struct face *face)
{
	if (!face)
		return NULL;
	varlink_server_free(face->server);
	mailbox_drain(broker_mailbox(face->broker)); /* answers all that was asked */
	for (unsigned i = 0; i < face->n_desks; i++)
		mailbox_done(&face->desks[i].mailbox);
	free(face->desks);
	free(face);
	return NULL;
}
