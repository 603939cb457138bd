/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The client's end of a Varlink byte stream: NUL-terminated frames and the descriptors that come
 * with them. It knows no JSON. All bytes from the other end are hostile; any fault breaks the wire
 * for good, because frames can no longer be told apart. One thread at a time.
 */

#include <stdbool.h>
#include <stddef.h>

#define WIRE_MESSAGE_MAX (16u * 1024 * 1024) /* bytes without the terminating NUL: contract §3 */
#define WIRE_FDS_MAX     16

struct wire {
	int fd;
	int cancel_fd; /* borrowed; -1: none */
	bool broken;
	char *in;
	size_t n_in, allocated;
	size_t searched; /* bytes of in that are known to hold no NUL */
	size_t frame;    /* bytes of in that the last frame took, with its NUL */
	int fds[WIRE_FDS_MAX];
	size_t n_fds;
};

/* Connects to "unix:PATH" or "unix:@NAME". Returns 0 or -errno. */
int wire_init(struct wire *wire, const char *address);
void wire_done(struct wire *wire);

/*
 * Sends one frame: n bytes, of which the last is the NUL. fds are borrowed. Returns 0, -ECANCELED,
 * -ENOTCONN or another -errno. A peer that closed is no error here: what it said before can still
 * be read.
 */
int wire_send(struct wire *wire, const char *frame, size_t n, const int *fds, size_t n_fds);

/*
 * Waits for the next frame; *ret is valid until the next call. Descriptors that came with the frame
 * before are closed. Returns 0, -ECONNRESET when the other end closed, -EMSGSIZE, -EMFILE when
 * descriptors were lost, -ECANCELED, -ENOTCONN or another -errno.
 */
int wire_receive(struct wire *wire, const char **ret, size_t *ret_n);

/* Takes descriptor i of the last frame, the caller's to close; -1 when there is none. */
int wire_take_fd(struct wire *wire, size_t i);

/* Did bytes come that nobody asked for? */
bool wire_has_input(const struct wire *wire);
