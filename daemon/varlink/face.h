/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Varlink face: org.ghmem.Broker. It only translates between JSON and core's requests and replies.
 */

#include "daemon/core/broker.h"
#include "daemon/varlink/server.h"

struct face;

/*
 * Serves a listening socket, which belongs to the face from a success on, in threads of its own.
 * The broker must outlive it. Returns 0 or -errno.
 */
int face_new(struct face **ret, int listen_fd, struct broker *broker, unsigned threads);

/* Accepts no more connections; open ones go on, so that running calls are answered. */
void face_stop_listening(struct face *face);

/*
 * Closes all connections and ends the threads. For the core thread, after the broker has stopped: no
 * operation may be running. Accepts and returns NULL.
 */
struct face *face_free(struct face *face);
