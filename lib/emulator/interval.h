/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A map from addresses to values, kept as maximal intervals in a red-black tree: neighbours of the
 * same value are one interval, and value 0 stands for "nothing" and takes no room. So a machine of
 * terabytes that nobody has cut up costs one node, and every operation is logarithmic in the number
 * of cuts. Not thread-safe.
 *
 * A node that cannot be allocated ends the process: the maps are also changed on the way back from
 * a failed request, where there is nothing left to fail to.
 */

#include <stdbool.h>
#include <stdint.h>
#include <bsd/sys/tree.h>

struct interval {
	RB_ENTRY(interval) node;
	uint64_t start, end; /* [start, end) */
	uint64_t value;      /* never 0 */
};

RB_HEAD(interval_tree, interval);

/* Zero-initialised it is empty. */
struct interval_map {
	struct interval_tree tree;
};

/* Frees all nodes; the map is empty afterwards. */
void interval_map_clear(struct interval_map *map);

/* Makes value the value of [start, end); 0 removes. */
void interval_map_set(struct interval_map *map, uint64_t start, uint64_t end, uint64_t value);

/*
 * The value at an address, 0 for nothing. *ret_end is where the next change comes at the earliest,
 * UINT64_MAX when there is none.
 */
uint64_t interval_map_get(struct interval_map *map, uint64_t at, uint64_t *ret_end);

/* Whether all of [start, end) has one value other than 0. */
bool interval_map_covers(struct interval_map *map, uint64_t start, uint64_t end);

/* Whether all of [start, end) has value 0. */
bool interval_map_empty(struct interval_map *map, uint64_t start, uint64_t end);

/* The interval at an address or else the next after it; NULL when there is none. */
struct interval *interval_map_from(struct interval_map *map, uint64_t at);
struct interval *interval_map_next(struct interval *interval);
