/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A temporary directory with two ghrm-emulators and a ghmemd, which talks to the first of them; the
 * second one is for floors. All functions that return int return 0 or a negative errno and have
 * then said on stderr what was wrong. -EINTR: a signal asked for the end.
 */

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct place {
	char folder[64];
	char varlink[96], rm[96], floor_rm[96]; /* sockets */
	pid_t daemon, emulator, floor_emulator; /* 0: does not run */
};

/* SIGINT, SIGTERM and SIGHUP end what blocks and are remembered. */
void place_catch_signals(void);
bool place_interrupted(void);

/* build: the top of the build tree. place_close() is needed after a failure too. */
int place_open(struct place *place, const char *build);

/*
 * Stops all in an order that lets the daemon reclaim, waits for the holder that the daemon left
 * behind, removes the directory. Accepts a zero-initialised place.
 */
void place_close(struct place *place);

/*
 * Waits for one child to end by itself, or makes it end. *pid becomes 0. False when it ended by
 * a signal or with an exit status other than 0.
 */
bool place_reap(pid_t *pid, int signal, double seconds);
