/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What a VM sees at an address: its own memory where it still owns the pages, its own memory with
 * the rights it left itself where it shares them, and what it has accepted from others. Nothing is
 * kept beside the books of ownership; the view follows from them.
 */
#include "emulator/internal.h"

static struct extent *owner_at(struct emulator *emulator, uint64_t physical, uint64_t *ret_end)
{
	return (struct extent *)(uintptr_t)interval_map_get(
		&emulator->ownership, physical, ret_end);
}

/* Where the VM's accepted parcels have a mapping at ipa, or begin one before *end. */
static bool borrowed_at(struct vm *vm, uint64_t ipa, uint64_t *end, struct view *ret)
{
	for (size_t i = 0; i < vm->n_held; i++) {
		struct parcel *parcel = vm->held[i].parcel;
		struct member *member = vm->held[i].member;
		uint64_t next = member->contiguous ? member->addresses[0] : 0;

		if (!member->mapped)
			continue;
		for (size_t r = 0; r < parcel->n_regions; r++) {
			uint64_t size = region_size(&parcel->regions[r]);
			uint64_t start = member->contiguous ? next : member->addresses[r];

			next = start + size;
			if (ipa >= start && ipa < start + size) {
				*ret = (struct view){ .extent = &parcel->extent,
					.physical = parcel->regions[r].pa + (ipa - start),
					.size = start + size - ipa,
					.rights = member->rights,
					.attr = member->attr };
				return true;
			}
			if (start > ipa && start < *end)
				*end = start;
		}
	}
	return false;
}

/* The VM's own memory at ipa, of which *ret_end is the end; false where it cannot reach it. */
static bool home_at(
	struct emulator *emulator, struct vm *vm, uint64_t ipa, uint64_t *ret_end, struct view *ret)
{
	uint64_t physical, owned_until;
	struct extent *extent;
	bool io;

	if (!space_home_at(&vm->space, ipa, ret_end, &physical, &io))
		return false;
	extent = owner_at(emulator, physical, &owned_until);
	if (owned_until - physical < *ret_end - ipa)
		*ret_end = ipa + (owned_until - physical);
	*ret = (struct view){ .extent = extent, .physical = physical, .size = *ret_end - ipa };
	if (extent && extent->vm == vm) {
		ret->rights = io ? GHRM_RIGHT_R | GHRM_RIGHT_W : GHRM_RIGHT_RWX;
		ret->attr = io ? GHRM_ATTR_DEVICE : GHRM_ATTR_NORMAL;
		return true;
	}
	if (extent && extent->parcel && extent->parcel->owner == vm &&
		extent->parcel->trans_type == GHRM_TRANS_SHARE) {
		struct member *self = parcel_member(extent->parcel, vm->vmid);

		ret->rights = self->rights;
		ret->attr = self->attr;
		return true;
	}
	return false;
}

void view_at(
	struct emulator *emulator, struct vm *vm, uint64_t ipa, uint64_t size, struct view *ret)
{
	uint64_t end;

	if (home_at(emulator, vm, ipa, &end, ret)) {
		if (ret->size > size)
			ret->size = size;
		return;
	}
	if (end - ipa > size)
		end = ipa + size;
	if (borrowed_at(vm, ipa, &end, ret)) {
		if (ret->size > size)
			ret->size = size;
		return;
	}
	*ret = (struct view){ .size = end - ipa };
}

static uint8_t view_memtype(uint8_t attr)
{
	if (attr == GHRM_ATTR_DEVICE)
		return 1;
	return attr == GHRM_ATTR_UNCACHED ? 5 : 15;
}

bool emulator_probe(struct emulator *emulator, uint16_t vmid, uint64_t address, uint64_t size,
	struct emulator_view *ret)
{
	struct vm *vm = vm_find(emulator, vmid);
	struct view first, next;

	if (!vm || size == 0 || address >= GHRM_ADDRESS_LIMIT || size > GHRM_ADDRESS_LIMIT)
		return false;
	view_at(emulator, vm, address, size, &first);
	/* As in the hypervisor's page tables, which do not know who owns a page. */
	while (first.size < size) {
		view_at(emulator, vm, address + first.size, size - first.size, &next);
		if (!first.extent != !next.extent)
			break;
		if (first.extent && (next.physical != first.physical + first.size ||
					    next.rights != first.rights ||
					    view_memtype(next.attr) != view_memtype(first.attr)))
			break;
		first.size += next.size;
	}
	*ret = (struct emulator_view){ .mapped = first.extent != NULL,
		.physical = first.physical,
		.size = first.size,
		.rights = first.rights,
		.memtype = view_memtype(first.attr) };
	if (first.extent) {
		ret->owner = first.extent->vm ? first.extent->vm->name : "parcel";
		ret->io = first.extent->io;
	}
	return true;
}
