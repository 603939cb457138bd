/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The VM table's entries: made at power-on or by VM_ALLOCATE, gone with VM_DEALLOCATE. */
#include "emulator/internal.h"

#include <errno.h>
#include <stdio.h>

#define ALLOCATED_ADDRESS_BITS 36         /* §3.3: IPA space of non-primary VMs */
#define ALLOCATED_DEVICES_SIZE 0x40000000 /* reserved for devices, from 0 on */

struct vm *vm_free(struct emulator *emulator, struct vm *vm)
{
	if (!vm)
		return NULL;
	emulator->vms[vm->vmid] = NULL;
	space_done(&vm->space);
	link_done(&vm->link);
	free(vm->held);
	free(vm);
	return NULL;
}

int vm_new(struct emulator *emulator, const struct machine_vm *description, struct vm **ret)
{
	struct vm *vm = calloc(1, sizeof(*vm));

	if (!vm)
		return -ENOMEM;
	vm->vmid = description->vmid;
	vm->owner = vm->vmid == GHRM_VMID_HOST ? 0 : GHRM_VMID_HOST;
	snprintf(vm->name, sizeof(vm->name), "%s", description->name);
	vm->status = description->state;
	vm->linked = vm->status != GHRM_VM_STATUS_LOAD;
	vm->normal = (struct extent){ .vm = vm };
	vm->device = (struct extent){ .vm = vm, .io = true };
	vm->devices = description->devices;
	vm->n_devices = description->n_devices;
	TAILQ_INIT(&vm->owned);
	space_init(&vm->space, vm->vmid == GHRM_VMID_HOST, 1ull << description->address_bits);
	for (size_t i = 0; i < description->n_reserved; i++)
		space_reserve(&vm->space, description->reserved[i].address,
			description->reserved[i].size);
	for (size_t i = 0; i < description->n_memory; i++) {
		const struct machine_memory *memory = &description->memory[i];

		/* machine_load() has made sure that the place is free. */
		if (!space_take(&vm->space, memory->io, memory->address, memory->size))
			continue;
		space_home_add(
			&vm->space, memory->io, memory->address, memory->size, memory->physical);
		interval_map_set(&emulator->ownership, memory->physical,
			memory->physical + memory->size,
			(uintptr_t)(memory->io ? &vm->device : &vm->normal));
	}
	if (link_init(&vm->link, emulator->machine) < 0) {
		vm_free(emulator, vm);
		return -ENOMEM;
	}
	*ret = vm;
	return 0;
}

int vm_new_allocated(struct emulator *emulator, uint16_t vmid, struct vm **ret)
{
	struct ghrm_region devices = { 0, ALLOCATED_DEVICES_SIZE };
	struct machine_vm description = { .vmid = vmid,
		.state = GHRM_VM_STATUS_LOAD,
		.address_bits = ALLOCATED_ADDRESS_BITS,
		.reserved = &devices,
		.n_reserved = 1 };
	int r;

	snprintf(description.name, sizeof(description.name), "vm%02x", vmid);
	r = vm_new(emulator, &description, ret);
	if (r < 0)
		return r;
	emulator->vms[vmid] = *ret;
	return 0;
}

bool vm_reachable(const struct vm *vm)
{
	return vm->linked &&
	       (vm->status == GHRM_VM_STATUS_RUNNING || vm->status == GHRM_VM_STATUS_PAUSED);
}

/* What the VM owns becomes the primary VM's, at its physical address. */
static void vm_give_up_memory(struct emulator *emulator, struct vm *vm)
{
	struct vm *host = vm_find(emulator, GHRM_VMID_HOST);
	struct interval *interval;

	while ((interval = interval_map_from(&vm->space.home, 0))) {
		uint64_t address = interval->start, size = interval->end - interval->start;
		uint64_t physical, end;
		bool io;

		space_home_at(&vm->space, address, &end, &physical, &io);
		if (space_take(&host->space, io, physical, size))
			space_home_add(&host->space, io, physical, size, physical);
		interval_map_set(&emulator->ownership, physical, physical + size,
			(uintptr_t)(io ? &host->device : &host->normal));
		space_home_remove(&vm->space, address, size);
	}
}

void vm_destroy(struct emulator *emulator, struct vm *vm)
{
	uint16_t vmid = vm->vmid;
	struct parcel *parcel;

	while (vm->n_held > 0)
		member_release(
			emulator, vm->held[vm->n_held - 1].parcel, vm->held[vm->n_held - 1].member);
	while ((parcel = TAILQ_FIRST(&vm->owned))) {
		for (size_t i = 0; i < parcel->n_members; i++)
			if (parcel->members[i].holds)
				member_release(emulator, parcel, &parcel->members[i]);
		regions_return(emulator, parcel);
		parcel_forget(emulator, parcel);
	}
	vm_give_up_memory(emulator, vm);
	vm_free(emulator, vm);
	if (emulator->ops.vm_gone)
		emulator->ops.vm_gone(emulator->userdata, vmid);
}
