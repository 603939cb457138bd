/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy_testing.h"

#include <check.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "util/util.h"

char *testing_text(const char *rules)
{
	char *text;

	ck_assert_int_ge(asprintf(&text, "{\"rules\":[%s]}", rules), 0);
	for (char *c = text; *c; c++)
		if (*c == '\'')
			*c = '"';
	return text;
}

int testing_load(const char *text, struct policy **ret, struct policy_report *report)
{
	_cleanup_close_ int fd = memfd_create("policy", MFD_CLOEXEC);
	char path[64];
	const char *const paths[] = { path };

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return policy_load_files(paths, 1, ret, report);
}

struct policy *testing_policy(const char *rules)
{
	_cleanup_free_ char *text = testing_text(rules);
	struct policy *policy = NULL;
	struct policy_report report;
	int r = testing_load(text, &policy, &report);

	if (r < 0)
		ck_abort_msg("%s: %u:%u: %s", text, report.n_faults ? report.faults[0].line : 0,
			report.n_faults ? report.faults[0].column : 0,
			report.n_faults ? report.faults[0].message : strerror(-r));
	policy_report_done(&report);
	return policy;
}

static uint64_t number(const char *text)
{
	uint64_t value = 0;

	ck_assert_msg(util_parse_u64(text, true, &value) == 0, "bad number in a test: %s", text);
	return value;
}

static unsigned source_bits(char *list)
{
	unsigned bits = 0;

	for (char *save, *name = strtok_r(list, ",", &save); name;
		name = strtok_r(NULL, ",", &save)) {
		unsigned bit = POLICY_SOURCE_FD;

		while (bit <= POLICY_SOURCE_REGIONS && strcmp(policy_source_name(bit), name) != 0)
			bit <<= 1;
		ck_assert_msg(bit <= POLICY_SOURCE_REGIONS, "bad source in a test: %s", name);
		bits |= bit;
	}
	return bits;
}

static uint8_t right_bits(const char *text)
{
	return (uint8_t)((strchr(text, 'r') ? GHRM_RIGHT_R : 0) |
			 (strchr(text, 'w') ? GHRM_RIGHT_W : 0) |
			 (strchr(text, 'x') ? GHRM_RIGHT_X : 0));
}

/* Splits "a:b" at the separator and gives back b. */
static char *split(char *text, char separator)
{
	char *at = strchr(text, separator);

	ck_assert_msg(at, "a test's \"%s\" lacks '%c'", text, separator);
	*at = '\0';
	return at + 1;
}

static void add_groups(struct testing_request *to, char *list)
{
	to->request.subject.groups_unknown = !strcmp(list, "?");
	if (to->request.subject.groups_unknown)
		return;
	for (char *save, *id = strtok_r(list, ",", &save); id; id = strtok_r(NULL, ",", &save))
		to->groups[to->request.subject.n_groups++] = (gid_t)number(id);
}

static void set(struct testing_request *to, const char *key, char *value)
{
	struct policy_request *request = &to->request;
	char *second;

	if (!strcmp(key, "op")) {
		request->operation = policy_operation_from_name(value);
		ck_assert_msg(request->operation, "bad operation in a test: %s", value);
	} else if (!strcmp(key, "uid")) {
		request->subject.uid = (uid_t)number(value);
	} else if (!strcmp(key, "gid")) {
		add_groups(to, value);
	} else if (!strcmp(key, "unit")) {
		request->subject.unit_unknown = !strcmp(value, "?");
		request->subject.unit = *value && *value != '?' ? value : NULL;
	} else if (!strcmp(key, "vm")) {
		second = split(value, ':');
		to->grants[request->n_grants++] =
			(struct ghrm_acl_entry){ (uint16_t)number(value), right_bits(second) };
	} else if (!strcmp(key, "type")) {
		request->mem_type = !strcmp(value, "io") ? GHRM_MEM_IO : GHRM_MEM_NORMAL;
	} else if (!strcmp(key, "src")) {
		request->sources = source_bits(value);
	} else if (!strcmp(key, "region")) {
		second = split(value, '+');
		to->regions[request->n_regions++] =
			(struct ghrm_region){ number(value), number(second) };
		request->sources = POLICY_SOURCE_REGIONS;
	} else if (!strcmp(key, "label")) {
		request->label = (uint32_t)number(value);
		request->label_given = true;
	} else if (!strcmp(key, "life")) {
		request->lifetime =
			!strcmp(value, "detached") ? POLICY_DETACHED : POLICY_CONNECTION;
	} else {
		ck_abort_msg("bad key in a test: %s", key);
	}
}

void testing_request(struct testing_request *ret, const char *text)
{
	struct policy_request *request = &ret->request;

	*ret = (struct testing_request){
		.request = { .subject = { .uid = 1000 },
			.operation = POLICY_LEND,
			.sources = POLICY_SOURCE_PRIVATE,
			.lifetime = POLICY_CONNECTION },
	};
	ck_assert_uint_lt(strlen(text), sizeof(ret->text));
	strcpy(ret->text, text);
	for (char *save, *item = strtok_r(ret->text, " ", &save); item;
		item = strtok_r(NULL, " ", &save)) {
		char *value = split(item, '=');

		set(ret, item, value);
	}
	request->subject.groups = ret->groups;
	request->has_memory = request->operation & (POLICY_SHARE | POLICY_LEND | POLICY_DONATE);
	if (request->operation == POLICY_DONATE)
		request->lifetime = 0;
	if (request->has_memory) {
		request->grants = ret->grants;
		request->regions = ret->regions;
	} else {
		request->sources = 0;
		request->lifetime = 0;
		request->n_grants = request->n_regions = 0;
	}
}

const char *testing_outcome(const struct policy_decision *decision, char buffer[64])
{
	if (!decision->rule)
		return decision->allowed ? "allowed by nobody" : "none";
	snprintf(buffer, 64, "%c%s", decision->allowed ? '+' : '-',
		policy_rule_name(decision->rule));
	return buffer;
}
