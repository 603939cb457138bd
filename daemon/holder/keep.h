/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The holder's books: what it keeps, in the order of the names. */

#include <stddef.h>

#include "daemon/holder/protocol.h"

struct entry {
	uint64_t name, offset, size, pages;
	uint32_t class;
	int fd;   /* -1: adopted */
	int ring; /* the io_uring that holds the pin, -1: none */
	char tag[HOLDER_TAG_MAX];
};

struct keep {
	struct entry *entries; /* ascending names */
	size_t n, allocated;
	uint64_t highest; /* name ever seen */
	uint64_t pages;
};

/* Drops everything, which unpins it: for an empty keep and for tests. */
void keep_done(struct keep *keep);

/*
 * Takes over fd (only on success) under the request's name, pinning it first when its class is
 * HOLDER_MEMORY. Returns 0 or -errno: -EEXIST for a name that is or was taken.
 */
int keep_put(struct keep *keep, const struct holder_request *request, int fd);

/*
 * Takes over a ring (only on success) that pins memory already, under the request's name. Returns 0
 * or -errno: -EEXIST for a name that is kept, -EBADF for a descriptor that pins nothing.
 */
int keep_adopt(struct keep *keep, const struct holder_request *request, int ring);

/* The entry of that name, or NULL. Valid until the next put or drop. */
const struct entry *keep_get(const struct keep *keep, uint64_t name);

/* The entry with the lowest name above that one, or NULL. */
const struct entry *keep_after(const struct keep *keep, uint64_t name);

/* Closes and forgets. Returns 0 or -ENOENT. */
int keep_drop(struct keep *keep, uint64_t name);

/* Shuts down, closes and forgets every client. */
void keep_drop_clients(struct keep *keep);

/* How many of that class there are. */
size_t keep_count(const struct keep *keep, enum holder_class class);
