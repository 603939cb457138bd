/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The frame numbers behind a mapping of this process, in bulk, and addresses made up instead. */

#include "daemon/memory/memory.h"

/* Opens the page map, which remembers what its opener was allowed to see. Returns it or -errno. */
int frames_open(void);

/* Whether it shows frame numbers: reads the entry of a populated page. Returns 0/1 or -errno. */
int frames_are_shown(int pagemap_fd);

/*
 * Appends the frames of size bytes at map, in order. Returns 0; -EAGAIN: a page is absent; -ERANGE:
 * a frame is above GHRM_ADDRESS_LIMIT; -ENOMEM; -errno of the reading.
 */
int frames_read(int pagemap_fd, const void *map, uint64_t size, struct region_list *list);

/* Appends made-up addresses for size bytes. Returns 0, -ERANGE or -ENOMEM. */
int frames_make_up(uint64_t base, uint64_t size, struct region_list *list);
