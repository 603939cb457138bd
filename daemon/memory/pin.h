/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The work itself: what a worker does with one job. */

#include "daemon/memory/holder_link.h"
#include "daemon/memory/memory.h"

struct pinner {
	struct holder_link *holder;
	int pagemap_fd;  /* -1: none */
	bool has_frames; /* pagemap shows frame numbers */
	bool can_pin;    /* io_uring can be used at all */
	bool may_invent; /* addresses and pins may be missing */
};

/* Does a MEMORY_PIN job: fills outcome, reason, pinned; closes the job's descriptor. */
void pin_do(const struct pinner *pinner, struct memory_job *job);

/* Does a MEMORY_UNPIN job: frees job->pinned. */
void pin_undo(const struct pinner *pinner, struct memory_job *job);

/* Pins and unpins one page. Returns 0 or -errno: what the holder's kernel says about pinning. */
int pin_probe(const struct pinner *pinner);
