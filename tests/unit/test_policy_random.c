/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Many small random policies and requests, the same ones in each run. Two things must hold whatever the
 * policy is: the decision by the index is the one of the plain walk over all rules, and a rule that the
 * loader calls unreachable never decides.
 */

#include <check.h>
#include <stdio.h>

#include "policy_testing.h"
#include "util/util.h"

static uint64_t state;

static unsigned roll(unsigned n)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned)(state >> 20) % n;
}

/* Some of the words, at least one, as a JSON list. */
static void write_words(FILE *out, const char *key, const char *const *words, unsigned n)
{
	unsigned some = 1 + roll((1u << n) - 1);
	const char *comma = "";

	fprintf(out, ",'%s':[", key);
	for (unsigned i = 0; i < n; i++)
		if (some & 1u << i) {
			fprintf(out, "%s'%s'", comma, words[i]);
			comma = ",";
		}
	fprintf(out, "]");
}

static void write_subject(FILE *out)
{
	static const char *const users[] = { "1", "2", "3" },
				 *const groups[] = { "11", "12", "13" },
				 *const units[] = { "a.service", "b.service", "*", "?.service" };
	unsigned keys = roll(8);

	if (keys == 0 || roll(3) == 0)
		return;
	fprintf(out, ",'subject':{'description':''");
	if (keys & 1)
		write_words(out, "users", users, 3);
	if (keys & 2)
		write_words(out, "groups", groups, 3);
	if (keys & 4)
		write_words(out, "units", units, 4);
	fprintf(out, "}");
}

static void write_memory(FILE *out)
{
	static const char *const types[] = { "normal", "io" },
				 *const sources[] = { "fd", "copy", "private", "regions" },
				 *const labels[] = { "1-3", "5", "7-8" };

	fprintf(out, ",'memory':{'':0");
	if (roll(3) == 0)
		write_words(out, "types", types, 2);
	if (roll(2) == 0)
		write_words(out, "sources", sources, 4);
	if (roll(3) == 0)
		write_words(out, "labels", labels, 3);
	if (roll(3) == 0)
		fprintf(out, ",'regions':[{'address':%u,'size':%u}]", roll(4) * 4096,
			(1 + roll(4)) * 4096);
	fprintf(out, "}");
}

static void write_rule(FILE *out, unsigned number)
{
	static const char *const operations[] = { "share", "lend", "donate", "list", "reclaim" },
				 *const vms[] = { "1", "3-4", "6-100" },
				 *const access[] = { "r", "rw", "rx", "rwx" },
				 *const lifetimes[] = { "connection", "detached" };
	bool deny = roll(2);

	fprintf(out, "%s{'name':'%u','effect':'%s'", number ? "," : "", number,
		deny ? "deny" : "allow");
	write_subject(out);
	if (!deny || roll(3) == 0)
		write_words(out, "operations", operations, 5);
	if (roll(3) > 0)
		write_words(out, "vms", vms, 3);
	if (roll(3) == 0)
		fprintf(out, ",'access':'%s'", access[roll(4)]);
	if (roll(2) == 0)
		write_memory(out);
	if (roll(3) == 0)
		write_words(out, "lifetimes", lifetimes, 2);
	fprintf(out, "}");
}

/* Takes out the fillers that make every other member begin with a comma. */
static void drop(char *text, const char *filler)
{
	size_t size = strlen(filler);

	for (char *at = text; (at = strstr(at, filler));) {
		size_t n = size + (at[size] == ',');

		memmove(at, at + n, strlen(at + n) + 1);
	}
}

static struct policy *random_policy(struct policy_report *report)
{
	_cleanup_free_ char *rules = NULL, *text = NULL;
	struct policy *policy = NULL;
	size_t size;
	FILE *out = open_memstream(&rules, &size);
	unsigned n = 1 + roll(12);
	int r;

	for (unsigned i = 0; i < n; i++)
		write_rule(out, i);
	fclose(out);
	drop(rules, "'description':''");
	drop(rules, "'':0");
	text = testing_text(rules);
	r = testing_load(text, &policy, report);
	ck_assert_msg(r == 0, "%s: %s", text, report->n_faults ? report->faults[0].message : "");
	return policy;
}

static void random_request(struct testing_request *ret)
{
	static const char *const operations[] = { "share", "lend", "lend", "donate", "list",
		"reclaim" },
				 *const units[] = { "", "?", "a.service", "b.service", "c.scope" },
				 *const access[] = { "r", "rw", "rx", "rwx" },
				 *const sources[] = { "fd", "copy", "private", "fd,copy",
					 "copy,private" };
	char text[512];
	int n = snprintf(text, sizeof(text), "op=%s uid=%u gid=%u,%u unit=%s src=%s life=%s",
		operations[roll(6)], roll(5), 10 + roll(5), 10 + roll(5), units[roll(5)],
		sources[roll(5)], roll(3) ? "connection" : "detached");

	for (unsigned i = roll(4); i > 0; i--)
		n += snprintf(
			text + n, sizeof(text) - (size_t)n, " vm=%u:%s", roll(8), access[roll(4)]);
	if (roll(2))
		n += snprintf(text + n, sizeof(text) - (size_t)n, " label=%u", roll(10));
	if (roll(4) == 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " region=%u+%u", roll(6) * 4096,
			(1 + roll(3)) * 4096);
	if (roll(4) == 0)
		snprintf(text + n, sizeof(text) - (size_t)n, " type=io");
	testing_request(ret, text);
}

static bool is_called_unreachable(const struct policy_report *report, const char *name)
{
	char begin[64];

	snprintf(begin, sizeof(begin), "rule \"%s\" can never be reached", name);
	for (size_t i = 0; i < report->n_faults; i++)
		if (!strncmp(report->faults[i].message, begin, strlen(begin)))
			return true;
	return false;
}

START_TEST(the_index_decides_like_a_walk_over_all_rules)
{
	struct policy_report report;
	struct policy *policy;
	size_t decided = 0;

	state = 0x9e3779b97f4a7c15ull + (uint64_t)_i * 1000003;
	for (int p = 0; p < 200; p++) {
		policy = random_policy(&report);
		for (int i = 0; i < 100; i++) {
			struct testing_request request;
			struct policy_decision decision, explained;
			char *reason = NULL;

			random_request(&request);
			decision = policy_decide(policy, &request.request);
			ck_assert_int_eq(
				policy_explain(policy, &request.request, &explained, &reason), 0);
			ck_assert_msg(decision.rule == explained.rule, "rule %s, but %s",
				decision.rule ? policy_rule_name(decision.rule) : "-", reason);
			ck_assert(decision.allowed == explained.allowed);
			/* The loader takes for granted that memory is given to somebody. */
			if (decision.rule &&
				!(request.request.has_memory && request.request.n_grants == 0))
				ck_assert_msg(!is_called_unreachable(
						      &report, policy_rule_name(decision.rule)),
					"unreachable, but: %s", reason);
			decided += decision.rule != NULL;
			free(reason);
		}
		policy_report_done(&report);
		policy_unref(policy);
	}
	/* The test is worth something only if the rules and the requests meet. */
	ck_assert_uint_gt(decided, 2000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy at random");
	TCase *tcase = tcase_create("random");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tcase, the_index_decides_like_a_walk_over_all_rules, 0, 8);
	tcase_set_timeout(tcase, 120);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
