/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A process that has rings and does nothing else: a copy of this one, so that it needs no program
 * file, no connection and no memory to start with. It owns pins while no holder does, and lets the
 * next holder, of whatever few capabilities, copy the rings out of it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct keeper {
	pid_t pid; /* a child; 0: none */
	int pidfd;
};

#define KEEPER_NONE ((struct keeper){ .pid = 0, .pidfd = -1 })

/*
 * Starts one that has exactly these descriptors, under their numbers; sorts them. It sleeps until
 * it is killed, which SIGKILL alone does. Returns 0, and then it is ready, or -errno.
 */
int keeper_start(struct keeper *ret, int *fds, size_t n);

/* Whether there is one and nobody has killed it. */
bool keeper_lives(const struct keeper *keeper);

/* Kills it: its rings are closed. */
void keeper_end(struct keeper *keeper);

/* Forgets it: it goes on without this process. */
void keeper_leave(struct keeper *keeper);
