/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the emulated platform looks like when it is switched on: its VMs, who owns which memory and
 * which VMIDs may stand in access lists. Read from a machine file (ghrm-emulator(1)) or built in.
 * Immutable once made, so that a platform restart can start from it again.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghrm/message.h"

#define MACHINE_VMIDS    256 /* the VM table's size: the highest VMID is 0xff, rm-protocol §1 */
#define MACHINE_NAME_MAX 32

struct machine_memory {
	bool io;
	uint64_t address;  /* in the VM */
	uint64_t size;     /* bytes */
	uint64_t physical; /* where it really is */
};

/* What the VM's boot configuration (its device tree, in real ones) wants a parcel for, §5.9. */
struct machine_device {
	bool io; /* IO memory, else shared memory */
	uint32_t label;
	bool fixed;       /* the parcel goes to one address, in one piece */
	uint64_t address; /* in the VM; 0 unless fixed */
};

struct machine_vm {
	uint16_t vmid;
	char name[MACHINE_NAME_MAX]; /* "hlos", "vm80" */
	enum ghrm_vm_status state;
	unsigned address_bits;
	struct machine_memory *memory;
	size_t n_memory;
	struct ghrm_region *reserved; /* for devices */
	size_t n_reserved;
	struct machine_device *devices;
	size_t n_devices;
};

struct machine {
	unsigned max_mappings; /* address spaces per parcel */
	unsigned max_parcels;  /* per owner */
	unsigned queue_depth;  /* packets per direction */
	bool access_list
		[MACHINE_VMIDS]; /* VMIDs that are valid in access lists though no VM is there */
	struct machine_vm *vms;
	size_t n_vms;
};

/*
 * Reads a machine file. Returns 0 and *ret, which the caller frees; or -errno (-EINVAL for a faulty
 * file) and *ret_error, one line that names the file, the place and the reason, which the caller
 * frees with free().
 */
int machine_load(const char *path, struct machine **ret, char **ret_error);

/*
 * The machine without a file: VM 3 owns all normal memory below 2^44 and a 16 MiB device window at
 * 0x09000000; VMs 0x80 to 0x83 run and own nothing. Returns 0 or -ENOMEM.
 */
int machine_new_default(struct machine **ret);

struct machine *machine_free(struct machine *machine);
