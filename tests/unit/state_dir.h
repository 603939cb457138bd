/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* State directories for tests, with their locks, and the end of every holder that serves one. */

#include "daemon/memory/holder_peer.h"

struct state_dir {
	char path[64];
	int lock_fd;
	struct holder_place place; /* of its holder */
};

/* Once in main, before the tests: makes the directory of all state directories. */
void state_dirs_open(void);

/* Once in main, after the tests: ends all holders, removes everything. Returns how many it had to end. */
unsigned state_dirs_close(void);

/* A new state directory with a lock held through lock_fd (flock). */
void state_dir_make(struct state_dir *dir);
void state_dir_done(struct state_dir *dir);

/* The program, in a place that every user can reach. */
const char *state_dirs_holder(void);

/* Empties the holder of that directory, if there is one, and waits for its end. */
void state_dir_end_holder(struct state_dir *dir);

/* True when it came true within some seconds. */
bool wait_until(bool (*condition)(void *userdata), void *userdata);

/* Descriptors that this process has open. */
unsigned count_fds(void);

/* FOLL_PIN references taken and not returned, of the whole machine. */
int64_t count_pins(void);

/* The same when it has not changed for a while: rings are torn down behind one's back. */
int64_t settled_pins(void);
