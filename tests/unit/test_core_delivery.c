/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What becomes of a parcel whose maker never got to hear of it. */

#include <check.h>

#include "tests/unit/core_double.h"
#include "util/log.h"

static const char policy_text[] =
	"{\"rules\": [{\"name\": \"all\", \"effect\": \"allow\", \"operations\": [\"lend\", "
	"\"reclaim\", \"list\", \"detach\"], \"access\": \"rwx\", "
	"\"lifetimes\": [\"connection\", \"detached\"], \"memory\": {\"sources\": "
	"[\"allocate\"]}}]}";

static struct bench bench;

static void setup(void)
{
	log_open("test_core_delivery", LOG_ERR - 1);
	bench_init(&bench, policy_text);
}

/* A parcel is made, and its answer is on its way to the face. */
static struct request *lend(struct client *client, enum policy_lifetime lifetime, uint32_t handle)
{
	struct request *request = bench_lend(client), *answer;

	request->lifetime = lifetime;
	bench_post(&bench, request);
	bench_pin(&bench, 1);
	bench_rm_created(&bench, handle);
	answer = bench_answer(&bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_OK);
	ck_assert_uint_ne(answer->reply.parcels[0].number, 0);
	return answer;
}

static void undelivered(struct request *answer)
{
	broker_post_undelivered(bench.broker, answer);
	bench_run(&bench);
}

static void expect_reclaim(uint32_t handle)
{
	ck_assert_uint_eq(bench.n_rm, 1);
	ck_assert_int_eq(bench.rm[0]->kind, RM_JOB_RECLAIM);
	ck_assert_uint_eq(bench.rm[0]->handle, handle);
}

START_TEST(delivered_detached_parcel_stays)
{
	struct client *client = bench_client(&bench, 1);

	request_free(lend(client, POLICY_DETACHED, 7));
	bench_close(&bench, client);
	ck_assert_uint_eq(bench.n_rm, 0);
	bench_abandon(&bench);
}
END_TEST

START_TEST(undelivered_detached_parcel_is_taken_back)
{
	struct client *client = bench_client(&bench, 1);

	request_free(lend(client, POLICY_DETACHED, 7));
	undelivered(lend(client, POLICY_DETACHED, 8));
	expect_reclaim(8);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	ck_assert_uint_eq(bench.broker->n_parcels, 1);
	bench_close(&bench, client);
	bench_abandon(&bench);
}
END_TEST

/* The client is freed with the end of its connection. */
START_TEST(undelivered_parcel_of_a_client_that_is_gone_is_taken_back)
{
	struct client *client = bench_client(&bench, 1);
	struct request *answer = lend(client, POLICY_DETACHED, 7);

	bench_close(&bench, client);
	ck_assert_uint_eq(bench.n_rm, 0);
	undelivered(answer);
	expect_reclaim(7);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_done(&bench);
}
END_TEST

START_TEST(undelivered_parcel_is_taken_back_once)
{
	struct client *client = bench_client(&bench, 1);
	struct request *answer = lend(client, POLICY_CONNECTION, 7);

	bench_close(&bench, client);
	expect_reclaim(7);
	undelivered(answer);
	expect_reclaim(7);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_done(&bench);
}
END_TEST

START_TEST(undelivered_parcel_that_is_gone_already_is_no_matter)
{
	struct client *client = bench_client(&bench, 1), *other = bench_client(&bench, 1);
	struct request *answer = lend(client, POLICY_DETACHED, 7);

	bench_post(&bench, bench_about(other, VERB_RECLAIM, 7));
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	request_free(bench_answer(&bench));
	request_free(lend(other, POLICY_CONNECTION, 7)); /* the handle is another's now */
	undelivered(answer);
	ck_assert_uint_eq(bench.n_rm, 0);
	bench_close(&bench, client);
	bench_close(&bench, other);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_done(&bench);
}
END_TEST

/* A VM holds it: it is tried again when that lets go. */
START_TEST(undelivered_parcel_that_is_held_waits)
{
	struct client *client = bench_client(&bench, 1);
	struct request *answer = lend(client, POLICY_CONNECTION, 7);

	undelivered(answer);
	expect_reclaim(7);
	bench_rm(&bench, RM_REFUSED, GHRM_MEM_INUSE);
	bench_close(&bench, client);
	ck_assert_uint_eq(bench.n_rm, 0);
	bench_notification(&bench, GHRM_NOTIF_MEM_RELEASED, 7, 0x80);
	expect_reclaim(7);
	bench_rm(&bench, RM_DONE, 0);
	bench_unpin(&bench);
	bench_done(&bench);
}
END_TEST

START_TEST(undelivered_answer_after_the_stop_is_freed)
{
	struct client *client = bench_client(&bench, 1);
	struct request *answer = lend(client, POLICY_DETACHED, 7);

	bench_close(&bench, client);
	broker_stop(bench.broker);
	expect_reclaim(7);
	bench_rm(&bench, RM_REFUSED, GHRM_MEM_INUSE);
	ck_assert(bench.stopped);
	broker_post_undelivered(bench.broker, answer);
	bench_abandon(&bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("core_delivery");
	TCase *tcase = tcase_create("delivery");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, delivered_detached_parcel_stays);
	tcase_add_test(tcase, undelivered_detached_parcel_is_taken_back);
	tcase_add_test(tcase, undelivered_parcel_of_a_client_that_is_gone_is_taken_back);
	tcase_add_test(tcase, undelivered_parcel_is_taken_back_once);
	tcase_add_test(tcase, undelivered_parcel_that_is_gone_already_is_no_matter);
	tcase_add_test(tcase, undelivered_parcel_that_is_held_waits);
	tcase_add_test(tcase, undelivered_answer_after_the_stop_is_freed);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
