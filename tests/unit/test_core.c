/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The broker's core with doubles for memory and the Resource Manager. */

#include <check.h>

#include "tests/unit/core_double.h"
#include "util/log.h"

#define ALICE 1001
#define BOB   1002
#define ROOT  0

static const char policy_text[] =
	"{\"rules\": ["
	"{\"name\": \"root\", \"effect\": \"allow\", \"subject\": {\"users\": [0]},"
	" \"operations\": [\"share\", \"lend\", \"reclaim\", \"list\", \"status\", \"admin\"],"
	" \"access\": \"rwx\", \"memory\": {\"sources\": [\"fd\", \"allocate\", \"private\"]}},"
	"{\"name\": \"alice\", \"effect\": \"allow\", \"subject\": {\"users\": [1001]},"
	" \"operations\": [\"share\", \"lend\", \"reclaim\", \"list\"], \"vms\": [\"0x80-0x82\"],"
	" \"access\": \"rw\", \"memory\": {\"sources\": [\"fd\", \"allocate\"]},"
	" \"limits\": {\"parcels\": 2, \"bytes\": \"1M\", \"regions\": 100}},"
	"{\"name\": \"no-bob\", \"effect\": \"deny\", \"subject\": {\"users\": [1002]}}"
	"]}";

static struct bench bench;

static void setup(void)
{
	log_open("test_core", LOG_ERR - 1);
	bench_init(&bench, policy_text);
}

static struct request *refused(struct request *request, enum outcome outcome)
{
	struct request *answer;

	bench_post(&bench, request);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, outcome);
	return answer;
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
	request_free(refused(request, OUTCOME_POLICY_DENIED)); /* the rule has no lifetimes */
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

	answer = refused(bench_lend(bob), OUTCOME_POLICY_DENIED);
	ck_assert_str_eq(answer->reply.rule, "no-bob");
	request_free(answer);
	answer = refused(bench_lend(stranger), OUTCOME_POLICY_DENIED);
	ck_assert_ptr_null(answer->reply.rule);
	request_free(answer);

	request = bench_lend(alice);
	request->grants[0].vmid = 0x83; /* one beyond the range */
	request_free(refused(request, OUTCOME_POLICY_DENIED));
	request = bench_lend(alice);
	request->grants[0].rights = GHRM_RIGHT_RWX; /* more than rw */
	request_free(refused(request, OUTCOME_POLICY_DENIED));
	request = bench_lend(alice);
	request->grants[0].vmid = GHRM_VMID_HOST;
	request_free(refused(request, OUTCOME_INVALID_PARAMETER));
	request = bench_lend(alice);
	request->n_grants = 0;
	request_free(refused(request, OUTCOME_INVALID_PARAMETER));
	request = bench_lend(alice);
	request->size = 0;
	request_free(refused(request, OUTCOME_MEMORY_INVALID));
	request = bench_lend(alice);
	request->sources = POLICY_SOURCE_REGIONS;
	request_free(refused(request, OUTCOME_MEMORY_INVALID));

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
	answer = refused(request, OUTCOME_QUOTA_EXCEEDED);
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
	answer = refused(bench_lend(alice), OUTCOME_QUOTA_EXCEEDED);
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
	answer = refused(bench_lend(root), OUTCOME_QUOTA_EXCEEDED);
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
	request_free(refused(bench_lend(root), OUTCOME_QUOTA_EXCEEDED));

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
	request_free(refused(bench_about(bob, VERB_DESCRIBE, 9), OUTCOME_PARCEL_NOT_FOUND));
	request_free(refused(bench_about(bob, VERB_RECLAIM, 9), OUTCOME_PARCEL_NOT_FOUND));
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
	request_free(refused(bench_lend(alice), OUTCOME_MANAGER_UNAVAILABLE));
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
	request_free(refused(bench_lend(alice), OUTCOME_MANAGER_UNAVAILABLE));
	bench_close(&bench, alice);
	bench_rm(&bench, RM_UNAVAILABLE, 0);
	ck_assert_int_eq(bench.pins, 1);
	ck_assert_int_eq(TAILQ_FIRST(&bench.broker->parcels)->state, PARCEL_OFFERED);
	bench_abandon(&bench);
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
	tcase_add_test(tcase, only_grantees_that_run_are_notified);
	tcase_add_test(tcase, refused_announcement_takes_the_parcel_back);
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
