/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From a call's parameters to a request, and from a reply back to JSON. Pure but for memory; any
 * thread.
 */

#include <jansson.h>

#include "daemon/core/request.h"
#include "daemon/varlink/server.h"

/*
 * Fill a fresh request from parameters. descriptors: takes the descriptor of that index out of the
 * message. Return true, or false and *ret_field is the path of the field at fault, "grants[0].access"
 * (the caller's to free; NULL when out of memory).
 */
bool decode_share_or_lend(
	json_t *parameters, struct varlink_call *call, struct request *request, char **ret_field);
bool decode_reclaim(json_t *parameters, struct request *request, char **ret_field);
bool decode_describe(json_t *parameters, struct request *request, char **ret_field);
bool decode_check(json_t *parameters, struct request *request, char **ret_field);
bool decode_nothing(json_t *parameters, char **ret_field);

/* New references, complete or NULL when out of memory. Strings may hold any bytes. */
json_t *encode_parcel(const struct parcel_view *view);
json_t *encode_status(const struct broker_status *status);
json_t *encode_check(const struct reply *reply);
json_t *encode_error(const struct request *request);
