/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * One VM's guest-physical address space: which addresses are free, where the Resource Manager puts
 * what a VM accepts without naming addresses, and where the VM's own memory is (its home).
 *
 * Placement: rm-findings §6: the lowest free place, page aligned, from 2 MiB size on 2 MiB aligned.
 * The parts that are reserved for devices take device memory only, which is always at its physical
 * address.
 */

#include <stdbool.h>
#include <stdint.h>

#include "emulator/interval.h"

#define SPACE_CLASSES 45 /* powers of two up to the address limit, 2^44 */

struct space {
	bool direct; /* everything at its physical address: the primary VM */
	struct interval_map free;
	struct interval_map devices;      /* the reserved parts */
	struct interval_map devices_free; /* what of them is free */
	struct interval_map home;         /* the VM's own memory; values of space_home() */
	/* No gap of at least 2^n bytes begins below lowest[n]: keeps long runs of placements linear. */
	uint64_t lowest[SPACE_CLASSES];
};

/* An empty space of [0, limit) without reserved parts. */
void space_init(struct space *space, bool direct, uint64_t limit);
void space_done(struct space *space);

/* Sets a part aside for devices. */
void space_reserve(struct space *space, uint64_t address, uint64_t size);

/* Occupies a place; false when it is not free, not there, or not for this kind of memory. */
bool space_take(struct space *space, bool io, uint64_t address, uint64_t size);

/* Chooses and occupies a place for normal memory; false when there is none. */
bool space_pick(struct space *space, uint64_t size, uint64_t *ret_address);

/* Frees a place. */
void space_give(struct space *space, uint64_t address, uint64_t size);

/* Where the VM's own memory is. The place must have been taken. */
void space_home_add(
	struct space *space, bool io, uint64_t address, uint64_t size, uint64_t physical);
void space_home_remove(struct space *space, uint64_t address, uint64_t size);

/*
 * The home memory at an address: true, and the physical address and kind. *ret_end is where that
 * ends or, for false, begins.
 */
bool space_home_at(struct space *space, uint64_t address, uint64_t *ret_end, uint64_t *ret_physical,
	bool *ret_io);
