/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/internal.h"

/* The last range that begins at or before this number, NULL if there is none. */
static const struct range *range_before(const struct range_set *set, uint64_t number)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ranges[middle].first <= number)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &set->ranges[low - 1] : NULL;
}

bool range_set_contains(const struct range_set *set, uint64_t first, uint64_t last)
{
	const struct range *range = range_before(set, first);

	/* Neighbours are joined, so what is inside the union is inside one range. */
	return range && last <= range->last;
}

bool range_set_overlaps(const struct range_set *set, uint64_t first, uint64_t last)
{
	const struct range *range = range_before(set, last);

	return range && first <= range->last;
}

bool id_set_contains(const struct id_set *set, uint32_t id)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (set->ids[middle] == id)
			return true;
		if (set->ids[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
