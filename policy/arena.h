/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Memory that is given back all at once: a snapshot of the policy is many small pieces with one life.
 * Not thread-safe; what was allocated may be read by anybody.
 */

#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t left; /* bytes free at the end of the first chunk */
};

/* Zeroed and aligned for anything; NULL without memory. */
void *arena_alloc(struct arena *arena, size_t size);
void *arena_copy(struct arena *arena, const void *from, size_t size);
char *arena_strdup(struct arena *arena, const char *text);
void arena_done(struct arena *arena);
