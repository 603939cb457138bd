/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Directories, masks, order, and who may write. */

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy_testing.h"
#include "util/util.h"

static char root[] = "/tmp/ghmem-policy-XXXXXX";
static char dirs[3][64];
static const char *const dir_list[] = { dirs[0], dirs[1], dirs[2] };

static void set_up(void)
{
	strcpy(strrchr(root, '-'), "-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	for (int i = 0; i < 3; i++) {
		snprintf(dirs[i], sizeof(dirs[i]), "%s/%d", root, i);
		ck_assert_int_eq(mkdir(dirs[i], 0755), 0);
	}
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st;
	(void)kind;
	(void)ftw;
	return remove(path);
}

static void tear_down(void)
{
	nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put_text(int dir, const char *name, const char *text)
{
	char path[160];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", dirs[dir], name);
	file = fopen(path, "we");
	ck_assert_ptr_nonnull(file);
	fputs(text, file);
	fclose(file);
}

/* A file with rules of these names, separated by spaces, each of them about status. */
static void put_rules(int dir, const char *name, const char *names)
{
	_cleanup_free_ char *copy = strdup(names), *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	const char *comma = "";

	fprintf(out, "{ \"rules\": [");
	for (char *save, *rule = strtok_r(copy, " ", &save); rule;
		rule = strtok_r(NULL, " ", &save)) {
		fprintf(out,
			"%s{ \"name\": \"%s\", \"effect\": \"allow\", \"operations\": [\"status\"],"
			" \"subject\": { \"units\": [\"%s.service\"] } }",
			comma, rule, rule);
		comma = ",";
	}
	fprintf(out, "] }");
	fclose(out);
	put_text(dir, name, text);
}

static int load(struct policy **ret, struct policy_report *report)
{
	*ret = NULL;
	return policy_load(dir_list, 3, ret, report);
}

/* The names of all rules in their order, separated by spaces. */
static void check_rules(const char *expected)
{
	struct policy *policy;
	struct policy_report report;
	char names[256] = "";
	int r = load(&policy, &report);

	ck_assert_msg(r == 0, "%s", report.n_faults ? report.faults[0].message : strerror(-r));
	for (size_t i = 0; i < policy_n_rules(policy); i++) {
		if (i > 0)
			strcat(names, " ");
		strcat(names, policy_rule_name(policy_rule_at(policy, i)));
	}
	ck_assert_str_eq(names, expected);
	policy_report_done(&report);
	policy_unref(policy);
}

/* The load must fail with one fault that says this. */
static void check_refused(const char *file, const char *part)
{
	struct policy *policy;
	struct policy_report report;
	char path[160];

	ck_assert_int_eq(load(&policy, &report), -EBADMSG);
	ck_assert_ptr_null(policy);
	ck_assert_uint_eq(report.n_errors, 1);
	snprintf(path, sizeof(path), "%s/%s", root, file);
	ck_assert_str_eq(report.faults[0].file, path);
	ck_assert_msg(strstr(report.faults[0].message, part), "%s", report.faults[0].message);
	policy_report_done(&report);
}

START_TEST(no_directory_at_all_is_a_policy_without_rules)
{
	const char *const missing[] = { "/nonexistent/policy.d" };
	struct policy *policy = NULL;
	struct policy_report report;

	ck_assert_int_eq(policy_load(missing, 1, &policy, &report), 0);
	ck_assert_uint_eq(policy_n_files(policy), 0);
	ck_assert_uint_eq(policy_n_rules(policy), 0);
	ck_assert_ptr_null(policy_rule_at(policy, 0));
	ck_assert_uint_eq(report.n_faults, 0);
	policy_unref(policy);
}
END_TEST

START_TEST(files_are_read_in_the_order_of_their_names_over_all_directories)
{
	put_rules(0, "20-b.json", "b1 b2");
	put_rules(2, "30-c.json", "c");
	put_rules(1, "10-a.json", "a");
	put_rules(0, "9-d.json", "d");
	check_rules("a b1 b2 c d");
}
END_TEST

START_TEST(a_later_directory_masks_files_of_the_same_name)
{
	put_rules(0, "10.json", "lib");
	put_rules(0, "20.json", "only-lib");
	put_rules(1, "10.json", "run");
	put_rules(1, "30.json", "run2");
	put_rules(2, "30.json", "etc");
	check_rules("run only-lib etc");
	put_rules(2, "10.json", "etc1");
	check_rules("etc1 only-lib etc");
}
END_TEST

START_TEST(an_empty_file_masks)
{
	put_rules(0, "10.json", "lib");
	put_rules(0, "20.json", "stays");
	put_text(2, "10.json", "");
	check_rules("stays");
}
END_TEST

START_TEST(a_link_to_dev_null_masks)
{
	char path[128];

	put_rules(0, "10.json", "lib");
	put_rules(1, "10.json", "run");
	put_rules(1, "20.json", "stays");
	snprintf(path, sizeof(path), "%s/10.json", dirs[2]);
	ck_assert_int_eq(symlink("/dev/null", path), 0);
	check_rules("stays");
}
END_TEST

START_TEST(a_masked_file_may_be_faulty)
{
	put_text(0, "10.json", "{ nonsense");
	put_rules(1, "10.json", "good");
	check_rules("good");
}
END_TEST

START_TEST(a_link_to_a_file_elsewhere_is_followed)
{
	char target[128], path[128];

	put_rules(0, "file.txt", "linked");
	snprintf(target, sizeof(target), "%s/file.txt", dirs[0]);
	snprintf(path, sizeof(path), "%s/10.json", dirs[1]);
	ck_assert_int_eq(symlink(target, path), 0);
	check_rules("linked");
}
END_TEST

START_TEST(other_suffixes_are_ignored_with_a_note)
{
	struct policy *policy;
	struct policy_report report;

	put_rules(0, "10.json", "a");
	put_text(0, "10.json~", "{ nonsense");
	put_text(0, "README", "text");
	put_text(0, ".hidden.json", "{ nonsense");
	ck_assert_int_eq(load(&policy, &report), 0);
	ck_assert_uint_eq(policy_n_files(policy), 1);
	ck_assert_uint_eq(report.n_faults, 3);
	ck_assert_uint_eq(report.n_errors, 0);
	for (size_t i = 0; i < 3; i++) {
		ck_assert_int_eq(report.faults[i].severity, POLICY_NOTE);
		ck_assert_uint_eq(report.faults[i].line, 0);
		ck_assert_ptr_nonnull(strstr(report.faults[i].message, "is ignored"));
	}
	policy_report_done(&report);
	policy_unref(policy);
}
END_TEST

START_TEST(names_are_unique_over_all_files)
{
	put_rules(0, "10.json", "same");
	put_rules(2, "20.json", "other same");
	check_refused("2/20.json", "the name \"same\" is taken by the rule at");
}
END_TEST

START_TEST(faults_come_in_the_order_of_file_line_and_column)
{
	static const char *const expected[] = { "0/10.json:1:", "0/10.json:2:", "2/20.json:1:" };
	struct policy *policy;
	struct policy_report report;

	put_text(2, "20.json", "[]");
	put_text(0, "10.json", "{ \"rulez\": [],\n \"rules\": 1 }");
	ck_assert_int_eq(load(&policy, &report), -EBADMSG);
	ck_assert_uint_eq(report.n_faults, ARRAY_SIZE(expected));
	for (size_t i = 0; i < report.n_faults; i++) {
		char text[256];

		snprintf(text, sizeof(text), "%s:%u:", report.faults[i].file + strlen(root) + 1,
			report.faults[i].line);
		ck_assert_str_eq(text, expected[i]);
	}
	policy_report_done(&report);
}
END_TEST

START_TEST(what_is_no_file_is_refused)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/10.json", dirs[1]);
	if (_i == 0)
		ck_assert_int_eq(mkdir(path, 0755), 0);
	else
		ck_assert_int_eq(mkfifo(path, 0644), 0);
	check_refused("1/10.json", "is not a regular file");
}
END_TEST

START_TEST(a_dangling_link_is_refused)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/10.json", dirs[1]);
	ck_assert_int_eq(symlink("/nonexistent/file", path), 0);
	check_refused("1/10.json", "cannot be read: No such file");
}
END_TEST

START_TEST(a_name_that_is_not_printable_is_refused)
{
	put_rules(1, "1\x1b[m.json", "a");
	check_refused("1", "not printable");
}
END_TEST

START_TEST(files_that_everybody_can_write_are_refused)
{
	char path[128];

	put_rules(1, "10.json", "a");
	snprintf(path, sizeof(path), "%s/10.json", dirs[1]);
	ck_assert_int_eq(chmod(path, 0646), 0);
	check_refused("1/10.json", "can be written by others (mode 0646): chmod");
}
END_TEST

START_TEST(directories_that_everybody_can_write_are_refused)
{
	put_rules(1, "10.json", "a");
	ck_assert_int_eq(chmod(dirs[1], 01777), 0);
	check_refused("1", "can be written by others (mode 1777): chmod");
}
END_TEST

START_TEST(files_of_other_users_are_refused)
{
	char path[128];

	if (geteuid() != 0) {
		fprintf(stderr, "files_of_other_users_are_refused: not run, needs root to chown\n");
		return;
	}
	put_rules(1, "10.json", "a");
	snprintf(path, sizeof(path), "%s/10.json", dirs[1]);
	ck_assert_int_eq(chown(path, 1234, 0), 0);
	check_refused("1/10.json", "belongs to uid 1234");
	ck_assert_int_eq(chown(path, 0, 0), 0);
	ck_assert_int_eq(chmod(path, 0664), 0);
	check_refused("1/10.json", "can be written by others (mode 0664): chmod go-w");
}
END_TEST

START_TEST(an_unprivileged_daemon_reads_its_own_files_and_those_of_root)
{
	char path[128];
	const uid_t self = geteuid() == 0 ? 1234 : geteuid();
	bool is_root = geteuid() == 0;

	put_rules(0, "10.json", "roots");
	put_rules(1, "20.json", "own");
	ck_assert_int_eq(chmod(root, 0755), 0);
	snprintf(path, sizeof(path), "%s/20.json", dirs[1]);
	/* A build tree under umask 002. */
	ck_assert_int_eq(chmod(path, 0664), 0);
	ck_assert_int_eq(chown(path, self, (gid_t)-1), 0);
	if (is_root)
		ck_assert_int_eq(seteuid(self), 0);
	check_rules("roots own");
	if (is_root) {
		ck_assert_int_eq(seteuid(0), 0);
		ck_assert_int_eq(chown(path, self + 1, (gid_t)-1), 0);
		ck_assert_int_eq(seteuid(self), 0);
		check_refused("1/20.json", "belongs to uid 1235");
		ck_assert_int_eq(seteuid(0), 0);
	}
}
END_TEST

START_TEST(verifying_single_files_does_not_ask_who_may_write_them)
{
	struct policy *policy = NULL;
	struct policy_report report;
	char path[128];
	const char *const files[] = { path };

	put_rules(1, "10.txt", "a");
	snprintf(path, sizeof(path), "%s/10.txt", dirs[1]);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(policy_load_files(files, 1, &policy, &report), 0);
	ck_assert_uint_eq(policy_n_rules(policy), 1);
	policy_unref(policy);
	policy_report_done(&report);
}
END_TEST

START_TEST(a_file_that_is_missing_fails_the_verification)
{
	struct policy *policy = NULL;
	struct policy_report report;
	const char *const files[] = { "/nonexistent/a.json", "/nonexistent/b.json" };

	ck_assert_int_eq(policy_load_files(files, 2, &policy, &report), -EBADMSG);
	ck_assert_ptr_null(policy);
	ck_assert_uint_eq(report.n_errors, 2);
	ck_assert_str_eq(report.faults[1].file, files[1]);
	ck_assert_uint_eq(report.faults[1].line, 0);
	policy_report_done(&report);
}
END_TEST

START_TEST(a_snapshot_lives_as_long_as_its_last_reference)
{
	struct policy *policy, *kept;
	struct policy_report report;
	const struct policy_rule *rule;

	put_rules(0, "10.json", "a");
	ck_assert_int_eq(load(&policy, &report), 0);
	policy_report_done(&report);
	kept = policy_ref(policy);
	rule = policy_rule_at(kept, 0);
	ck_assert_ptr_null(policy_unref(policy));
	put_rules(0, "10.json", "b");
	ck_assert_str_eq(policy_rule_name(rule), "a");
	ck_assert_ptr_null(policy_unref(kept));
	ck_assert_ptr_null(policy_unref(NULL));
}
END_TEST

START_TEST(a_rule_says_where_it_stands)
{
	struct policy *policy;
	struct policy_report report;
	char path[128];

	put_text(1, "10.json",
		"{ \"rules\": [\n\n  { \"name\": \"a\", \"effect\": \"deny\",\n \"operations\": "
		"[\"list\"] },"
		"\n\n  {\n \"effect\": \"deny\", \"name\": \"b\" } ] }");
	ck_assert_int_eq(load(&policy, &report), 0);
	policy_report_done(&report);
	snprintf(path, sizeof(path), "%s/10.json", dirs[1]);
	ck_assert_str_eq(policy_rule_file(policy_rule_at(policy, 0)), path);
	ck_assert_uint_eq(policy_rule_line(policy_rule_at(policy, 0)), 3);
	ck_assert_uint_eq(policy_rule_line(policy_rule_at(policy, 1)), 6);
	ck_assert(!policy_rule_allows(policy_rule_at(policy, 0)));
	policy_unref(policy);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy loading");
	TCase *tcase = tcase_create("directories");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, no_directory_at_all_is_a_policy_without_rules);
	tcase_add_test(tcase, files_are_read_in_the_order_of_their_names_over_all_directories);
	tcase_add_test(tcase, a_later_directory_masks_files_of_the_same_name);
	tcase_add_test(tcase, an_empty_file_masks);
	tcase_add_test(tcase, a_link_to_dev_null_masks);
	tcase_add_test(tcase, a_masked_file_may_be_faulty);
	tcase_add_test(tcase, a_link_to_a_file_elsewhere_is_followed);
	tcase_add_test(tcase, other_suffixes_are_ignored_with_a_note);
	tcase_add_test(tcase, names_are_unique_over_all_files);
	tcase_add_test(tcase, faults_come_in_the_order_of_file_line_and_column);
	tcase_add_loop_test(tcase, what_is_no_file_is_refused, 0, 2);
	tcase_add_test(tcase, a_dangling_link_is_refused);
	tcase_add_test(tcase, a_name_that_is_not_printable_is_refused);
	tcase_add_test(tcase, files_that_everybody_can_write_are_refused);
	tcase_add_test(tcase, directories_that_everybody_can_write_are_refused);
	tcase_add_test(tcase, files_of_other_users_are_refused);
	tcase_add_test(tcase, an_unprivileged_daemon_reads_its_own_files_and_those_of_root);
	tcase_add_test(tcase, verifying_single_files_does_not_ask_who_may_write_them);
	tcase_add_test(tcase, a_file_that_is_missing_fails_the_verification);
	tcase_add_test(tcase, a_snapshot_lives_as_long_as_its_last_reference);
	tcase_add_test(tcase, a_rule_says_where_it_stands);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
