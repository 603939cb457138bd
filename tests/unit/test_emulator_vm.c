/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The life cycle of VMs. */
#include "emulator_bench.h"

#define FIRST 0x40000000ull

static uint8_t state_of(struct bench *bench, uint16_t vmid)
{
	struct ghrm_vm_state state;
	uint32_t error;

	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_GET_STATE, vmid), GHRM_OK);
	ck_assert(ghrm_decode_reply_vm_state(
		bench->reply.payload, bench->reply.size, &error, &state));
	return state.vm_status;
}

static uint32_t config_image(
	struct bench *bench, uint16_t vmid, uint16_t auth, uint32_t handle, uint64_t size)
{
	struct ghrm_vm_config_image image = {
		.vmid = vmid, .auth = auth, .handle = handle, .image_size = size
	};
	uint8_t payload[64];

	return bench_call(bench, HOST, GHRM_VM_CONFIG_IMAGE, payload,
		ghrm_encode_vm_config_image(payload, sizeof(payload), &image));
}

static uint32_t stop(struct bench *bench, uint16_t vmid, uint8_t flags)
{
	struct ghrm_vm_stop request = { .vmid = vmid, .flags = flags, .reason = 3 };
	uint8_t payload[16];

	return bench_call(bench, HOST, GHRM_VM_STOP, payload,
		ghrm_encode_vm_stop(payload, sizeof(payload), &request));
}

/* Allocates, configures with an image parcel (handle 0) and starts VM 0x84. */
static uint16_t start_vm(struct bench *bench)
{
	uint16_t vmid;

	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 0), GHRM_OK);
	vmid = (uint16_t)bench_value(bench);
	ck_assert_uint_eq(vmid, 0x84);
	ck_assert_uint_eq(state_of(bench, vmid), GHRM_VM_STATUS_LOAD);
	ck_assert_uint_eq(bench_lend(bench, vmid, RWX, BASE, 4 * PAGE), GHRM_OK);
	ck_assert_uint_eq(config_image(bench, vmid, 0, bench_value(bench), 4 * PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_INIT, vmid), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_START, vmid), GHRM_OK);
	ck_assert_uint_eq(state_of(bench, vmid), GHRM_VM_STATUS_RUNNING);
	return vmid;
}

static void expect_status(struct bench *bench, size_t i, uint16_t vmid, uint8_t status)
{
	struct ghrm_notif_vm_status got;

	ck_assert_uint_lt(i, bench->n_notes);
	ck_assert_uint_eq(bench->notes[i].vmid, HOST);
	ck_assert_uint_eq(bench->notes[i].msg_id, GHRM_NOTIF_VM_STATUS);
	ck_assert(ghrm_decode_notif_vm_status(bench->notes[i].payload, bench->notes[i].size, &got));
	ck_assert_uint_eq(got.vmid, vmid);
	ck_assert_uint_eq(got.state.vm_status, status);
}

START_TEST(start_accepts_the_image_at_one_address)
{
	struct bench *bench = bench_new();
	uint16_t vmid = start_vm(bench);

	ck_assert_str_eq(bench_probe(bench, vmid, FIRST, 4 * PAGE),
		"phys=0x80000000 size=0x4000 7 15 parcel");
	expect_status(bench, 0, vmid, GHRM_VM_STATUS_INIT);
	expect_status(bench, 1, vmid, GHRM_VM_STATUS_READY);
	expect_status(bench, 2, vmid, GHRM_VM_STATUS_RUNNING);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_MEM_INUSE);
	bench_free(bench);
}
END_TEST

START_TEST(start_swallows_unlabelled_private_memory)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { 0x84, RWX };
	struct ghrm_region region = { BASE + 0x10000, PAGE };

	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 0), GHRM_OK);
	ck_assert_uint_eq(bench_lend(bench, 0x84, RWX, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, 0, 0, &acl, 1, &region,
				  1, NULL, 0),
		GHRM_OK);
	region.address += PAGE;
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, 0, 5, &acl, 1, &region,
				  1, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(config_image(bench, 0x84, 0, 0, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_INIT, 0x84), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_START, 0x84), GHRM_OK);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 1), GHRM_MEM_INUSE);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 2), GHRM_OK);
	bench_free(bench);
}
END_TEST

START_TEST(start_without_a_proper_image_fails_the_vm)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 0), GHRM_OK);
	ck_assert_uint_eq(bench_share(bench, RW, 0x84, RWX, 0, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(config_image(bench, 0x84, 0, 0, 2 * PAGE), GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(config_image(bench, 0x84, 3, 0, PAGE), GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(config_image(bench, 0x84, 0, 1, PAGE), GHRM_MEM_INVALID);
	ck_assert_uint_eq(config_image(bench, 0x90, 0, 0, PAGE), GHRM_VMID_INVALID);
	ck_assert_uint_eq(config_image(bench, 0x80, 0, 0, PAGE), GHRM_VM_STATE);
	ck_assert_uint_eq(config_image(bench, 0x84, 0, 0, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_START, 0x84), GHRM_VM_STATE);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_INIT, 0x84), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_START, 0x84), GHRM_NORESOURCE);
	ck_assert_uint_eq(state_of(bench, 0x84), GHRM_VM_STATUS_INIT_FAILED);
	bench_free(bench);
}
END_TEST

static uint32_t auth_image(struct bench *bench, uint16_t from, uint16_t vmid, uint16_t n)
{
	static const struct ghrm_vm_auth_parameter parameters[] = { { 1, 2 }, { 3, 4 } };
	uint8_t payload[32];

	return bench_call(bench, from, GHRM_VM_AUTH_IMAGE, payload,
		ghrm_encode_vm_auth_image(payload, sizeof(payload), vmid, parameters, n));
}

START_TEST(platform_image_is_authenticated_before_init)
{
	struct bench *bench = bench_new();
	uint8_t cut[] = { 0x84, 0, 1, 0, 1, 0, 0, 0, 2, 0, 0 };

	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 0), GHRM_OK);
	ck_assert_uint_eq(bench_lend(bench, 0x84, RWX, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(auth_image(bench, HOST, 0x84, 0), GHRM_VM_STATE);
	ck_assert_uint_eq(config_image(bench, 0x84, 1, 0, PAGE), GHRM_OK);
	ck_assert_uint_eq(state_of(bench, 0x84), GHRM_VM_STATUS_AUTH);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_INIT, 0x84), GHRM_VM_STATE);
	ck_assert_uint_eq(bench_call(bench, GUEST, GHRM_VM_AUTH_IMAGE, cut, sizeof(cut)),
		GHRM_DENIED); /* before the length */
	ck_assert_uint_eq(
		bench_call(bench, HOST, GHRM_VM_AUTH_IMAGE, cut, sizeof(cut)), GHRM_MSG_INVALID);
	ck_assert_uint_eq(auth_image(bench, HOST, 0x90, 2), GHRM_VMID_INVALID);
	ck_assert_uint_eq(auth_image(bench, HOST, HOST, 2), GHRM_DENIED); /* nobody's */
	ck_assert_uint_eq(auth_image(bench, HOST, GUEST, 2), GHRM_VM_STATE);
	bench_forget(bench);
	ck_assert_uint_eq(auth_image(bench, HOST, 0x84, 2), GHRM_OK);
	ck_assert_uint_eq(bench->n_notes, 1);
	expect_status(bench, 0, 0x84, GHRM_VM_STATUS_INIT);
	ck_assert_uint_eq(auth_image(bench, HOST, 0x84, 2), GHRM_VM_STATE);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_INIT, 0x84), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_START, 0x84), GHRM_OK);
	ck_assert_str_eq(
		bench_probe(bench, 0x84, FIRST, PAGE), "phys=0x80000000 size=0x1000 7 15 parcel");
	bench_free(bench);
}
END_TEST

START_TEST(stop_reset_reclaim_deallocate)
{
	struct bench *bench = bench_new();
	struct ghrm_notif_vm_exited exited;
	uint16_t vmid = start_vm(bench);

	bench_forget(bench);
	ck_assert_uint_eq(stop(bench, vmid, 1), GHRM_OK);
	ck_assert_uint_eq(bench->n_notes, 2);
	expect_status(bench, 0, vmid, GHRM_VM_STATUS_EXITED);
	ck_assert_uint_eq(bench->notes[1].msg_id, GHRM_NOTIF_VM_EXITED);
	ck_assert(ghrm_decode_notif_vm_exited(
		bench->notes[1].payload, bench->notes[1].size, &exited));
	ck_assert_uint_eq(exited.exit_type, 7);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_MEM_INUSE);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_DEALLOCATE, vmid), GHRM_VM_STATE);

	bench_forget(bench);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_RESET, vmid), GHRM_OK);
	ck_assert_uint_eq(bench->n_notes, 1);
	expect_status(bench, 0, vmid, GHRM_VM_STATUS_RESETTING);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_RESET, vmid), GHRM_VM_STATE);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_MEM_INUSE); /* between the stages */
	ck_assert(emulator_busy(bench->emulator));
	bench_steps(bench);
	ck_assert(!emulator_busy(bench->emulator));
	ck_assert_uint_eq(bench->n_notes, 3);
	ck_assert_uint_eq(bench->notes[1].msg_id, GHRM_NOTIF_MEM_RELEASED);
	expect_status(bench, 2, vmid, GHRM_VM_STATUS_RESET);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_DEALLOCATE, vmid), GHRM_OK);
	ck_assert(!emulator_vm_exists(bench->emulator, vmid));
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_GET_STATE, vmid), GHRM_NORESOURCE);
	bench_free(bench);
}
END_TEST

START_TEST(polite_stop_reaches_the_vm_which_exits)
{
	struct bench *bench = bench_new();
	struct ghrm_vm_exit request = { .flags = 0, .code = 1 }, odd = { .code = 2 };
	struct ghrm_notif_vm_exited exited;
	uint8_t payload[8];
	uint32_t reason;

	ck_assert_uint_eq(stop(bench, GUEST, 0), GHRM_OK);
	ck_assert_uint_eq(bench->n_notes, 1);
	ck_assert_uint_eq(bench->notes[0].vmid, GUEST);
	ck_assert(ghrm_decode_notif_vm_shutdown(
		bench->notes[0].payload, bench->notes[0].size, &reason));
	ck_assert_uint_eq(reason, 3);
	bench_forget(bench);
	ck_assert_uint_eq(bench_call(bench, GUEST, GHRM_VM_EXIT, payload,
				  ghrm_encode_vm_exit(payload, sizeof(payload), &odd)),
		GHRM_MSG_INVALID);
	ck_assert_uint_eq(bench_call(bench, GUEST, GHRM_VM_EXIT, payload,
				  ghrm_encode_vm_exit(payload, sizeof(payload), &request)),
		GHRM_OK);
	ck_assert_uint_eq(bench->n_notes, 2);
	expect_status(bench, 0, GUEST, GHRM_VM_STATUS_EXITED);
	ck_assert(ghrm_decode_notif_vm_exited(
		bench->notes[1].payload, bench->notes[1].size, &exited));
	ck_assert_uint_eq(exited.exit_type, 0);
	ck_assert_uint_eq(exited.code, 1);
	ck_assert_uint_eq(stop(bench, GUEST, 1), GHRM_VM_STATE);
	bench_free(bench);
}
END_TEST

START_TEST(what_kills_the_original_is_an_error_here)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_DEALLOCATE, 0x90), GHRM_VMID_INVALID);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 0), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_RESET, 0x84), GHRM_VM_STATE);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_DEALLOCATE, 0x84), GHRM_OK);
	ck_assert(!emulator_dead(bench->emulator));
	bench_free(bench);
}
END_TEST

START_TEST(strict_emulator_dies_of_it)
{
	struct machine *machine;
	struct bench *bench;
	uint8_t payload[4];

	ck_assert_int_eq(machine_new_default(&machine), 0);
	bench = bench_new_with(machine, true);
	bench_send(bench, HOST, GHRM_VM_DEALLOCATE, payload,
		ghrm_encode_vmid(payload, sizeof(payload), 0x90));
	ck_assert(emulator_dead(bench->emulator));
	ck_assert_uint_eq(bench_read(bench, HOST, SIZE_MAX), 0);
	bench_free(bench);
}
END_TEST

START_TEST(only_the_primary_vm_manages_vms)
{
	struct bench *bench = bench_new();
	uint8_t payload[64] = { 0 };

	ck_assert_uint_eq(bench_vm(bench, GUEST, GHRM_VM_ALLOCATE, 0), GHRM_DENIED);
	ck_assert_uint_eq(bench_vm(bench, GUEST, GHRM_VM_INIT, OTHER), GHRM_DENIED);
	ck_assert_uint_eq(bench_vm(bench, GUEST, GHRM_VM_START, OTHER), GHRM_DENIED);
	ck_assert_uint_eq(bench_vm(bench, GUEST, GHRM_VM_RESET, OTHER), GHRM_VMID_INVALID);
	ck_assert_uint_eq(bench_vm(bench, GUEST, GHRM_VM_GET_STATE, OTHER), GHRM_DENIED);
	ck_assert_uint_eq(bench_vm(bench, GUEST, GHRM_VM_GET_STATE, HOST), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, GUEST, GHRM_VM_GET_STATE, 0), GHRM_OK);
	ck_assert_uint_eq(bench_call(bench, GUEST, GHRM_VM_CONFIG_IMAGE, payload, 40), GHRM_DENIED);
	bench_free(bench);
}
END_TEST

START_TEST(queries_answer_and_check_their_length)
{
	struct bench *bench = bench_new();
	struct ghrm_vm_set_status status = { .os_status = 4, .app_status = 9 };
	uint8_t payload[4];

	ck_assert_uint_eq(bench_call(bench, GUEST, GHRM_VM_GET_VMID, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_value(bench), GUEST);
	ck_assert_uint_eq(bench_call(bench, GUEST, GHRM_VM_GET_VMID, "x", 1), GHRM_MSG_INVALID);
	ck_assert_uint_eq(bench_call(bench, HOST, GHRM_VM_HOST_GET_TYPE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_value(bench), 0x01000164);
	ck_assert_uint_eq(bench_call(bench, HOST, GHRM_VM_GET_STATE, "xyz", 3), GHRM_MSG_INVALID);
	ck_assert_uint_eq(bench_call(bench, GUEST, GHRM_VM_SET_STATUS, payload,
				  ghrm_encode_vm_set_status(payload, sizeof(payload), &status)),
		GHRM_OK);
	expect_status(bench, 0, GUEST, GHRM_VM_STATUS_RUNNING);
	status.os_status = 8;
	ck_assert_uint_eq(bench_call(bench, GUEST, GHRM_VM_SET_STATUS, payload,
				  ghrm_encode_vm_set_status(payload, sizeof(payload), &status)),
		GHRM_ARGUMENT_INVALID);
	bench_free(bench);
}
END_TEST

START_TEST(vmids_run_out)
{
	struct bench *bench = bench_new();

	for (unsigned i = 0; i < 63 - 4; i++)
		ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 0), GHRM_OK);
	ck_assert_uint_eq(bench_value(bench), 0xbe);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 0), GHRM_NORESOURCE);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 5), GHRM_OK);
	ck_assert_uint_eq(bench->reply.size, 4);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 5), GHRM_NORESOURCE);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_ALLOCATE, 40), GHRM_NORESOURCE);
	bench_free(bench);
}
END_TEST

START_TEST(memory_of_a_deallocated_vm_returns_to_the_primary_vm)
{
	struct bench *bench = bench_new();
	uint16_t vmid = start_vm(bench);
	struct ghrm_acl_entry acl = { vmid, RWX }, to_other = { OTHER, RW };
	struct ghrm_region region = { BASE + 0x10000, 2 * PAGE }, one;

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_DONATE, 0, 0, 0, &acl, 1, &region,
				  1, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, vmid, 1, GHRM_TRANS_DONATE, GHRM_ACCEPT_DONE, NULL, 0),
		GHRM_OK);
	one = (struct ghrm_region){ bench_accepted(bench, 0, NULL).address, PAGE };
	ck_assert_uint_eq(bench_create_full(bench, vmid, GHRM_MEM_LEND, 0, 0, 7, &to_other, 1, &one,
				  1, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, OTHER, 2, GHRM_TRANS_LEND, GHRM_ACCEPT_DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(stop(bench, vmid, 1), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_RESET, vmid), GHRM_OK);
	bench_steps(bench);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	ck_assert_uint_eq(bench_vm(bench, HOST, GHRM_VM_DEALLOCATE, vmid), GHRM_OK);
	ck_assert_str_eq(
		bench_probe(bench, HOST, BASE, 0x20000), "phys=0x80000000 size=0x20000 7 15 hlos");
	ck_assert_str_eq(bench_probe(bench, OTHER, FIRST, PAGE), "unmapped size=0x1000");
	bench_free(bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("emulator: VMs");
	TCase *tc = tcase_create("VMs");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, start_accepts_the_image_at_one_address);
	tcase_add_test(tc, start_swallows_unlabelled_private_memory);
	tcase_add_test(tc, start_without_a_proper_image_fails_the_vm);
	tcase_add_test(tc, platform_image_is_authenticated_before_init);
	tcase_add_test(tc, stop_reset_reclaim_deallocate);
	tcase_add_test(tc, polite_stop_reaches_the_vm_which_exits);
	tcase_add_test(tc, what_kills_the_original_is_an_error_here);
	tcase_add_test(tc, strict_emulator_dies_of_it);
	tcase_add_test(tc, only_the_primary_vm_manages_vms);
	tcase_add_test(tc, queries_answer_and_check_their_length);
	tcase_add_test(tc, vmids_run_out);
	tcase_add_test(tc, memory_of_a_deallocated_vm_returns_to_the_primary_vm);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
