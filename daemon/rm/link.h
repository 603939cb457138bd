/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Ways to reach a Resource Manager. All of them are one descriptor on which each read and each write
 * is exactly one packet, so that the lane does not care which it is (contract §2, --rm).
 *
 *   emulator   the built-in emulator, in a thread of its own at the other end of a socket pair
 *   unix:PATH  a SOCK_SEQPACKET socket; the first datagram is our VMID, 3
 *   dev:PATH   a character device, opened exclusively
 *
 * A link belongs to one thread at a time.
 */

#include <stdbool.h>

struct link;

/* "emulator", "unix:PATH" or "dev:PATH"; -EINVAL and a text in *ret_error for anything else. */
int link_open(const char *endpoint, struct link **ret, char **ret_error);
struct link *link_free(struct link *link); /* accepts and returns NULL */

/*
 * A link on a descriptor that somebody else has connected, which belongs to the link from a success
 * on. is_socket: SOCK_SEQPACKET. Such a link is not proved to end in an emulator.
 */
int link_from_fd(int fd, bool is_socket, struct link **ret);

int link_fd(const struct link *link); /* non-blocking, for poll */
const char *link_endpoint(const struct link *link);

/* sendmmsg and recvmmsg work on it: the sockets, not the device. */
bool link_is_socket(const struct link *link);

/*
 * True when the other end is proved to be an emulator: the built-in one, or a socket that answers
 * `ping` on the control connection. Only then may frame numbers be made up (architecture.md, Memory 4).
 */
bool link_is_emulator(const struct link *link);
