/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The broker's core, with doubles for memory and the Resource Manager: what is granted and refused. */

#include <check.h>

#include "tests/unit/core_double.h"
#include "util/log.h"

static struct bench bench;

static void setup(void)
{
	log_open("test_core", LOG_ERR - 1);
	bench_init(&bench, bench_policy);
}

/* ---- the good way ---- */

START_TEST(lend_is_pinned_described_listed_and_reclaimed_with_its_client)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct request *answer;

	bench_lend_whole(&bench, alice, 0);
	bench_post(&bench, bench_about(alice, VERB_DESCRIBE, 0));
	answer = bench_answer(&bench);
	ck_assert_str_eq(answer->reply.parcels[0].rule, "alice");
	ck_assert_uint_eq(answer->reply.parcels[0].regions, 3);
	request_free(answer);

	bench_close(&bench, alice);
	ck_assert_int_eq(bench.rm[0]->kind, RM_JOB_RECLAIM);
	ck_assert(bench.rm[0]->urgent);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_done(&bench);
}
END_TEST

START_TEST(share_lists_the_host_and_lend_does_not)
{
	struct client *root = bench_client(&bench, ROOT);
	struct request *request = bench_lend(root);

	request->verb = VERB_SHARE;
	request->host_rights = GHRM_RIGHT_R;
	bench_post(&bench, request);
	bench_pin(&bench, 1);
	ck_assert_int_eq(bench.rm[0]->verb, GHRM_MEM_SHARE);
	ck_assert_uint_eq(bench.rm[0]->n_acl, 2);
	ck_assert_uint_eq(bench.rm[0]->acl[1].vmid, GHRM_VMID_HOST);
	ck_assert_uint_eq(bench.rm[0]->acl[1].rights, GHRM_RIGHT_R);
	ck_assert_uint_ne(bench.rm[0]->label, 0);
	bench_rm_created(&bench, 7);
	request_free(bench_answer(&bench));

	bench_post(&bench, bench_lend(root));
	bench_pin(&bench, 1);
	ck_assert_int_eq(bench.rm[0]->verb, GHRM_MEM_LEND);
	ck_assert_uint_eq(bench.rm[0]->n_acl, 1);
	bench_rm_created(&bench, 8);
	request_free(bench_answer(&bench));

	bench_close(&bench, root);
	for (int i = 0; i < 2; i++) {
		bench_rm(&bench, RM_DONE, 0);
		bench_unpin(&bench);
	}
	bench_done(&bench);
}
END_TEST

START_TEST(reclaim_answers_after_the_pin_is_gone)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct request *answer;

	bench_lend_whole(&bench, alice, 5);
	bench_post(&bench, bench_about(alice, VERB_RECLAIM, 5));
	bench_rm(&bench, RM_DONE, 0);
	ck_assert_uint_eq(bench.n_answers, 0);
	bench_unpin(&bench);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_OK);
	request_free(answer);
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

START_TEST(detached_outlives_its_client_and_its_uid_reclaims_it)
{
	struct client *root = bench_client(&bench, ROOT), *again;
	struct request *request = bench_lend(root);

	request->lifetime = POLICY_DETACHED;
	request_free(bench_refused(
		&bench, request, OUTCOME_POLICY_DENIED)); /* the rule has no lifetimes */
	bench_close(&bench, root);
	again = bench_client(&bench, ROOT);
	bench_close(&bench, again);
	bench_done(&bench);
}
END_TEST

/* ---- refusals cost the Resource Manager nothing ---- */

START_TEST(denied_requests_send_no_message_and_pin_nothing)
{
	struct client *alice = bench_client(&bench, ALICE), *bob = bench_client(&bench, BOB);
	struct client *stranger = bench_client(&bench, 4711);
	struct request *request, *answer;

	answer = bench_refused(&bench, bench_lend(bob), OUTCOME_POLICY_DENIED);
	ck_assert_str_eq(answer->reply.rule, "no-bob");
	request_free(answer);
	answer = bench_refused(&bench, bench_lend(stranger), OUTCOME_POLICY_DENIED);
	ck_assert_ptr_null(answer->reply.rule);
	request_free(answer);

	request = bench_lend(alice);
	request->grants[0].vmid = 0x83; /* one beyond the range */
	request_free(bench_refused(&bench, request, OUTCOME_POLICY_DENIED));
	request = bench_lend(alice);
	request->grants[0].rights = GHRM_RIGHT_RWX; /* more than rw */
	request_free(bench_refused(&bench, request, OUTCOME_POLICY_DENIED));
	request = bench_lend(alice);
	request->grants[0].vmid = GHRM_VMID_HOST;
	request_free(bench_refused(&bench, request, OUTCOME_INVALID_PARAMETER));
	request = bench_lend(alice);
	request->n_grants = 0;
	request_free(bench_refused(&bench, request, OUTCOME_INVALID_PARAMETER));
	request = bench_lend(alice);
	request->size = 0;
	request_free(bench_refused(&bench, request, OUTCOME_MEMORY_INVALID));
	request = bench_lend(alice);
	request->sources = POLICY_SOURCE_REGIONS;
	request_free(bench_refused(&bench, request, OUTCOME_MEMORY_INVALID));

	ck_assert_uint_eq(bench.n_rm_total, 0);
	bench_close(&bench, alice);
	bench_close(&bench, bob);
	bench_close(&bench, stranger);
	bench_done(&bench);
}
END_TEST

START_TEST(limits_at_and_above)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct request *request, *answer;

	request = bench_lend(alice);
	request->size = (1 << 20) + 4096;
	answer = bench_refused(&bench, request, OUTCOME_QUOTA_EXCEEDED);
	ck_assert_str_eq(answer->reply.limit, "bytes");
	ck_assert_uint_eq(answer->reply.used, 0);
	ck_assert_uint_eq(answer->reply.maximum, 1 << 20);
	request_free(answer);

	request = bench_lend(alice);
	bench_post(&bench, request);
	bench_pin(&bench, 101); /* one list entry too many, known only after resolving */
	bench_unpin(&bench);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_QUOTA_EXCEEDED);
	ck_assert_str_eq(answer->reply.limit, "regions");
	request_free(answer);
	ck_assert_uint_eq(bench.n_rm_total, 0);

	bench_lend_whole(&bench, alice, 1);
	bench_lend_whole(&bench, alice, 2);
	answer = bench_refused(&bench, bench_lend(alice), OUTCOME_QUOTA_EXCEEDED);
	ck_assert_str_eq(answer->reply.limit, "parcels");
	ck_assert_uint_eq(answer->reply.used, 2);
	request_free(answer);

	bench_close(&bench, alice);
	for (int i = 0; i < 2; i++) {
		bench_rm(&bench, RM_DONE, 0);
		bench_unpin(&bench);
	}
	bench_done(&bench);
}
END_TEST

START_TEST(the_sixty_fifth_parcel_is_refused_before_the_manager_is_asked)
{
	struct client *root = bench_client(&bench, ROOT);
	struct request *answer;

	for (uint32_t i = 0; i < 64; i++)
		bench_lend_whole(&bench, root, i);
	answer = bench_refused(&bench, bench_lend(root), OUTCOME_QUOTA_EXCEEDED);
	ck_assert_str_eq(answer->reply.limit, "manager-slots");
	ck_assert_uint_eq(answer->reply.used, 64);
	request_free(answer);
	ck_assert_uint_eq(bench.n_rm_total, 64);
	bench_close(&bench, root);
	for (int i = 0; i < 64; i++) {
		bench_rm(&bench, RM_DONE, 0);
		bench_unpin(&bench);
	}
	bench_done(&bench);
}
END_TEST

START_TEST(a_request_that_may_wait_gets_the_next_free_slot_in_order)
{
	struct client *root = bench_client(&bench, ROOT), *second = bench_client(&bench, ROOT);
	struct request *request, *answer;

	for (uint32_t i = 0; i < 64; i++)
		bench_lend_whole(&bench, root, i);
	request = bench_lend(second);
	request->wait_usec = 60000000;
	bench_post(&bench, request);
	ck_assert_uint_eq(bench.n_answers, 0);
	ck_assert_uint_eq(bench.n_memory, 0); /* nothing is pinned while it waits */
	request_free(bench_refused(&bench, bench_lend(root), OUTCOME_QUOTA_EXCEEDED));

	bench_post(&bench, bench_about(root, VERB_RECLAIM, 7));
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	request_free(bench_answer(&bench));
	bench_pin(&bench, 1);
	bench_rm_created(&bench, 64);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_OK);
	request_free(answer);

	/* One that dies while it waits, and one that waits for nothing. */
	request = bench_lend(second);
	request->wait_usec = 60000000;
	bench_post(&bench, request);
	bench_close(&bench, second);
	request_free(bench_answer(&bench));
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_lend_whole(&bench, root, 100);
	request = bench_lend(root);
	request->wait_usec = 20000;
	bench_post(&bench, request);
	while (bench.n_answers == 0)
		event_base_loop(bench.base, EVLOOP_ONCE);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_QUOTA_EXCEEDED);
	ck_assert_str_eq(answer->reply.limit, "manager-slots");
	request_free(answer);

	bench_close(&bench, root);
	for (int i = 0; i < 64; i++) {
		bench_rm(&bench, RM_DONE, 0);
		bench_unpin(&bench);
	}
	bench_done(&bench);
}
END_TEST

START_TEST(others_parcels_do_not_exist_for_a_client_but_do_for_an_admin)
{
	struct client *alice = bench_client(&bench, ALICE), *bob = bench_client(&bench, BOB);
	struct client *root = bench_client(&bench, ROOT);
	struct request *answer;

	bench_lend_whole(&bench, alice, 9);
	request_free(bench_refused(
		&bench, bench_about(bob, VERB_DESCRIBE, 9), OUTCOME_PARCEL_NOT_FOUND));
	request_free(
		bench_refused(&bench, bench_about(bob, VERB_RECLAIM, 9), OUTCOME_PARCEL_NOT_FOUND));
	bench_post(&bench, bench_about(root, VERB_LIST, 0));
	answer = bench_answer(&bench);
	ck_assert_uint_eq(answer->reply.n_parcels, 1);
	request_free(answer);
	bench_post(&bench, bench_about(root, VERB_RECLAIM, 9));
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	request_free(bench_answer(&bench));
	bench_close(&bench, alice);
	bench_close(&bench, bob);
	bench_close(&bench, root);
	bench_done(&bench);
}
END_TEST

/* ---- announcing ---- */

START_TEST(only_grantees_that_run_are_notified)
{
	static const uint16_t vmids[] = { 0x80, 0x81, 0x82 };
	struct client *alice = bench_client(&bench, ALICE);
	struct request *request = bench_lend(alice), *answer;

	free(request->grants);
	request->grants = calloc(3, sizeof(*request->grants));
	for (size_t i = 0; i < 3; i++)
		request->grants[i] = (struct ghrm_acl_entry){ vmids[i], GHRM_RIGHT_R };
	request->n_grants = 3;
	request->notify = true;
	bench_post(&bench, request);
	bench_pin(&bench, 1);
	bench_rm_created(&bench, 9);
	ck_assert_int_eq(bench.rm[0]->kind, RM_JOB_VM_STATE);
	bench.rm[0]->value = GHRM_VM_STATUS_EXITED;
	bench_rm(&bench, RM_DONE, 0);
	ck_assert_uint_eq(bench.rm[0]->vmid, 0x81);
	bench.rm[0]->value = GHRM_VM_STATUS_RUNNING;
	bench_rm(&bench, RM_DONE, 0);
	bench_rm(&bench, RM_REFUSED, GHRM_NORESOURCE); /* no such VM */
	ck_assert_int_eq(bench.rm[0]->kind, RM_JOB_NOTIFY);
	ck_assert_int_eq(bench.rm[0]->notify_flags, GHRM_NOTIFY_SHARED);
	ck_assert_uint_eq(bench.rm[0]->handle, 9);
	ck_assert_uint_eq(bench.rm[0]->n_targets, 1);
	ck_assert_uint_eq(bench.rm[0]->targets[0], 0x81);
	ck_assert_uint_ne(bench.rm[0]->tag, 0);
	bench_rm(&bench, RM_DONE, 0);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_OK);
	request_free(answer);
	bench_close(&bench, alice);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_done(&bench);
}
END_TEST

START_TEST(refused_announcement_takes_the_parcel_back)
{
	struct client *alice = bench_client(&bench, ALICE);
	struct request *request = bench_lend(alice), *answer;

	request->notify = true;
	bench_post(&bench, request);
	bench_pin(&bench, 1);
	bench_rm_created(&bench, 9);
	bench.rm[0]->value = GHRM_VM_STATUS_RUNNING;
	bench_rm(&bench, RM_DONE, 0);
	bench_rm(&bench, RM_REFUSED, GHRM_VMID_INVALID);
	ck_assert_int_eq(bench.rm[0]->kind, RM_JOB_RECLAIM);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_MANAGER_ERROR);
	request_free(answer);
	bench_close(&bench, alice);
	bench_done(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core");
	TCase *tcase = tcase_create("core");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, lend_is_pinned_described_listed_and_reclaimed_with_its_client);
	tcase_add_test(tcase, share_lists_the_host_and_lend_does_not);
	tcase_add_test(tcase, reclaim_answers_after_the_pin_is_gone);
	tcase_add_test(tcase, detached_outlives_its_client_and_its_uid_reclaims_it);
	tcase_add_test(tcase, denied_requests_send_no_message_and_pin_nothing);
	tcase_add_test(tcase, limits_at_and_above);
	tcase_add_test(tcase, the_sixty_fifth_parcel_is_refused_before_the_manager_is_asked);
	tcase_add_test(tcase, a_request_that_may_wait_gets_the_next_free_slot_in_order);
	tcase_add_test(tcase, others_parcels_do_not_exist_for_a_client_but_do_for_an_admin);
	tcase_add_test(tcase, only_grantees_that_run_are_notified);
	tcase_add_test(tcase, refused_announcement_takes_the_parcel_back);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
