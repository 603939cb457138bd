/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/check.h"

#include <errno.h>

/* The frame of a file: its text becomes a tree, its rules are read one by one. */

int checker_init(struct checker *checker, struct policy *policy)
{
	*checker = (struct checker){
		.policy = policy,
		.rule_names = json_object(),
		.users = json_object(),
		.groups = json_object(),
	};
	return checker->rule_names && checker->users && checker->groups ? 0 : -1;
}

void checker_done(struct checker *checker)
{
	json_decref(checker->rule_names);
	json_decref(checker->users);
	json_decref(checker->groups);
	report_done(&checker->report);
}

void policy_complain(struct checker *checker, enum policy_severity severity,
	const struct path *path, bool at_key, const char *format, ...)
{
	struct place place = locator_find(&checker->locator, path, at_key);
	va_list arguments;

	va_start(arguments, format);
	report_addv(&checker->report, severity, checker->file_number, checker->file, &place, format,
		arguments);
	va_end(arguments);
}

/*
 * The library says where it stopped reading, which is behind the token that it names; people look for
 * the token.
 */
static struct place place_of(const json_error_t *error)
{
	static const char near[] = " near '";
	const char *token = strstr(error->text, near);
	unsigned length = 0;

	for (token = token ? token + strlen(near) : ""; *token; token++)
		length += ((unsigned char)*token & 0xc0) != 0x80;
	/* The closing quote is not the token's. */
	if (length > 0)
		length--;
	return (struct place){
		.line = error->line > 0 ? (unsigned)error->line : 1,
		.column = (unsigned)error->column > length && length > 0
				  ? (unsigned)error->column - length + 1
			  : error->column > 0 ? (unsigned)error->column
					      : 1,
	};
}

static void complain_syntax(struct checker *checker, const json_error_t *error)
{
	struct place place = place_of(error);
	const char *hint = "";

	if (strstr(error->text, "near '/'") || strstr(error->text, "near '#'"))
		hint = " (JSON has no comments: use a \"description\" key)";
	else if (strstr(error->text, "too big"))
		hint = " (write a number of this size as a string)";
	report_add(&checker->report, POLICY_ERROR, checker->file_number, checker->file, &place,
		"not valid JSON: %s%s", error->text, hint);
}

static void read_text(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	const char *text;

	(void)rule;
	read_string(checker, path, value, path->key, &text);
}

static void read_rules(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	json_t *entry;
	size_t i;

	(void)rule;
	if (!read_list(checker, path, value, "rules", NULL))
		return;
	json_array_foreach (value, i, entry) {
		struct path at = { path, NULL, i };

		read_rule(checker, &at, entry);
	}
}

/* "$schema" is how a file tells an editor what to complete and check it by. */
static const struct field file_fields[] = {
	{ "$schema", read_text, 0, false },
	{ "description", read_text, 0, false },
	{ "rules", read_rules, 0, true },
	{ NULL, NULL, 0, false },
};

void check_text(struct checker *checker, const char *text, size_t size)
{
	json_error_t error;
	json_t *root;

	locator_init(&checker->locator, text, size);
	errno = 0;
	root = json_loadb(text, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!root) {
		/* The library takes a failed allocation for bad syntax, often without a text. */
		if (errno == ENOMEM || error.text[0] == '\0')
			checker->no_memory = true;
		else
			complain_syntax(checker, &error);
		return;
	}
	read_fields(checker, NULL, root, "a policy file", file_fields, NULL);
	json_decref(root);
}
