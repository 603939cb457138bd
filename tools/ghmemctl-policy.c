/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* policy verify and policy show: the policy files, without asking the daemon. */

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "policy/policy.h"
#include "tools/ghmemctl.h"

/* Lowest precedence first: contract §6. */
static const char *const usual_dirs[] = { GHMEM_POLICY_DIR, "/run/ghmemd/policy.d",
	"/etc/ghmemd/policy.d" };

static void policy_unrefp(struct policy **policy)
{
	policy_unref(*policy);
}

static const char *severity_word(enum policy_severity severity)
{
	switch (severity) {
	case POLICY_ERROR: return "";
	case POLICY_WARNING: return "warning: ";
	case POLICY_NOTE: return "note: ";
	}
	return "";
}

static const char *severity_name(enum policy_severity severity)
{
	switch (severity) {
	case POLICY_ERROR: return "error";
	case POLICY_WARNING: return "warning";
	case POLICY_NOTE: return "note";
	}
	return "";
}

/* On stderr, as compilers do it, so that editors find the place. */
static void print_faults(const struct policy_report *report)
{
	for (size_t i = 0; i < report->n_faults; i++) {
		const struct policy_fault *fault = &report->faults[i];

		fputs(fault->file ? ctl_printable(fault->file) : "?", stderr);
		if (fault->line > 0)
			fprintf(stderr, ":%u:%u", fault->line, fault->column);
		fprintf(stderr, ": %s%s\n", severity_word(fault->severity),
			ctl_printable(fault->message));
	}
}

static json_t *faults_json(const struct policy_report *report)
{
	json_t *array = json_array();

	for (size_t i = 0; array && i < report->n_faults; i++) {
		const struct policy_fault *fault = &report->faults[i];
		json_t *object = json_pack("{s:s, s:s, s:i, s:i, s:s}", "severity",
			severity_name(fault->severity), "file", fault->file ? fault->file : "",
			"line", (int)fault->line, "column", (int)fault->column, "message",
			fault->message);

		if (object && json_array_append_new(array, object) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

static int load_dirs(
	const struct options *options, struct policy **ret, struct policy_report *report)
{
	if (options->n_policy_dirs > 0)
		return policy_load(options->policy_dirs, options->n_policy_dirs, ret, report);
	return policy_load(usual_dirs, ARRAY_SIZE(usual_dirs), ret, report);
}

struct paths {
	char **paths;
	size_t n;
};

static void paths_done(struct paths *paths)
{
	for (size_t i = 0; i < paths->n; i++)
		free(paths->paths[i]);
	free(paths->paths);
}

static int paths_add(struct paths *paths, char *path)
{
	char **all = path ? reallocarray(paths->paths, paths->n + 1, sizeof(*all)) : NULL;

	if (!all) {
		free(path);
		return -ENOMEM;
	}
	paths->paths = all;
	all[paths->n++] = path;
	return 0;
}

static int is_policy_file(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return entry->d_name[0] != '.' && n > 5 && strcmp(entry->d_name + n - 5, ".json") == 0;
}

static int paths_add_dir(struct paths *paths, const char *dir)
{
	struct dirent **entries;
	int n = scandir(dir, &entries, is_policy_file, alphasort);
	int r = n < 0 ? -errno : 0;

	for (int i = 0; i < n; i++) {
		char *path = NULL;

		if (r == 0)
			r = paths_add(paths, asprintf(&path, "%s/%s", dir, entries[i]->d_name) < 0
						     ? NULL
						     : path);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return r;
}

/* The operands: files, and directories for the files in them. */
static int paths_collect(struct paths *paths, char **operands, int n)
{
	for (int i = 0; i < n; i++) {
		struct stat st;
		int r;

		if (stat(operands[i], &st) < 0)
			r = -errno;
		else if (S_ISDIR(st.st_mode))
			r = paths_add_dir(paths, operands[i]);
		else
			r = paths_add(paths, strdup(operands[i]));
		if (r < 0) {
			ctl_complain("cannot read %s: %s", operands[i], strerror(-r));
			return r;
		}
	}
	return 0;
}

static int report_faults(const struct options *options, const struct policy *policy,
	const struct policy_report *report)
{
	_cleanup_(json_unrefp) json_t *json = NULL;
	size_t files = policy ? policy_n_files(policy) : 0;
	size_t rules = policy ? policy_n_rules(policy) : 0;
	int r;

	if (option_given(options, OPTION_JSON)) {
		json = json_pack("{s:b, s:I, s:I, s:o}", "valid", report->n_errors == 0, "files",
			(json_int_t)files, "rules", (json_int_t)rules, "faults",
			faults_json(report));
		r = ctl_output_json(json);
	} else {
		print_faults(report);
		if (report->n_errors == 0)
			printf("%zu %s, %zu %s, no errors\n", files, files == 1 ? "file" : "files",
				rules, rules == 1 ? "rule" : "rules");
		r = ctl_output_flush();
	}
	return r == EXIT_DONE && report->n_errors > 0 ? EXIT_FAILED : r;
}

static int policy_verify(const struct options *options, char **operands, int n)
{
	_cleanup_(policy_report_done) struct policy_report report = { 0 };
	_cleanup_(policy_unrefp) struct policy *policy = NULL;
	_cleanup_(paths_done) struct paths paths = { 0 };
	int r;

	if (n > 0 && options->n_policy_dirs > 0)
		return ctl_usage("give either paths or --policy-dir");
	if (n > 0) {
		if (paths_collect(&paths, operands, n) < 0)
			return EXIT_FAILED;
		r = policy_load_files((const char *const *)paths.paths, paths.n, &policy, &report);
	} else {
		r = load_dirs(options, &policy, &report);
	}
	if (r < 0 && r != -EBADMSG) {
		ctl_complain("cannot read the policy: %s", strerror(-r));
		return EXIT_FAILED;
	}
	return report_faults(options, policy, &report);
}

static void print_rule(const struct policy_rule *rule, int width)
{
	bool allows = policy_rule_allows(rule);
	enum colour colour = allows ? COLOUR_GREEN : COLOUR_RED;

	printf("%s%-5s%s  %-*s  %s:%u\n", ctl_colour_on(colour), allows ? "allow" : "deny",
		ctl_colour_off(colour), width, policy_rule_name(rule), policy_rule_file(rule),
		policy_rule_line(rule));
}

static json_t *limit_json(uint64_t limit)
{
	return limit == UINT64_MAX || limit > INT64_MAX ? json_null()
							: json_integer((json_int_t)limit);
}

static json_t *rule_json(const struct policy_rule *rule)
{
	struct policy_limits limits = policy_rule_limits(rule);

	return json_pack("{s:s, s:s, s:s, s:i, s:b, s:{s:o, s:o, s:o}}", "name",
		policy_rule_name(rule), "effect", policy_rule_allows(rule) ? "allow" : "deny",
		"file", policy_rule_file(rule), "line", (int)policy_rule_line(rule), "sanitize",
		policy_rule_sanitize(rule), "limits", "parcels", limit_json(limits.parcels),
		"bytes", limit_json(limits.bytes), "regions", limit_json(limits.regions));
}

static int show_json(const struct policy *policy)
{
	_cleanup_(json_unrefp) json_t *document = json_pack("{s:[]}", "rules");
	json_t *rules = json_object_get(document, "rules");

	for (size_t i = 0; i < policy_n_rules(policy); i++) {
		if (json_array_append_new(rules, rule_json(policy_rule_at(policy, i))) < 0) {
			ctl_complain("no memory");
			return EXIT_FAILED;
		}
	}
	return ctl_output_json(document);
}

static int show_text(const struct policy *policy)
{
	size_t n = policy_n_rules(policy);
	int width = 0;

	for (size_t i = 0; i < n; i++) {
		size_t length = strlen(policy_rule_name(policy_rule_at(policy, i)));

		if (length > (size_t)width && length < 60)
			width = (int)length;
	}
	for (size_t i = 0; i < n; i++)
		print_rule(policy_rule_at(policy, i), width);
	if (n == 0)
		puts("no rules: nobody may do anything");
	return ctl_output_flush();
}

static int policy_show(const struct options *options, int n)
{
	_cleanup_(policy_report_done) struct policy_report report = { 0 };
	_cleanup_(policy_unrefp) struct policy *policy = NULL;
	int r;

	if (n > 0)
		return ctl_usage("policy show takes no operands, but --policy-dir");
	r = load_dirs(options, &policy, &report);
	if (r == -EBADMSG) {
		print_faults(&report);
		ctl_complain("the policy has errors: a daemon would refuse it");
		return EXIT_FAILED;
	}
	if (r < 0) {
		ctl_complain("cannot read the policy: %s", strerror(-r));
		return EXIT_FAILED;
	}
	return option_given(options, OPTION_JSON) ? show_json(policy) : show_text(policy);
}

int command_policy(const struct options *options)
{
	const char *word = options->n_operands > 0 ? options->operands[0] : NULL;

	if (word && strcmp(word, "verify") == 0)
		return policy_verify(options, options->operands + 1, options->n_operands - 1);
	if (word && strcmp(word, "show") == 0)
		return policy_show(options, options->n_operands - 1);
	return ctl_usage("policy what? verify [PATH…] or show");
}
