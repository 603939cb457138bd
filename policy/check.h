/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From a JSON tree to rules, complaining about everything that is wrong on the way. Readers of values
 * (value.c, who.c, range.c) take the path to the value, return whether it was good, and have complained
 * if it was not.
 */

#include <jansson.h>

#include "policy/internal.h"
#include "policy/report.h"

/* What one load has to remember over all its files. */
struct checker {
	struct policy *policy;
	struct report report;
	json_t *rule_names;     /* name → number of the rule */
	json_t *users, *groups; /* name → id, or a text why there is none */
	bool no_memory;

	/* the file at hand */
	const char *file; /* lives as long as the snapshot */
	size_t file_number;
	struct locator locator;
};

int checker_init(struct checker *checker, struct policy *policy);
void checker_done(struct checker *checker);

/* Checks one file's text and adds its rules to the policy. */
void check_text(struct checker *checker, const char *text, size_t size);

/* Complains about the value at a path, or about the key that leads to it. */
void policy_complain(struct checker *checker, enum policy_severity severity,
	const struct path *path, bool at_key, const char *format, ...) _printf_(5, 6);
#define complain_value(checker, path, ...) \
	policy_complain(checker, POLICY_ERROR, path, false, __VA_ARGS__)

/* "a string", "an object" … */
const char *type_name(const json_t *value);
/* Of the NULL-terminated names the one that was probably meant, NULL if none is near. */
const char *nearest_name(
	const char *name, const char *(*name_at)(const void *, size_t), const void *of);

/* ---- value.c ---- */

bool read_string(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, const char **ret);
/* A JSON number or a string with 0x and size suffixes. */
bool read_number(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, uint64_t max, uint64_t *ret);
/* Microseconds. */
bool read_duration(
	struct checker *checker, const struct path *path, const json_t *value, uint64_t *ret);
bool read_word(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, const struct word *words, unsigned *ret);
/* A list of words, each once; an empty one is refused. */
bool read_words(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, const struct word *words, unsigned *ret);
/* Refuses what is not a list, and an empty list where empty_says tells why that makes no sense. */
bool read_list(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, const char *empty_says);

/* ---- range.c ---- */

/* VMIDs, labels: numbers and "a-b". empty_says as in read_list. */
bool read_ranges(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, uint64_t max, const char *empty_says, struct range_set *ret);
/* Fixed ranges: {"address", "size"}. */
bool read_regions(struct checker *checker, const struct path *path, const json_t *value,
	const char *empty_says, struct range_set *ret);

/* ---- who.c ---- */

bool read_users(
	struct checker *checker, const struct path *path, const json_t *value, struct id_set *ret);
bool read_groups(
	struct checker *checker, const struct path *path, const json_t *value, struct id_set *ret);
bool read_units(struct checker *checker, const struct path *path, const json_t *value,
	const char *const **ret, size_t *ret_n);

/* ---- rule.c ---- */

/* A table from a key to what reads it; ends with a NULL key. */
struct field {
	const char *key;
	/* Reads the value into the rule. */
	void (*read)(struct checker *checker, const struct path *path, const json_t *value,
		struct policy_rule *rule);
	unsigned given; /* bits to be set in rule->given */
	bool required;
};

void read_fields(struct checker *checker, const struct path *path, const json_t *object,
	const char *what, const struct field *fields, struct policy_rule *rule);
/* One entry of "rules"; adds it to the policy. */
void read_rule(struct checker *checker, const struct path *path, const json_t *value);
