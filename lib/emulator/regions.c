/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A parcel's region list: checking what the owner names, moving pages in and out (§3.1.1). */
#include "emulator/internal.h"

struct extent *extent_of(struct vm *vm, const struct parcel *parcel)
{
	return parcel_is_io(parcel) ? &vm->device : &vm->normal;
}

static void ownership_set(
	struct emulator *emulator, const struct region *region, struct extent *extent)
{
	interval_map_set(&emulator->ownership, region->pa, region->pa + region_size(region),
		(uintptr_t)extent);
}

bool slot_take(struct emulator *emulator, struct parcel *parcel, uint16_t vmid, unsigned *ret)
{
	for (unsigned i = 0; i < emulator->machine->max_mappings; i++) {
		struct slot *slot = &parcel->slots[i];

		if (!slot->used) {
			slot->used = true;
			slot->vmid = vmid;
			*ret = i;
			return true;
		}
	}
	return false;
}

/* A slot of the sharing owner's that has none of these pages recorded, or a new one. */
static bool slot_for_owner(struct emulator *emulator, struct parcel *parcel, struct region *region)
{
	for (unsigned i = 0; i < emulator->machine->max_mappings; i++) {
		struct slot *slot = &parcel->slots[i];

		if (slot->used && slot->vmid == parcel->owner->vmid &&
			interval_map_empty(
				&slot->stale, region->pa, region->pa + region_size(region))) {
			region->slot = i;
			return true;
		}
	}
	return slot_take(emulator, parcel, parcel->owner->vmid, &region->slot);
}

static bool regions_grow(struct parcel *parcel)
{
	size_t room = parcel->regions_room ? parcel->regions_room * 2 : 16;
	struct region *regions;

	if (parcel->n_regions < parcel->regions_room)
		return true;
	regions = realloc(parcel->regions, room * sizeof(*regions));
	if (!regions)
		return false;
	parcel->regions = regions;
	parcel->regions_room = room;
	return true;
}

/*
 * The physically contiguous piece at the beginning of [ipa, ipa + size): as long as the stage-2
 * mapping goes on alike, whoever owns the pages; all of them must be the owner's.
 */
static uint32_t find_piece(struct emulator *emulator, struct parcel *parcel, uint64_t ipa,
	uint64_t size, struct region *ret)
{
	struct extent *own = extent_of(parcel->owner, parcel);
	struct view first, next;

	view_at(emulator, parcel->owner, ipa, size, &first);
	if (first.extent != own)
		return GHRM_MEM_INVALID;
	while (first.size < size) {
		view_at(emulator, parcel->owner, ipa + first.size, size - first.size, &next);
		if (!next.extent || next.physical != first.physical + first.size ||
			next.rights != first.rights || next.attr != first.attr)
			break;
		if (next.extent != own)
			return GHRM_MEM_INVALID;
		first.size += next.size;
	}
	*ret = (struct region){
		.ipa = ipa, .pa = first.physical, .pages = (uint32_t)(first.size / GHRM_PAGE_SIZE)
	};
	return GHRM_OK;
}

static uint32_t add_piece(struct emulator *emulator, struct parcel *parcel, struct region *region)
{
	bool share = parcel->trans_type == GHRM_TRANS_SHARE;

	if (share && !slot_for_owner(emulator, parcel, region))
		return GHRM_MAP_FAILED;
	if (parcel->n_regions == GHRM_REGIONS_MAX || !regions_grow(parcel)) {
		if (share)
			interval_map_set(&parcel->slots[region->slot].stale, region->pa,
				region->pa + region_size(region), 1);
		return parcel->n_regions == GHRM_REGIONS_MAX ? GHRM_DENIED : GHRM_NOMEM;
	}
	parcel->regions[parcel->n_regions++] = *region;
	parcel->total += region_size(region);
	ownership_set(emulator, region, &parcel->extent);
	if (parcel->sanitize_create)
		emulator->zeroed_pages += region->pages;
	return GHRM_OK;
}

static uint32_t add_entry(
	struct emulator *emulator, struct parcel *parcel, struct ghrm_region entry)
{
	if (entry.address >= GHRM_ADDRESS_LIMIT || entry.address % GHRM_PAGE_SIZE ||
		entry.size >= GHRM_ADDRESS_LIMIT || entry.size % GHRM_PAGE_SIZE)
		return GHRM_ARGUMENT_INVALID;
	if (entry.size == 0)
		return GHRM_MEM_INVALID;
	while (entry.size > 0) {
		struct region region;
		uint32_t error = find_piece(emulator, parcel, entry.address, entry.size, &region);

		if (error == GHRM_OK)
			error = add_piece(emulator, parcel, &region);
		if (error != GHRM_OK)
			return error;
		entry.address += region_size(&region);
		entry.size -= region_size(&region);
	}
	return GHRM_OK;
}

/*
 * Two things are not undone, as in the original: the total, and for shares the record in the mapping
 * slot (rm-findings §5).
 */
static void regions_undo(struct emulator *emulator, struct parcel *parcel, size_t begin)
{
	for (size_t i = begin; i < parcel->n_regions; i++) {
		struct region *region = &parcel->regions[i];

		ownership_set(emulator, region, extent_of(parcel->owner, parcel));
		if (parcel->trans_type == GHRM_TRANS_SHARE)
			interval_map_set(&parcel->slots[region->slot].stale, region->pa,
				region->pa + region_size(region), 1);
	}
	parcel->n_regions = begin;
}

uint32_t regions_add(struct emulator *emulator, struct parcel *parcel, const struct ghrm_list *list)
{
	size_t begin = parcel->n_regions;

	for (size_t i = 0; i < list->count; i++) {
		uint32_t error = add_entry(emulator, parcel, ghrm_region_at(list, i));

		if (error != GHRM_OK) {
			regions_undo(emulator, parcel, begin);
			return error;
		}
	}
	return GHRM_OK;
}

void regions_return(struct emulator *emulator, struct parcel *parcel)
{
	for (size_t i = 0; i < parcel->n_regions; i++) {
		ownership_set(emulator, &parcel->regions[i], extent_of(parcel->owner, parcel));
		if (parcel->sanitize_reclaim)
			emulator->zeroed_pages += parcel->regions[i].pages;
	}
	parcel->n_regions = 0;
}
