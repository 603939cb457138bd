/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The server's inner structures, for the files of this directory only. */

#include <bsd/sys/queue.h>

#include "emulator/emulator.h"
#include "emulator/server.h"

#define VMID_CONTROL     0xffff
#define CONTROL_SIZE_MAX 4096

/* CONNECTION_GONE: of a VM that was deallocated; closed when it is served next. */
enum connection_kind { CONNECTION_NEW, CONNECTION_VM, CONNECTION_CONTROL, CONNECTION_GONE };

struct connection {
	TAILQ_ENTRY(connection) entry;
	struct server *server;
	int fd;
	struct event *readable, *writable;
	enum connection_kind kind;
	uint16_t vmid;
};

/* Faults that the control connection has ordered. */
struct failure {
	TAILQ_ENTRY(failure) entry;
	uint32_t msg_id, error;
	uint64_t left;
};

struct delayed {
	TAILQ_ENTRY(delayed) entry;
	uint64_t due; /* util_now_usec() */
	uint16_t vmid, seq;
	uint32_t msg_id;
	size_t size;
	uint8_t payload[];
};

struct faults {
	uint64_t delay_usec, drop;
	TAILQ_HEAD(, failure) failures;
	TAILQ_HEAD(, delayed) delayed;
	struct event *timer;
};

struct guest;

struct server {
	struct event_base *base;
	const struct machine *machine;
	struct server_options options;
	struct emulator *emulator;
	int listener;
	char *path;
	uint64_t path_device, path_inode;
	struct event *acceptable, *accept_again, *step;
	TAILQ_HEAD(, connection) connections;
	struct connection *links[MACHINE_VMIDS];
	bool held[MACHINE_VMIDS];
	size_t drain_left; /* while "drain" runs: what a held VM still takes */
	struct faults faults;
	struct guest *guests[MACHINE_VMIDS];
	bool died;
};

/* server.c */
/* Everything sent before is processed and what came of it is delivered. */
void server_barrier(struct server *server);
/* After anything that may have given guests or the background something to do. */
void server_settle(struct server *server);
/* Platform restart. Returns 0 or -errno. */
int server_restart(struct server *server);
void connection_close(struct connection *connection);

/* control.c */
/* Executes one command; the answer begins with "ok" or "err". Returns NULL without memory. */
char *control_execute(struct server *server, const char *command, bool *ret_exit);

/* faults.c */
int faults_init(struct server *server);
void faults_done(struct server *server);
bool faults_refuse(void *userdata, uint16_t vmid, uint32_t msg_id, uint32_t *ret_error);
bool faults_withhold(void *userdata, uint16_t vmid, const struct ghrm_message *reply);
int faults_add_failure(struct server *server, uint32_t msg_id, uint32_t error, uint64_t count);
/* Forgets the replies that are on their way. */
void faults_forget_delayed(struct server *server);

/* guest.c */
/* A packet for a VM without a client. */
void guest_take(struct server *server, uint16_t vmid, const uint8_t *packet, size_t size);
/* Lets all guests do what they have to; false when there was nothing. */
bool guests_run(struct server *server);
void guest_forget(struct server *server, uint16_t vmid);
