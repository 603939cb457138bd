/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "emulator/interval.h"

#include <stdlib.h>

static int interval_compare(const struct interval *a, const struct interval *b)
{
	return a->start < b->start ? -1 : a->start > b->start;
}

RB_PROTOTYPE(interval_tree, interval, node, interval_compare)
RB_GENERATE(interval_tree, interval, node, interval_compare)

static void interval_insert(struct interval_map *map, uint64_t start, uint64_t end, uint64_t value)
{
	struct interval *interval = malloc(sizeof(*interval));

	if (!interval)
		abort();
	interval->start = start;
	interval->end = end;
	interval->value = value;
	RB_INSERT(interval_tree, &map->tree, interval);
}

static void interval_remove(struct interval_map *map, struct interval *interval)
{
	RB_REMOVE(interval_tree, &map->tree, interval);
	free(interval);
}

void interval_map_clear(struct interval_map *map)
{
	struct interval *interval;

	while ((interval = RB_ROOT(&map->tree)))
		interval_remove(map, interval);
}

/* The interval with the greatest start that is not above at. */
static struct interval *interval_floor(struct interval_map *map, uint64_t at)
{
	struct interval *interval = RB_ROOT(&map->tree), *found = NULL;

	while (interval) {
		if (interval->start <= at) {
			found = interval;
			interval = RB_RIGHT(interval, node);
		} else {
			interval = RB_LEFT(interval, node);
		}
	}
	return found;
}

struct interval *interval_map_from(struct interval_map *map, uint64_t at)
{
	struct interval *floor = interval_floor(map, at);

	if (!floor)
		return RB_MIN(interval_tree, &map->tree);
	return floor->end > at ? floor : RB_NEXT(interval_tree, &map->tree, floor);
}

struct interval *interval_map_next(struct interval *interval)
{
	return RB_NEXT(interval_tree, , interval);
}

/* Cuts [start, end) out of all intervals of other values and swallows those of the same value. */
static void interval_cut(struct interval_map *map, uint64_t *start, uint64_t *end, uint64_t value)
{
	struct interval *at = interval_map_from(map, *start);

	while (at && at->start < *end) {
		struct interval *next = interval_map_next(at);

		if (at->value == value) {
			*start = at->start < *start ? at->start : *start;
			*end = at->end > *end ? at->end : *end;
			interval_remove(map, at);
		} else if (at->start < *start) {
			if (at->end > *end)
				interval_insert(map, *end, at->end, at->value);
			at->end = *start;
		} else if (at->end > *end) {
			/* The order of the tree stays: nothing else starts in between. */
			at->start = *end;
		} else {
			interval_remove(map, at);
		}
		at = next;
	}
}

void interval_map_set(struct interval_map *map, uint64_t start, uint64_t end, uint64_t value)
{
	struct interval *left, *right;

	if (start >= end)
		return;
	interval_cut(map, &start, &end, value);
	if (!value)
		return;
	left = start > 0 ? interval_floor(map, start - 1) : NULL;
	if (left && (left->end != start || left->value != value))
		left = NULL;
	right = interval_map_from(map, end);
	if (right && (right->start != end || right->value != value))
		right = NULL;
	if (left) {
		left->end = right ? right->end : end;
		if (right)
			interval_remove(map, right);
	} else if (right) {
		right->start = start;
	} else {
		interval_insert(map, start, end, value);
	}
}

uint64_t interval_map_get(struct interval_map *map, uint64_t at, uint64_t *ret_end)
{
	struct interval *interval = interval_map_from(map, at);

	if (!interval) {
		*ret_end = UINT64_MAX;
		return 0;
	}
	if (interval->start > at) {
		*ret_end = interval->start;
		return 0;
	}
	*ret_end = interval->end;
	return interval->value;
}

bool interval_map_covers(struct interval_map *map, uint64_t start, uint64_t end)
{
	uint64_t until;

	return interval_map_get(map, start, &until) != 0 && until >= end;
}

bool interval_map_empty(struct interval_map *map, uint64_t start, uint64_t end)
{
	uint64_t until;

	return interval_map_get(map, start, &until) == 0 && until >= end;
}
