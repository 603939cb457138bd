/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A ghmemd-holder that is the test's child, and raw packets to it. Everything asserts. */

#include <stddef.h>

#include "state_dir.h"
#include "util/util.h"

#define SMALL_PAGE 4096u
#define NOBODY     65534

struct child {
	struct state_dir dir;
	pid_t pid;
};

/* Runs the holder's program with these arguments, quietly. */
pid_t execute(const char *const *arguments);

/* A holder on a new state directory, whose clients wait that many seconds. */
void start(struct child *child, const char *patience);

bool has_ended(void *child);

/* Waits for the holder's own end, orderly. */
void await_end(struct child *child);

/* Empties it, ends it, closes the directory. */
void done(struct child *child);

/* A connection, -1 for none; and one that has said HELLO. */
int dial(const struct child *child);
int join(const struct child *child);

void tell(int fd, const void *packet, size_t size, const int *fds, size_t n_fds);

/* The reply's result; a descriptor that came along goes to *ret_fd, NULL: there must be none. */
int hear(int fd, struct holder_reply *reply, int *ret_fd);

/* tell and hear; pass is a descriptor to send along, or -1. */
int ask(int fd, struct holder_request request, int pass, struct holder_reply *reply);
int hello(int fd, int lock_fd);
bool has_hung_up(int fd);

struct holder_request put(uint64_t name, enum holder_class class, uint64_t size);
int make_small_memfd(void);

/* Puts a memfd of four pages under that name; returns the result. */
int put_memory(int fd, uint64_t name);

/* Descriptors that another process has open. */
unsigned fds_of(pid_t pid);
