/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the Resource Manager accepts on behalf of a VM before it runs (§5.9). */
#include "emulator/internal.h"

const struct machine_device *boot_device(const struct vm *vm, const struct parcel *parcel)
{
	if (parcel->owner == vm)
		return NULL;
	for (size_t i = 0; i < vm->n_devices; i++)
		if (vm->devices[i].label == parcel->label)
			return &vm->devices[i];
	return NULL;
}

/* What may be a VM's image, and what looks like its private memory. */
static bool is_private_lend(const struct parcel *parcel, uint16_t vmid)
{
	return parcel->trans_type == GHRM_TRANS_LEND && parcel->mem_type == GHRM_MEM_NORMAL &&
	       parcel->n_members == 1 && parcel->members[0].vmid == vmid &&
	       parcel->members[0].rights == GHRM_RIGHT_RWX;
}

static bool accept_image(struct emulator *emulator, struct vm *vm, bool sanitize)
{
	struct parcel *parcel = parcel_find(emulator, vm->image.handle);

	if (vm->image.vmid == 0)
		return true; /* a VM of the machine file, which needs no image */
	return parcel && is_private_lend(parcel, vm->vmid) && parcel->n_attributes == 0 &&
	       accept_as_memory(emulator, vm, parcel, sanitize) == GHRM_OK;
}

/* In the order of the handles, which is that of creation until their counter wraps. */
static bool accept_devices(struct emulator *emulator, struct vm *vm)
{
	struct parcel *parcel, *next;

	RB_FOREACH_SAFE (parcel, parcel_tree, &emulator->parcels, next) {
		const struct machine_device *device = boot_device(vm, parcel);
		struct member *member = parcel_member(parcel, vm->vmid);
		uint32_t handle = parcel->handle;

		if (!device || !member || member->holds)
			continue;
		if (accept_for_device(emulator, vm, parcel, device) != GHRM_OK) {
			emulator_log(emulator,
				"VM 0x%x could not take parcel %u for its device of label 0x%x",
				vm->vmid, handle, device->label);
			return false;
		}
	}
	return true;
}

static void accept_private(struct emulator *emulator, struct vm *vm, bool sanitize)
{
	struct parcel *parcel;

	RB_FOREACH (parcel, parcel_tree, &emulator->parcels) {
		if (parcel->label != 0 || !is_private_lend(parcel, vm->vmid) ||
			parcel->members[0].holds || parcel->members[0].attr != GHRM_ATTR_NORMAL)
			continue;
		if (accept_as_memory(emulator, vm, parcel, sanitize) != GHRM_OK)
			emulator_log(emulator, "VM 0x%x could not take parcel %u as its memory",
				vm->vmid, parcel->handle);
	}
}

bool boot_accept(struct emulator *emulator, struct vm *vm)
{
	bool sanitize = vm->image.auth != AUTH_NONE;

	if (!accept_image(emulator, vm, sanitize) || !accept_devices(emulator, vm))
		return false;
	accept_private(emulator, vm, sanitize);
	return true;
}
