/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lane with a Resource Manager that answers. */
#include "tests/unit/lane_bench.h"

#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "util/util.h"

/* ---- requests of one job ---- */

static const size_t chunk_counts[] = { 1, 511, 512, 513, 1024, 1025, 5000 };

static void assert_regions(const struct ghrm_list *list, size_t from, size_t n)
{
	ck_assert_uint_eq(list->count, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(ghrm_region_at(list, i).address, regions[from + i].address);
}

static void play_create(size_t n)
{
	struct rm_job job = create_job(n);
	struct ghrm_message message;
	struct ghrm_create create;
	struct ghrm_append append;
	uint32_t messages = 1;
	size_t at;

	job.flags = GHRM_CREATE_SANITIZE;
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	ck_assert_uint_eq(ghrm_decode_create(message.payload, message.size, &create), GHRM_OK);
	ck_assert_uint_eq(create.label, 0x42);
	ck_assert_uint_eq(create.acl.count, 1);
	ck_assert_uint_eq(create.flags, GHRM_CREATE_SANITIZE | (n > 512 ? GHRM_CREATE_APPEND : 0));
	assert_regions(&create.regions, 0, n < 512 ? n : 512);
	answer_u32(&message, 9);
	for (at = create.regions.count; at < n; at += append.regions.count, messages++) {
		size_t left = n - at;

		message = request(GHRM_MEM_APPEND);
		ck_assert_uint_eq(
			ghrm_decode_append(message.payload, message.size, &append), GHRM_OK);
		ck_assert_uint_eq(append.handle, 9);
		ck_assert_uint_eq(append.flags, left <= 512 ? GHRM_APPEND_END : 0);
		assert_regions(&append.regions, at, left < 512 ? left : 512);
		answer(&message, GHRM_OK);
	}
	expect_job(&job, RM_DONE);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.handle, 9);
	ck_assert_uint_eq(job.messages, messages);
	ck_assert_uint_eq(job.messages, (n + 511) / 512);
	ck_assert_uint_eq(job.described, n);
	ck_assert_uint_gt(job.rm_usec, 0);
}

START_TEST(regions_are_sent_in_chunks_of_512)
{
	start(LONG_DEADLINE, true);
	play_create(chunk_counts[_i]);
}
END_TEST

START_TEST(device_takes_one_packet_per_write)
{
	start(LONG_DEADLINE, false);
	play_create(1025);
}
END_TEST

START_TEST(handle_zero)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_u32(&message, 0);
	expect_job(&job, RM_DONE);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.handle, 0);
}
END_TEST

START_TEST(refused_create_leaves_no_handle)
{
	struct rm_job job = create_job(513);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer(&message, GHRM_MEM_INVALID);
	expect_job(&job, RM_REFUSED);
	ck_assert_uint_eq(job.error, GHRM_MEM_INVALID);
	ck_assert(!job.handle_known);
	ck_assert_uint_eq(job.messages, 0);
	quiet();
}
END_TEST

START_TEST(refused_append_comes_back_with_the_handle)
{
	struct rm_job job = create_job(1500);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_u32(&message, 5);
	message = request(GHRM_MEM_APPEND);
	answer(&message, GHRM_NOMEM);
	expect_job(&job, RM_REFUSED);
	ck_assert_uint_eq(job.error, GHRM_NOMEM);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.handle, 5);
	ck_assert_uint_eq(job.messages, 1);
	ck_assert_uint_eq(job.described, 512);
	quiet(); /* the lane never reclaims by itself */
}
END_TEST

START_TEST(notify_and_probe_are_sent)
{
	static const uint16_t targets[] = { 0x80, 0x81 };
	struct rm_job job = {
		.letter.deliver = on_job,
		.kind = RM_JOB_NOTIFY,
		.urgent = true,
		.notify_flags = GHRM_NOTIFY_SHARED,
		.tag = 3,
		.targets = targets,
		.n_targets = 2,
		.handle = 8,
	};
	struct rm_job probe = job;
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	probe.n_targets = 0;
	lane_submit(lane, &job);
	lane_submit(lane, &probe);
	message = request(GHRM_MEM_NOTIFY);
	ck_assert_uint_eq(message.size, 24);
	answer(&message, GHRM_OK);
	expect_job(&job, RM_DONE);
	message = request(GHRM_MEM_NOTIFY);
	ck_assert_uint_eq(message.size, 12);
	answer(&message, GHRM_MSG_INVALID);
	expect_job(&probe, RM_REFUSED);
	ck_assert_uint_eq(probe.error, GHRM_MSG_INVALID);
}
END_TEST

/* ---- whose turn it is ---- */

START_TEST(one_outstanding)
{
	struct rm_job jobs[3];

	start(LONG_DEADLINE, true);
	for (uint32_t i = 0; i < 3; i++) {
		jobs[i] = reclaim_job(i);
		lane_submit(lane, &jobs[i]);
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct ghrm_message message = request(GHRM_MEM_RECLAIM);

		quiet();
		answer(&message, GHRM_OK);
		expect_job(&jobs[i], RM_DONE);
	}
}
END_TEST

START_TEST(urgent_overtakes_bulk_between_appends)
{
	struct rm_job bulk = create_job(1025), urgent = reclaim_job(3);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &bulk);
	message = request(GHRM_MEM_LEND);
	lane_submit(lane, &urgent);
	sync_with_lane();
	answer_u32(&message, 5);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&urgent, RM_DONE);
	for (int i = 0; i < 2; i++) {
		message = request(GHRM_MEM_APPEND);
		answer(&message, GHRM_OK);
	}
	expect_job(&bulk, RM_DONE);
}
END_TEST

/* Which job a bulk request belongs to: creates by their label, appends by their handle. */
static char bulk_turn(uint32_t msg_id)
{
	struct ghrm_message message = request(msg_id);
	struct ghrm_create create;
	struct ghrm_append append;

	if (msg_id == GHRM_MEM_APPEND) {
		ck_assert_uint_eq(
			ghrm_decode_append(message.payload, message.size, &append), GHRM_OK);
		answer(&message, GHRM_OK);
		return (char)append.handle;
	}
	ck_assert_uint_eq(ghrm_decode_create(message.payload, message.size, &create), GHRM_OK);
	answer_u32(&message, create.label);
	return (char)create.label;
}

START_TEST(bulk_takes_turns_by_uid)
{
	static const struct {
		char name;
		uid_t uid;
		uint64_t connection;
	} who[] = { { 'A', 1, 10 }, { 'B', 1, 11 }, { 'C', 2, 12 } };
	/* uid 2 has every other turn while it has work; uid 1's connections share the rest. */
	static const char order[] = "CBCACBAB";
	struct rm_job jobs[3], first = create_job(1);
	struct ghrm_message message;
	char got[sizeof(order)] = "";
	bool begun[3] = { false };

	start(LONG_DEADLINE, true);
	first.uid = 1;
	first.connection = 9;
	lane_submit(lane, &first);
	message = request(GHRM_MEM_LEND);
	for (size_t i = 0; i < 3; i++) {
		jobs[i] = create_job(1025);
		jobs[i].label = (uint32_t)who[i].name;
		jobs[i].uid = who[i].uid;
		jobs[i].connection = who[i].connection;
	}
	/* A has had its first request before the others come. */
	lane_submit(lane, &jobs[0]);
	sync_with_lane();
	answer_u32(&message, 1);
	expect_job(&first, RM_DONE);
	message = request(GHRM_MEM_LEND);
	begun[0] = true;
	lane_submit(lane, &jobs[1]);
	lane_submit(lane, &jobs[2]);
	sync_with_lane();
	answer_u32(&message, 'A');
	for (size_t i = 0; i < strlen(order); i++) {
		size_t n = (size_t)(order[i] - 'A');

		got[i] = bulk_turn(begun[n] ? GHRM_MEM_APPEND : GHRM_MEM_LEND);
		begun[n] = true;
	}
	ck_assert_str_eq(got, order);
	expect_job(&jobs[2], RM_DONE);
	expect_job(&jobs[0], RM_DONE);
	expect_job(&jobs[1], RM_DONE);
}
END_TEST

START_TEST(at_most_eight_urgent_in_a_row)
{
	static const char order[] = "UUUUUUUUBUUUUUUUUBUUUU";
	struct rm_job bulk = create_job(1025), urgent[20];
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &bulk);
	message = request(GHRM_MEM_LEND);
	for (uint32_t i = 0; i < 20; i++) {
		urgent[i] = reclaim_job(i);
		lane_submit(lane, &urgent[i]);
	}
	sync_with_lane();
	answer_u32(&message, 5);
	for (size_t i = 0; i < strlen(order); i++) {
		message = request(order[i] == 'U' ? GHRM_MEM_RECLAIM : GHRM_MEM_APPEND);
		answer(&message, GHRM_OK);
	}
	while (n_seen < 22) { /* with sync_with_lane's */
		next_returned();
		n_seen = n_returned;
	}
	ck_assert_int_eq(bulk.outcome, RM_DONE);
}
END_TEST

/* ---- what the Resource Manager says unasked ---- */

START_TEST(notification_before_reply)
{
	struct rm_job job = reclaim_job(3);
	struct ghrm_message message;
	struct ghrm_participant participant;
	struct rm_event *event;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_RECLAIM);
	notify(4);
	event = expect_event(RM_EVENT_NOTIFICATION);
	ck_assert_uint_eq(event->msg_id, GHRM_NOTIF_MEM_RELEASED);
	ck_assert(ghrm_decode_participant(event->payload, event->size, &participant));
	ck_assert_uint_eq(participant.handle, 4);
	answer(&message, GHRM_OK);
	expect_job(&job, RM_DONE);
}
END_TEST

START_TEST(wrong_seq_ignored)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message, wrong;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	wrong = message;
	wrong.seq++;
	answer_u32(&wrong, 13);
	wrong = message;
	wrong.msg_id = GHRM_MEM_SHARE;
	answer_u32(&wrong, 14);
	answer_u32(&message, 15);
	expect_job(&job, RM_DONE);
	ck_assert_uint_eq(job.handle, 15);
}
END_TEST

START_TEST(garbage_is_dropped)
{
	uint8_t garbage[300];
	struct rm_job job = reclaim_job(3);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_RECLAIM);
	memset(garbage, 0x21, sizeof(garbage));
	for (size_t size = 0; size < sizeof(garbage); size += 7)
		ck_assert_int_eq(send(peer, garbage, size, MSG_NOSIGNAL), (ssize_t)size);
	answer(&message, GHRM_OK);
	expect_job(&job, RM_DONE);
}
END_TEST

START_TEST(empty_packet_is_not_the_end)
{
	struct rm_job job = reclaim_job(3);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_RECLAIM);
	ck_assert_int_eq(send(peer, "", 0, MSG_NOSIGNAL), 0);
	quiet();
	answer(&message, GHRM_OK);
	expect_job(&job, RM_DONE);
}
END_TEST

/* ---- many submitters ---- */

#define SUBMITTERS 4
#define JOBS_EACH  100

static struct rm_job stress_jobs[SUBMITTERS][JOBS_EACH];
static size_t n_back;

static void on_stress_job(struct letter *letter _unused_, void *userdata _unused_)
{
	n_back++;
}

static void *submit_jobs(void *userdata)
{
	struct rm_job *jobs = userdata;

	for (size_t i = 0; i < JOBS_EACH; i++) {
		jobs[i] = i % 4 ? reclaim_job((uint32_t)i) : create_job(1025);
		jobs[i].letter.deliver = on_stress_job;
		jobs[i].uid = (uid_t)(i % 3);
		jobs[i].connection = i % 5;
		lane_submit(lane, &jobs[i]);
		if (i % 3 == 0)
			lane_cancel(lane, &jobs[i]);
	}
	return NULL;
}

static void *answer_all(void *userdata _unused_)
{
	struct ghrm_message message;
	uint8_t packet[GHRM_PACKET_MAX];
	ssize_t size;

	while ((size = recv(peer, packet, sizeof(packet), 0)) > 0) {
		if (ghrm_reassembly_feed(&reassembly, packet, (size_t)size, &message) !=
			GHRM_FEED_MESSAGE)
			continue;
		if (message.msg_id == GHRM_MEM_LEND)
			answer_u32(&message, 5);
		else
			answer(&message, GHRM_OK);
	}
	return NULL;
}

START_TEST(many_threads_submit_and_cancel)
{
	pthread_t submitters[SUBMITTERS], manager;

	start(LONG_DEADLINE, true);
	ck_assert_int_eq(pthread_create(&manager, NULL, answer_all, NULL), 0);
	for (size_t i = 0; i < SUBMITTERS; i++)
		ck_assert_int_eq(
			pthread_create(&submitters[i], NULL, submit_jobs, stress_jobs[i]), 0);
	while (n_back < SUBMITTERS * JOBS_EACH)
		ck_assert_int_eq(event_base_loop(base, EVLOOP_ONCE), 0);
	for (size_t i = 0; i < SUBMITTERS; i++)
		pthread_join(submitters[i], NULL);
	for (size_t i = 0; i < SUBMITTERS; i++)
		for (size_t k = 0; k < JOBS_EACH; k++) {
			const struct rm_job *job = &stress_jobs[i][k];

			ck_assert(job->outcome == RM_DONE ||
				  (job->outcome == RM_CANCELLED && k % 3 == 0));
			ck_assert(job->described <= job->n_regions);
		}
	lane = lane_free(lane);
	pthread_join(manager, NULL);
	n_back = 0;
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lane");
	TCase *tests = tcase_create("lane");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, regions_are_sent_in_chunks_of_512, 0, ARRAY_SIZE(chunk_counts));
	tcase_add_test(tests, device_takes_one_packet_per_write);
	tcase_add_test(tests, handle_zero);
	tcase_add_test(tests, refused_create_leaves_no_handle);
	tcase_add_test(tests, refused_append_comes_back_with_the_handle);
	tcase_add_test(tests, notify_and_probe_are_sent);
	tcase_add_test(tests, one_outstanding);
	tcase_add_test(tests, urgent_overtakes_bulk_between_appends);
	tcase_add_test(tests, bulk_takes_turns_by_uid);
	tcase_add_test(tests, at_most_eight_urgent_in_a_row);
	tcase_add_test(tests, notification_before_reply);
	tcase_add_test(tests, wrong_seq_ignored);
	tcase_add_test(tests, garbage_is_dropped);
	tcase_add_test(tests, empty_packet_is_not_the_end);
	tcase_add_test(tests, many_threads_submit_and_cancel);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
