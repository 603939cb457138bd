/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghmem/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define CLIENT_ADDRESS "unix:/run/ghmemd/org.ghmem.Broker"

const char *ghmem_default_address(void)
{
	const char *address = secure_getenv("GHMEM_ADDRESS");

	return address && *address ? address : CLIENT_ADDRESS;
}

int ghmem_connect(const char *address, struct ghmem **ret)
{
	struct ghmem *connection = calloc(1, sizeof(*connection));
	int r;

	if (!connection)
		return -ENOMEM;
	r = wire_init(&connection->wire, address ? address : ghmem_default_address());
	if (r < 0) {
		free(connection);
		return r;
	}
	*ret = connection;
	return 0;
}

static void client_forget_error(struct ghmem *connection)
{
	free(connection->error_name);
	free(connection->error_text);
	free(connection->error_parameters);
	connection->error_name = connection->error_text = connection->error_parameters = NULL;
}

struct ghmem *ghmem_close(struct ghmem *connection)
{
	if (!connection)
		return NULL;
	wire_done(&connection->wire);
	client_forget_error(connection);
	free(connection);
	return NULL;
}

int ghmem_get_fd(const struct ghmem *connection)
{
	return connection->wire.fd;
}

void ghmem_set_cancel_fd(struct ghmem *connection, int fd)
{
	connection->wire.cancel_fd = fd;
}

const char *ghmem_error_text(const struct ghmem *connection)
{
	return connection->error_text ? connection->error_text : "";
}

const char *ghmem_error_name(const struct ghmem *connection)
{
	return connection->error_name;
}

const char *ghmem_error_parameters(const struct ghmem *connection)
{
	return connection->error_parameters;
}

int client_fail(struct ghmem *connection, int error, const char *format, ...)
{
	va_list arguments;
	char *text = NULL;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	free(connection->error_text);
	connection->error_text = text;
	return error;
}

int client_bad_reply(struct ghmem *connection, const char *what)
{
	return client_fail(connection, -EBADMSG,
		"the broker's reply does not follow org.ghmem.Broker: %s", what);
}

static int client_fail_wire(struct ghmem *connection, int error)
{
	if (error == -ECONNRESET)
		return client_fail(
			connection, error, "the broker closed the connection before it answered");
	if (error == -ECANCELED)
		return client_fail(connection, error, "interrupted before the broker answered");
	if (error == -ENOTCONN)
		return client_fail(
			connection, error, "the connection was lost or given up earlier");
	if (error == -EMSGSIZE)
		return client_fail(connection, error, "a message is over 16 MiB");
	if (error == -EBADF)
		return client_fail(connection, error, "a descriptor of the request is not open");
	return client_fail(
		connection, error, "talking to the broker failed: %s", strerrordesc_np(-error));
}

static int client_send(struct ghmem *connection, const char *method, json_t *parameters,
	const int *fds, size_t n_fds, bool more)
{
	_cleanup_json_ json_t *call = NULL;
	_cleanup_json_ _unused_ json_t *owned = parameters;
	_cleanup_free_ char *text = NULL;
	int r;

	client_forget_error(connection);
	if (!parameters)
		return client_fail_wire(connection, -ENOMEM);
	if (!connection->wire.broken && wire_has_input(&connection->wire)) {
		connection->wire.broken = true;
		return client_fail(
			connection, -EBADMSG, "the broker sent something that nobody asked for");
	}
	call = json_pack("{s:s, s:O}", "method", method, "parameters", parameters);
	if (call && more && json_object_set_new(call, "more", json_true()) < 0)
		return client_fail_wire(connection, -ENOMEM);
	text = call ? json_dumps(call, JSON_COMPACT) : NULL;
	if (!text)
		return client_fail_wire(connection, -ENOMEM);
	r = wire_send(&connection->wire, text, strlen(text) + 1, fds, n_fds);
	return r < 0 ? client_fail_wire(connection, r) : 0;
}

static int client_broken(struct ghmem *connection, const char *what)
{
	connection->wire.broken = true;
	return client_fail(connection, -EBADMSG, "the broker's reply is not Varlink: %s", what);
}

/* One reply. A frame that is no Varlink reply breaks the connection: nothing after it makes sense. */
static int client_receive(
	struct ghmem *connection, bool more, json_t **ret_reply, bool *ret_continues)
{
	_cleanup_json_ json_t *frame = NULL;
	json_t *error, *parameters, *continues;
	json_error_t fault;
	const char *text;
	size_t n;
	int r = wire_receive(&connection->wire, &text, &n);

	if (r < 0)
		return client_fail_wire(connection, r);
	frame = json_loadb(text, n, JSON_REJECT_DUPLICATES, &fault);
	if (!frame)
		return client_broken(connection, fault.text);
	if (!json_is_object(frame))
		return client_broken(connection, "it is no JSON object");
	error = json_object_get(frame, "error");
	parameters = json_object_get(frame, "parameters");
	continues = json_object_get(frame, "continues");
	if (error && !json_is_null(error) && !json_is_string(error))
		return client_broken(connection, "its error is no string");
	if (parameters && !json_is_null(parameters) && !json_is_object(parameters))
		return client_broken(connection, "its parameters are no object");
	if (continues && !json_is_null(continues) && !json_is_boolean(continues))
		return client_broken(connection, "its continues is no boolean");
	if (json_is_true(continues) && (!more || json_is_string(error)))
		return client_broken(connection, "it is to be continued, but cannot be");
	if (json_is_string(error))
		return client_refused(connection, json_string_value(error), parameters);
	*ret_continues = json_is_true(continues);
	*ret_reply = json_is_object(parameters) ? json_incref(parameters) : json_object();
	return *ret_reply ? 0 : client_fail_wire(connection, -ENOMEM);
}

int client_call(struct ghmem *connection, const char *method, json_t *parameters, const int *fds,
	size_t n_fds, json_t **ret_reply)
{
	bool continues;
	int r = client_send(connection, method, parameters, fds, n_fds, false);

	return r < 0 ? r : client_receive(connection, false, ret_reply, &continues);
}

int client_call_more(struct ghmem *connection, const char *method, json_t *parameters,
	client_reply_fn function, void *userdata)
{
	bool continues = true;
	int r = client_send(connection, method, parameters, NULL, 0, true);

	while (r == 0 && continues) {
		_cleanup_json_ json_t *reply = NULL;

		r = client_receive(connection, true, &reply, &continues);
		if (r == 0)
			r = function(connection, reply, userdata);
		/* The replies that are still to come would be taken for those of the next call. */
		if (r != 0 && continues)
			connection->wire.broken = true;
	}
	return r;
}

static json_t *client_parameters(const char *text)
{
	json_t *parameters = text ? json_loads(text, JSON_REJECT_DUPLICATES, NULL) : json_object();

	if (parameters && !json_is_object(parameters)) {
		json_decref(parameters);
		return NULL;
	}
	return parameters;
}

int ghmem_call(struct ghmem *connection, const char *method, const char *parameters, const int *fds,
	size_t n_fds, char **ret_reply, int *ret_fd)
{
	_cleanup_json_ json_t *reply = NULL;
	json_t *object = client_parameters(parameters);
	char *text;
	int r;

	if (!object)
		return client_fail(connection, -EINVAL, "the parameters are no JSON object");
	r = client_call(connection, method, object, fds, n_fds, &reply);
	if (r != 0)
		return r;
	if (ret_reply) {
		text = json_dumps(reply, JSON_COMPACT);
		if (!text)
			return client_fail_wire(connection, -ENOMEM);
		*ret_reply = text;
	}
	if (ret_fd)
		*ret_fd = wire_take_fd(&connection->wire, 0);
	return 0;
}

struct client_more {
	ghmem_reply_fn function;
	void *userdata;
};

static int client_more_reply(struct ghmem *connection, json_t *reply, void *userdata)
{
	const struct client_more *more = userdata;
	_cleanup_free_ char *text = json_dumps(reply, JSON_COMPACT);

	return text ? more->function(text, more->userdata) : client_fail_wire(connection, -ENOMEM);
}

int ghmem_call_more(struct ghmem *connection, const char *method, const char *parameters,
	ghmem_reply_fn function, void *userdata)
{
	struct client_more more = { function, userdata };
	json_t *object = client_parameters(parameters);

	if (!object)
		return client_fail(connection, -EINVAL, "the parameters are no JSON object");
	return client_call_more(connection, method, object, client_more_reply, &more);
}
