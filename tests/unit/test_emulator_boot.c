/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is accepted on behalf of VMs that do not run yet, by label (§5.9, §3.6). */
#include "emulator_bench.h"

#define FIRST       0x40000000ull
#define PLACE       0x50000000ull

#define LABEL_FIXED 66
#define LABEL_FREE  67
#define LABEL_IO    68
#define LABEL_NONE  69

#define DONE        GHRM_ACCEPT_DONE
#define SHARED      GHRM_NOTIFY_SHARED

/* The default machine, with devices for GUEST, which is READY. */
static struct bench *bench_with_devices(void)
{
	static const struct machine_device devices[] = {
		{ .label = LABEL_FIXED, .fixed = true, .address = PLACE },
		{ .label = LABEL_FREE },
		{ .label = LABEL_IO, .io = true },
	};
	struct machine *machine;
	struct bench *bench;

	ck_assert_int_eq(machine_new_default(&machine), 0);
	ck_assert_uint_eq(machine->vms[1].vmid, GUEST);
	machine->vms[1].devices = malloc(sizeof(devices));
	ck_assert_ptr_nonnull(machine->vms[1].devices);
	memcpy(machine->vms[1].devices, devices, sizeof(devices));
	machine->vms[1].n_devices = ARRAY_SIZE(devices);
	bench = bench_new_with(machine, false);
	ck_assert(emulator_set_state(bench->emulator, GUEST, GHRM_VM_STATUS_READY));
	return bench;
}

/* A parcel of some pages, each a region of its own, for one VM. */
static uint32_t make(struct bench *bench, uint32_t msg_id, uint16_t to, uint32_t label,
	uint64_t address, size_t pages)
{
	struct ghrm_acl_entry acl[] = { { to, RWX }, { HOST, RW } };
	struct ghrm_region regions[GHRM_LIST_MAX];

	for (size_t i = 0; i < pages; i++)
		regions[i] = (struct ghrm_region){ address + i * PAGE, PAGE };
	ck_assert_uint_eq(bench_create_full(bench, HOST, msg_id, GHRM_MEM_NORMAL, 0, label, acl,
				  msg_id == GHRM_MEM_SHARE ? 2 : 1, regions, pages, NULL, 0),
		GHRM_OK);
	return bench_value(bench);
}

static uint32_t make_io(struct bench *bench, uint32_t label)
{
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region region = { DEVICE, PAGE };

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, GHRM_MEM_IO, 0, label, &acl,
				  1, &region, 1, NULL, 0),
		GHRM_OK);
	return bench_value(bench);
}

static uint32_t start(struct bench *bench)
{
	return bench_vm(bench, HOST, GHRM_VM_START, GUEST);
}

static uint32_t announce(struct bench *bench, uint32_t handle)
{
	uint16_t target = GUEST;

	return bench_notify(bench, HOST, handle, SHARED, 0xcafe, &target, 1);
}

static void expect_state(struct bench *bench, uint8_t status)
{
	struct ghrm_vm_state state;
	uint32_t error;

	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_GET_STATE, GUEST), GHRM_OK);
	ck_assert(ghrm_decode_reply_vm_state(
		bench->reply.payload, bench->reply.size, &error, &state));
	ck_assert_uint_eq(state.vm_status, status);
}

static size_t accepted(struct bench *bench)
{
	struct emulator_stat stat;

	ck_assert(emulator_stat(bench->emulator, GUEST, &stat));
	return stat.accepted;
}

/* The only notification since bench_forget(): to the owner, about GUEST. */
static void expect_owner_is_told(struct bench *bench, uint32_t msg_id, uint32_t handle)
{
	struct ghrm_participant told;

	ck_assert_uint_eq(bench->n_notes, 1);
	ck_assert_uint_eq(bench->notes[0].vmid, HOST);
	ck_assert_uint_eq(bench->notes[0].msg_id, msg_id);
	ck_assert(ghrm_decode_participant(bench->notes[0].payload, bench->notes[0].size, &told));
	ck_assert_uint_eq(told.handle, handle);
	ck_assert_uint_eq(told.vmid, GUEST);
	ck_assert_uint_eq(told.tag, 0xcafe);
}

START_TEST(start_accepts_parcels_for_the_devices_of_their_labels)
{
	struct bench *bench = bench_with_devices();
	uint32_t other, strange;

	make(bench, GHRM_MEM_SHARE, GUEST, LABEL_FIXED, BASE, 3);
	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FREE, BASE + 0x10000, 2);
	make_io(bench, LABEL_IO);
	strange = make(bench, GHRM_MEM_LEND, GUEST, LABEL_NONE, BASE + 0x20000, 1);
	other = make(bench, GHRM_MEM_LEND, OTHER, LABEL_FIXED, BASE + 0x30000, 1);
	ck_assert_uint_eq(start(bench), GHRM_OK);
	expect_state(bench, GHRM_VM_STATUS_RUNNING);
	ck_assert_uint_eq(accepted(bench), 3);
	ck_assert_str_eq(bench_probe(bench, GUEST, PLACE, 3 * PAGE),
		"phys=0x80000000 size=0x3000 7 15 parcel");
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST, 2 * PAGE),
		"phys=0x80010000 size=0x2000 7 15 parcel");
	ck_assert_str_eq(
		bench_probe(bench, GUEST, DEVICE, PAGE), "phys=0x9000000 size=0x1000 6 1 parcel");
	ck_assert_uint_eq(bench_reclaim(bench, HOST, strange), GHRM_OK);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, other), GHRM_OK);
	/* A start is not an announcement: the owner learns of the VM's state only. */
	ck_assert_uint_eq(bench->n_notes, 1);
	ck_assert_uint_eq(bench->notes[0].msg_id, GHRM_NOTIF_VM_STATUS);
	bench_free(bench);
}
END_TEST

START_TEST(devices_come_in_creation_order_and_before_private_memory)
{
	struct bench *bench = bench_with_devices();

	make(bench, GHRM_MEM_LEND, GUEST, 0, BASE, 1);
	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FREE, BASE + 0x20000, 1);
	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FREE, BASE + 0x10000, 1);
	ck_assert_uint_eq(start(bench), GHRM_OK);
	ck_assert_str_eq(
		bench_probe(bench, GUEST, FIRST, PAGE), "phys=0x80020000 size=0x1000 7 15 parcel");
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST + PAGE, PAGE),
		"phys=0x80010000 size=0x1000 7 15 parcel");
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST + 2 * PAGE, PAGE),
		"phys=0x80000000 size=0x1000 7 15 parcel");
	bench_free(bench);
}
END_TEST

START_TEST(parcel_that_does_not_fit_its_device_fails_the_start)
{
	struct bench *bench = bench_with_devices();

	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FIXED, BASE, 1);
	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FIXED, BASE + PAGE, 1); /* the place is taken */
	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FREE, BASE + 2 * PAGE, 1);
	make(bench, GHRM_MEM_LEND, GUEST, 0, BASE + 3 * PAGE, 1);
	ck_assert_uint_eq(start(bench), GHRM_NORESOURCE);
	expect_state(bench, GHRM_VM_STATUS_INIT_FAILED);
	ck_assert_uint_eq(accepted(bench), 1);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_MEM_INUSE);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 1), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_RESET, GUEST), GHRM_OK);
	bench_steps(bench);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	bench_free(bench);
}
END_TEST

START_TEST(device_takes_its_kind_of_memory_only)
{
	struct bench *bench = bench_with_devices();

	if (_i == 0)
		make(bench, GHRM_MEM_LEND, GUEST, LABEL_IO, BASE, 1);
	else
		make_io(bench, LABEL_FREE);
	ck_assert_uint_eq(start(bench), GHRM_NORESOURCE);
	expect_state(bench, GHRM_VM_STATUS_INIT_FAILED);
	ck_assert_uint_eq(accepted(bench), 0);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	bench_free(bench);
}
END_TEST

START_TEST(accepting_for_a_device_knows_no_limit_of_regions)
{
	struct bench *bench = bench_with_devices();
	struct ghrm_acl_entry acl = { GUEST, RWX };
	struct ghrm_region regions[GHRM_LIST_MAX];

	for (size_t i = 0; i < GHRM_LIST_MAX; i++)
		regions[i] = (struct ghrm_region){ BASE + 2 * i * PAGE, PAGE };
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, GHRM_CREATE_APPEND,
				  LABEL_FREE, &acl, 1, regions, GHRM_LIST_MAX, NULL, 0),
		GHRM_OK);
	for (size_t i = 0; i < GHRM_LIST_MAX; i++)
		regions[i].address += PAGE;
	ck_assert_uint_eq(
		bench_append(bench, HOST, 0, GHRM_APPEND_END, regions, GHRM_LIST_MAX), GHRM_OK);
	ck_assert_uint_eq(start(bench), GHRM_OK);
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST + (2 * GHRM_LIST_MAX - 1) * PAGE, PAGE),
		"phys=0x803ff000 size=0x1000 7 15 parcel");
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, GHRM_TRANS_LEND, DONE, NULL, 0),
		GHRM_DENIED); /* all is mapped */
	bench_free(bench);
}
END_TEST

START_TEST(donation_for_a_device_is_the_vms_own_from_the_start_on)
{
	struct bench *bench = bench_with_devices();

	make(bench, GHRM_MEM_DONATE, GUEST, LABEL_FIXED, BASE, 2);
	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FREE, BASE + 0x10000, 1);
	ck_assert_uint_eq(start(bench), GHRM_OK);
	ck_assert_str_eq(bench_probe(bench, GUEST, PLACE, 2 * PAGE),
		"phys=0x80000000 size=0x2000 7 15 vm80");
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_HANDLE_INVALID);
	ck_assert_uint_eq(accepted(bench), 1);
	bench_free(bench);
}
END_TEST

START_TEST(what_the_vm_holds_is_not_accepted_again)
{
	struct bench *bench = bench_with_devices();

	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FIXED, BASE, 1);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, GHRM_TRANS_LEND, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(start(bench), GHRM_OK);
	ck_assert_uint_eq(accepted(bench), 1);
	ck_assert_str_eq(bench_probe(bench, GUEST, PLACE, PAGE), "unmapped size=0x1000");
	bench_free(bench);
}
END_TEST

START_TEST(own_parcel_is_not_for_an_own_device)
{
	struct bench *bench = bench_with_devices();
	struct ghrm_acl_entry acl[] = { { GUEST, RW }, { OTHER, RW } };
	struct ghrm_region region = { FIRST, PAGE };
	uint16_t target = GUEST;

	make(bench, GHRM_MEM_DONATE, GUEST, LABEL_NONE, BASE, 1);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, GHRM_TRANS_DONATE, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_create_full(bench, GUEST, GHRM_MEM_SHARE, GHRM_MEM_NORMAL, 0,
				  LABEL_FIXED, acl, 2, &region, 1, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(bench_notify(bench, GUEST, 1, SHARED, 0, &target, 1), GHRM_MEM_RELEASED);
	ck_assert_uint_eq(start(bench), GHRM_OK);
	ck_assert_uint_eq(accepted(bench), 0);
	bench_free(bench);
}
END_TEST

START_TEST(announcement_to_a_ready_vm_is_accepted_for_its_device)
{
	struct bench *bench = bench_with_devices();

	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FIXED, BASE, 2);
	ck_assert_uint_eq(announce(bench, 0), GHRM_OK);
	expect_owner_is_told(bench, GHRM_NOTIF_MEM_ACCEPTED, 0);
	ck_assert_str_eq(bench_probe(bench, GUEST, PLACE, 2 * PAGE),
		"phys=0x80000000 size=0x2000 7 15 parcel");
	bench_forget(bench);
	ck_assert_uint_eq(announce(bench, 0), GHRM_OK); /* is so already */
	expect_owner_is_told(bench, GHRM_NOTIF_MEM_ACCEPTED, 0);
	ck_assert_uint_eq(start(bench), GHRM_OK);
	ck_assert_uint_eq(accepted(bench), 1);
	bench_free(bench);
}
END_TEST

START_TEST(announced_donation_for_a_device_is_over_at_once)
{
	struct bench *bench = bench_with_devices();

	make(bench, GHRM_MEM_DONATE, GUEST, LABEL_FREE, BASE, 1);
	ck_assert_uint_eq(announce(bench, 0), GHRM_OK);
	expect_owner_is_told(bench, GHRM_NOTIF_MEM_ACCEPTED, 0);
	ck_assert_str_eq(
		bench_probe(bench, GUEST, FIRST, PAGE), "phys=0x80000000 size=0x1000 7 15 vm80");
	ck_assert_uint_eq(announce(bench, 0), GHRM_HANDLE_INVALID);
	bench_free(bench);
}
END_TEST

START_TEST(announcement_that_cannot_be_accepted_is_released)
{
	struct bench *bench = bench_with_devices();

	make(bench, GHRM_MEM_LEND, GUEST, LABEL_IO, BASE, 1);
	ck_assert_uint_eq(announce(bench, 0), GHRM_OK);
	expect_owner_is_told(bench, GHRM_NOTIF_MEM_RELEASED, 0);
	expect_state(bench, GHRM_VM_STATUS_READY);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	bench_free(bench);
}
END_TEST

START_TEST(announcement_that_no_device_waits_for_fails_though_others_are_told)
{
	struct bench *bench = bench_with_devices();
	struct ghrm_acl_entry acl[] = { { GUEST, RWX }, { OTHER, RWX } };
	struct ghrm_region region = { BASE, PAGE };
	uint16_t targets[] = { GUEST, OTHER };
	static const uint32_t labels[] = { LABEL_NONE, 0 };

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, GHRM_MEM_NORMAL, 0,
				  labels[_i], acl, 2, &region, 1, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(bench_notify(bench, HOST, 0, SHARED, 0, targets, 2), GHRM_MEM_RELEASED);
	ck_assert_uint_eq(bench->n_notes, 1);
	ck_assert_uint_eq(bench->notes[0].vmid, OTHER);
	ck_assert_uint_eq(bench->notes[0].msg_id, GHRM_NOTIF_MEM_SHARED);
	ck_assert_uint_eq(accepted(bench), 0);
	bench_free(bench);
}
END_TEST

START_TEST(running_vm_accepts_for_its_devices_itself)
{
	struct bench *bench = bench_with_devices();

	ck_assert_uint_eq(start(bench), GHRM_OK);
	bench_forget(bench);
	make(bench, GHRM_MEM_LEND, GUEST, LABEL_FIXED, BASE, 1);
	ck_assert_uint_eq(announce(bench, 0), GHRM_OK);
	ck_assert_uint_eq(bench->n_notes, 1);
	ck_assert_uint_eq(bench->notes[0].vmid, GUEST);
	ck_assert_uint_eq(bench->notes[0].msg_id, GHRM_NOTIF_MEM_SHARED);
	ck_assert_uint_eq(accepted(bench), 0);
	bench_free(bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("emulator: boot");
	TCase *tc = tcase_create("boot");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, start_accepts_parcels_for_the_devices_of_their_labels);
	tcase_add_test(tc, devices_come_in_creation_order_and_before_private_memory);
	tcase_add_test(tc, parcel_that_does_not_fit_its_device_fails_the_start);
	tcase_add_loop_test(tc, device_takes_its_kind_of_memory_only, 0, 2);
	tcase_add_test(tc, accepting_for_a_device_knows_no_limit_of_regions);
	tcase_add_test(tc, donation_for_a_device_is_the_vms_own_from_the_start_on);
	tcase_add_test(tc, what_the_vm_holds_is_not_accepted_again);
	tcase_add_test(tc, own_parcel_is_not_for_an_own_device);
	tcase_add_test(tc, announcement_to_a_ready_vm_is_accepted_for_its_device);
	tcase_add_test(tc, announced_donation_for_a_device_is_over_at_once);
	tcase_add_test(tc, announcement_that_cannot_be_accepted_is_released);
	tcase_add_loop_test(
		tc, announcement_that_no_device_waits_for_fails_though_others_are_told, 0, 2);
	tcase_add_test(tc, running_vm_accepts_for_its_devices_itself);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
