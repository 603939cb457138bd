/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lane: answers that are late, lost or odd, the end of the link, cancelling. */
#include "tests/unit/lane_bench.h"

#include <check.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "util/util.h"

START_TEST(late_reply)
{
	struct rm_job job = create_job(513), next = reclaim_job(3);
	struct ghrm_message message, barrier;
	struct rm_event *event;

	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	expect_job(&job, RM_UNKNOWN);
	ck_assert(!job.handle_known);
	barrier = request(GHRM_VM_GET_VMID);
	ck_assert_uint_eq(barrier.size, 0);
	ck_assert_uint_ne(barrier.seq, message.seq);
	lane_submit(lane, &next);
	quiet();
	answer_u32(&message, 0);
	event = expect_event(RM_EVENT_LATE_REPLY);
	ck_assert_uint_eq(event->cookie, 77);
	ck_assert_uint_eq(event->error, GHRM_OK);
	ck_assert(event->handle_known);
	ck_assert_uint_eq(event->handle, 0);
	answer_u32(&message, 0); /* once is enough */
	quiet();
	answer_u32(&barrier, 3);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&next, RM_DONE);
}
END_TEST

START_TEST(late_error)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message, barrier;
	struct rm_event *event;

	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	expect_job(&job, RM_UNKNOWN);
	barrier = request(GHRM_VM_GET_VMID);
	answer(&message, GHRM_DENIED);
	answer_u32(&barrier, 3);
	event = expect_event(RM_EVENT_LATE_REPLY);
	ck_assert_uint_eq(event->error, GHRM_DENIED);
	ck_assert(!event->handle_known);
}
END_TEST

START_TEST(lost_reply_then_barrier)
{
	struct rm_job job = create_job(600), next = reclaim_job(3);
	struct ghrm_message message;

	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_u32(&message, 5);
	message = request(GHRM_MEM_APPEND);
	lane_submit(lane, &next);
	expect_job(&job, RM_UNKNOWN);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.handle, 5);
	ck_assert_uint_eq(job.described, 512);
	message = request(GHRM_VM_GET_VMID);
	answer(&message, GHRM_UNIMPLEMENTED); /* an answer all the same */
	ck_assert_uint_eq(expect_event(RM_EVENT_SETTLED)->cookie, 77);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&next, RM_DONE);
}
END_TEST

START_TEST(queued_jobs_expire_behind_an_unanswered_barrier)
{
	struct rm_job job = create_job(600), second = create_job(600), third = reclaim_job(3);
	struct ghrm_message message, barrier, again;

	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	lane_submit(lane, &second);
	expect_job(&job, RM_UNKNOWN);
	barrier = request(GHRM_VM_GET_VMID);
	expect_job(&second, RM_UNAVAILABLE);
	ck_assert(!second.handle_known);
	again = request(GHRM_VM_GET_VMID); /* its answer may have been lost too */
	ck_assert_uint_ne(again.seq, barrier.seq);
	answer_u32(&again, 3);
	expect_event(RM_EVENT_SETTLED);
	answer_u32(&barrier, 3); /* late, and no longer waited for */
	lane_submit(lane, &third);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&third, RM_DONE);
}
END_TEST

static const struct {
	const uint8_t payload[12];
	size_t size;
} odd_answers[] = {
	{ { 0 }, 4 },                         /* success, no handle */
	{ { 0, 0, 0, 0, 5, 0, 0, 0, 0 }, 9 }, /* too long */
	{ { 0, 0, 0, 0, 5, 0 }, 6 },          /* cut short */
	{ { 3, 0, 0, 0, 5, 0, 0, 0 }, 8 },    /* an error with a handle */
	{ { 0, 0 }, 2 },                      /* not even an error word */
};

START_TEST(short_reply_is_unknown)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_bytes(&message, odd_answers[_i].payload, odd_answers[_i].size);
	expect_job(&job, RM_UNKNOWN);
	ck_assert(!job.handle_known);
	message = request(GHRM_VM_GET_VMID);
	answer_u32(&message, 3);
	ck_assert_uint_eq(expect_event(RM_EVENT_SETTLED)->cookie, 77);
}
END_TEST

START_TEST(append_answer_with_a_tail_is_unknown)
{
	struct rm_job job = create_job(513);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_u32(&message, 5);
	message = request(GHRM_MEM_APPEND);
	answer_u32(&message, 5);
	expect_job(&job, RM_UNKNOWN);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.described, 512);
	message = request(GHRM_VM_GET_VMID);
}
END_TEST

START_TEST(unsent_request_is_unavailable)
{
	struct rm_job job = create_job(512), next = reclaim_job(3);
	struct ghrm_message message;
	uint8_t packet[GHRM_PACKET_MAX];
	ssize_t size;

	/* 36 packets do not fit the link and nobody reads. */
	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	expect_job(&job, RM_UNAVAILABLE);
	ck_assert(!job.execution_unknown);
	/* Half of it is there; then the barrier. */
	do {
		size = recv(peer, packet, sizeof(packet), 0);
		ck_assert_int_gt(size, 0);
	} while (ghrm_reassembly_feed(&reassembly, packet, (size_t)size, &message) !=
		 GHRM_FEED_MESSAGE);
	ck_assert_uint_eq(message.msg_id, GHRM_VM_GET_VMID);
	answer_u32(&message, 3);
	lane_submit(lane, &next);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&next, RM_DONE);
}
END_TEST

/* ---- the end of the link ---- */

START_TEST(link_closed)
{
	struct rm_job job = create_job(513), second = create_job(1), third = reclaim_job(3);

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	request(GHRM_MEM_LEND);
	lane_submit(lane, &second);
	sync_with_lane();
	peer = util_close(peer);
	expect_job(&job, RM_UNKNOWN);
	expect_job(&second, RM_UNAVAILABLE);
	expect_event(RM_EVENT_LINK_LOST);
	lane_submit(lane, &third);
	expect_job(&third, RM_UNAVAILABLE);
}
END_TEST

START_TEST(idle_link_closed)
{
	start(LONG_DEADLINE, true);
	peer = util_close(peer);
	expect_event(RM_EVENT_LINK_LOST);
}
END_TEST

START_TEST(answer_before_the_end_counts)
{
	struct rm_job job = reclaim_job(3);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	peer = util_close(peer);
	expect_job(&job, RM_DONE);
	expect_event(RM_EVENT_LINK_LOST);
}
END_TEST

START_TEST(free_gives_jobs_back)
{
	struct rm_job job = create_job(513), second = create_job(1), third = reclaim_job(3);

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	request(GHRM_MEM_LEND);
	lane_submit(lane, &second);
	lane_submit(lane, &third);
	lane = lane_free(lane);
	expect_job(&job, RM_UNKNOWN);
	next_returned();
	ck_assert_uint_eq(n_returned - n_seen, 2);
	ck_assert_int_eq(second.outcome, RM_UNAVAILABLE);
	ck_assert_int_eq(third.outcome, RM_UNAVAILABLE);
	n_seen = n_returned;
}
END_TEST

/* ---- cancelling ---- */

START_TEST(cancel_between_appends)
{
	struct rm_job job = create_job(1500);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_u32(&message, 5);
	message = request(GHRM_MEM_APPEND);
	lane_cancel(lane, &job);
	answer(&message, GHRM_OK);
	expect_job(&job, RM_CANCELLED);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.messages, 2);
	ck_assert_uint_eq(job.described, 1024);
	quiet();
}
END_TEST

START_TEST(cancel_of_the_last_request_comes_too_late)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	lane_cancel(lane, &job);
	answer_u32(&message, 5);
	expect_job(&job, RM_DONE);
	lane_cancel(lane, &job);
}
END_TEST

START_TEST(cancel_of_a_queued_job_does_not_wait)
{
	struct rm_job job = create_job(1), queued = create_job(1);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	lane_submit(lane, &queued);
	lane_cancel(lane, &queued);
	expect_job(&queued, RM_CANCELLED);
	answer_u32(&message, 5);
	expect_job(&job, RM_DONE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lane_faults");
	TCase *tests = tcase_create("lane");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, late_reply);
	tcase_add_test(tests, late_error);
	tcase_add_test(tests, lost_reply_then_barrier);
	tcase_add_test(tests, queued_jobs_expire_behind_an_unanswered_barrier);
	tcase_add_loop_test(tests, short_reply_is_unknown, 0, ARRAY_SIZE(odd_answers));
	tcase_add_test(tests, append_answer_with_a_tail_is_unknown);
	tcase_add_test(tests, unsent_request_is_unavailable);
	tcase_add_test(tests, link_closed);
	tcase_add_test(tests, idle_link_closed);
	tcase_add_test(tests, answer_before_the_end_counts);
	tcase_add_test(tests, free_gives_jobs_back);
	tcase_add_test(tests, cancel_between_appends);
	tcase_add_test(tests, cancel_of_the_last_request_comes_too_late);
	tcase_add_test(tests, cancel_of_a_queued_job_does_not_wait);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
