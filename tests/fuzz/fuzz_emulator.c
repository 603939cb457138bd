/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * libFuzzer program: hostile packets of several VMs. The input is a sequence of {u16 VMID, u16
 * length, bytes}, little endian; VMID 0xffff stands for the test bench, whose first byte chooses
 * between a background step, a borrower's reset and a VM that does not read for a while.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "emulator/emulator.h"
#include "util/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_all(struct emulator *emulator, uint16_t deaf)
{
	static const uint16_t vmids[] = { 3, 0x80, 0x81, 0x82, 0x83, 0x84 };
	uint8_t packet[GHRM_PACKET_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(vmids); i++)
		while (vmids[i] != deaf && emulator_take(emulator, vmids[i], packet) > 0)
			;
}

static void bench(struct emulator *emulator, const uint8_t *bytes, size_t size, uint16_t *deaf)
{
	uint16_t vmid = size > 1 ? bytes[1] : 0x80;

	switch (size > 0 ? bytes[0] % 4 : 0) {
	case 0: emulator_step(emulator); break;
	case 1: emulator_reset_borrower(emulator, vmid); break;
	case 2: *deaf = vmid; break;
	case 3: emulator_set_state(emulator, vmid, size > 2 ? bytes[2] % 12 : 3); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct emulator *emulator;
	struct machine *machine;
	uint16_t deaf = 0;

	if (machine_new_default(&machine) < 0)
		abort();
	if (emulator_new(&emulator, machine, false, NULL, NULL) < 0)
		abort();
	while (size >= 4) {
		uint16_t vmid = util_get_le16(data), length = util_get_le16(data + 2);

		data += 4;
		size -= 4;
		if (length > size)
			length = (uint16_t)size;
		if (vmid == 0xffff)
			bench(emulator, data, length, &deaf);
		else
			emulator_feed(emulator, vmid, data, length);
		read_all(emulator, deaf);
		data += length;
		size -= length;
	}
	while (emulator_step(emulator))
		;
	emulator_free(emulator);
	machine_free(machine);
	return 0;
}
