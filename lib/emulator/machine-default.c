/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The machine that is there without a machine file. */
#include <errno.h>
#include <stdio.h>

#include "emulator/machine.h"
#include "util/util.h"

#define HOST_ADDRESS_BITS  44 /* GHRM_ADDRESS_LIMIT */
#define GUEST_ADDRESS_BITS 36

static void machine_freep(struct machine **machine)
{
	machine_free(*machine);
}

static int default_host(struct machine_vm *host)
{
	static const struct machine_memory memory[] = {
		{ false, 0, 0x09000000, 0 },
		{ true, 0x09000000, 0x01000000, 0x09000000 },
		{ false, 0x0a000000, GHRM_ADDRESS_LIMIT - 0x0a000000, 0x0a000000 },
	};

	*host = (struct machine_vm){ .vmid = GHRM_VMID_HOST,
		.name = "hlos",
		.state = GHRM_VM_STATUS_RUNNING,
		.address_bits = HOST_ADDRESS_BITS };
	host->memory = malloc(sizeof(memory));
	if (!host->memory)
		return -ENOMEM;
	memcpy(host->memory, memory, sizeof(memory));
	host->n_memory = ARRAY_SIZE(memory);
	return 0;
}

int machine_new_default(struct machine **ret)
{
	_cleanup_(machine_freep) struct machine *machine = calloc(1, sizeof(*machine));
	int r;

	if (!machine)
		return -ENOMEM;
	machine->max_mappings = 4;
	machine->max_parcels = GHRM_PARCELS_MAX;
	machine->queue_depth = 8;
	for (unsigned vmid = 4; vmid <= 31; vmid++)
		machine->access_list[vmid] = true;
	machine->vms = calloc(5, sizeof(*machine->vms));
	if (!machine->vms)
		return -ENOMEM;
	machine->n_vms = 1;
	r = default_host(&machine->vms[0]);
	if (r < 0)
		return r;
	for (uint16_t vmid = 0x80; vmid <= 0x83; vmid++) {
		struct machine_vm *vm = &machine->vms[machine->n_vms++];

		*vm = (struct machine_vm){ .vmid = vmid,
			.state = GHRM_VM_STATUS_RUNNING,
			.address_bits = GUEST_ADDRESS_BITS,
			.n_reserved = 1 };
		snprintf(vm->name, sizeof(vm->name), "vm%02x", vmid);
		vm->reserved = malloc(sizeof(*vm->reserved));
		if (!vm->reserved)
			return -ENOMEM;
		vm->reserved[0] = (struct ghrm_region){ 0, 0x40000000 };
	}
	*ret = TAKE_PTR(machine);
	return 0;
}
