/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/varlink/internal.h"

#include <errno.h>

#include <bsd/sys/tree.h>

/* Descriptors for what is not connections: pins, links, files; at most a quarter of all. */
#define OTHER_DESCRIPTORS 512
/* A socket, its process, what came with one call, and what goes with one reply. */
#define CONNECTION_DESCRIPTORS (2 + VARLINK_FDS_MAX + 1)
/* For root to get in and see what is the matter; at most a tenth of all. */
#define RESERVED_CONNECTIONS 64

struct uid_use {
	RB_ENTRY(uid_use) entry;
	uid_t uid;
	size_t n;
};

static int uid_use_compare(const struct uid_use *a, const struct uid_use *b)
{
	return a->uid < b->uid ? -1 : a->uid > b->uid;
}

RB_GENERATE_INTERNAL(uid_use_tree, uid_use, entry, uid_use_compare, static _unused_)

void bounds_init(struct bounds *bounds)
{
	pthread_mutex_init(&bounds->lock, NULL);
	RB_INIT(&bounds->uids);
}

void bounds_done(struct bounds *bounds)
{
	pthread_mutex_destroy(&bounds->lock);
}

static bool bounds_are_reached(
	const struct varlink_server_options *options, uid_t uid, const struct bounds_use *use)
{
	if (options->connections_max > 0) {
		size_t reserved = uid == 0 ? 0 : options->connections_reserved;

		if (use->all >= options->connections_max ||
			options->connections_max - use->all <= reserved)
			return true;
	}
	return uid != 0 && options->connections_per_uid > 0 &&
	       use->of_uid >= options->connections_per_uid;
}

int bounds_enter(struct varlink_server *server, uid_t uid, struct bounds_use *ret_use)
{
	struct uid_use *spare = calloc(1, sizeof(*spare)), *use;
	struct bounds *bounds = &server->bounds;
	int r = 0;

	if (!spare)
		return -ENOMEM;
	spare->uid = uid;
	pthread_mutex_lock(&bounds->lock);
	use = RB_INSERT(uid_use_tree, &bounds->uids, spare);
	if (!use)
		use = TAKE_PTR(spare);
	*ret_use = (struct bounds_use){ .of_uid = use->n, .all = bounds->n };
	if (bounds_are_reached(&server->options, uid, ret_use)) {
		if (use->n == 0)
			spare = RB_REMOVE(uid_use_tree, &bounds->uids, use);
		r = -EUSERS;
	} else {
		use->n++;
		bounds->n++;
	}
	pthread_mutex_unlock(&bounds->lock);
	free(spare);
	return r;
}

void bounds_leave(struct varlink_server *server, uid_t uid)
{
	struct bounds *bounds = &server->bounds;
	struct uid_use key = { .uid = uid }, *use;

	pthread_mutex_lock(&bounds->lock);
	bounds->n--;
	use = RB_FIND(uid_use_tree, &bounds->uids, &key);
	use = --use->n == 0 ? RB_REMOVE(uid_use_tree, &bounds->uids, use) : NULL;
	pthread_mutex_unlock(&bounds->lock);
	free(use);
}

void varlink_server_bound_connections(struct varlink_server_options *options, size_t descriptors)
{
	size_t other = descriptors / 4, max, reserved;

	if (other > OTHER_DESCRIPTORS)
		other = OTHER_DESCRIPTORS;
	max = (descriptors - other) / CONNECTION_DESCRIPTORS;
	if (max == 0)
		max = 1; /* 0 would be no bound at all */
	reserved = max / 10;
	if (reserved > RESERVED_CONNECTIONS)
		reserved = RESERVED_CONNECTIONS;
	options->connections_max = max;
	options->connections_per_uid = max - max / 4;
	options->connections_reserved = reserved;
}
