/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "emulator/space.h"

#include <string.h>

#include "ghrm/message.h"
#include "util/util.h"

#define SPACE_FREE  1ull
#define SPACE_LARGE 0x200000ull /* from this size on, aligned to it */

/* Of the values in the home map: the distance to the physical pages, the kind, and never 0. */
#define HOME_PRESENT 1ull
#define HOME_IO      2ull
#define HOME_SHIFT   2

void space_init(struct space *space, bool direct, uint64_t limit)
{
	*space = (struct space){ .direct = direct };
	interval_map_set(&space->free, 0, limit, SPACE_FREE);
}

void space_done(struct space *space)
{
	interval_map_clear(&space->free);
	interval_map_clear(&space->devices);
	interval_map_clear(&space->devices_free);
	interval_map_clear(&space->home);
}

void space_reserve(struct space *space, uint64_t address, uint64_t size)
{
	interval_map_set(&space->free, address, address + size, 0);
	interval_map_set(&space->devices, address, address + size, SPACE_FREE);
	interval_map_set(&space->devices_free, address, address + size, SPACE_FREE);
}

static unsigned space_class(uint64_t size)
{
	unsigned class = 63u - (unsigned)__builtin_clzll(size);

	return class < SPACE_CLASSES ? class : SPACE_CLASSES - 1;
}

bool space_take(struct space *space, bool io, uint64_t address, uint64_t size)
{
	struct interval_map *map = &space->free;

	if (size == 0 || address + size < address)
		return false;
	if (io && interval_map_covers(&space->devices_free, address, address + size))
		map = &space->devices_free;
	else if (!interval_map_covers(&space->free, address, address + size))
		return false;
	interval_map_set(map, address, address + size, 0);
	return true;
}

bool space_pick(struct space *space, uint64_t size, uint64_t *ret_address)
{
	uint64_t align = size >= SPACE_LARGE ? SPACE_LARGE : GHRM_PAGE_SIZE;
	unsigned class;
	struct interval *gap;
	bool known = false;

	if (size == 0)
		return false;
	class = space_class(size);
	for (gap = interval_map_from(&space->free, space->lowest[class]); gap;
		gap = interval_map_next(gap)) {
		uint64_t address = (gap->start + align - 1) & ~(align - 1);

		if (!known && gap->end - gap->start >= 1ull << class) {
			space->lowest[class] = gap->start;
			known = true;
		}
		if (address < gap->end && gap->end - address >= size) {
			interval_map_set(&space->free, address, address + size, 0);
			*ret_address = address;
			return true;
		}
	}
	return false;
}

void space_give(struct space *space, uint64_t address, uint64_t size)
{
	struct interval *gap;

	if (size == 0)
		return;
	if (!interval_map_empty(&space->devices, address, address + size)) {
		interval_map_set(&space->devices_free, address, address + size, SPACE_FREE);
		return;
	}
	interval_map_set(&space->free, address, address + size, SPACE_FREE);
	gap = interval_map_from(&space->free, address);
	for (unsigned class = 0; class <= space_class(gap->end - gap->start); class ++)
		if (space->lowest[class] > gap->start)
			space->lowest[class] = gap->start;
}

void space_home_add(
	struct space *space, bool io, uint64_t address, uint64_t size, uint64_t physical)
{
	uint64_t distance = (physical - address) / GHRM_PAGE_SIZE << HOME_SHIFT;

	interval_map_set(&space->home, address, address + size,
		distance | (io ? HOME_IO : 0) | HOME_PRESENT);
}

void space_home_remove(struct space *space, uint64_t address, uint64_t size)
{
	interval_map_set(&space->home, address, address + size, 0);
}

bool space_home_at(struct space *space, uint64_t address, uint64_t *ret_end, uint64_t *ret_physical,
	bool *ret_io)
{
	uint64_t value = interval_map_get(&space->home, address, ret_end);

	if (!value)
		return false;
	*ret_physical = address + (value >> HOME_SHIFT) * GHRM_PAGE_SIZE;
	*ret_io = value & HOME_IO;
	return true;
}
