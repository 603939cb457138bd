/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A Resource Manager emulator inside a program: the default machine, served by a thread of its own
 * with the very code of ghrm-emulator.
 */

struct emulator_embedded;

/*
 * Starts the thread. *ret_fd is the primary VM's link: one end of a SOCK_SEQPACKET pair, one
 * datagram per message-queue packet, no first datagram; non-blocking and close-on-exec. The caller
 * owns it and may close it before or after emulator_embedded_free(). Returns 0 or -errno.
 */
int emulator_embedded_new(struct emulator_embedded **ret, int *ret_fd);

/* Ends the thread and forgets all state. Accepts and returns NULL. Not from the thread itself. */
struct emulator_embedded *emulator_embedded_free(struct emulator_embedded *embedded);
