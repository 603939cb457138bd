/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/check.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

const char *type_name(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT: return "an object";
	case JSON_ARRAY: return "a list";
	case JSON_STRING: return "a string";
	case JSON_INTEGER: return "a number";
	case JSON_REAL: return "a number with a fraction";
	case JSON_TRUE:
	case JSON_FALSE: return "a truth value";
	case JSON_NULL: return "null";
	}
	return "something else";
}

/* Insertions, deletions and replacements that lead from one word to the other; many when both are long. */
static size_t distance(const char *a, const char *b)
{
	size_t row[32], n = strlen(b);

	if (n >= ARRAY_SIZE(row) || strlen(a) >= ARRAY_SIZE(row))
		return SIZE_MAX;
	for (size_t j = 0; j <= n; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= n; j++) {
			size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
			size_t least = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;

			diagonal = row[j];
			row[j] = replaced < least ? replaced : least;
		}
	}
	return row[n];
}

const char *nearest_name(
	const char *name, const char *(*name_at)(const void *, size_t), const void *of)
{
	const char *best = NULL, *candidate;
	size_t best_distance = 3;

	for (size_t i = 0; (candidate = name_at(of, i)); i++) {
		size_t d = distance(name, candidate);

		/* Two letters changed in a word of three is another word. */
		if (d < best_distance && d * 2 <= strlen(candidate)) {
			best = candidate;
			best_distance = d;
		}
	}
	return best;
}

static const char *word_at(const void *words, size_t i)
{
	return ((const struct word *)words)[i].name;
}

bool read_string(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, const char **ret)
{
	if (!json_is_string(value)) {
		complain_value(
			checker, path, "%s must be a string, not %s", what, type_name(value));
		return false;
	}
	*ret = json_string_value(value);
	return true;
}

bool read_list(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, const char *empty_says)
{
	if (!json_is_array(value)) {
		complain_value(checker, path, "\"%s\" must be a list, not %s%s", what,
			type_name(value),
			json_is_string(value) || json_is_integer(value) ? ": put it in [ ]" : "");
		return false;
	}
	if (empty_says && json_array_size(value) == 0) {
		complain_value(checker, path, "\"%s\" is empty: %s", what, empty_says);
		return false;
	}
	return true;
}

bool read_number(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, uint64_t max, uint64_t *ret)
{
	uint64_t number = 0;
	int r = 0;

	if (json_is_integer(value)) {
		if (json_integer_value(value) < 0) {
			complain_value(checker, path, "%s must not be negative", what);
			return false;
		}
		number = (uint64_t)json_integer_value(value);
	} else if (json_is_string(value)) {
		r = util_parse_u64(json_string_value(value), true, &number);
		if (r == -EINVAL) {
			complain_value(checker, path,
				"%s \"%s\" is not a number: give a number, or a string like "
				"\"0x80\" "
				"or \"2G\"",
				what, json_string_value(value));
			return false;
		}
	} else {
		complain_value(checker, path,
			"%s must be a whole number or a string like \"0x80\" or \"2G\", not %s",
			what, type_name(value));
		return false;
	}
	if (r < 0 || number > max) {
		complain_value(checker, path, "%s is too large: at most %" PRIu64, what, max);
		return false;
	}
	*ret = number;
	return true;
}

static const struct {
	const char *name;
	uint64_t usec;
} time_units[] = {
	{ "us", 1 },
	{ "ms", 1000 },
	{ "s", 1000000 },
	{ "sec", 1000000 },
	{ "min", 60 * 1000000ull },
	{ "h", 3600 * 1000000ull },
};

#define DURATION_MAX_USEC (365 * 24 * 3600 * 1000000ull)

/* One piece ("5s"; "5" is seconds); moves *text behind it. */
static bool parse_duration_piece(const char **text, uint64_t *total)
{
	size_t digits = strspn(*text, "0123456789"), letters;
	const char *unit = *text + digits;
	uint64_t number = 0, usec = 0;

	/* Anything longer is beyond the limit, and fifteen digits overflow nothing. */
	if (digits == 0 || digits > 15)
		return false;
	for (size_t i = 0; i < digits; i++)
		number = number * 10 + (uint64_t)((*text)[i] - '0');
	unit += strspn(unit, " ");
	for (letters = 0; isalpha((unsigned char)unit[letters]); letters++)
		;
	if (letters == 0 && *unit == '\0')
		usec = 1000000;
	for (size_t i = 0; i < ARRAY_SIZE(time_units); i++)
		if (strlen(time_units[i].name) == letters &&
			!strncmp(time_units[i].name, unit, letters))
			usec = time_units[i].usec;
	if (usec == 0 || number > DURATION_MAX_USEC / usec ||
		number * usec > DURATION_MAX_USEC - *total)
		return false;
	*total += number * usec;
	*text = unit + letters + strspn(unit + letters, " ");
	return true;
}

bool read_duration(
	struct checker *checker, const struct path *path, const json_t *value, uint64_t *ret)
{
	const char *text = json_string_value(value);
	uint64_t total = 0;

	if (json_is_integer(value)) {
		if (json_integer_value(value) < 0 ||
			json_integer_value(value) > (json_int_t)(DURATION_MAX_USEC / 1000000)) {
			complain_value(checker, path,
				"bad duration: a plain number is seconds, 0 to %" PRIu64,
				(uint64_t)(DURATION_MAX_USEC / 1000000));
			return false;
		}
		*ret = (uint64_t)json_integer_value(value) * 1000000;
		return true;
	}
	if (!text) {
		complain_value(checker, path,
			"a duration must be a string like \"5s\", \"500ms\" or \"1min\", or a "
			"whole "
			"number of seconds, not %s",
			type_name(value));
		return false;
	}
	do {
		if (!parse_duration_piece(&text, &total)) {
			complain_value(checker, path,
				"bad duration \"%s\": give a number with us, ms, s, min or h, like "
				"\"500ms\", at most a year",
				json_string_value(value));
			return false;
		}
	} while (*text);
	*ret = total;
	return true;
}

/* "a, b or c" */
static void list_words(const struct word *words, char *buffer, size_t size)
{
	size_t used = 0;

	buffer[0] = '\0';
	for (size_t i = 0; words[i].name && used < size; i++) {
		const char *before = i == 0 ? "" : words[i + 1].name ? ", " : " or ";

		used += (size_t)snprintf(buffer + used, size - used, "%s%s", before, words[i].name);
	}
}

static void complain_word(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, const struct word *words)
{
	const char *name = json_string_value(value), *meant;
	char list[160];

	list_words(words, list, sizeof(list));
	if (!name) {
		complain_value(checker, path, "%s must be a string (%s), not %s", what, list,
			type_name(value));
		return;
	}
	meant = nearest_name(name, word_at, words);
	if (meant)
		complain_value(checker, path, "unknown %s \"%s\": did you mean \"%s\"?", what, name,
			meant);
	else
		complain_value(checker, path, "unknown %s \"%s\": it must be %s", what, name, list);
}

bool read_word(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, const struct word *words, unsigned *ret)
{
	*ret = json_is_string(value) ? word_bit(words, json_string_value(value)) : 0;
	if (*ret == 0)
		complain_word(checker, path, value, what, words);
	return *ret != 0;
}

bool read_words(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, const struct word *words, unsigned *ret)
{
	bool good = true;
	json_t *entry;
	size_t i;

	if (!read_list(checker, path, value, path->key, "it can never match"))
		return false;
	*ret = 0;
	json_array_foreach (value, i, entry) {
		struct path at = { path, NULL, i };
		unsigned bit;

		if (!read_word(checker, &at, entry, what, words, &bit)) {
			good = false;
		} else if (*ret & bit) {
			complain_value(checker, &at,
				"%s \"%s\" is listed twice: leave this one out", what,
				json_string_value(entry));
			good = false;
		} else {
			*ret |= bit;
		}
	}
	return good;
}
