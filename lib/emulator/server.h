/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Serves an emulated Resource Manager on SOCK_SEQPACKET sockets, one datagram per message-queue
 * packet. A client's first datagram names its VM; VMID 0xffff opens a control connection with text
 * commands (ghrm-emulator(1)). One libevent base, one thread; VMs are served one after the other, as
 * the Resource Manager does.
 */

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>

#include "emulator/machine.h"

struct server;

struct server_options {
	bool strict;      /* requests that kill the published Resource Manager end the loop */
	bool auto_accept; /* VMs without a client accept and release by themselves */
	bool trace;       /* every message on stderr */
	bool quiet;       /* no log lines on stderr */
};

/* base and machine are borrowed and must outlive the server. Returns 0 or -errno. */
int server_new(struct server **ret, struct event_base *base, const struct machine *machine,
	const struct server_options *options);
struct server *server_free(struct server *server);

/*
 * Listens on a path; a socket that nobody listens on any more is replaced, and the own one is
 * removed by server_free(). Returns 0 or -errno (-EADDRINUSE: somebody listens there).
 */
int server_listen(struct server *server, const char *path);

/* Serves a connected socket as a VM's link, without a first datagram. Takes the descriptor over,
 * also when it fails. Returns 0 or -errno. */
int server_attach(struct server *server, int fd, uint16_t vmid);

/* Whether the loop was left because a deadly request met a strict emulator. */
bool server_died(const struct server *server);
