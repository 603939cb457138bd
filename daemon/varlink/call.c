/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/varlink/internal.h"

#include "util/log.h"

static void call_free(struct varlink_call *call)
{
	for (size_t i = 0; i < call->n_fds; i++)
		util_close(call->fds[i]);
	json_decref(call->parameters);
	json_decref(call->message);
	free(call);
}

/* Ends the call's life; the connection looks for the next one. */
static void call_finish(struct varlink_call *call)
{
	struct varlink_connection *connection = call->connection;

	call_free(call);
	if (connection)
		connection_call_finished(connection);
}

/*
 * Counts what jansson would make of the text, so that a small multiple of it is the most that parsing
 * can take. Strings need no more than to be skipped: whether they are right is jansson's business.
 */
static bool message_is_bounded(const char *text, size_t size)
{
	size_t values = 0, containers = 0;
	bool string = false;

	for (size_t i = 0; i < size; i++) {
		switch (text[i]) {
		case '"': string = !string; break;
		case '\\':
			if (string)
				i++;
			break;
		case '[':
		case '{':
			containers += !string;
			values += !string;
			break;
		case ',':
		case ':': values += !string; break;
		default: break;
		}
	}
	return values <= VARLINK_VALUES_MAX && containers <= VARLINK_CONTAINERS_MAX;
}

static json_t *message_parse(const char *text, size_t size)
{
	json_error_t error;
	json_t *message;

	if (!message_is_bounded(text, size))
		return NULL;
	message = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (message && !json_is_object(message)) {
		json_decref(message);
		return NULL;
	}
	return message;
}

static bool message_get_flag(const json_t *message, const char *name, bool *ret)
{
	const json_t *flag = json_object_get(message, name);

	*ret = json_is_true(flag);
	return !flag || json_is_boolean(flag) || json_is_null(flag);
}

/* Fills in the fields beside `method`. Returns NULL, or the name of the faulty one. */
static const char *call_read_fields(struct varlink_call *call, bool *ret_upgrade)
{
	json_t *parameters = json_object_get(call->message, "parameters");

	*ret_upgrade = false;
	/* First, since it decides whether there is any answer at all. */
	if (!message_get_flag(call->message, "oneway", &call->oneway))
		return "oneway";
	if (!message_get_flag(call->message, "more", &call->more))
		return "more";
	if (!message_get_flag(call->message, "upgrade", ret_upgrade))
		return "upgrade";
	/* Nobody waits for several replies who wants none. */
	if (call->oneway)
		call->more = false;
	if (!parameters || json_is_null(parameters))
		call->parameters = json_object();
	else if (json_is_object(parameters))
		call->parameters = json_incref(parameters);
	return call->parameters ? NULL : "parameters";
}

static bool call_error_about(struct varlink_call *call, const char *error, const char *field,
	const char *value, size_t length)
{
	return call_answer(call, error, json_pack("{s:s%}", field, value, length));
}

/* Finds the method and calls it, or answers why not. The call is not the caller's any more. */
static void call_start(struct varlink_call *call, bool upgrade)
{
	const struct varlink_server *server = call->connection->thread->server;
	const char *name = call->method, *dot = strrchr(name, '.');
	const struct varlink_interface *interface;
	const struct varlink_method *method;

	if (!dot || dot == name || !dot[1]) {
		varlink_error_invalid_parameter(call, "method");
		return;
	}
	interface = service_find_interface(server, name, (size_t)(dot - name));
	if (!interface) {
		call_error_about(call, VARLINK_ERROR_INTERFACE_NOT_FOUND, "interface", name,
			(size_t)(dot - name));
		return;
	}
	for (method = interface->methods; method->name; method++)
		if (strcmp(method->name, dot + 1) == 0)
			break;
	if (!method->name)
		call_error_about(
			call, VARLINK_ERROR_METHOD_NOT_FOUND, "method", name, strlen(name));
	else if (!method->call || upgrade)
		call_error_about(
			call, VARLINK_ERROR_METHOD_NOT_IMPLEMENTED, "method", name, strlen(name));
	else if (method->needs_more && !call->more)
		varlink_error(call, VARLINK_ERROR_EXPECTED_MORE, NULL);
	else
		method->call(call, call->parameters,
			interface == &varlink_service_interface ? (void *)server
								: server->options.userdata);
}

const char *call_dispatch(struct varlink_connection *connection)
{
	struct varlink_input *input = &connection->input;
	struct varlink_call *call;
	const char *fault;
	bool upgrade;

	call = calloc(1, sizeof(*call));
	if (!call)
		return "message";
	call->message = message_parse(input->buffer, input->used - 1);
	call->method = json_string_value(json_object_get(call->message, "method"));
	if (!call->method) {
		fault = call->message ? "method" : "message";
		call_free(call);
		return fault;
	}
	memcpy(call->fds, input->fds, input->n_fds * sizeof(int));
	call->n_fds = input->n_fds;
	input->n_fds = 0;
	call->connection = connection;
	connection->current = call;
	fault = call_read_fields(call, &upgrade);
	if (fault)
		varlink_error_invalid_parameter(call, fault);
	else
		call_start(call, upgrade);
	return NULL;
}

struct varlink_connection *varlink_call_connection(const struct varlink_call *call)
{
	return call->connection;
}

bool varlink_call_more(const struct varlink_call *call)
{
	return call->more;
}

bool varlink_call_oneway(const struct varlink_call *call)
{
	return call->oneway;
}

size_t varlink_call_n_fds(const struct varlink_call *call)
{
	return call->n_fds;
}

int varlink_call_take_fd(struct varlink_call *call, size_t i)
{
	return i < call->n_fds ? TAKE_FD(call->fds[i]) : -1;
}

/* Steals parameters and fd. */
static bool call_send(
	struct varlink_call *call, const char *error, json_t *parameters, bool continues, int fd)
{
	json_t *message;
	int r = 0;

	if (!call->connection || call->oneway) {
		json_decref(parameters);
		util_close(fd);
		return call->connection && !call->connection->dead;
	}
	message = json_object();
	if (error)
		r = json_object_set_new(message, "error", json_string(error));
	r |= json_object_set_new(message, "parameters", parameters ? parameters : json_object());
	if (continues)
		r |= json_object_set_new(message, "continues", json_true());
	/* Without a message the connection ends: an error that lost its name would be a success. */
	if (r < 0) {
		json_decref(message);
		message = NULL;
	}
	return connection_send(call->connection, message, fd);
}

bool varlink_reply(struct varlink_call *call, json_t *parameters, int fd)
{
	bool delivered = call_send(call, NULL, parameters, false, fd);

	call_finish(call);
	return delivered;
}

bool varlink_reply_continues(struct varlink_call *call, json_t *parameters)
{
	if (!call->more) {
		log_err("%s: several replies to a call that asks for one", call->method);
		json_decref(parameters);
		return false;
	}
	return call_send(call, NULL, parameters, true, -1);
}

bool varlink_error(struct varlink_call *call, const char *name, json_t *parameters)
{
	bool delivered = call_send(call, name, parameters, false, -1);

	call_finish(call);
	return delivered;
}

void varlink_abort(struct varlink_call *call)
{
	struct varlink_connection *connection = call->connection;

	if (connection) {
		if (server_may_complain(&connection->thread->server->next_abort))
			log_err("%s: no answer to uid %u can be made, so its connection is closed",
				call->method, connection->peer.uid);
		connection->fault = true;
	}
	call_finish(call);
}

bool call_answer(struct varlink_call *call, const char *error, json_t *parameters)
{
	if (!parameters) {
		varlink_abort(call);
		return false;
	}
	return error ? varlink_error(call, error, parameters) : varlink_reply(call, parameters, -1);
}

bool varlink_error_invalid_parameter(struct varlink_call *call, const char *parameter)
{
	return call_answer(
		call, VARLINK_ERROR_INVALID_PARAMETER, json_pack("{s:s}", "parameter", parameter));
}

bool varlink_error_not_implemented(struct varlink_call *call)
{
	return call_answer(call, VARLINK_ERROR_METHOD_NOT_IMPLEMENTED,
		json_pack("{s:s}", "method", call->method));
}
