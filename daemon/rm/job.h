/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The requests that a job consists of, one after the other, and what their answers mean for it. */

#include "daemon/rm/lane.h"
#include "ghrm/packet.h"

struct job_request {
	uint32_t msg_id;
	size_t regions; /* how many more are described when it is answered OK */
	bool fits;      /* false: no message can carry it */
	size_t size;    /* of the payload */
	uint8_t payload[GHRM_SEND_MAX];
};

/* Writes the job's next request. */
void job_encode(const struct rm_job *job, struct job_request *ret);

/* The next request creates a parcel, so its answer carries a handle. */
bool job_creates(const struct rm_job *job);

/* The answer to the next request carries a word: a handle, or what was asked for. */
bool job_asks_value(const struct rm_job *job);

/*
 * Reads an answer: some carry a word on success, the others nothing. *ret_value is set only when
 * there is one. false for any other shape.
 */
bool job_decode_answer(
	bool has_value, const void *payload, size_t size, uint32_t *ret_error, uint32_t *ret_value);

/* Its request was answered OK, with that word if it carries one. True when it was the last. */
bool job_advance(struct rm_job *job, const struct job_request *request, uint32_t value);
