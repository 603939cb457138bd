/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Descriptors with calls and replies of the Varlink server, and their shortage. */

#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#include "tests/unit/varlink_fixture.h"

static struct client client;
static unsigned fds_before;

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	fixture_start();
	client_connect(&client);
	client_expect_alive(&client);
	fds_before = fixture_count_fds();
}

static void teardown(void)
{
	client_close(&client);
	fixture_stop();
}

/* The server has closed what it received, once the connection has answered. */
static void expect_no_leak(void)
{
	client_expect_alive(&client);
	ck_assert_uint_eq(fixture_count_fds(), fds_before);
}

#define READ "{'method': 'org.example.test.Read'}"
#define NOTE "{'method': 'org.example.test.Note', 'oneway': true}"
/* Makes the server let what follows pile up in the socket. */
#define WAIT "{'method': 'org.example.test.Later', 'parameters': {'msec': 50}}"

/* The kernel would hand out both messages at once, with the descriptors. */
START_TEST(descriptors_stay_with_the_second_of_two_messages)
{
	int fds[2] = { file_of("one"), file_of("two") };

	client_send(&client, WAIT);
	client_send(&client, READ);
	client_send_fds(&client, READ, fds, 2);
	client_send(&client, READ);
	client_expect(&client, "{'parameters': {'later': true}}");
	client_expect(&client, "{'parameters': {'contents': []}}");
	client_expect(&client, "{'parameters': {'contents': ['one', 'two']}}");
	client_expect(&client, "{'parameters': {'contents': []}}");
	close(fds[0]);
	close(fds[1]);
	expect_no_leak();
}
END_TEST

START_TEST(descriptors_of_both_messages_are_told_apart)
{
	int fds[2] = { file_of("one"), file_of("two") };

	client_send(&client, WAIT);
	client_send_fds(&client, READ, &fds[0], 1);
	client_send_fds(&client, READ, &fds[1], 1);
	client_expect(&client, "{'parameters': {'later': true}}");
	client_expect(&client, "{'parameters': {'contents': ['one']}}");
	client_expect(&client, "{'parameters': {'contents': ['two']}}");
	close(fds[0]);
	close(fds[1]);
	expect_no_leak();
}
END_TEST

/* Sent without their end first: the descriptors come with a part of the message only. */
START_TEST(descriptors_may_come_with_any_part_of_the_message)
{
	static const char head[] = "{\"method\":\"org.example.", tail[] = "test.Read\"}";
	struct iovec iovec = { .iov_base = (void *)tail, .iov_len = sizeof(tail) };
	struct msghdr header = { .msg_iov = &iovec, .msg_iovlen = 1 };
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .align = { .cmsg_len = CMSG_LEN(sizeof(int)),
			      .cmsg_level = SOL_SOCKET,
			      .cmsg_type = SCM_RIGHTS } };
	int fd = file_of("late");

	header.msg_control = control.bytes;
	header.msg_controllen = sizeof(control.bytes);
	memcpy(CMSG_DATA(&control.align), &fd, sizeof(fd));
	client_send_raw(&client, head, strlen(head));
	usleep(20000);
	ck_assert_int_eq(sendmsg(client.fd, &header, 0), sizeof(tail));
	client_expect(&client, "{'parameters': {'contents': ['late']}}");
	close(fd);
	expect_no_leak();
}
END_TEST

START_TEST(descriptors_that_nobody_takes_are_closed)
{
	int fds[3] = { file_of("a"), file_of("b"), file_of("c") };

	client_send_fds(
		&client, "{'method': 'org.example.test.Read', 'parameters': {'leave': 2}}", fds, 3);
	client_expect(&client, "{'parameters': {'contents': ['a']}}");
	client_send_fds(&client, "{'method': 'org.example.test.Nothing'}", fds, 3);
	client_expect_error(&client, "MethodNotFound", "method", "org.example.test.Nothing");
	client_send_fds(&client, NOTE, fds, 3);
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	expect_no_leak();
	client_send_fds(&client, "not JSON", &client.fd, 1);
	client_expect_error(&client, "InvalidParameter", "parameter", "message");
	client_expect_end(&client);
}
END_TEST

START_TEST(sixteen_descriptors_are_accepted)
{
	int fds[VARLINK_FDS_MAX];
	json_t *reply;

	for (size_t i = 0; i < VARLINK_FDS_MAX; i++)
		fds[i] = file_of("x");
	client_send_fds(&client, READ, fds, VARLINK_FDS_MAX);
	reply = client_receive(&client);
	ck_assert_uint_eq(
		json_array_size(json_object_get(json_object_get(reply, "parameters"), "contents")),
		VARLINK_FDS_MAX);
	json_decref(reply);
	for (size_t i = 0; i < VARLINK_FDS_MAX; i++)
		close(fds[i]);
	expect_no_leak();
}
END_TEST

START_TEST(seventeen_descriptors_end_the_connection)
{
	int fds[VARLINK_FDS_MAX + 1];

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = client.fd;
	client_send_fds(&client, READ, fds, ARRAY_SIZE(fds));
	client_expect_error(&client, "InvalidParameter", "parameter", "message");
	client_expect_end(&client);
	fixture_await(&counters.closed, 1);
	/* The connection's own two are gone as well. */
	ck_assert_uint_eq(fixture_count_fds(), fds_before - 2);
}
END_TEST

START_TEST(seventeen_descriptors_in_parts_end_the_connection)
{
	struct client *c = &client;
	int fds[9];
	char byte = '{';

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = c->fd;
	for (unsigned part = 0; part < 2; part++) {
		struct iovec iovec = { .iov_base = &byte, .iov_len = 1 };
		union {
			struct cmsghdr align;
			char bytes[CMSG_SPACE(sizeof(fds))];
		} control = { .align = { .cmsg_len = CMSG_LEN(sizeof(fds)),
				      .cmsg_level = SOL_SOCKET,
				      .cmsg_type = SCM_RIGHTS } };
		struct msghdr header = { .msg_iov = &iovec,
			.msg_iovlen = 1,
			.msg_control = control.bytes,
			.msg_controllen = sizeof(control.bytes) };

		memcpy(CMSG_DATA(&control.align), fds, sizeof(fds));
		ck_assert_int_eq(sendmsg(c->fd, &header, 0), 1);
	}
	client_expect_error(c, "InvalidParameter", "parameter", "message");
	client_expect_end(c);
	fixture_await(&counters.closed, 1);
	ck_assert_uint_eq(fixture_count_fds(), fds_before - 2);
}
END_TEST

START_TEST(reply_brings_a_descriptor)
{
	char text[32] = "";

	client_send(&client, "{'method': 'org.example.test.Open', 'oneway': true}");
	client_send(&client, "{'method': 'org.example.test.Open'}");
	client_expect(&client, "{'parameters': {'fd': 0}}");
	ck_assert_uint_eq(client.n_fds, 1);
	ck_assert_int_gt(pread(client.fds[0], text, sizeof(text) - 1, 0), 0);
	ck_assert_str_eq(text, "from the server");
	close(client.fds[0]);
	client.n_fds = 0;
	expect_no_leak();
}
END_TEST

/* Three replies wait together, and the descriptor comes with the second's bytes. */
START_TEST(descriptor_goes_with_its_own_reply)
{
	client_send(&client, WAIT);
	client_send(&client, "{'method': 'org.example.test.Echo'}");
	client_send(&client, "{'method': 'org.example.test.Open'}");
	client_send(&client, "{'method': 'org.example.test.Echo'}");
	client_expect(&client, "{'parameters': {'later': true}}");
	client_expect(&client, "{'parameters': {}}");
	client_expect(&client, "{'parameters': {'fd': 0}}");
	client_expect(&client, "{'parameters': {}}");
	ck_assert_uint_eq(client.n_fds, 1);
	close(client.fds[0]);
	client.n_fds = 0;
	expect_no_leak();
}
END_TEST

static void set_descriptor_limit(rlim_t limit)
{
	struct rlimit rlimit;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &rlimit), 0);
	rlimit.rlim_cur = limit < rlimit.rlim_max ? limit : rlimit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &rlimit), 0);
}

/* From here on no descriptor can be had. False where the kernel would never learn of the limit. */
static bool exhaust_descriptors(void)
{
	int lowest;

#ifdef RUNNING_ON_VALGRIND
	if (RUNNING_ON_VALGRIND) {
		fprintf(stderr, "not tested: valgrind keeps RLIMIT_NOFILE to itself\n");
		return false;
	}
#endif
	lowest = dup(0);
	ck_assert_int_ge(lowest, 0);
	close(lowest);
	set_descriptor_limit((rlim_t)lowest);
	ck_assert_int_eq(dup(0), -1);
	return true;
}

/* Processor time of all threads, in microseconds. */
static int64_t used_time(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000ll +
	       usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
}

START_TEST(shortage_of_descriptors_only_delays_new_clients)
{
	struct client late;
	int64_t before;

	client_open(&late);
	if (exhaust_descriptors()) {
		ck_assert_int_eq(client_try(&late), 0);
		before = used_time();
		usleep(500000);
		ck_assert_int_lt(used_time() - before, 100000);
		ck_assert_uint_eq(counters.opened, 1);
		client_expect_alive(&client);
		set_descriptor_limit(RLIM_INFINITY);
		client_expect_alive(&late);
	}
	client_close(&late);
}
END_TEST

START_TEST(descriptors_that_do_not_fit_cost_their_sender_only)
{
	struct client other;
	int fd = file_of("x");

	client_connect(&other);
	client_expect_alive(&other);
	if (exhaust_descriptors()) {
		client_send_fds(&client, READ, &fd, 1);
		client_expect_error(&client, "InvalidParameter", "parameter", "message");
		client_expect_end(&client);
		client_expect_alive(&other);
		set_descriptor_limit(RLIM_INFINITY);
	}
	client_close(&other);
	close(fd);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("varlink_descriptors");
	TCase *tcase = tcase_create("descriptors");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, descriptors_stay_with_the_second_of_two_messages);
	tcase_add_test(tcase, descriptors_of_both_messages_are_told_apart);
	tcase_add_test(tcase, descriptors_may_come_with_any_part_of_the_message);
	tcase_add_test(tcase, descriptors_that_nobody_takes_are_closed);
	tcase_add_test(tcase, sixteen_descriptors_are_accepted);
	tcase_add_test(tcase, seventeen_descriptors_end_the_connection);
	tcase_add_test(tcase, seventeen_descriptors_in_parts_end_the_connection);
	tcase_add_test(tcase, reply_brings_a_descriptor);
	tcase_add_test(tcase, descriptor_goes_with_its_own_reply);
	tcase_add_test(tcase, shortage_of_descriptors_only_delays_new_clients);
	tcase_add_test(tcase, descriptors_that_do_not_fit_cost_their_sender_only);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
