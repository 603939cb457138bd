/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the daemon needs from its surroundings before it serves: a locked state directory, the policy,
 * a listening socket, its own place. Each function prints one clear line when it fails.
 */

#include <sys/stat.h>

#include "daemon/options.h"
#include "policy/policy.h"

/* Takes as many descriptors as the system gives: clients and their memory need them. */
void startup_raise_limits(void);

/*
 * Makes the state directory if need be and locks it. Returns the descriptor of the lock file, which
 * is held as long as it is open, or -errno.
 */
int startup_lock(const char *state_dir);

/*
 * Reads the policy of the options' directories, or of the default ones: those of an installed system,
 * or the shipped files of the build tree that this program runs from. On failure *ret_error (the
 * caller's to free) tells every fault, a line each. Returns 0 or -errno.
 */
int startup_policy(const struct options *options, struct policy **ret, char **ret_error);

/*
 * The socket that systemd passes as "varlink", or a new one at path, mode 0666, in place of a dead
 * daemon's. *ret_made tells the new one apart from what may lie there later. Returns the descriptor
 * or -errno.
 */
int startup_listen(const char *path, struct stat *ret_made);

/* Unlinks the socket that startup_listen made, if it still lies there. */
void startup_unlisten(const char *path, const struct stat *made);

/* Path of a program that stands beside this one. Returns 0 or -errno; *ret is the caller's. */
int startup_sibling(const char *name, char **ret);
