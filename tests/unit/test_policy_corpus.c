/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Runs the loader over small files named by what they prove. Beside a file may lie NAME.expect, a line
 * for each fault in the order of the report: "LINE:COLUMN: part of the message" or only the part. A file
 * in accept/ must load, with exactly the warnings expected; one in reject/ must not, with exactly the
 * errors expected.
 */

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>

#include "policy/policy.h"
#include "util/util.h"

struct names {
	char *all[512];
	size_t n;
};

static int is_json(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && !strcmp(dot, ".json");
}

static void list(const char *kind, struct names *ret)
{
	_cleanup_free_ char *path = NULL;
	struct dirent **entries = NULL;
	int n;

	ck_assert_int_ge(asprintf(&path, "%s/%s", POLICY_CORPUS, kind), 0);
	n = scandir(path, &entries, is_json, alphasort);
	ck_assert_msg(n > 0, "%s cannot be read", path);
	ck_assert_int_lt(n, (int)ARRAY_SIZE(ret->all));
	for (int i = 0; i < n; i++) {
		ck_assert_int_ge(
			asprintf(&ret->all[ret->n++], "%s/%s", path, entries[i]->d_name), 0);
		free(entries[i]);
	}
	free(entries);
}

/* NULL when no fault is expected of this file. */
static FILE *open_expectations(const char *path)
{
	_cleanup_free_ char *name = NULL;

	ck_assert_int_ge(
		asprintf(&name, "%.*s.expect", (int)(strlen(path) - strlen(".json")), path), 0);
	return fopen(name, "re");
}

static void check_faults(const char *path, const struct policy_report *report)
{
	FILE *file = open_expectations(path);
	size_t i = 0;
	char line[512], fault[2048];

	while (file && fgets(line, sizeof(line), file)) {
		unsigned row, column;
		char *part = line;

		line[strcspn(line, "\n")] = '\0';
		if (i == report->n_faults)
			ck_abort_msg("%s: \"%s\" was not reported", path, line);
		snprintf(fault, sizeof(fault), "%u:%u: %s", report->faults[i].line,
			report->faults[i].column, report->faults[i].message);
		ck_assert_str_eq(report->faults[i].file, path);
		if (sscanf(line, "%u:%u: ", &row, &column) == 2) {
			ck_assert_msg(
				row == report->faults[i].line && column == report->faults[i].column,
				"%s: \"%s\", expected \"%s\"", path, fault, line);
			part = strstr(line, ": ") + 2;
		}
		ck_assert_msg(strstr(report->faults[i].message, part),
			"%s: \"%s\", expected \"%s\"", path, fault, line);
		i++;
	}
	if (i < report->n_faults)
		ck_abort_msg("%s: not expected: %u:%u: %s", path, report->faults[i].line,
			report->faults[i].column, report->faults[i].message);
	if (file)
		fclose(file);
}

static int load(const char *path, struct policy_report *report)
{
	struct policy *policy = NULL;
	int r = policy_load_files(&path, 1, &policy, report);

	ck_assert((r == 0) == (policy != NULL));
	policy_unref(policy);
	return r;
}

static void run(const char *kind, int expected)
{
	struct names names = { 0 };

	list(kind, &names);
	for (size_t i = 0; i < names.n; i++) {
		struct policy_report report;
		int r = load(names.all[i], &report);

		if (r != expected)
			ck_abort_msg("%s: %s, expected %s: %s", names.all[i], strerror(-r),
				strerror(-expected),
				report.n_faults ? report.faults[0].message : "no fault");
		check_faults(names.all[i], &report);
		policy_report_done(&report);
		free(names.all[i]);
	}
}

START_TEST(files_to_accept_load_with_the_warnings_expected)
{
	run("accept", 0);
}
END_TEST

START_TEST(files_to_reject_are_refused_with_the_errors_expected)
{
	run("reject", -EBADMSG);
}
END_TEST

START_TEST(a_file_of_the_reject_corpus_spoils_the_load_of_good_ones)
{
	const char *const files[] = { POLICY_CORPUS "/accept/contract-example.json",
		POLICY_CORPUS "/reject/vms-too-large.json", POLICY_CORPUS "/accept/deny-vms.json" };
	struct policy *policy = NULL;
	struct policy_report report;

	ck_assert_int_eq(policy_load_files(files, 3, &policy, &report), -EBADMSG);
	ck_assert_ptr_null(policy);
	/* The third file's rule has the name of the second's. */
	ck_assert_uint_eq(report.n_errors, 2);
	ck_assert_str_eq(report.faults[0].file, files[1]);
	ck_assert_str_eq(report.faults[1].file, files[2]);
	policy_report_done(&report);
}
END_TEST

START_TEST(shipped_files_load_without_a_warning)
{
	static const char *const shipped[] = { "50-root", "examples/single-tenant",
		"examples/two-teams", "examples/mmio-device", "examples/ci-machine",
		"examples/deny-list" };
	struct policy *policy = NULL;
	struct policy_report report;
	char path[512];
	const char *const files[] = { path };

	snprintf(path, sizeof(path), "%s/%s.json", POLICY_SHIPPED, shipped[_i]);
	ck_assert_int_eq(policy_load_files(files, 1, &policy, &report), 0);
	ck_assert_uint_eq(report.n_faults, 0);
	ck_assert_uint_ge(policy_n_rules(policy), 1);
	policy_unref(policy);
}
END_TEST

START_TEST(root_may_do_everything_but_name_fixed_ranges)
{
	const char *const files[] = { POLICY_SHIPPED "/50-root.json" };
	const struct ghrm_acl_entry grants[] = { { 0, 7 }, { 65535, GHRM_RIGHT_RWX } };
	const struct ghrm_region region = { 0x9000000, 4096 };
	struct policy *policy = NULL;
	struct policy_report report;
	struct policy_request request = { .subject = { .unit_unknown = true },
		.grants = grants,
		.n_grants = 2,
		.label_given = true,
		.lifetime = POLICY_DETACHED };

	ck_assert_int_eq(policy_load_files(files, 1, &policy, &report), 0);
	for (unsigned op = POLICY_SHARE; op <= POLICY_ADMIN; op <<= 1)
		for (unsigned source = POLICY_SOURCE_FD; source <= POLICY_SOURCE_REGIONS;
			source <<= 1) {
			bool fixed = source == POLICY_SOURCE_REGIONS;

			request.operation = op;
			request.has_memory = op <= POLICY_DONATE;
			request.sources = source;
			request.regions = &region;
			request.n_regions = fixed;
			request.mem_type = fixed ? GHRM_MEM_IO : GHRM_MEM_NORMAL;
			request.subject.uid = 0;
			ck_assert(policy_decide(policy, &request).allowed ==
				  !(fixed && request.has_memory));
			request.subject.uid = 1;
			ck_assert_ptr_null(policy_decide(policy, &request).rule);
		}
	policy_unref(policy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy corpus");
	TCase *tcase = tcase_create("files");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, files_to_accept_load_with_the_warnings_expected);
	tcase_add_test(tcase, files_to_reject_are_refused_with_the_errors_expected);
	tcase_add_test(tcase, a_file_of_the_reject_corpus_spoils_the_load_of_good_ones);
	tcase_add_loop_test(tcase, shipped_files_load_without_a_warning, 0, 6);
	tcase_add_test(tcase, root_may_do_everything_but_name_fixed_ranges);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
