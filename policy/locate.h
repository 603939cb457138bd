/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Line and column of a node in a JSON text. The JSON library keeps no positions, so a fault carries the
 * path to its node and the text is walked along that path; only texts that the library has accepted
 * come here, but nothing is read beyond the text whatever it is.
 */

#include <stdbool.h>
#include <stddef.h>

/* One step down; a path is a list from its last step to its first, NULL is the whole text. */
struct path {
	const struct path *parent;
	const char *key; /* NULL: an array's entry number index */
	size_t index;
};

struct place {
	size_t offset;         /* bytes from the start */
	unsigned line, column; /* from 1; columns count characters */
};

/*
 * Remembers the last entry reached in an array two steps below the root (rules[i]), so that paths asked
 * for in the order of the text cost one walk over it altogether.
 */
struct locator {
	const char *text;
	size_t size;
	bool has_entry;
	size_t entry;
	struct place entry_place;
};

void locator_init(struct locator *locator, const char *text, size_t size);

/*
 * The first character of the value at a path, or of its key. Where the path leaves the text, the last
 * node that exists.
 */
struct place locator_find(struct locator *locator, const struct path *path, bool at_key);
