/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The Varlink project's certification service on this server: foreign clients run through it and say
 * whether every reply is what they expect, while the service checks what they send.
 *
 *     varlink-certification PATH
 *
 * prints "ready" and serves until SIGTERM or SIGINT.
 */

#include <errno.h>
#include <event2/thread.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <bsd/sys/queue.h>

#include "daemon/varlink/server.h"
#include "util/log.h"

#define REPLIES_OF_TEST10 10
#define ERROR_CLIENT_ID   "org.varlink.certification.ClientIdError"
#define ERROR_WRONG       "org.varlink.certification.CertificationError"

static const char description[] =
	"# A client calls Start, Test01 to Test11 and End; each with what the one before "
	"returned.\n"
	"interface org.varlink.certification\n"
	"\n"
	"type Interface (\n"
	"  foo: ?[]?[string](foo, bar, baz),\n"
	"  anon: (foo: bool, bar: bool)\n"
	")\n"
	"\n"
	"type MyType (\n"
	"  object: object,\n"
	"  enum: (one, two, three),\n"
	"  struct: (first: int, second: string),\n"
	"  array: []string,\n"
	"  dictionary: [string]string,\n"
	"  stringset: [string](),\n"
	"  nullable: ?string,\n"
	"  nullable_array_struct: ?[](first: int, second: string),\n"
	"  interface: Interface\n"
	")\n"
	"\n"
	"method Start() -> (client_id: string)\n"
	"method Test01(client_id: string) -> (bool: bool)\n"
	"method Test02(client_id: string, bool: bool) -> (int: int)\n"
	"method Test03(client_id: string, int: int) -> (float: float)\n"
	"method Test04(client_id: string, float: float) -> (string: string)\n"
	"method Test05(client_id: string, string: string)\n"
	"  -> (bool: bool, int: int, float: float, string: string)\n"
	"method Test06(client_id: string, bool: bool, int: int, float: float, string: string)\n"
	"  -> (struct: (bool: bool, int: int, float: float, string: string))\n"
	"method Test07(client_id: string,\n"
	"  struct: (bool: bool, int: int, float: float, string: string)) -> (map: [string]string)\n"
	"method Test08(client_id: string, map: [string]string) -> (set: [string]())\n"
	"method Test09(client_id: string, set: [string]()) -> (mytype: MyType)\n"
	"# Called with more.\n"
	"method Test10(client_id: string, mytype: MyType) -> (string: string)\n"
	"# Called with oneway.\n"
	"method Test11(client_id: string, last_more_replies: []string) -> ()\n"
	"method End(client_id: string) -> (all_ok: bool)\n"
	"\n"
	"error ClientIdError ()\n"
	"error CertificationError (wants: object, got: object)\n";

/* What TestNN returns, and with client_id what the next one must be given. */
static const char *const replies[] = {
	[0] = "{}",
	[1] = "{'bool': true}",
	[2] = "{'int': 1}",
	[3] = "{'float': 1.0}",
	[4] = "{'string': 'ping'}",
	[5] = "{'bool': false, 'int': 2, 'float': 3.141592653589793, 'string': 'a lot of string'}",
	[6] = "{'struct': {'bool': false, 'int': 2, 'float': 3.141592653589793,"
	      " 'string': 'a lot of string'}}",
	[7] = "{'map': {'foo': 'Foo', 'bar': 'Bar'}}",
	[8] = "{'set': {'one': {}, 'two': {}, 'three': {}}}",
	[9] = "{'mytype': {"
	      "'object': {'method': 'org.varlink.certification.Test09',"
	      " 'parameters': {'map': {'foo': 'Foo', 'bar': 'Bar'}}},"
	      "'enum': 'two', 'struct': {'first': 1, 'second': '2'},"
	      "'array': ['one', 'two', 'three'], 'dictionary': {'foo': 'Foo', 'bar': 'Bar'},"
	      "'stringset': {'one': {}, 'two': {}, 'three': {}},"
	      "'nullable': null, 'nullable_array_struct': null,"
	      "'interface': {'foo': [null, {'Foo': 'foo', 'Bar': 'bar'}, null,"
	      " {'one': 'foo', 'two': 'bar'}], 'anon': {'foo': true, 'bar': false}}}}",
};

struct client {
	LIST_ENTRY(client) link;
	char id[33];
	unsigned next_test;
};

static LIST_HEAD(, client) clients = LIST_HEAD_INITIALIZER(clients);
static pthread_mutex_t clients_lock = PTHREAD_MUTEX_INITIALIZER;

/* JSON in single quotes, so that it can stand in C. */
static json_t *json_of(const char *quoted)
{
	_cleanup_free_ char *text = strdup(quoted);
	json_t *json;

	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (!json)
		abort();
	return json;
}

/* Equal in Varlink's eyes: null and a missing field are the same, 1 and 1.0 the same float. */
static bool json_same(const json_t *a, const json_t *b)
{
	const char *name;
	json_t *value;
	size_t i;

	if (!a || !b || json_is_null(a) || json_is_null(b))
		return (!a || json_is_null(a)) && (!b || json_is_null(b));
	if (json_is_number(a) && json_is_number(b)) {
		double difference = json_number_value(a) - json_number_value(b);

		return difference < 1e-12 && difference > -1e-12;
	}
	if (json_is_array(a) && json_is_array(b)) {
		if (json_array_size(a) != json_array_size(b))
			return false;
		json_array_foreach (a, i, value)
			if (!json_same(value, json_array_get(b, i)))
				return false;
		return true;
	}
	if (json_is_object(a) && json_is_object(b)) {
		json_object_foreach ((json_t *)a, name, value)
			if (!json_same(value, json_object_get(b, name)))
				return false;
		json_object_foreach ((json_t *)b, name, value)
			if (!json_object_get(a, name) && !json_is_null(value))
				return false;
		return true;
	}
	return json_equal(a, b);
}

static void start(struct varlink_call *call, json_t *parameters _unused_, void *userdata _unused_)
{
	struct client *client = calloc(1, sizeof(*client));
	uint64_t random[2] = { 0 };

	if (!client || util_random(random, sizeof(random)) < 0)
		abort();
	snprintf(client->id, sizeof(client->id), "%016" PRIx64 "%016" PRIx64, random[0], random[1]);
	client->next_test = 1;
	pthread_mutex_lock(&clients_lock);
	LIST_INSERT_HEAD(&clients, client, link);
	pthread_mutex_unlock(&clients_lock);
	varlink_reply(call, json_pack("{s:s}", "client_id", client->id), -1);
}

/*
 * True when it is this client's turn to call this test with these parameters; client_id is added to
 * wants. Otherwise the call has been answered with the error. Steals wants.
 */
static bool check(struct varlink_call *call, json_t *parameters, unsigned test, json_t *wants)
{
	const char *id = json_string_value(json_object_get(parameters, "client_id"));
	struct client *client;
	bool right = false;

	pthread_mutex_lock(&clients_lock);
	LIST_FOREACH (client, &clients, link)
		if (id && strcmp(client->id, id) == 0)
			break;
	if (client) {
		json_object_set_new(wants, "client_id", json_string(client->id));
		right = client->next_test == test && json_same(wants, parameters);
		if (right)
			client->next_test++;
	}
	if (client && right && test == 12) {
		LIST_REMOVE(client, link);
		free(client);
	}
	pthread_mutex_unlock(&clients_lock);
	if (!client)
		varlink_error(call, ERROR_CLIENT_ID, NULL);
	else if (!right)
		varlink_error(call, ERROR_WRONG,
			json_pack("{s:O, s:O}", "wants", wants, "got", parameters));
	json_decref(wants);
	return right;
}

static void simple_test(struct varlink_call *call, json_t *parameters, unsigned test)
{
	if (check(call, parameters, test, json_of(replies[test - 1])))
		varlink_reply(call, json_of(replies[test]), -1);
}

#define SIMPLE_TEST(n)                                                                  \
	static void test_##n(                                                           \
		struct varlink_call *call, json_t *parameters, void *userdata _unused_) \
	{                                                                               \
		simple_test(call, parameters, n);                                       \
	}

SIMPLE_TEST(1)
SIMPLE_TEST(2)
SIMPLE_TEST(3)
SIMPLE_TEST(4)
SIMPLE_TEST(5)
SIMPLE_TEST(6)
SIMPLE_TEST(7)
SIMPLE_TEST(8)
SIMPLE_TEST(9)

static json_t *reply_of_test10(unsigned i)
{
	return json_sprintf("Reply number %u", i);
}

static void test_10(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	if (!check(call, parameters, 10, json_of(replies[9])))
		return;
	for (unsigned i = 1; i < REPLIES_OF_TEST10; i++)
		varlink_reply_continues(call, json_pack("{s:o}", "string", reply_of_test10(i)));
	varlink_reply(call, json_pack("{s:o}", "string", reply_of_test10(REPLIES_OF_TEST10)), -1);
}

static void test_11(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	json_t *all = json_array();

	for (unsigned i = 1; i <= REPLIES_OF_TEST10; i++)
		json_array_append_new(all, reply_of_test10(i));
	if (check(call, parameters, 11, json_pack("{s:o}", "last_more_replies", all)))
		varlink_reply(call, NULL, -1);
}

static void end(struct varlink_call *call, json_t *parameters, void *userdata _unused_)
{
	if (check(call, parameters, 12, json_object()))
		varlink_reply(call, json_pack("{s:b}", "all_ok", 1), -1);
}

static const struct varlink_method methods[] = {
	{ "Start", start, false },
	{ "Test01", test_1, false },
	{ "Test02", test_2, false },
	{ "Test03", test_3, false },
	{ "Test04", test_4, false },
	{ "Test05", test_5, false },
	{ "Test06", test_6, false },
	{ "Test07", test_7, false },
	{ "Test08", test_8, false },
	{ "Test09", test_9, false },
	{ "Test10", test_10, true },
	{ "Test11", test_11, false },
	{ "End", end, false },
	{ 0 },
};

static const struct varlink_interface interface = {
	.name = "org.varlink.certification",
	.description = description,
	.methods = methods,
};

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0) {
		int error = errno;

		close(fd);
		return -error;
	}
	return fd;
}

int main(int argc, char **argv)
{
	static const struct varlink_interface *const interfaces[] = { &interface, NULL };
	struct varlink_server_options options = {
		.vendor = "ghmemd",
		.product = "Certification of the Varlink server",
		.version = "1",
		.url = "https://varlink.org",
		.interfaces = interfaces,
		.threads = 2,
	};
	struct varlink_server *server;
	sigset_t signals;
	int fd, r, signal;

	if (argc != 2) {
		fprintf(stderr, "Usage: %s PATH\n", argv[0]);
		return 2;
	}
	log_open("varlink-certification", LOG_DEBUG);
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	evthread_use_pthreads();
	fd = listen_at(argv[1]);
	r = fd < 0 ? fd : varlink_server_new(&server, fd, &options);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", argv[1], strerror(-r));
		return 1;
	}
	puts("ready");
	fflush(stdout);
	sigwait(&signals, &signal);
	varlink_server_free(server);
	unlink(argv[1]);
	while (!LIST_EMPTY(&clients)) {
		struct client *client = LIST_FIRST(&clients);

		LIST_REMOVE(client, link);
		free(client);
	}
	return 0;
}
