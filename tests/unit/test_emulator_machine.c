/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Machine files, right and wrong, and the interval maps underneath. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "emulator/interval.h"
#include "emulator/machine.h"
#include "emulator/space.h"
#include "util/util.h"

#define VM3                                                                                        \
	"{ \"vmid\": 3, \"memory\": [ { \"type\": \"normal\", \"address\": 0, \"size\": \"1G\" } " \
	"] }"

/* Loads a machine from text; the error, without the file's name, goes to error. */
static int load(const char *text, struct machine **ret, char *error, size_t room)
{
	char path[] = "/tmp/test-machine-XXXXXX";
	char *reason = NULL;
	int fd = mkstemp(path), r;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
	r = machine_load(path, ret, &reason);
	unlink(path);
	*error = '\0';
	if (r < 0) {
		ck_assert_ptr_nonnull(reason);
		ck_assert_int_eq(strncmp(reason, path, strlen(path)), 0);
		snprintf(error, room, "%s", reason + strlen(path) + 1);
	}
	free(reason);
	return r;
}

START_TEST(machine_file_is_read)
{
	struct machine *machine;
	char error[256];

	ck_assert_int_eq(
		load("{ \"queue_depth\": 4, \"access_list_vmids\": [\"4-6\", 9], \"vms\": [ " VM3
		     ", { \"vmid\": \"0x80\", \"name\": \"guest\", \"state\": \"ready\","
		     " \"reserved\": [ { \"address\": 0, \"size\": \"0x1000\" } ],"
		     " \"devices\": ["
		     " { \"type\": \"shared-memory\", \"label\": 66, \"address\": \"1G\" },"
		     " { \"type\": \"shared-memory\", \"label\": \"0xffffffff\" },"
		     " { \"type\": \"io-memory\", \"label\": 0 } ] } ] }",
			&machine, error, sizeof(error)),
		0);
	ck_assert_uint_eq(machine->queue_depth, 4);
	ck_assert_uint_eq(machine->max_mappings, 4);
	ck_assert_uint_eq(machine->max_parcels, 64);
	ck_assert(machine->access_list[4] && machine->access_list[6] && machine->access_list[9]);
	ck_assert(!machine->access_list[3] && !machine->access_list[7]);
	ck_assert_uint_eq(machine->n_vms, 2);
	ck_assert_str_eq(machine->vms[0].name, "vm03");
	ck_assert_uint_eq(machine->vms[0].memory[0].size, 1 << 30);
	ck_assert_uint_eq(machine->vms[1].vmid, 0x80);
	ck_assert_str_eq(machine->vms[1].name, "guest");
	ck_assert_uint_eq(machine->vms[1].state, GHRM_VM_STATUS_READY);
	ck_assert_uint_eq(machine->vms[1].address_bits, 36);
	ck_assert_uint_eq(machine->vms[0].n_devices, 0);
	ck_assert_uint_eq(machine->vms[1].n_devices, 3);
	ck_assert_uint_eq(machine->vms[1].devices[0].label, 66);
	ck_assert(machine->vms[1].devices[0].fixed && !machine->vms[1].devices[0].io);
	ck_assert_uint_eq(machine->vms[1].devices[0].address, 1 << 30);
	ck_assert_uint_eq(machine->vms[1].devices[1].label, UINT32_MAX);
	ck_assert(!machine->vms[1].devices[1].fixed && !machine->vms[1].devices[1].io);
	ck_assert_uint_eq(machine->vms[1].devices[2].label, 0);
	ck_assert(!machine->vms[1].devices[2].fixed && machine->vms[1].devices[2].io);
	machine_free(machine);
}
END_TEST

#define MEMORY(text) "{ \"vms\": [ { \"vmid\": 3, \"memory\": [ " text " ] } ] }"

#define DEVICES(text)                                                                         \
	"{ \"vms\": [ { \"vmid\": 128, \"reserved\": [ { \"address\": 0, \"size\": 8192 } ]," \
	" \"devices\": [ " text " ] } ] }"
#define SHM "{ \"type\": \"shared-memory\", \"label\": "

/* { file, error } */
static const char *const faulty[][2] = {
	{ "{ \"vms\": [", "1:10: ']' expected near end of file" },
	{ "[]", " the machine: must be an object" },
	{ "{}", " vms: must be an array of VMs" },
	{ "{ \"vms\": [] }", " vms: VM 3, the primary VM, is missing" },
	{ "{ \"vms\": [ 7 ] }", " vms[0]: must be an object" },
	{ "{ \"vms\": [ {} ] }", " vms[0].vmid: is missing" },
	{ "{ \"vms\": [ { \"vmid\": 255 } ] }", " vms[0].vmid: must be from 1 to 254" },
	{ "{ \"vms\": [ { \"vmid\": -1 } ] }",
		" vms[0].vmid: must be a number or a string like \"0x1000\"" },
	{ "{ \"vms\": [ " VM3 ", " VM3 " ] }", " vms[1].vmid: the same as that of vms[0]" },
	{ "{ \"vms\": [ { \"vmid\": 3, \"colour\": 1 } ] }", " vms[0]: unknown key \"colour\"" },
	{ "{ \"colour\": 1 }", " the machine: unknown key \"colour\"" },
	{ "{ \"page_size\": 16384 }", " the machine.page_size: must be from 4096 to 4096" },
	{ "{ \"queue_depth\": 0 }", " the machine.queue_depth: must be from 1 to 255" },
	{ "{ \"access_list_vmids\": [\"9-4\"] }",
		" access_list_vmids[0]: must be a VMID below 256 or a range like \"4-31\"" },
	{ "{ \"access_list_vmids\": [256] }",
		" access_list_vmids[0]: must be a VMID below 256 or a range like \"4-31\"" },
	{ "{ \"vms\": [ { \"vmid\": 3, \"state\": \"asleep\" } ] }",
		" vms[0].state: must be one of load, ready, running, paused, exited" },
	{ "{ \"vms\": [ { \"vmid\": 3, \"name\": \"a b\" } ] }",
		" vms[0].name: must be a word of at most 31 letters, digits, - and _" },
	{ "{ \"vms\": [ { \"vmid\": 3, \"memory\": 5 } ] }", " vms[0].memory: must be an array" },
	{ MEMORY("{ \"type\": \"ram\" }"), " vms[0].memory[0].type: must be \"normal\" or \"io\"" },
	{ MEMORY("{ \"type\": \"io\", \"address\": 0 }"), " vms[0].memory[0].size: is missing" },
	{ MEMORY("{ \"type\": \"io\", \"address\": 1, \"size\": 4096 }"),
		" vms[0].memory[0].address: must be a multiple of the page size, 4096" },
	{ MEMORY("{ \"type\": \"io\", \"address\": 0, \"size\": 100 }"),
		" vms[0].memory[0].size: must be a multiple of the page size, 4096" },
	{ MEMORY("{ \"type\": \"io\", \"address\": \"0xffffffff000\", \"size\": 8192 }"),
		" vms[0].memory[0].size: runs past the end of the address space, 0x100000000000" },
	{ MEMORY("{ \"type\": \"io\", \"address\": 0, \"size\": 8192 },"
		 "{ \"type\": \"io\", \"address\": 4096, \"size\": 4096 }"),
		" vms[0].memory[1]: overlaps memory[0]" },
	{ "{ \"vms\": [ " VM3
	  ", { \"vmid\": 4, \"memory\": [ { \"type\": \"normal\", \"address\": 0,"
	  " \"size\": 4096 } ] } ] }",
		" vms[1].memory[0]: overlaps vms[0].memory[0]" },
	{ "{ \"vms\": [ { \"vmid\": 4, \"reserved\": [ { \"address\": 0, \"size\": 8192 } ],"
	  " \"memory\": [ { \"type\": \"normal\", \"address\": 4096, \"size\": 4096 } ] } ] }",
		" vms[0].memory[0]: overlaps reserved[0]" },
	{ "{ \"vms\": [ { \"vmid\": 3, \"devices\": {} } ] }",
		" vms[0].devices: must be an array" },
	{ DEVICES("66"), " vms[0].devices[0]: must be an object" },
	{ DEVICES("{ \"type\": \"disk\", \"label\": 1 }"),
		" vms[0].devices[0].type: must be \"shared-memory\" or \"io-memory\"" },
	{ DEVICES("{ \"label\": 1 }"),
		" vms[0].devices[0].type: must be \"shared-memory\" or \"io-memory\"" },
	{ DEVICES(SHM "1, \"size\": 4096 }"), " vms[0].devices[0]: unknown key \"size\"" },
	{ DEVICES("{ \"type\": \"io-memory\" }"), " vms[0].devices[0].label: is missing" },
	{ DEVICES(SHM "\"0x100000000\" }"),
		" vms[0].devices[0].label: must be from 0 to 4294967295" },
	{ DEVICES(SHM "1 }, " SHM "2 }, " SHM "1 }"),
		" vms[0].devices[2].label: the same as that of devices[0]" },
	{ DEVICES(SHM "1 }, " SHM "2, \"address\": 12289 }"),
		" vms[0].devices[1].address: must be a multiple of the page size, 4096" },
	{ DEVICES(SHM "1, \"address\": \"0x1000000000\" }"),
		" vms[0].devices[0].address: must be from 0 to 68719476735" },
	{ DEVICES(SHM "1, \"address\": 4096 }"), " vms[0].devices[0].address: is in reserved[0]" },
	{ DEVICES("{ \"type\": \"io-memory\", \"label\": 1, \"address\": 4096 }"),
		" vms[0].devices[0].address: device memory and all memory of VM 3 is at its "
		"physical address" },
	{ "{ \"vms\": [ { \"vmid\": 3, \"devices\": [ " SHM "1, \"address\": 4096 } ] } ] }",
		" vms[0].devices[0].address: device memory and all memory of VM 3 is at its "
		"physical address" },
};

START_TEST(faulty_machine_file_is_refused_with_the_place)
{
	struct machine *machine = NULL;
	char error[256];

	ck_assert_int_eq(load(faulty[_i][0], &machine, error, sizeof(error)), -EINVAL);
	ck_assert_str_eq(error, faulty[_i][1]);
	ck_assert_ptr_null(machine);
}
END_TEST

START_TEST(missing_machine_file_is_named)
{
	struct machine *machine;
	char *error;

	ck_assert_int_eq(machine_load("/nonexistent/machine.json", &machine, &error), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "/nonexistent/machine.json"));
	free(error);
}
END_TEST

#define CELLS 64

START_TEST(interval_map_agrees_with_an_array)
{
	struct interval_map map = { 0 };
	uint64_t cells[CELLS] = { 0 };

	srandom((unsigned)_i);
	for (unsigned round = 0; round < 20000; round++) {
		uint64_t start = (uint64_t)random() % CELLS,
			 end = start + (uint64_t)random() % (CELLS - start + 1);
		uint64_t value = (uint64_t)random() % 4, until, at = (uint64_t)random() % CELLS,
			 same = at;
		struct interval *interval, *last = NULL;

		interval_map_set(&map, start, end, value);
		for (uint64_t i = start; i < end; i++)
			cells[i] = value;
		while (same < CELLS && cells[same] == cells[at])
			same++;
		ck_assert_uint_eq(interval_map_get(&map, at, &until), cells[at]);
		ck_assert(until == same || (same == CELLS && until >= CELLS));
		for (interval = interval_map_from(&map, 0); interval;
			interval = interval_map_next(interval)) {
			ck_assert_uint_lt(interval->start, interval->end);
			ck_assert(!last || last->end < interval->start ||
				  last->value != interval->value);
			last = interval;
		}
	}
	interval_map_clear(&map);
	ck_assert_ptr_null(interval_map_from(&map, 0));
}
END_TEST

START_TEST(picked_places_are_the_lowest_free_ones)
{
	struct space space;
	bool taken[CELLS] = { false };

	srandom((unsigned)_i);
	space_init(&space, false, CELLS * GHRM_PAGE_SIZE);
	for (unsigned round = 0; round < 20000; round++) {
		uint64_t pages = 1 + (uint64_t)random() % 5, at = 0, run = 0, address;
		bool found;

		if (random() % 2) {
			at = (uint64_t)random() % CELLS;
			if (taken[at])
				space_give(&space, at * GHRM_PAGE_SIZE, GHRM_PAGE_SIZE);
			taken[at] = false;
			continue;
		}
		for (at = 0; at < CELLS && run < pages; at++)
			run = taken[at] ? 0 : run + 1;
		found = space_pick(&space, pages * GHRM_PAGE_SIZE, &address);
		ck_assert_int_eq(found, run == pages);
		if (!found)
			continue;
		ck_assert_uint_eq(address, (at - pages) * GHRM_PAGE_SIZE);
		for (uint64_t i = at - pages; i < at; i++)
			taken[i] = true;
	}
	space_done(&space);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("emulator: machine");
	TCase *tc = tcase_create("machine");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, machine_file_is_read);
	tcase_add_loop_test(
		tc, faulty_machine_file_is_refused_with_the_place, 0, ARRAY_SIZE(faulty));
	tcase_add_test(tc, missing_machine_file_is_named);
	tcase_add_loop_test(tc, interval_map_agrees_with_an_array, 1, 4);
	tcase_add_loop_test(tc, picked_places_are_the_lowest_free_ones, 1, 4);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
