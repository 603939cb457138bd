/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Messages, replies and errors of the Varlink server; test_varlink_connections has the rest. */

#include <check.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/unit/varlink_fixture.h"

static struct client client;

static void setup(void)
{
	fixture_start();
	client_connect(&client);
}

static void teardown(void)
{
	client_close(&client);
	fixture_stop();
}

START_TEST(reply_carries_parameters)
{
	client_send(&client,
		"{'method': 'org.example.test.Echo', 'parameters': {'a': [1, 'ü', null]}}");
	client_expect(&client, "{'parameters': {'a': [1, 'ü', null]}}");
}
END_TEST

START_TEST(absent_and_null_parameters_are_empty)
{
	client_send(&client, "{'method': 'org.example.test.Echo'}");
	client_expect(&client, "{'parameters': {}}");
	client_send(
		&client, "{'method': 'org.example.test.Echo', 'parameters': null, 'more': null}");
	client_expect(&client, "{'parameters': {}}");
}
END_TEST

START_TEST(bytes_may_come_one_by_one)
{
	static const char message[] =
		"{\"method\":\"org.example.test.Echo\",\"parameters\":{\"a\":1}}";

	for (unsigned n = 0; n < 3; n++)
		for (size_t i = 0; i < sizeof(message); i++) {
			client_send_raw(&client, &message[i], 1);
			usleep(100);
		}
	for (unsigned n = 0; n < 3; n++)
		client_expect(&client, "{'parameters': {'a': 1}}");
}
END_TEST

/* Slow and quick ones in turn: the quick ones must not overtake. */
START_TEST(pipelined_calls_are_answered_in_order)
{
	char data[64 * 1024];
	size_t used = 0;

	for (int i = 0; i < 300; i++) {
		if (i % 50 == 7)
			used += (size_t)sprintf(data + used,
					"{\"method\":\"org.example.test.Later\","
					"\"parameters\":{\"msec\":2}}") +
				1;
		else
			used += (size_t)sprintf(data + used,
					"{\"method\":\"org.example.test.Echo\",\"parameters\":{"
					"\"i\":%d}}",
					i) +
				1;
	}
	client_send_raw(&client, data, used);
	for (int i = 0; i < 300; i++) {
		char text[64];

		sprintf(text, "{'parameters': {'i': %d}}", i);
		client_expect(&client, i % 50 == 7 ? "{'parameters': {'later': true}}" : text);
	}
}
END_TEST

START_TEST(oneway_has_no_reply)
{
	client_send(&client, "{'method': 'org.example.test.Note', 'oneway': true}");
	client_send(&client, "{'method': 'org.example.test.Missing', 'oneway': true}");
	client_send(&client, "{'method': 'org.example.test.Tick', 'oneway': true, 'more': true}");
	client_send(
		&client, "{'method': 'org.example.test.Echo', 'parameters': 7, 'oneway': true}");
	client_send(&client, "{'method': 'org.example.test.Later', 'oneway': true}");
	client_expect_alive(&client);
	ck_assert_uint_eq(counters.notes, 1);
}
END_TEST

START_TEST(more_has_several_replies)
{
	client_send(&client, "{'method': 'org.example.test.Stream', 'more': true, 'parameters': "
			     "{'count': 3, 'size': 1}}");
	client_expect(&client, "{'parameters': {'number': 1, 'text': 'x'}, 'continues': true}");
	client_expect(&client, "{'parameters': {'number': 2, 'text': 'x'}, 'continues': true}");
	client_expect(&client, "{'parameters': {'number': 3}}");
	client_expect_alive(&client);
}
END_TEST

START_TEST(more_is_allowed_where_one_reply_comes)
{
	client_send(&client, "{'method': 'org.example.test.Echo', 'more': true}");
	client_expect(&client, "{'parameters': {}}");
}
END_TEST

START_TEST(several_replies_need_more)
{
	client_send(&client, "{'method': 'org.example.test.Stream', 'more': false}");
	client_expect(&client, "{'error': 'org.varlink.service.ExpectedMore', 'parameters': {}}");
	client_expect_alive(&client);
}
END_TEST

static const struct {
	const char *message, *error, *field, *value;
} faulty_calls[] = {
	{ "{'method': 'org.example.nowhere.Echo'}", "InterfaceNotFound", "interface",
		"org.example.nowhere" },
	{ "{'method': 'org.example.test.echo'}", "MethodNotFound", "method",
		"org.example.test.echo" },
	{ "{'method': 'org.varlink.service.Get'}", "MethodNotFound", "method",
		"org.varlink.service.Get" },
	{ "{'method': 'org.example.test.Planned'}", "MethodNotImplemented", "method",
		"org.example.test.Planned" },
	{ "{'method': 'org.example.test.Echo', 'upgrade': true}", "MethodNotImplemented", "method",
		"org.example.test.Echo" },
	{ "{'method': 'Echo'}", "InvalidParameter", "parameter", "method" },
	{ "{'method': ''}", "InvalidParameter", "parameter", "method" },
	{ "{'method': '.Echo'}", "InvalidParameter", "parameter", "method" },
	{ "{'method': 'org.example.test.'}", "InvalidParameter", "parameter", "method" },
	{ "{'method': 'org.example.test.Echo', 'parameters': []}", "InvalidParameter", "parameter",
		"parameters" },
	{ "{'method': 'org.example.test.Echo', 'parameters': 'x'}", "InvalidParameter", "parameter",
		"parameters" },
	{ "{'method': 'org.example.test.Echo', 'more': 1}", "InvalidParameter", "parameter",
		"more" },
	{ "{'method': 'org.example.test.Echo', 'oneway': 'true'}", "InvalidParameter", "parameter",
		"oneway" },
	{ "{'method': 'org.example.test.Echo', 'upgrade': {}}", "InvalidParameter", "parameter",
		"upgrade" },
	{ "{'method': 'org.varlink.service.GetInfo', 'parameters': {'all': 1}}", "InvalidParameter",
		"parameter", "all" },
	{ "{'method': 'org.varlink.service.GetInterfaceDescription'}", "InvalidParameter",
		"parameter", "interface" },
	{ "{'method': 'org.varlink.service.GetInterfaceDescription', 'parameters': {'interface': "
	  "1}}",
		"InvalidParameter", "parameter", "interface" },
	{ "{'method': 'org.varlink.service.GetInterfaceDescription',"
	  " 'parameters': {'interface': 'org.example.test', 'version': 1}}",
		"InvalidParameter", "parameter", "version" },
	{ "{'method': 'org.varlink.service.GetInterfaceDescription', 'parameters': {'interface': "
	  "'x'}}",
		"InterfaceNotFound", "interface", "x" },
};

START_TEST(faulty_call_is_answered_and_connection_goes_on)
{
	client_send(&client, faulty_calls[_i].message);
	client_expect_error(
		&client, faulty_calls[_i].error, faulty_calls[_i].field, faulty_calls[_i].value);
	client_expect_alive(&client);
}
END_TEST

START_TEST(permission_denied_is_passed_on)
{
	client_send(&client, "{'method': 'org.example.test.Deny'}");
	client_expect(
		&client, "{'error': 'org.varlink.service.PermissionDenied', 'parameters': {}}");
	client_expect_alive(&client);
}
END_TEST

START_TEST(info_names_service_and_interfaces)
{
	client_send(&client, "{'method': 'org.varlink.service.GetInfo'}");
	client_expect(&client,
		"{'parameters': {'vendor': 'Example', 'product': 'Test', 'version': '7',"
		" 'url': 'https://example.org', 'interfaces': ['org.varlink.service', "
		"'org.example.test']}}");
}
END_TEST

START_TEST(every_interface_is_described)
{
	static const char *const names[] = { "org.varlink.service", "org.example.test" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char text[256], wanted[64];
		const char *description;
		json_t *reply;

		sprintf(text,
			"{'method': 'org.varlink.service.GetInterfaceDescription',"
			" 'parameters': {'interface': '%s'}}",
			names[i]);
		sprintf(wanted, "interface %s\n", names[i]);
		client_send(&client, text);
		reply = client_receive(&client);
		description = json_string_value(
			json_object_get(json_object_get(reply, "parameters"), "description"));
		ck_assert_ptr_nonnull(description);
		ck_assert_ptr_nonnull(strstr(description, wanted));
		json_decref(reply);
	}
}
END_TEST

#define BYTES(text) text, sizeof(text) - 1 /* the NUL that ends the frame stands in the text */

static const struct {
	const char *data;
	size_t size;
	const char *blamed;
} faulty_frames[] = {
	{ BYTES("\0"), "message" },
	{ BYTES("{\0"), "message" },
	{ BYTES("{\"method\":\"org.example.test.Echo\",\"parameters\":{\0"), "message" },
	{ BYTES("{\"method\":\"org.example.te\0st.Echo\"}\0"), "message" },
	{ BYTES("{\"method\":\"org.example.test.Echo\\u0000\"}\0"), "message" },
	{ BYTES("{\"method\":\"org.example.test.Echo\xff\"}\0"), "message" },
	{ BYTES("{\"method\":\"org.example.test.Echo\",\"parameters\":{\"a\":\"\xed\xa0\x80\"}}\0"),
		"message" },
	{ BYTES("{\"method\":\"org.example.test.Echo\",\"parameters\":{\"a\":1,\"a\":2}}\0"),
		"message" },
	{ BYTES("{\"method\":\"org.example.test.Echo\",\"method\":\"org.example.test.Echo\"}\0"),
		"message" },
	{ BYTES("{\"method\":\"org.example.test.Echo\"} {}\0"), "message" },
	{ BYTES("[]\0"), "message" },
	{ BYTES("\"org.example.test.Echo\"\0"), "message" },
	{ BYTES("GET / HTTP/1.1\r\n\r\n\0"), "message" },
	{ BYTES("{}\0"), "method" },
	{ BYTES("{\"parameters\":{}}\0"), "method" },
	{ BYTES("{\"method\":null}\0"), "method" },
	{ BYTES("{\"method\":[\"org.example.test.Echo\"]}\0"), "method" },
};

/* The call before it is answered, the one behind it is not looked at. */
START_TEST(faulty_frame_ends_connection_after_its_error)
{
	client_send(&client, "{'method': 'org.example.test.Later', 'parameters': {'msec': 1}}");
	client_send_raw(&client, faulty_frames[_i].data, faulty_frames[_i].size);
	client_send(&client, "{'method': 'org.example.test.Note'}");
	client_expect(&client, "{'parameters': {'later': true}}");
	client_expect_error(&client, "InvalidParameter", "parameter", faulty_frames[_i].blamed);
	client_expect_end(&client);
	fixture_await(&counters.closed, 1);
	ck_assert_uint_eq(counters.notes, 0);
}
END_TEST

/* A message of exactly this many bytes before its NUL. */
static char *message_of(size_t size)
{
	static const char head[] = "{\"method\":\"org.example.test.Note\",\"parameters\":{\"x\":\"";
	char *text = malloc(size + 1);

	memset(text, 'x', size);
	memcpy(text, head, strlen(head));
	memcpy(text + size - 3, "\"}}", 4);
	return text;
}

START_TEST(sixteen_mebibytes_are_accepted)
{
	_cleanup_free_ char *text = message_of(VARLINK_MESSAGE_MAX);
	json_t *reply;

	client_send_raw(&client, text, VARLINK_MESSAGE_MAX + 1);
	reply = client_receive(&client);
	ck_assert_uint_gt(
		json_string_length(json_object_get(json_object_get(reply, "parameters"), "x")),
		VARLINK_MESSAGE_MAX - 100);
	json_decref(reply);
	client_expect_alive(&client);
}
END_TEST

START_TEST(one_byte_more_is_refused)
{
	_cleanup_free_ char *text = message_of(VARLINK_MESSAGE_MAX + 1);

	client_send_raw(&client, text, VARLINK_MESSAGE_MAX + 2);
	client_expect_error(&client, "InvalidParameter", "parameter", "message");
	client_expect_end(&client);
	ck_assert_uint_eq(counters.notes, 0);
}
END_TEST

/* Every second byte an empty container: hundreds of megabytes as a tree. */
START_TEST(dense_nesting_is_refused)
{
	static const char head[] =
		"{\"method\":\"org.example.test.Note\",\"parameters\":{\"x\":[{}";
	const size_t size = 8 * 1024 * 1024;
	char *text = malloc(size);
	size_t used = strlen(head);

	memcpy(text, head, used);
	for (; used + 6 < size; used += 3)
		memcpy(text + used, ",{}", 3);
	memcpy(text + used, "]}}", 4);
	client_send_raw(&client, text, used + 4);
	client_expect_error(&client, "InvalidParameter", "parameter", "message");
	client_expect_end(&client);
	free(text);
}
END_TEST

/* The deepest nesting that jansson takes goes through, more is refused without a crash. */
START_TEST(deep_nesting_is_refused)
{
	static const char head[] = "{\"method\":\"org.example.test.Note\",\"parameters\":{\"x\":";
	char *text = calloc(1, 400000);

	strcpy(text, head);
	memset(text + strlen(head), '[', 200000);
	client_send_raw(&client, text, strlen(text) + 1);
	client_expect_error(&client, "InvalidParameter", "parameter", "message");
	client_expect_end(&client);
	free(text);
}
END_TEST

START_TEST(kept_call_is_finished_later)
{
	client_send(&client, "{'method': 'org.example.test.Later', 'parameters': {'msec': 30}}");
	client_expect(&client, "{'parameters': {'later': true}}");
	client_expect_alive(&client);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("varlink");
	TCase *tcase = tcase_create("messages");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, reply_carries_parameters);
	tcase_add_test(tcase, absent_and_null_parameters_are_empty);
	tcase_add_test(tcase, bytes_may_come_one_by_one);
	tcase_add_test(tcase, pipelined_calls_are_answered_in_order);
	tcase_add_test(tcase, oneway_has_no_reply);
	tcase_add_test(tcase, more_has_several_replies);
	tcase_add_test(tcase, more_is_allowed_where_one_reply_comes);
	tcase_add_test(tcase, several_replies_need_more);
	tcase_add_loop_test(
		tcase, faulty_call_is_answered_and_connection_goes_on, 0, ARRAY_SIZE(faulty_calls));
	tcase_add_test(tcase, permission_denied_is_passed_on);
	tcase_add_test(tcase, info_names_service_and_interfaces);
	tcase_add_test(tcase, every_interface_is_described);
	tcase_add_loop_test(
		tcase, faulty_frame_ends_connection_after_its_error, 0, ARRAY_SIZE(faulty_frames));
	tcase_add_test(tcase, sixteen_mebibytes_are_accepted);
	tcase_add_test(tcase, one_byte_more_is_refused);
	tcase_add_test(tcase, dense_nesting_is_refused);
	tcase_add_test(tcase, deep_nesting_is_refused);
	tcase_add_test(tcase, kept_call_is_finished_later);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
