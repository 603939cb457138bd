/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/check.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/*
 * Lists of ranges become sorted, disjoint, joined ranges. An entry that lies wholly inside others of
 * its list can never be the one that matters, so it is a mistake; a partial overlap is harmless.
 */

struct building {
	struct range *ranges;
	size_t n, allocated;
};

static void building_done(struct building *building)
{
	free(building->ranges);
}

/* What became of an entry. */
enum adding { ADDED, HIDDEN, HIDES, NO_MEMORY };

static enum adding building_add(struct building *building, struct range range)
{
	size_t from = building->n, to;
	enum adding outcome = ADDED;

	/* The ranges [from, to) touch the new one. Lists are mostly written in ascending order. */
	while (from > 0 && building->ranges[from - 1].first > range.first)
		from--;
	if (from > 0 && building->ranges[from - 1].last >= range.last)
		return HIDDEN;
	if (from > 0 && building->ranges[from - 1].last + 1 >= range.first)
		from--;
	for (to = from; to < building->n && (building->ranges[to].first <= range.last ||
						    building->ranges[to].first - 1 == range.last);
		to++)
		if (building->ranges[to].first >= range.first &&
			building->ranges[to].last <= range.last)
			outcome = HIDES;
	if (to > from) {
		if (building->ranges[from].first < range.first)
			range.first = building->ranges[from].first;
		if (building->ranges[to - 1].last > range.last)
			range.last = building->ranges[to - 1].last;
	}
	if (to == from && building->n == building->allocated) {
		size_t allocated = building->allocated ? building->allocated * 2 : 8;
		struct range *ranges =
			reallocarray(building->ranges, allocated, sizeof(*building->ranges));

		if (!ranges)
			return NO_MEMORY;
		building->ranges = ranges;
		building->allocated = allocated;
	}
	memmove(&building->ranges[from + 1], &building->ranges[to],
		(building->n - to) * sizeof(*building->ranges));
	building->ranges[from] = range;
	building->n = building->n - (to - from) + 1;
	return outcome;
}

static bool add_entry(struct checker *checker, const struct path *path, struct building *building,
	struct range range)
{
	switch (building_add(building, range)) {
	case ADDED: return true;
	case HIDDEN:
		complain_value(checker, path,
			"can never be reached: it lies inside what is listed before it; leave it "
			"out");
		return false;
	case HIDES:
		complain_value(checker, path,
			"overlaps an earlier entry that lies wholly inside it and can never be "
			"reached; "
			"leave that one out");
		return false;
	case NO_MEMORY: checker->no_memory = true; return false;
	}
	return false;
}

static bool hand_over(struct checker *checker, struct building *building, struct range_set *ret)
{
	ret->ranges = arena_copy(
		&checker->policy->arena, building->ranges, building->n * sizeof(*building->ranges));
	ret->n = building->n;
	if (!ret->ranges)
		checker->no_memory = true;
	return ret->ranges;
}

/* "a-b", each side a number. Returns false without a complaint for a string of another shape. */
static bool parse_range(const char *text, struct range *ret, bool *ret_too_large)
{
	size_t length = strcspn(text, "-");
	char first[64];
	int r, q;

	if (text[length] == '\0' || length >= sizeof(first))
		return false;
	memcpy(first, text, length);
	first[length] = '\0';
	r = util_parse_u64(first, true, &ret->first);
	q = util_parse_u64(text + length + 1, true, &ret->last);
	*ret_too_large = r == -ERANGE || q == -ERANGE;
	return r != -EINVAL && q != -EINVAL;
}

static bool read_range(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, uint64_t max, struct range *ret)
{
	const char *text = json_string_value(value);
	bool too_large;

	if (!text || !strchr(text, '-')) {
		if (!read_number(checker, path, value, what, max, &ret->first))
			return false;
		ret->last = ret->first;
		return true;
	}
	if (!parse_range(text, ret, &too_large)) {
		complain_value(checker, path,
			"%s \"%s\" is not a range: give two numbers like \"0x81-0x8f\"", what,
			text);
		return false;
	}
	if (too_large || ret->first > max || ret->last > max) {
		complain_value(checker, path, "%s is too large: at most %" PRIu64, what, max);
		return false;
	}
	if (ret->first > ret->last) {
		complain_value(checker, path,
			"the range \"%s\" is empty: the smaller number comes first", text);
		return false;
	}
	return true;
}

bool read_ranges(struct checker *checker, const struct path *path, const json_t *value,
	const char *what, uint64_t max, const char *empty_says, struct range_set *ret)
{
	_cleanup_(building_done) struct building building = { 0 };
	bool good = true;
	json_t *entry;
	size_t i;

	if (!read_list(checker, path, value, path->key, empty_says))
		return false;
	json_array_foreach (value, i, entry) {
		struct path at = { path, NULL, i };
		struct range range;

		if (!read_range(checker, &at, entry, what, max, &range) ||
			!add_entry(checker, &at, &building, range))
			good = false;
	}
	return good && hand_over(checker, &building, ret);
}

/* What a region's two keys are read into: the tables of fields know rules only. */
static bool read_region(
	struct checker *checker, const struct path *path, const json_t *value, struct range *ret)
{
	static const char *const keys[] = { "address", "size" };
	uint64_t numbers[2];
	bool good = true;
	const char *key;
	json_t *member;

	if (!json_is_object(value)) {
		complain_value(checker, path,
			"a region must be an object {\"address\": …, \"size\": …}, not %s",
			type_name(value));
		return false;
	}
	json_object_foreach ((json_t *)value, key, member) {
		struct path at = { path, key, 0 };

		if (strcmp(key, keys[0]) != 0 && strcmp(key, keys[1]) != 0) {
			policy_complain(checker, POLICY_ERROR, &at, true,
				"unknown key \"%s\": a region has \"address\" and \"size\"", key);
			good = false;
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct path at = { path, keys[i], 0 };

		member = json_object_get(value, keys[i]);
		if (!member) {
			complain_value(checker, path, "the region lacks \"%s\"", keys[i]);
			good = false;
		} else if (!read_number(checker, &at, member, keys[i], UINT64_MAX, &numbers[i])) {
			good = false;
		} else if (numbers[i] % GHRM_PAGE_SIZE != 0) {
			complain_value(
				checker, &at, "%s is no multiple of the page size, 4096", keys[i]);
			good = false;
		}
	}
	if (!good)
		return false;
	if (numbers[1] == 0 || numbers[0] + (numbers[1] - 1) < numbers[0]) {
		complain_value(checker, path,
			numbers[1] == 0 ? "the region is empty: \"size\" must be at least 4096"
					: "the region wraps around the end of the address space");
		return false;
	}
	*ret = (struct range){ numbers[0], numbers[0] + (numbers[1] - 1) };
	return true;
}

bool read_regions(struct checker *checker, const struct path *path, const json_t *value,
	const char *empty_says, struct range_set *ret)
{
	_cleanup_(building_done) struct building building = { 0 };
	bool good = true;
	json_t *entry;
	size_t i;

	if (!read_list(checker, path, value, path->key, empty_says))
		return false;
	json_array_foreach (value, i, entry) {
		struct path at = { path, NULL, i };
		struct range range;

		if (!read_region(checker, &at, entry, &range) ||
			!add_entry(checker, &at, &building, range))
			good = false;
	}
	return good && hand_over(checker, &building, ret);
}
