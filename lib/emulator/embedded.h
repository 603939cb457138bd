/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The emulator in a thread of its own, serving the default machine at the other end of a
 * SOCK_SEQPACKET socket pair. *ret_fd is our end, on which we are VM 3 already (no first datagram);
 * it belongs to the caller.
 */

struct emulator_embedded;

int emulator_embedded_new(struct emulator_embedded **ret, int *ret_fd);
struct emulator_embedded *emulator_embedded_free(struct emulator_embedded *embedded);
