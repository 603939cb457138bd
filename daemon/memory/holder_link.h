/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The workers' common way to the holder: a thread that owns the connection, and calls that wait
 * for it. The thread notices the holder's end, starts a new one at once, hands it every ring, and
 * does a call again whose holder died under it. The rings are the link's: what was put is pinned
 * until it is dropped.
 *
 * holder_link_put, _drop, _owed: any thread; the rest: the thread that made it.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "daemon/memory/holder_peer.h"

struct holder_link;

struct holder_link_options {
	const char *state_dir, *holder_path;
	int lock_fd;
	const char *tag;      /* of the entries made here, cut to HOLDER_TAG_MAX - 1 */
	const char *dead_tag; /* entries found whose tag begins so are dropped */
	unsigned patience;    /* seconds that the holder may take for an answer; 0: long */
};

/* Returns 0 or -errno; *ret_error, the caller's to free, says in one line why. */
int holder_link_new(
	struct holder_link **ret, const struct holder_link_options *options, char **ret_error);

/*
 * What was put stays pinned: by the holder, or, when none can be had, by a process left behind for
 * it. Returns NULL.
 */
struct holder_link *holder_link_free(struct holder_link *link);

/* Whether the holder's pins are bound by RLIMIT_MEMLOCK or not. */
bool holder_link_pins_any(const struct holder_link *link);

/* The holder that was found or started at the beginning. */
pid_t holder_link_first_pid(const struct holder_link *link);

/* Entries that the holder has or may have although nobody wants them: it did not answer in time. */
uint64_t holder_link_owed(const struct holder_link *link);

/* Memory that was found at the start and not dropped. */
void holder_link_left_over(
	const struct holder_link *link, uint64_t *ret_entries, uint64_t *ret_pages);

struct holder_put {
	enum holder_class class;
	int fd; /* stays the caller's */
	uint64_t offset, size;
	/* results */
	uint64_t name, pages;
};

/*
 * Returns 0; the holder's -errno; -EREMOTEIO: the pin could not be copied out of the holder, and
 * was dropped; or *ret_lost = true and an -errno: there is no holder.
 */
int holder_link_put(struct holder_link *link, struct holder_put *put, bool *ret_lost);

/*
 * Lets go. Returns 0 also when the holder does not know the name or has died: then it keeps
 * nothing. After -errno the drop is owed: it is done as soon as the holder answers again.
 */
int holder_link_drop(struct holder_link *link, uint64_t name);
