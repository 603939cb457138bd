/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Where the memory comes from: a client's memfd, checked and sealed, or one made here. */

#include "daemon/memory/memory.h"

struct source {
	int fd;
	uint64_t offset, size; /* bytes; inside the file, which can no longer shrink */
	bool is_ours;          /* made here: the descriptor is a result */
	bool is_huge;          /* of hugetlbfs */
};

/*
 * Checks the job's descriptor and numbers, or makes the memory. The source's descriptor is the
 * job's own or a new one that belongs to the caller (is_ours). reason has room for REASON_MAX.
 */
#define REASON_MAX MEMORY_REASON_MAX
enum memory_outcome source_open(const struct memory_job *job, struct source *ret, char *reason);

/* MEMORY_OK when the machine has the memory that populating would take now. */
enum memory_outcome source_check_room(const struct source *source, char *reason);
