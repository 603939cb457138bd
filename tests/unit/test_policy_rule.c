/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a rule says beyond yes and no, how a decision is explained, where things stand in a text. */

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>

#include "policy/locate.h"
#include "policy_testing.h"
#include "util/util.h"

#define KEYS(keys) "{'name':'a','effect':'allow','operations':['lend']," keys "}"

START_TEST(limits_are_read_or_absent)
{
	struct policy *policy = testing_policy(KEYS("'limits':{'parcels':8,'bytes':'2G'}"));
	struct policy_limits limits = policy_rule_limits(policy_rule_at(policy, 0));

	ck_assert_uint_eq(limits.parcels, 8);
	ck_assert_uint_eq(limits.bytes, 2ull << 30);
	ck_assert_uint_eq(limits.regions, UINT64_MAX);
	policy_unref(policy);
}
END_TEST

START_TEST(client_death_is_ten_seconds_and_quarantine_when_left_out)
{
	struct policy *policy = testing_policy(KEYS("'vms':['0-65535']"));
	const struct policy_rule *rule = policy_rule_at(policy, 0);

	ck_assert_uint_eq(policy_rule_recall_usec(rule), 10000000);
	ck_assert(!policy_rule_may_reset(rule, 128));
	ck_assert(!policy_rule_sanitize(rule));
	policy_unref(policy);
}
END_TEST

START_TEST(client_death_may_reset_only_listed_guests)
{
	struct policy *policy = testing_policy(KEYS(
		"'sanitize':'required','on_client_death':{'then':'reset-vm','resets':['0-0x8f']}"));
	const struct policy_rule *rule = policy_rule_at(policy, 0);

	ck_assert(policy_rule_sanitize(rule));
	ck_assert(policy_rule_may_reset(rule, 0x80));
	ck_assert(policy_rule_may_reset(rule, 0x8f));
	ck_assert(!policy_rule_may_reset(rule, 0x90));
	/* The host and the Resource Manager are no guests, whatever is listed. */
	ck_assert(!policy_rule_may_reset(rule, GHRM_VMID_HOST));
	ck_assert(!policy_rule_may_reset(rule, GHRM_VMID_RM));
	policy_unref(policy);
}
END_TEST

static const struct {
	const char *text;
	uint64_t usec;
} durations[] = {
	{ "'5s'", 5000000 },
	{ "'500ms'", 500000 },
	{ "'1min'", 60000000 },
	{ "'2h'", 7200000000 },
	{ "'7us'", 7 },
	{ "'1min 30s'", 90000000 },
	{ "'1min30s'", 90000000 },
	{ "'12'", 12000000 },
	{ "'3 sec'", 3000000 },
	{ "12", 12000000 },
	{ "0", 0 },
	{ "'365h'", 1314000000000 },
};

START_TEST(durations_become_microseconds)
{
	char rule[256];
	struct policy *policy;

	snprintf(rule, sizeof(rule), KEYS("'on_client_death':{'recall':%s}"), durations[_i].text);
	policy = testing_policy(rule);
	ck_assert_uint_eq(policy_rule_recall_usec(policy_rule_at(policy, 0)), durations[_i].usec);
	policy_unref(policy);
}
END_TEST

START_TEST(words_have_names_in_both_directions)
{
	for (unsigned bit = POLICY_SHARE; bit <= POLICY_ADMIN; bit <<= 1)
		ck_assert_uint_eq(policy_operation_from_name(policy_operation_name(bit)), bit);
	ck_assert_uint_eq(policy_operation_from_name("steal"), 0);
	ck_assert_str_eq(policy_source_name(POLICY_SOURCE_POOL), "pool");
	ck_assert_str_eq(policy_lifetime_name(POLICY_DETACHED), "detached");
	ck_assert_ptr_null(policy_source_name(0));
}
END_TEST

START_TEST(every_prefix_of_a_policy_is_refused_and_none_is_read_beyond)
{
	static const char text[] =
		"{\"rules\":[{\"name\":\"\\u00e9\",\"effect\":\"deny\",\"vms\":[1]}]}";

	for (size_t size = 1; size < strlen(text); size++) {
		/* On the heap and of that size, so that sanitizers see a step too far. */
		_cleanup_free_ char *prefix = strndup(text, size);
		struct policy *policy = NULL;
		struct policy_report report;
		struct path rules = { NULL, "rules", 0 }, first = { &rules, NULL, 0 },
			    vms = { &first, "vms", 0 };
		struct locator locator;

		ck_assert_int_eq(testing_load(prefix, &policy, &report), -EBADMSG);
		policy_report_done(&report);
		locator_init(&locator, prefix, size);
		ck_assert_uint_le(locator_find(&locator, &vms, false).offset, size);
		ck_assert_uint_le(locator_find(&locator, &first, true).offset, size);
	}
}
END_TEST

START_TEST(places_are_found_in_any_order_and_behind_any_escape)
{
	static const char text[] =
		"{ \"\\u00e9\\\"\": [],\n \"rules\": [ {\"a\": \"]},\\\"\"},\n  \"é\", 3 ] }";
	static const struct {
		size_t index;
		unsigned line, column;
	} rows[] = { { 2, 3, 8 }, { 0, 2, 13 }, { 1, 3, 3 }, { 1, 3, 3 }, { 2, 3, 8 } };
	struct path rules = { NULL, "rules", 0 }, escaped = { NULL, "é\"", 0 };
	struct locator locator;
	struct place place;

	locator_init(&locator, text, strlen(text));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct path entry = { &rules, NULL, rows[i].index };

		place = locator_find(&locator, &entry, false);
		ck_assert_uint_eq(place.line, rows[i].line);
		ck_assert_uint_eq(place.column, rows[i].column);
	}
	place = locator_find(&locator, &escaped, true);
	ck_assert_uint_eq(place.column, 3);
	place = locator_find(&locator, &escaped, false);
	ck_assert_uint_eq(place.column, 15);
}
END_TEST

START_TEST(explanations_name_the_rule_and_the_first_key_in_the_way)
{
	static const struct {
		const char *request, *part;
	} rows[] = {
		{ "vm=1:r", "allowed by rule \"a\" (" },
		{ "vm=9:r", "denied by rule \"d\" (" },
		{ "vm=2:r", "VM 2 is not in vms" },
		{ "vm=1:rx", "VM 1 would get \"rx\", access is at most \"rw\" when left out" },
		{ "vm=1:r type=io", "\"io\" is not in memory.types" },
		{ "vm=1:r src=fd", "source \"fd\" needs memory.sources" },
		{ "vm=1:r src=private label=8", "label 8 is not in memory.labels" },
		{ "vm=1:r life=detached", "\"detached\" is not in lifetimes (connection only" },
		{ "op=donate vm=1:r", "\"donate\" is not in operations" },
		{ "vm=2:r", "rule \"d\" (/proc/self/fd/" },
		{ "vm=2:r", "nothing of the request is in its vms" },
		{ "op=share vm=1:r region=0x1000+0x1000", "memory.regions" },
		{ "uid=7 vm=1:r", "no rule matches; rule \"d\"" },
	};
	struct policy *policy =
		testing_policy("{'name':'d','effect':'deny','vms':[9]},"
			       "{'name':'a','effect':'allow','subject':{'users':[1000]},'"
			       "operations':['lend','share'],"
			       "'vms':[1],'memory':{'types':['normal'],'labels':[7]}}");

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct testing_request request;
		struct policy_decision decision;
		_cleanup_free_ char *reason = NULL;

		testing_request(&request, rows[i].request);
		ck_assert_int_eq(policy_explain(policy, &request.request, &decision, &reason), 0);
		ck_assert_msg(strstr(reason, rows[i].part), "%s: %s", rows[i].request, reason);
	}
	policy_unref(policy);
}
END_TEST

START_TEST(explanations_stay_short)
{
	char rules[4096] = "";
	struct policy *policy;
	struct testing_request request;
	struct policy_decision decision;
	_cleanup_free_ char *reason = NULL, *none = NULL;

	for (int i = 0; i < 20; i++)
		sprintf(rules + strlen(rules),
			"%s{'name':'r%d','effect':'allow','subject':{'users':[5]},'operations':['"
			"list']}",
			i ? "," : "", i);
	policy = testing_policy(rules);
	testing_request(&request, "uid=5 op=status");
	ck_assert_int_eq(policy_explain(policy, &request.request, &decision, &reason), 0);
	ck_assert_ptr_nonnull(strstr(reason, "\"r7\""));
	ck_assert_ptr_null(strstr(reason, "\"r8\""));
	ck_assert_ptr_nonnull(strstr(reason, "; and 12 more"));
	testing_request(&request, "uid=6 op=status");
	ck_assert_int_eq(policy_explain(policy, &request.request, &decision, &none), 0);
	ck_assert_str_eq(none, "no rule matches: none is about this client (uid 6)");
	policy_unref(policy);
}
END_TEST

static void *use_snapshot(void *userdata)
{
	struct policy *policy = userdata;

	for (int i = 0; i < 2000; i++) {
		struct policy *mine = policy_ref(policy);
		struct testing_request request;
		struct policy_decision decision;

		testing_request(&request, i % 2 ? "vm=1:r unit=a.service" : "vm=2:r");
		decision = policy_decide(mine, &request.request);
		ck_assert(decision.allowed == (i % 2 == 1));
		policy_unref(mine);
	}
	policy_unref(policy);
	return NULL;
}

START_TEST(threads_share_a_snapshot_and_the_last_one_frees_it)
{
	pthread_t threads[4];
	struct policy *policy = testing_policy("{'name':'a','effect':'allow','subject':{'units':['"
					       "a*']},'operations':['lend'],'vms':[1]}");

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL, use_snapshot, policy_ref(policy)), 0);
	policy_unref(policy);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy rules");
	TCase *tcase = tcase_create("rules");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, limits_are_read_or_absent);
	tcase_add_test(tcase, client_death_is_ten_seconds_and_quarantine_when_left_out);
	tcase_add_test(tcase, client_death_may_reset_only_listed_guests);
	tcase_add_loop_test(tcase, durations_become_microseconds, 0, (int)ARRAY_SIZE(durations));
	tcase_add_test(tcase, words_have_names_in_both_directions);
	tcase_add_test(tcase, every_prefix_of_a_policy_is_refused_and_none_is_read_beyond);
	tcase_add_test(tcase, places_are_found_in_any_order_and_behind_any_escape);
	tcase_add_test(tcase, explanations_name_the_rule_and_the_first_key_in_the_way);
	tcase_add_test(tcase, explanations_stay_short);
	tcase_add_test(tcase, threads_share_a_snapshot_and_the_last_one_frees_it);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
