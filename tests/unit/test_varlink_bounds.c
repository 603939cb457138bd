/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* How many connections the Varlink server takes, from whom. */

#include <check.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "daemon/varlink/internal.h"
#include "tests/unit/varlink_fixture.h"

#define ALICE 7001
#define BOB   7002

static bool is_root;

static void setup(void)
{
	signal(SIGPIPE, SIG_IGN);
	is_root = geteuid() == 0;
}

static void start(size_t max, size_t reserved, size_t per_uid)
{
	fixture_start_with(2, &(struct varlink_server_options){
				      .connections_max = max,
				      .connections_reserved = reserved,
				      .connections_per_uid = per_uid,
			      });
}

/* The system call itself: libc's function would change all threads, the server's as well. */
static void become(uid_t uid)
{
	if (is_root)
		ck_assert_int_eq(syscall(SYS_setresuid, -1, uid, -1), 0);
}

/* Connects as uid (everybody is oneself when the test is not run by root). */
static bool connects(struct client *client, uid_t uid)
{
	bool alive;

	become(uid);
	client_connect(client);
	become(0);
	client_send(client, "{'method': 'org.example.test.Echo'}");
	alive = client_gets_answer(client);
	if (!alive)
		client_close(client);
	return alive;
}

static void expect_open(size_t n)
{
	struct bounds *bounds = &fixture_server->bounds;
	size_t now = n + 1;

	for (unsigned i = 0; i < 10000 && now != n; i++) {
		pthread_mutex_lock(&bounds->lock);
		now = bounds->n;
		pthread_mutex_unlock(&bounds->lock);
		usleep(1000);
	}
	ck_assert_uint_eq(now, n);
	ck_assert_int_eq(RB_EMPTY(&bounds->uids), n == 0);
}

START_TEST(connections_over_the_maximum_are_closed)
{
	struct client clients[3], over;

	start(3, 0, 0);
	for (unsigned round = 0; round < 3; round++) {
		for (size_t i = 0; i < 3; i++)
			ck_assert(connects(&clients[i], 0));
		ck_assert(!connects(&over, 0));
		ck_assert(!connects(&over, ALICE));
		expect_open(3);
		for (size_t i = 0; i < 3; i++)
			client_expect_alive(&clients[i]);
		client_close(&clients[0]);
		expect_open(2);
		ck_assert(connects(&clients[0], 0));
		for (size_t i = 0; i < 3; i++)
			client_close(&clients[i]);
		expect_open(0);
	}
	fixture_stop();
}
END_TEST

START_TEST(one_uid_leaves_room_for_others)
{
	struct client alice[2], bob[2], root, over;

	if (!is_root) {
		fprintf(stderr, "not tested: only root can be several users\n");
		return;
	}
	start(100, 0, 2);
	for (size_t i = 0; i < 2; i++)
		ck_assert(connects(&alice[i], ALICE));
	ck_assert(!connects(&over, ALICE));
	for (size_t i = 0; i < 2; i++)
		ck_assert(connects(&bob[i], BOB));
	ck_assert(!connects(&over, BOB));
	client_close(&alice[1]);
	expect_open(3);
	ck_assert(connects(&alice[1], ALICE));
	ck_assert(!connects(&over, ALICE));
	ck_assert(connects(&root, 0));
	for (size_t i = 0; i < 2; i++) {
		client_close(&alice[i]);
		client_close(&bob[i]);
	}
	client_close(&root);
	expect_open(0);
	fixture_stop();
}
END_TEST

START_TEST(last_ones_are_for_root)
{
	struct client alice[3], bob[1], root[2], over;

	if (!is_root) {
		fprintf(stderr, "not tested: only root can be several users\n");
		return;
	}
	start(6, 2, 3);
	for (size_t i = 0; i < 3; i++)
		ck_assert(connects(&alice[i], ALICE));
	ck_assert(!connects(&over, ALICE));
	ck_assert(connects(&bob[0], BOB));
	ck_assert(!connects(&over, BOB));
	for (size_t i = 0; i < 2; i++)
		ck_assert(connects(&root[i], 0));
	ck_assert(!connects(&over, 0));
	client_close(&root[0]);
	expect_open(5);
	ck_assert(!connects(&over, BOB));
	ck_assert(connects(&root[0], 0));
	for (size_t i = 0; i < 3; i++)
		client_close(&alice[i]);
	for (size_t i = 0; i < 2; i++)
		client_close(&root[i]);
	client_close(&bob[0]);
	expect_open(0);
	fixture_stop();
}
END_TEST

START_TEST(root_is_not_bound_as_one_uid)
{
	struct client clients[5];

	if (!is_root) {
		fprintf(stderr, "not tested: this is not root\n");
		return;
	}
	start(5, 1, 1);
	for (size_t i = 0; i < 5; i++)
		ck_assert(connects(&clients[i], 0));
	for (size_t i = 0; i < 5; i++)
		client_close(&clients[i]);
	expect_open(0);
	fixture_stop();
}
END_TEST

/* A connection that the server ends is given back before its client can see the end. */
START_TEST(refused_message_gives_the_place_back_at_once)
{
	struct client client;

	start(1, 0, 1);
	for (unsigned i = 0; i < 50; i++) {
		ck_assert(connects(&client, ALICE));
		client_send_raw(&client, "", 1);
		client_expect_error(&client, "InvalidParameter", "parameter", "message");
		client_expect_end(&client);
		client_close(&client);
	}
	expect_open(0);
	fixture_stop();
}
END_TEST

#define STORM_THREADS 6
#define STORM_CYCLES  50
#define STORM_BOUND   4

static _Atomic unsigned storm_open, storm_taken, storm_refused;

static void *storm(void *argument _unused_)
{
	become(ALICE);
	for (unsigned i = 0; i < STORM_CYCLES; i++) {
		struct client client;

		client_connect(&client);
		client_send(&client, "{'method': 'org.example.test.Echo'}");
		if (client_gets_answer(&client)) {
			ck_assert_uint_lt(atomic_fetch_add(&storm_open, 1), STORM_BOUND);
			storm_taken++;
			usleep(1000);
			storm_open--;
		} else {
			storm_refused++;
		}
		client_close(&client);
	}
	return NULL;
}

START_TEST(bound_holds_in_a_storm_and_nothing_is_left_of_it)
{
	struct client clients[STORM_BOUND], over;
	pthread_t threads[STORM_THREADS];

	start(0, 0, STORM_BOUND);
	for (unsigned i = 0; i < STORM_THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, storm, NULL), 0);
	for (unsigned i = 0; i < STORM_THREADS; i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(storm_taken + storm_refused, STORM_THREADS * STORM_CYCLES);
	ck_assert_uint_gt(storm_taken, 0);
	ck_assert_uint_gt(storm_refused, 0);
	expect_open(0);
	ck_assert_uint_eq(counters.opened, storm_taken);
	for (size_t i = 0; i < STORM_BOUND; i++)
		ck_assert(connects(&clients[i], ALICE));
	ck_assert(!connects(&over, ALICE));
	for (size_t i = 0; i < STORM_BOUND; i++)
		client_close(&clients[i]);
	expect_open(0);
	fixture_stop();
}
END_TEST

START_TEST(bounds_follow_from_the_descriptors)
{
	static const struct {
		size_t descriptors, max, per_uid, reserved;
	} rows[] = {
		{ 0, 1, 1, 0 },
		{ 1, 1, 1, 0 },
		{ 256, 10, 8, 1 },
		{ 1024, 40, 30, 4 },
		{ 2048, 80, 60, 8 },
		{ 4096, 188, 141, 18 },
		{ 20000, 1025, 769, 64 },
		{ 524288, 27567, 20676, 64 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct varlink_server_options options = { 0 };

		varlink_server_bound_connections(&options, rows[i].descriptors);
		ck_assert_uint_eq(options.connections_max, rows[i].max);
		ck_assert_uint_eq(options.connections_per_uid, rows[i].per_uid);
		ck_assert_uint_eq(options.connections_reserved, rows[i].reserved);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("varlink_bounds");
	TCase *tcase = tcase_create("bounds");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, connections_over_the_maximum_are_closed);
	tcase_add_test(tcase, one_uid_leaves_room_for_others);
	tcase_add_test(tcase, last_ones_are_for_root);
	tcase_add_test(tcase, root_is_not_bound_as_one_uid);
	tcase_add_test(tcase, refused_message_gives_the_place_back_at_once);
	tcase_add_test(tcase, bound_holds_in_a_storm_and_nothing_is_left_of_it);
	tcase_add_test(tcase, bounds_follow_from_the_descriptors);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
