/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of libghmem share: a connection with its last error, a call as JSON, and readers
 * for the fields of replies. One thread at a time per connection.
 */

#include <jansson.h>

#include "ghmem/ghmem.h"
#include "ghmem/wire.h"
#include "util/util.h"

#define BROKER "org.ghmem.Broker."

struct ghmem {
	struct wire wire;
	char *error_name;
	char *error_text;
	char *error_parameters;
};

static inline void client_unrefp(json_t **json)
{
	json_decref(*json);
}
#define _cleanup_json_ _cleanup_(client_unrefp)

/* Notes a failure in words and returns error. */
int client_fail(struct ghmem *connection, int error, const char *format, ...) _printf_(3, 4);

/* -EBADMSG: the reply is JSON, but not what the interface says. */
int client_bad_reply(struct ghmem *connection, const char *what);

/*
 * Calls a method and waits for its reply. parameters is stolen; NULL is the caller's failed
 * allocation, answered with -ENOMEM. *ret_reply: the reply's parameters, an object, the caller's
 * reference. Descriptors of the reply are in the wire until the next call.
 */
int client_call(struct ghmem *connection, const char *method, json_t *parameters, const int *fds,
	size_t n_fds, json_t **ret_reply);

/* The same with `more`: function is called for each reply, in order; as ghmem_call_more(). */
typedef int (*client_reply_fn)(struct ghmem *connection, json_t *reply, void *userdata);
int client_call_more(struct ghmem *connection, const char *method, json_t *parameters,
	client_reply_fn function, void *userdata);

/* ---- an error reply in words (outcome.c) ---- */

/* Takes in an error reply; parameters is borrowed. Returns its positive outcome or -ENOMEM. */
int client_refused(struct ghmem *connection, const char *name, json_t *parameters);

/* ---- fields of an object; false when the field is missing, of the wrong type or too large ---- */

bool field_number(const json_t *object, const char *name, uint64_t maximum, uint64_t *ret);
bool field_text(const json_t *object, const char *name, const char **ret);
bool field_bool(const json_t *object, const char *name, bool *ret);
/* Missing or null: the optional field of Varlink. */
bool field_absent(const json_t *object, const char *name);

/* ---- parcels (parcel.c) and requests (request.c) ---- */

/* Reads a parcel; json is borrowed. Returns 0, -EBADMSG or -ENOMEM. */
int parcel_parse(json_t *json, struct ghmem_parcel **ret);

/* Notes where in a pool the parcel's piece begins. */
void parcel_set_offset(struct ghmem_parcel *parcel, uint64_t offset);

struct request_fds {
	int fds[1];
	size_t n;
	int own; /* made for this call; -1: none */
};

/*
 * The fields of a method's parameters. ret_fds: initialised by the callee, closed with
 * request_fds_done. Returns 0 and a new reference, -EINVAL with *ret_fault, -ENOMEM or another
 * -errno.
 */
enum request_method { REQUEST_SHARE, REQUEST_LEND, REQUEST_DONATE, REQUEST_CHECK };
int request_build(const struct ghmem_request *request, enum request_method method, json_t **ret,
	struct request_fds *ret_fds, const char **ret_fault);
void request_fds_done(struct request_fds *fds);
