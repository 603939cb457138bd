/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Ends of connections and peers of the Varlink server; bounds and descriptors have their own tests. */

#include <check.h>
#include <errno.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-login.h>
#include <unistd.h>

#include "daemon/varlink/internal.h"
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

#define HOLD "{'method': 'org.example.test.Hold'}"
#define NOTE "{'method': 'org.example.test.Note', 'oneway': true}"
/* Makes the server let what follows pile up in the socket. */
#define WAIT "{'method': 'org.example.test.Later', 'parameters': {'msec': 50}}"

START_TEST(closed_connection_orphans_its_call)
{
	client_send(&client, HOLD);
	fixture_await(&counters.kept, 1);
	client_close(&client);
	fixture_await(&counters.closed, 1);
	fixture_await(&counters.orphans, 1);
	ck_assert_uint_eq(counters.undelivered, 1);
}
END_TEST

/* What waits unread must not hide that the client is gone. */
START_TEST(closed_connection_is_noticed_behind_unread_calls)
{
	client_send(&client, HOLD);
	client_send(&client, HOLD);
	fixture_await(&counters.kept, 1);
	client_close(&client);
	fixture_await(&counters.closed, 1);
	fixture_await(&counters.orphans, 1);
	ck_assert_uint_eq(counters.kept, 1);
}
END_TEST

START_TEST(call_and_close_at_once_is_noticed)
{
	for (unsigned i = 1; i <= 50; i++) {
		struct client c;

		client_connect(&c);
		client_send(&c, HOLD);
		client_close(&c);
		fixture_await(&counters.closed, i);
	}
	fixture_await(&counters.orphans, atomic_load(&counters.kept));
}
END_TEST

START_TEST(stopped_server_orphans_its_calls)
{
	client_send(&client, HOLD);
	fixture_await(&counters.kept, 1);
	fixture_stop();
	ck_assert_uint_eq(counters.orphans, 1);
	ck_assert_uint_eq(counters.closed, 1);
	client_expect_end(&client);
	client_close(&client);
	ck_assert_uint_lt(fixture_count_fds(), fds_before);
	fixture_start();
}
END_TEST

START_TEST(half_closed_connection_gets_its_answers)
{
	client_send(&client, WAIT);
	client_send(&client, "{'method': 'org.example.test.Echo'}");
	client_send(&client, WAIT);
	ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
	client_expect(&client, "{'parameters': {'later': true}}");
	client_expect(&client, "{'parameters': {}}");
	client_expect(&client, "{'parameters': {'later': true}}");
	client_expect_end(&client);
	fixture_await(&counters.closed, 1);
}
END_TEST

START_TEST(half_closed_connection_is_noticed_when_it_closes)
{
	client_send(&client, HOLD);
	ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
	fixture_await(&counters.kept, 1);
	usleep(50000);
	ck_assert_uint_eq(counters.closed, 0);
	client_close(&client);
	fixture_await(&counters.closed, 1);
	fixture_await(&counters.orphans, 1);
}
END_TEST

START_TEST(idle_half_closed_connection_is_closed)
{
	client_send_raw(&client, "{\"meth", 6);
	ck_assert_int_eq(shutdown(client.fd, SHUT_WR), 0);
	client_expect_end(&client);
	fixture_await(&counters.closed, 1);
}
END_TEST

START_TEST(oneway_calls_outlive_their_client)
{
	client_send(&client, NOTE);
	client_send(&client,
		"{'method': 'org.example.test.Later', 'parameters': {'msec': 50}, 'oneway': true}");
	client_send(&client, NOTE);
	client_close(&client);
	fixture_await(&counters.closed, 1);
	ck_assert_uint_eq(counters.notes, 2);
}
END_TEST

START_TEST(reader_of_nothing_is_given_up)
{
	client_send(&client, "{'method': 'org.example.test.Stream', 'more': true,"
			     " 'parameters': {'count': 1000000, 'size': 1000000}}");
	fixture_await(&counters.closed, 1);
	ck_assert_uint_eq(counters.undelivered, 1);
}
END_TEST

#define ECHO  "{'method': 'org.example.test.Echo'}"
#define ABORT "{'method': 'org.example.test.Abort'}"

START_TEST(aborted_call_has_no_answer_but_those_before_it_have)
{
	client_send(&client, WAIT); /* so that the others are handled in one go */
	client_send(&client, ECHO);
	client_send(&client, ABORT);
	client_send(&client, ECHO);
	client_expect(&client, "{'parameters': {'later': true}}");
	client_expect(&client, "{'parameters': {}}");
	client_expect_end(&client);
	fixture_await(&counters.closed, 1);
}
END_TEST

START_TEST(aborted_stream_does_not_end_as_if_it_were_whole)
{
	client_send(&client,
		"{'method': 'org.example.test.Abort', 'more': true, 'parameters': {'msec': 5}}");
	client_expect(&client, "{'parameters': {'part': 1}, 'continues': true}");
	client_expect_end(&client);
	fixture_await(&counters.closed, 1);
}
END_TEST

START_TEST(call_without_a_connection_can_be_aborted)
{
	client_send(&client, "{'method': 'org.example.test.Abort', 'parameters': {'msec': 50}}");
	usleep(10000);
	client_close(&client);
	fixture_await(&counters.closed, 1);
	usleep(60000);
}
END_TEST

START_TEST(slow_ticker_is_given_up_when_the_client_closes)
{
	client_send(&client,
		"{'method': 'org.example.test.Tick', 'more': true, 'parameters': {'msec': 1}}");
	client_expect(&client, "{'parameters': {'tick': 0}, 'continues': true}");
	client_expect(&client, "{'parameters': {'tick': 1}, 'continues': true}");
	client_close(&client);
	fixture_await(&counters.closed, 1);
	fixture_await(&counters.undelivered, 1);
}
END_TEST

/* It calls and calls and never reads: the server must stop reading too, and go on when it does. */
START_TEST(caller_that_does_not_read_is_made_to_wait)
{
	char call[16384], *text = call;
	size_t sent = 0, calls;

	text += sprintf(text, "{\"method\":\"org.example.test.Echo\",\"parameters\":{\"x\":\"");
	memset(text, 'x', 12000);
	strcpy(text + 12000, "\"}}");
	for (unsigned quiet = 0; quiet < 20;) {
		size_t size = strlen(call) + 1, at = sent % size;
		ssize_t n = send(client.fd, call + at, size - at, MSG_DONTWAIT);

		if (n > 0) {
			sent += (size_t)n;
			quiet = 0;
		} else {
			usleep(10000);
			quiet++;
		}
		ck_assert_uint_lt(sent, 8 * 1024 * 1024);
	}
	calls = sent / (strlen(call) + 1);
	ck_assert_uint_gt(calls, 10);
	for (size_t i = 0; i < calls; i++)
		json_decref(client_receive(&client));
	client_send_raw(&client, call + sent % (strlen(call) + 1),
		strlen(call) + 1 - sent % (strlen(call) + 1));
	json_decref(client_receive(&client));
	client_expect_alive(&client);
}
END_TEST

/* One client's long pipeline does not keep another one of the same thread waiting. */
START_TEST(long_pipeline_leaves_others_their_turn)
{
	struct client other[8];
	char calls[64 * 60];
	size_t size = 0;

	for (unsigned i = 0; i < 60; i++)
		size += (size_t)sprintf(calls + size,
				"{\"method\":\"org.example.test.Note\",\"oneway\":true}") +
			1;
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		client_connect(&other[i]);
	for (unsigned round = 0; round < 200; round++) {
		client_send_raw(&client, calls, size);
		client_expect_alive(&other[round % ARRAY_SIZE(other)]);
	}
	client_expect_alive(&client);
	ck_assert_uint_eq(counters.notes, 200 * 60);
	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		client_close(&other[i]);
}
END_TEST

/* The client is the process that connected, not whoever else has its socket. */
START_TEST(killed_peer_ends_the_connection_that_a_child_keeps)
{
	int pipe_fds[2];
	pid_t peer, heir = 0;

	ck_assert_int_eq(pipe(pipe_fds), 0);
	peer = fork();
	if (peer == 0) {
		struct client c;

		close(client.fd);
		client_connect(&c);
		client_send(&c, HOLD);
		heir = fork();
		if (heir > 0 && write(pipe_fds[1], &heir, sizeof(heir)) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	ck_assert_int_eq(read(pipe_fds[0], &heir, sizeof(heir)), sizeof(heir));
	fixture_await(&counters.kept, 1);
	usleep(20000);
	ck_assert_uint_eq(counters.closed, 0);
	kill(peer, SIGKILL);
	fixture_await(&counters.closed, 1);
	fixture_await(&counters.orphans, 1);
	ck_assert_int_eq(kill(heir, 0), 0);
	kill(heir, SIGKILL);
	waitpid(peer, NULL, 0);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

/* The connection was made, and its process is gone before the server looks. */
START_TEST(process_that_only_sends_is_heard)
{
	for (unsigned i = 1; i <= 20; i++) {
		pid_t pid = fork();
		int status;

		if (pid == 0) {
			struct client c;

			client_connect(&c);
			client_send(&c, NOTE);
			_exit(0);
		}
		ck_assert_int_eq(waitpid(pid, &status, 0), pid);
		ck_assert_int_eq(status, 0);
		fixture_await(&counters.notes, i);
		fixture_await(&counters.closed, i);
	}
}
END_TEST

START_TEST(peer_is_what_the_kernel_says)
{
	json_t *reply, *who, *groups;
	gid_t mine[256];
	int n = getgroups(256, mine);

	client_send(&client, "{'method': 'org.example.test.Who'}");
	reply = client_receive(&client);
	who = json_object_get(reply, "parameters");
	groups = json_object_get(who, "groups");
	ck_assert_int_eq(json_integer_value(json_object_get(who, "uid")), geteuid());
	ck_assert_int_eq(json_integer_value(json_object_get(who, "gid")), getegid());
	ck_assert_int_eq(json_integer_value(json_object_get(who, "pid")), getpid());
	ck_assert(json_is_true(json_object_get(who, "pidfd")));
	ck_assert_int_eq(json_integer_value(json_array_get(groups, 0)), getegid());
	ck_assert_int_ge(n, 0);
	for (int i = 0; i < n; i++) {
		bool found = false;

		for (size_t j = 0; j < json_array_size(groups); j++)
			found = found ||
				(gid_t)json_integer_value(json_array_get(groups, j)) == mine[i];
		ck_assert_msg(found, "group %u is missing", mine[i]);
	}
	json_decref(reply);
}
END_TEST

/* What this process itself finds is what the server must have found about it. */
START_TEST(unit_is_known_of_a_process_that_is_there)
{
	_cleanup_free_ char *unit = NULL;
	int r = sd_pid_get_unit(getpid(), &unit);
	json_t *reply, *who;

	client_send(&client, "{'method': 'org.example.test.Who'}");
	reply = client_receive(&client);
	who = json_object_get(reply, "parameters");
	if (r >= 0)
		ck_assert_str_eq(json_string_value(json_object_get(who, "unit")), unit);
	else
		ck_assert(json_is_null(json_object_get(who, "unit")));
	ck_assert_int_eq(json_is_true(json_object_get(who, "unit_unknown")),
		r < 0 && r != -ENODATA && sd_booted() != 0);
	json_decref(reply);
}
END_TEST

START_TEST(unit_is_unknown_of_a_process_that_is_gone)
{
	struct varlink_peer peer;
	int pipe_fds[2], fd, listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(address);
	pid_t pid;
	bool gone;

	/* An abstract address of the kernel's choice. */
	ck_assert_int_eq(bind(listen_fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
	ck_assert_int_eq(listen(listen_fd, 1), 0);
	ck_assert_int_eq(getsockname(listen_fd, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(pipe(pipe_fds), 0);
	pid = fork();
	if (pid == 0) {
		int own = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		int r = connect(own, (struct sockaddr *)&address, size);
		char byte;

		_exit(r < 0 || read(pipe_fds[0], &byte, 1) != 1 ? 1 : 0);
	}
	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(peer_read_credentials(&peer, fd), 0);
	ck_assert_int_eq(peer.pid, pid);
	ck_assert(peer.unit_unknown);
	ck_assert_int_eq(write(pipe_fds[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert_int_eq(peer_read_process(&peer, fd, &gone), 0);
	ck_assert(gone);
	ck_assert(peer.unit_unknown);
	ck_assert_ptr_null(peer.unit);
	peer_done(&peer);
	close(fd);
	close(listen_fd);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
}
END_TEST

START_TEST(peer_with_many_groups_has_them_all)
{
	pid_t pid;
	int status;

	if (geteuid() != 0) {
		fprintf(stderr, "not tested: only root can have made-up groups\n");
		return;
	}
	pid = fork();
	if (pid == 0) {
		json_t *reply, *who, *got;
		gid_t groups[500];
		struct client c;
		bool right;

		for (unsigned i = 0; i < 500; i++)
			groups[i] = 7000 + i;
		if (setgroups(500, groups) < 0 || setgid(7003) < 0 || setuid(7000) < 0)
			_exit(77);
		client_connect(&c);
		client_send(&c, "{'method': 'org.example.test.Who'}");
		reply = client_receive(&c);
		who = json_object_get(reply, "parameters");
		got = json_object_get(who, "groups");
		right = json_array_size(got) == 500 &&
			json_integer_value(json_array_get(got, 0)) == 7003 &&
			json_integer_value(json_object_get(who, "uid")) == 7000;
		json_decref(reply);
		client_close(&c);
		_exit(right ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(a_thousand_connections_leave_nothing)
{
	struct client clients[250];
	json_int_t last[ARRAY_SIZE(clients)];

	for (unsigned round = 0; round < 4; round++) {
		for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
			client_connect(&clients[i]);
		for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
			client_send(&clients[i], "{'method': 'org.example.test.Who'}");
		for (size_t i = 0; i < ARRAY_SIZE(clients); i++) {
			json_t *reply = client_receive(&clients[i]);

			last[i] = json_integer_value(
				json_object_get(json_object_get(reply, "parameters"), "id"));
			for (size_t j = 0; j < i; j++)
				ck_assert_int_ne(last[i], last[j]);
			json_decref(reply);
		}
		for (size_t i = 0; i < ARRAY_SIZE(clients); i++)
			client_close(&clients[i]);
	}
	fixture_await(&counters.closed, 1000);
	for (unsigned i = 0; i < 1000 && fixture_count_fds() != fds_before; i++)
		usleep(1000);
	expect_no_leak();
}
END_TEST

/* Unix sockets have urgent bytes as well: no harm may come of them. */
START_TEST(out_of_band_bytes_disturb_nobody_else)
{
	struct client other;

	for (unsigned i = 0; i < 8; i++)
		if (send(client.fd, i % 2 ? "a" : "\0", 1, MSG_OOB | MSG_NOSIGNAL) < 0 ||
			send(client.fd, i % 2 ? "\0" : "b", 1, MSG_NOSIGNAL) < 0)
			break;
	client_connect(&other);
	client_expect_alive(&other);
	client_close(&other);
}
END_TEST

START_TEST(stopped_listening_keeps_open_connections)
{
	struct client late;
	int r = 0;

	varlink_server_stop_listening(fixture_server);
	varlink_server_stop_listening(fixture_server);
	for (unsigned i = 0; i < 1000 && r == 0; i++) {
		client_open(&late);
		r = client_try(&late);
		client_close(&late);
		usleep(1000);
	}
	ck_assert_int_eq(r, -ECONNREFUSED);
	client_expect_alive(&client);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("varlink_connections");
	TCase *tcase = tcase_create("connections");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, closed_connection_orphans_its_call);
	tcase_add_test(tcase, closed_connection_is_noticed_behind_unread_calls);
	tcase_add_test(tcase, call_and_close_at_once_is_noticed);
	tcase_add_test(tcase, stopped_server_orphans_its_calls);
	tcase_add_test(tcase, half_closed_connection_gets_its_answers);
	tcase_add_test(tcase, half_closed_connection_is_noticed_when_it_closes);
	tcase_add_test(tcase, idle_half_closed_connection_is_closed);
	tcase_add_test(tcase, oneway_calls_outlive_their_client);
	tcase_add_test(tcase, reader_of_nothing_is_given_up);
	tcase_add_test(tcase, aborted_call_has_no_answer_but_those_before_it_have);
	tcase_add_test(tcase, aborted_stream_does_not_end_as_if_it_were_whole);
	tcase_add_test(tcase, call_without_a_connection_can_be_aborted);
	tcase_add_test(tcase, slow_ticker_is_given_up_when_the_client_closes);
	tcase_add_test(tcase, caller_that_does_not_read_is_made_to_wait);
	tcase_add_test(tcase, long_pipeline_leaves_others_their_turn);
	tcase_add_test(tcase, killed_peer_ends_the_connection_that_a_child_keeps);
	tcase_add_test(tcase, process_that_only_sends_is_heard);
	tcase_add_test(tcase, peer_is_what_the_kernel_says);
	tcase_add_test(tcase, unit_is_known_of_a_process_that_is_there);
	tcase_add_test(tcase, unit_is_unknown_of_a_process_that_is_gone);
	tcase_add_test(tcase, peer_with_many_groups_has_them_all);
	tcase_add_test(tcase, a_thousand_connections_leave_nothing);
	tcase_add_test(tcase, out_of_band_bytes_disturb_nobody_else);
	tcase_add_test(tcase, stopped_listening_keeps_open_connections);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
