/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The broker's core when something fails, is not answered, or dies. */

#include <check.h>

#include "tests/unit/core_double.h"
#include "util/log.h"

static struct bench bench;

static void setup(void)
{
	log_open("test_core_faults", LOG_ERR - 1);
	bench_init(&bench, bench_policy);
}

/* ---- failures and roll-backs ---- */

START_TEST(failed_pin_leaves_nothing)
{
	static const struct {
		enum memory_outcome outcome;
		enum outcome expected;
	} rows[] = {
		{ MEMORY_INVALID, OUTCOME_MEMORY_INVALID },
		{ MEMORY_EXHAUSTED, OUTCOME_MEMORY_INVALID },
		{ MEMORY_UNAVAILABLE, OUTCOME_MANAGER_UNAVAILABLE },
	};
	struct client *alice = bench_client(&bench, ALICE);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct request *answer;

		bench_post(&bench, bench_lend(alice));
		bench_pin_fails(&bench, rows[i].outcome);
		answer = bench_answer(&bench);
		ck_assert_int_eq(answer->reply.outcome, rows[i].expected);
		request_free(answer);
	}
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

START_TEST(refused_create_is_told_with_its_code_and_unpinned)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct request *answer;

	bench_post(&bench, bench_lend(alice));
	bench_pin(&bench, 1);
	bench_rm(&bench, RM_REFUSED, GHRM_MEM_INVALID);
	bench_unpin(&bench);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_MANAGER_ERROR);
	ck_assert_uint_eq(answer->reply.code, GHRM_MEM_INVALID);
	request_free(answer);
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

START_TEST(refused_append_is_rolled_back_by_reclaim)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct request *answer;

	bench_post(&bench, bench_lend(alice));
	bench_pin(&bench, 1);
	bench.rm[0]->handle_known = true;
	bench.rm[0]->handle = 3;
	bench.rm[0]->messages = 2;
	bench_rm(&bench, RM_REFUSED, GHRM_NOMEM);
	ck_assert_int_eq(bench.rm[0]->kind, RM_JOB_RECLAIM);
	ck_assert_uint_eq(bench.rm[0]->handle, 3);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_MANAGER_ERROR);
	ck_assert_uint_eq(answer->reply.code, GHRM_NOMEM);
	request_free(answer);
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

START_TEST(failed_roll_back_withholds_the_pages_and_keeps_the_charge)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct request *answer;
	struct parcel *parcel;

	bench_post(&bench, bench_lend(alice));
	bench_pin(&bench, 1);
	bench.rm[0]->handle_known = true;
	bench.rm[0]->handle = 3;
	bench_rm(&bench, RM_REFUSED, GHRM_NOMEM);
	bench_rm(&bench, RM_REFUSED, GHRM_MEM_INUSE); /* a guest accepted the half-built parcel */
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_MANAGER_ERROR);
	parcel = TAILQ_FIRST(&bench.broker->parcels);
	ck_assert_int_eq(parcel->state, PARCEL_QUARANTINED);
	ck_assert_ptr_nonnull(strstr(answer->reply.reason, parcel->id));
	ck_assert_uint_eq(bench.n_memory, 0);
	ck_assert_uint_eq(quota_accounts(bench.broker->quota), 1);
	request_free(answer);

	/* The guest lets go: it is taken back at once. */
	bench_notification(&bench, GHRM_NOTIF_MEM_RELEASED, 3, 0x80);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

/* ---- unknown outcomes ---- */

static struct parcel *lend_unknown(struct client *alice)
{
	struct request *answer;

	bench_post(&bench, bench_lend(alice));
	bench_pin(&bench, 1);
	bench_rm(&bench, RM_UNKNOWN, 0);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_UNKNOWN);
	request_free(answer);
	ck_assert_uint_eq(bench.n_memory, 0);
	return TAILQ_FIRST(&bench.broker->parcels);
}

START_TEST(unanswered_create_is_withheld_until_its_late_answer)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct parcel *parcel = lend_unknown(alice);

	ck_assert_int_eq(parcel->state, PARCEL_QUARANTINED);
	ck_assert(!parcel->handle_known);
	bench_late(&bench, GHRM_MEM_LEND, parcel->number, GHRM_OK, true, 0);
	ck_assert_int_eq(bench.rm[0]->kind, RM_JOB_RECLAIM);
	ck_assert_uint_eq(bench.rm[0]->handle, 0);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

START_TEST(unanswered_create_that_was_refused_after_all_is_unpinned)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct parcel *parcel = lend_unknown(alice);

	bench_late(&bench, GHRM_MEM_LEND, parcel->number, GHRM_DENIED, false, 0);
	bench_unpin(&bench);
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

START_TEST(unanswered_create_stays_withheld_when_the_answer_is_lost)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct parcel *parcel = lend_unknown(alice);

	bench_event(&bench, RM_EVENT_SETTLED, parcel->number);
	bench_close(&bench, alice);
	ck_assert_uint_eq(bench.n_rm, 0);
	ck_assert_uint_eq(bench.n_memory, 0);
	ck_assert_int_eq(parcel->state, PARCEL_QUARANTINED);
	ck_assert_int_eq(bench.pins, 1);
	bench_abandon(&bench);
}
END_TEST

START_TEST(unanswered_reclaim_is_asked_again_behind_the_barrier)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct parcel *parcel;
	struct request *answer;

	bench_lend_whole(&bench, alice, 4);
	parcel = TAILQ_FIRST(&bench.broker->parcels);
	bench_post(&bench, bench_about(alice, VERB_RECLAIM, 4));
	bench_rm(&bench, RM_UNKNOWN, 0);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_UNKNOWN);
	request_free(answer);
	ck_assert_int_eq(parcel->state, PARCEL_QUARANTINED);
	bench_event(&bench, RM_EVENT_SETTLED, parcel->number);
	bench_rm(&bench, RM_REFUSED, GHRM_HANDLE_INVALID); /* it had been executed */
	bench_unpin(&bench);
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

START_TEST(unanswered_reclaim_that_is_answered_late_gives_the_pages_back)
{
	static const struct {
		uint32_t error;
		bool gone;
	} rows[] = { { GHRM_OK, true }, { GHRM_HANDLE_INVALID, true }, { GHRM_MEM_INUSE, false } };
	struct client *alice = bench_client(&bench, ALICE);

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct parcel *parcel;

		bench_lend_whole(&bench, alice, 4);
		parcel = TAILQ_FIRST(&bench.broker->parcels);
		bench_post(&bench, bench_about(alice, VERB_RECLAIM, 4));
		bench_rm(&bench, RM_UNKNOWN, 0);
		request_free(bench_answer(&bench));
		bench_late(&bench, GHRM_MEM_RECLAIM, parcel->number, rows[i].error, false, 0);
		if (!rows[i].gone) {
			ck_assert_uint_eq(bench.n_memory, 0);
			bench_rm(&bench, RM_DONE, 0); /* asked again */
		}
		bench_unpin(&bench);
	}
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

START_TEST(late_append_never_frees_what_the_manager_still_has)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct parcel *parcel;

	bench_post(&bench, bench_lend(alice));
	bench_pin(&bench, 1);
	bench.rm[0]->handle_known = true;
	bench.rm[0]->handle = 3;
	bench.rm[0]->messages = 1;
	bench_rm(&bench, RM_UNKNOWN, 0);     /* an append */
	bench_rm(&bench, RM_UNAVAILABLE, 0); /* its roll-back waited too long behind the barrier */
	request_free(bench_answer(&bench));
	parcel = TAILQ_FIRST(&bench.broker->parcels);
	ck_assert_int_eq(parcel->state, PARCEL_QUARANTINED);
	bench_late(&bench, GHRM_MEM_APPEND, parcel->number, GHRM_OK, false, 0);
	ck_assert_uint_eq(bench.n_memory, 0);
	ck_assert_int_eq(bench.rm[0]->kind, RM_JOB_RECLAIM);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

/* ---- deaths ---- */

START_TEST(client_that_dies_while_pages_are_pinned_leaves_nothing)
{
	struct client *alice = bench_client(&bench, ALICE);

	bench_post(&bench, bench_lend(alice));
	bench_close(&bench, alice);
	bench_pin(&bench, 1);
	bench_unpin(&bench);
	ck_assert_uint_eq(bench.n_rm_total, 0);
	request_free(bench_answer(&bench));
	bench_done(&bench);
}
END_TEST

START_TEST(client_that_dies_while_the_manager_works_is_rolled_back)
{
	struct client *alice = bench_client(&bench, ALICE);

	bench_post(&bench, bench_lend(alice));
	bench_pin(&bench, 1);
	bench_close(&bench, alice);
	ck_assert_uint_eq(bench.n_cancelled, 1);
	bench_rm_created(&bench, 6); /* the cancel came too late */
	ck_assert_int_eq(bench.rm[0]->kind, RM_JOB_RECLAIM);
	ck_assert_uint_eq(bench.rm[0]->handle, 6);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	request_free(bench_answer(&bench));
	bench_done(&bench);
}
END_TEST

START_TEST(held_parcel_of_a_dead_client_stays_pinned_and_listed_until_released)
{
	struct client *alice = bench_client(&bench, ALICE), *root = bench_client(&bench, ROOT);
	struct request *answer;

	bench_lend_whole(&bench, alice, 2);
	bench_notification(&bench, GHRM_NOTIF_MEM_ACCEPTED, 2, 0x80);
	bench_close(&bench, alice);
	bench_rm(&bench, RM_REFUSED, GHRM_MEM_INUSE);
	bench_post(&bench, bench_about(root, VERB_DESCRIBE, 2));
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.parcels[0].state, PARCEL_HELD);
	ck_assert(answer->reply.parcels[0].holders[0].accepted);
	ck_assert_ptr_nonnull(answer->reply.parcels[0].reason);
	request_free(answer);
	ck_assert_int_eq(bench.pins, 1);

	bench_notification(&bench, GHRM_NOTIF_MEM_RELEASED, 2, 0x80);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_close(&bench, root);
	bench_done(&bench);
}
END_TEST

START_TEST(reclaim_while_held_names_the_holder)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct request *answer;

	bench_lend_whole(&bench, alice, 2);
	bench_post(&bench, bench_about(alice, VERB_RECLAIM, 2));
	bench_rm(&bench, RM_REFUSED, GHRM_MEM_INUSE);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_PARCEL_IN_USE);
	ck_assert_uint_eq(answer->reply.n_vms, 1);
	ck_assert_uint_eq(answer->reply.vms[0], 0x80);
	request_free(answer);
	bench_close(&bench, alice);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_done(&bench);
}
END_TEST

START_TEST(stop_takes_everything_back_first)
{
	struct client *alice = bench_client(&bench, ALICE);

	bench_lend_whole(&bench, alice, 1);
	bench_post(&bench, bench_lend(alice)); /* half-way */
	broker_stop(bench.broker);
	ck_assert(!bench.stopped);
	bench_rm(&bench, RM_DONE, 0);
	bench_pin(&bench, 1);
	bench_unpin(&bench);
	ck_assert(!bench.stopped);
	bench_unpin(&bench);
	ck_assert(bench.stopped);
	request_free(bench_answer(&bench));
	request_free(bench_refused(&bench, bench_lend(alice), OUTCOME_MANAGER_UNAVAILABLE));
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

START_TEST(what_a_vm_holds_at_the_stop_is_left_alone_afterwards)
{
	struct client *alice = bench_client(&bench, ALICE);

	bench_lend_whole(&bench, alice, 1);
	broker_stop(bench.broker);
	bench_rm(&bench, RM_REFUSED, GHRM_MEM_INUSE);
	ck_assert(bench.stopped);
	bench_close(&bench, alice);
	bench_notification(&bench, GHRM_NOTIF_MEM_RELEASED, 1, 0x80);
	ck_assert_uint_eq(bench.n_rm, 0);
	ck_assert_int_eq(bench.pins, 1);
	bench_abandon(&bench);
}
END_TEST

START_TEST(lost_link_refuses_new_memory_and_keeps_the_old)
{
	struct client *alice = bench_client(&bench, ALICE);

	bench_lend_whole(&bench, alice, 1);
	bench_event(&bench, RM_EVENT_LINK_LOST, 0);
	request_free(bench_refused(&bench, bench_lend(alice), OUTCOME_MANAGER_UNAVAILABLE));
	bench_close(&bench, alice);
	bench_rm(&bench, RM_UNAVAILABLE, 0);
	ck_assert_int_eq(bench.pins, 1);
	ck_assert_int_eq(TAILQ_FIRST(&bench.broker->parcels)->state, PARCEL_OFFERED);
	bench_abandon(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_faults");
	TCase *tcase = tcase_create("core_faults");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, failed_pin_leaves_nothing);
	tcase_add_test(tcase, refused_create_is_told_with_its_code_and_unpinned);
	tcase_add_test(tcase, refused_append_is_rolled_back_by_reclaim);
	tcase_add_test(tcase, failed_roll_back_withholds_the_pages_and_keeps_the_charge);
	tcase_add_test(tcase, unanswered_create_is_withheld_until_its_late_answer);
	tcase_add_test(tcase, unanswered_create_that_was_refused_after_all_is_unpinned);
	tcase_add_test(tcase, unanswered_create_stays_withheld_when_the_answer_is_lost);
	tcase_add_test(tcase, unanswered_reclaim_is_asked_again_behind_the_barrier);
	tcase_add_test(tcase, unanswered_reclaim_that_is_answered_late_gives_the_pages_back);
	tcase_add_test(tcase, late_append_never_frees_what_the_manager_still_has);
	tcase_add_test(tcase, client_that_dies_while_pages_are_pinned_leaves_nothing);
	tcase_add_test(tcase, client_that_dies_while_the_manager_works_is_rolled_back);
	tcase_add_test(tcase, held_parcel_of_a_dead_client_stays_pinned_and_listed_until_released);
	tcase_add_test(tcase, reclaim_while_held_names_the_holder);
	tcase_add_test(tcase, stop_takes_everything_back_first);
	tcase_add_test(tcase, what_a_vm_holds_at_the_stop_is_left_alone_afterwards);
	tcase_add_test(tcase, lost_link_refuses_new_memory_and_keeps_the_old);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
