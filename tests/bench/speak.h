/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The barest clients that there can be, so that what they cost does not count: Varlink bytes encoded
 * beforehand on a blocking socket, and the Resource Manager's packets without threads or queues.
 * Functions return 0 or a negative errno; -EINTR when a signal came. Nothing is printed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghrm/message.h"
#include "ghrm/packet.h"

/* A connected blocking socket, or a negative errno. type: SOCK_STREAM, SOCK_SEQPACKET. */
int speak_connect(const char *path, int type);

int speak_write(int fd, const void *data, size_t size);
/* Exactly that many bytes. */
int speak_read(int fd, void *data, size_t size);

#define REPLY_MAX 65536

struct reply {
	char text[REPLY_MAX]; /* with its NUL */
	size_t size;
	int fd; /* that came with it, or -1; the caller's to close */
};

/* Sends the bytes and waits for the reply. with_fd: a descriptor is expected. */
int speak_call(int fd, const char *message, size_t size, bool with_fd, struct reply *reply);

/* What a Lend's reply says; parsed after the clock was stopped. */
struct lent {
	uint32_t handle;
	uint64_t regions, messages;
	bool pinned, made_up;
	double populate, pin, resolve, manager; /* seconds */
};

/* -EPROTO for an error or a reply without these fields. */
int speak_parse_lent(const struct reply *reply, struct lent *ret);

/* ---- the Resource Manager ---- */

struct rm_client {
	int fd;
	uint16_t seq;
	struct ghrm_reassembly reassembly;
};

/* As VM 3. */
int rm_client_open(struct rm_client *client, const char *path);
void rm_client_close(struct rm_client *client);

/*
 * Regions of one page each that do not touch, n of them; the whole list is described to the
 * Resource Manager as the daemon does it: 512 with the LEND, 512 with each APPEND, one request at
 * a time.
 */
int rm_client_lend(struct rm_client *client, const struct ghrm_region *regions, size_t n,
	uint32_t *ret_handle);
int rm_client_reclaim(struct rm_client *client, uint32_t handle);

/* Packets and bytes on the way to the Resource Manager that this takes. */
struct rm_volume {
	uint64_t packets, bytes;
};
struct rm_volume rm_volume(size_t regions);
