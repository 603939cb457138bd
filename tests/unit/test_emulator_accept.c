/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Accepting, releasing and being told: the borrower's side. */
#include "emulator_bench.h"

#define FIRST 0x40000000ull /* the lowest address that a guest gets */
#define DONE  GHRM_ACCEPT_DONE
#define LEND  GHRM_TRANS_LEND

START_TEST(accepted_memory_appears_with_the_listed_rights)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_lend(bench, GUEST, RX, BASE, 2 * PAGE), GHRM_OK);
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST, PAGE), "unmapped size=0x1000");
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, LEND, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_accepted(bench, 0, NULL).address, FIRST);
	ck_assert_str_eq(
		bench_probe(bench, GUEST, FIRST, PAGE), "phys=0x80000000 size=0x1000 5 15 parcel");
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, LEND, DONE, NULL, 0), GHRM_DENIED);
	ck_assert_uint_eq(bench_release(bench, GUEST, 0), GHRM_OK);
	ck_assert_uint_eq(bench_release(bench, GUEST, 0), GHRM_MEM_RELEASED);
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST, PAGE), "unmapped size=0x1000");
	bench_free(bench);
}
END_TEST

/* { who, handle, transfer type, flags, expected } of a LEND to GUEST with label 7 */
static const struct {
	uint16_t vmid;
	uint32_t handle;
	uint8_t trans, flags;
	uint32_t error;
} refused[] = {
	{ GUEST, 1, LEND, DONE, GHRM_HANDLE_INVALID },
	{ GUEST, 0, GHRM_TRANS_SHARE, DONE, GHRM_ARGUMENT_INVALID },
	{ GUEST, 0, LEND, DONE | GHRM_ACCEPT_VALIDATE_SANITIZED, GHRM_VALIDATE_FAILED },
	{ GUEST, 0, LEND, DONE | GHRM_ACCEPT_VALIDATE_LABEL, GHRM_VALIDATE_FAILED },
	{ OTHER, 0, LEND, DONE | GHRM_ACCEPT_VALIDATE_LABEL, GHRM_VALIDATE_FAILED },
	{ GUEST, 0, LEND, DONE | GHRM_ACCEPT_VALIDATE_ACL_ATTR, GHRM_VALIDATE_FAILED },
	{ GUEST, 0, LEND, DONE | GHRM_ACCEPT_MAP_OTHER, GHRM_DENIED },
	{ OTHER, 0, LEND, DONE, GHRM_VMID_INVALID },
	{ HOST, 0, LEND, DONE, GHRM_VMID_INVALID },
};

START_TEST(accept_is_refused)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, refused[_i].vmid, refused[_i].handle,
				  refused[_i].trans, refused[_i].flags, NULL, 0),
		refused[_i].error);
	bench_free(bench);
}
END_TEST

/* { the address and size that the guest names, expected } for one region of two pages */
static const struct {
	struct ghrm_region named;
	uint32_t error;
} places[] = {
	{ { 0x50000000, 2 * PAGE }, GHRM_OK },
	{ { 0x50000001, 2 * PAGE }, GHRM_ARGUMENT_INVALID },
	{ { 0x50000000, PAGE }, GHRM_ARGUMENT_INVALID },
	{ { 1ull << 44, 2 * PAGE }, GHRM_ARGUMENT_INVALID },
	{ { 0x3ffff000, 2 * PAGE }, GHRM_NORESOURCE }, /* begins in the device range */
	{ { (1ull << 36) - PAGE, 2 * PAGE }, GHRM_NORESOURCE },
	{ { (1ull << 36) - 2 * PAGE, 2 * PAGE }, GHRM_OK },
};

START_TEST(named_place)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, 2 * PAGE), GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, GUEST, 0, LEND, DONE, &places[_i].named, 1), places[_i].error);
	ck_assert_uint_eq(bench_release(bench, GUEST, 0),
		places[_i].error == GHRM_OK ? GHRM_OK : GHRM_MEM_RELEASED);
	bench_free(bench);
}
END_TEST

START_TEST(chosen_places_are_the_lowest_and_large_ones_aligned)
{
	static const uint64_t sizes[] = { PAGE, 0x1ff000, 0x200000, 0x201000, PAGE };
	static const uint64_t expected[] = { FIRST, FIRST + PAGE, FIRST + 0x200000,
		FIRST + 0x400000, FIRST + 0x601000 };
	struct bench *bench = bench_new();

	for (uint32_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		ck_assert_uint_eq(
			bench_lend(bench, GUEST, RW, BASE + i * 0x10000000ull, sizes[i]), GHRM_OK);
		ck_assert_uint_eq(bench_accept(bench, GUEST, i, LEND, DONE, NULL, 0), GHRM_OK);
		ck_assert_uint_eq(bench_accepted(bench, 0, NULL).address, expected[i]);
	}
	ck_assert_uint_eq(bench_release(bench, GUEST, 1), GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 1, LEND, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_accepted(bench, 0, NULL).address, expected[1]);
	bench_free(bench);
}
END_TEST

START_TEST(more_than_512_regions_take_several_accepts)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region regions[GHRM_LIST_MAX];
	size_t n;

	for (size_t i = 0; i < GHRM_LIST_MAX; i++)
		regions[i] = (struct ghrm_region){ BASE + 2 * i * PAGE, PAGE };
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, GHRM_CREATE_APPEND, 0,
				  &acl, 1, regions, GHRM_LIST_MAX, NULL, 0),
		GHRM_OK);
	regions[0].address = BASE + 2 * GHRM_LIST_MAX * PAGE;
	ck_assert_uint_eq(bench_append(bench, HOST, 0, GHRM_APPEND_END, regions, 1), GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, GUEST, 0, LEND, DONE, NULL, 0), GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(bench_release(bench, GUEST, 0), GHRM_MEM_RELEASED);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, LEND, 0, NULL, 0), GHRM_OK);
	bench_accepted(bench, 0, &n);
	ck_assert_uint_eq(n, 512);
	ck_assert_uint_eq(bench->reply.payload[6], 1); /* more regions than were answered */
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST, PAGE), "unmapped size=0x1000");
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, LEND, 0, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_accepted(bench, 0, &n).address, FIRST + 512 * PAGE);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, LEND, DONE, NULL, 0), GHRM_OK);
	bench_accepted(bench, 0, &n);
	ck_assert_uint_eq(n, 0);
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST, 2 * PAGE),
		"phys=0x80000000 size=0x1000 6 15 parcel");
	bench_free(bench);
}
END_TEST

START_TEST(contiguous_after_scattered_is_refused_and_the_reverse_too)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region regions[] = { { BASE, PAGE }, { BASE + 2 * PAGE, PAGE } };

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, 0, 0, &acl, 1, regions,
				  2, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, LEND, 0, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, GUEST, 0, LEND, DONE | GHRM_ACCEPT_MAP_CONTIGUOUS, NULL, 0),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(bench_release(bench, GUEST, 0), GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, GUEST, 0, LEND, GHRM_ACCEPT_MAP_CONTIGUOUS, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, GUEST, 0, LEND, DONE, NULL, 0), GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(
		bench_accept(bench, GUEST, 0, LEND, DONE | GHRM_ACCEPT_MAP_CONTIGUOUS, NULL, 0),
		GHRM_OK);
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST + PAGE, PAGE),
		"phys=0x80002000 size=0x1000 6 15 parcel");
	bench_free(bench);
}
END_TEST

START_TEST(fifth_address_space_fails_until_one_lets_go)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl[] = { { HOST, RW }, { 0x80, R }, { 0x81, R }, { 0x82, R },
		{ 0x83, R } };
	struct ghrm_region region = { BASE, PAGE };

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_SHARE, 0, 0, 0, acl, 5, &region,
				  1, NULL, 0),
		GHRM_OK);
	for (uint16_t vmid = 0x80; vmid < 0x83; vmid++)
		ck_assert_uint_eq(
			bench_accept(bench, vmid, 0, GHRM_TRANS_SHARE, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, 0x83, 0, GHRM_TRANS_SHARE, DONE, NULL, 0), GHRM_MAP_FAILED);
	ck_assert_uint_eq(bench_release(bench, 0x83, 0), GHRM_MEM_RELEASED);
	ck_assert_uint_eq(bench_release(bench, 0x81, 0), GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, 0x83, 0, GHRM_TRANS_SHARE, DONE, NULL, 0), GHRM_OK);
	bench_free(bench);
}
END_TEST

START_TEST(donation_moves_ownership_and_can_be_passed_on)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry to_guest = { GUEST, RWX }, to_other = { OTHER, RW },
			      to_host = { HOST, RWX };
	struct ghrm_region region = { BASE, 2 * PAGE }, at_guest = { FIRST, 2 * PAGE },
			   one = { FIRST, PAGE };

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_DONATE, 0, 0, 0, &to_guest, 1,
				  &region, 1, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, GHRM_TRANS_DONATE, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_HANDLE_INVALID);
	ck_assert_uint_eq(bench_lend(bench, OTHER, RW, BASE, PAGE), GHRM_MEM_INVALID);
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST, 2 * PAGE),
		"phys=0x80000000 size=0x2000 7 15 vm80");
	ck_assert_uint_eq(bench_create_full(bench, GUEST, GHRM_MEM_LEND, 0, 0, 0, &to_other, 1,
				  &one, 1, NULL, 0),
		GHRM_OK);
	ck_assert_str_eq(bench_probe(bench, GUEST, FIRST, 2 * PAGE), "unmapped size=0x1000");
	ck_assert_uint_eq(bench_reclaim(bench, GUEST, 2), GHRM_OK);
	ck_assert_uint_eq(bench_create_full(bench, GUEST, GHRM_MEM_DONATE, 0, 0, 0, &to_host, 1,
				  &at_guest, 1, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, HOST, 3, GHRM_TRANS_DONATE, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_accepted(bench, 0, NULL).address, BASE);
	ck_assert_str_eq(
		bench_probe(bench, HOST, BASE, 4 * PAGE), "phys=0x80000000 size=0x4000 7 15 hlos");
	bench_free(bench);
}
END_TEST

START_TEST(scattered_physical_pages_become_several_regions)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry to_guest = { GUEST, RWX }, to_other = { OTHER, RW };
	struct ghrm_region apart[] = { { BASE, PAGE }, { BASE + 8 * PAGE, PAGE } },
			   both = { FIRST, 2 * PAGE };
	size_t n;

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_DONATE, 0, 0, 0, &to_guest, 1,
				  apart, 2, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, GHRM_TRANS_DONATE, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_create_full(bench, GUEST, GHRM_MEM_LEND, 0, 0, 0, &to_other, 1,
				  &both, 1, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, OTHER, 1, LEND, DONE, NULL, 0), GHRM_OK);
	bench_accepted(bench, 0, &n);
	ck_assert_uint_eq(n, 2);
	bench_free(bench);
}
END_TEST

START_TEST(borrowed_memory_cannot_be_lent_on)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { OTHER, RW };
	struct ghrm_region region = { FIRST, PAGE };

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, LEND, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_create_full(bench, GUEST, GHRM_MEM_LEND, 0, 0, 0, &acl, 1, &region,
				  1, NULL, 0),
		GHRM_MEM_INVALID);
	bench_free(bench);
}
END_TEST

START_TEST(device_memory_is_at_its_physical_address)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { GUEST, RW }, wrong = { GUEST, RWX };
	struct ghrm_region region = { DEVICE, PAGE }, elsewhere = { 0x50000000, PAGE };
	uint8_t payload[64];
	size_t size;

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, GHRM_MEM_IO, 0, 0, &wrong,
				  1, &region, 1, NULL, 0),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, GHRM_MEM_IO, 0, 0, &acl, 1,
				  &region, 1, NULL, 0),
		GHRM_OK);
	size = ghrm_encode_accept(payload, sizeof(payload), 1, GHRM_MEM_IO, LEND, DONE, 0, NULL, 0,
		&elsewhere, 1, NULL, 0);
	ck_assert_uint_eq(
		bench_call(bench, GUEST, GHRM_MEM_ACCEPT, payload, size), GHRM_NORESOURCE);
	size = ghrm_encode_accept(
		payload, sizeof(payload), 1, GHRM_MEM_IO, LEND, DONE, 0, NULL, 0, NULL, 0, NULL, 0);
	ck_assert_uint_eq(bench_call(bench, GUEST, GHRM_MEM_ACCEPT, payload, size), GHRM_OK);
	ck_assert_str_eq(
		bench_probe(bench, GUEST, DEVICE, PAGE), "phys=0x9000000 size=0x1000 6 1 parcel");
	bench_free(bench);
}
END_TEST

START_TEST(sanitize_sticks_although_the_accept_fails)
{
	struct bench *bench = bench_new();
	struct ghrm_region wrong = { 1, PAGE };
	struct emulator_stat stat;

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, 2 * PAGE), GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, GUEST, 0, LEND, DONE | GHRM_ACCEPT_SANITIZE, &wrong, 1),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	ck_assert(emulator_stat(bench->emulator, HOST, &stat));
	ck_assert_uint_eq(stat.zeroed_pages, 2);
	bench_free(bench);
}
END_TEST

START_TEST(notify_shared_tells_the_borrower_and_fixes_the_tag)
{
	struct bench *bench = bench_new();
	struct ghrm_shared shared;
	uint16_t target = GUEST, stranger = OTHER, absent = 0x90;

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(
		bench_notify(bench, HOST, 0, GHRM_NOTIFY_SHARED, 5, &absent, 1), GHRM_VMID_INVALID);
	ck_assert_uint_eq(bench_notify(bench, HOST, 0, GHRM_NOTIFY_SHARED, 5, &stranger, 1),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(
		bench_notify(bench, HOST, 0, GHRM_NOTIFY_SHARED, 6, NULL, 0), GHRM_MSG_INVALID);
	ck_assert_uint_eq(bench->n_notes, 0);
	ck_assert_uint_eq(bench_notify(bench, HOST, 0, GHRM_NOTIFY_SHARED, 5, &target, 1), GHRM_OK);
	ck_assert_uint_eq(bench->n_notes, 1);
	ck_assert_uint_eq(bench->notes[0].vmid, GUEST);
	ck_assert(ghrm_decode_shared(bench->notes[0].payload, bench->notes[0].size, &shared));
	ck_assert_uint_eq(shared.tag, 5);
	ck_assert_uint_eq(shared.label, 7);
	ck_assert_uint_eq(shared.owner, HOST);
	ck_assert_uint_eq(shared.sizes.count, 1);
	ck_assert_uint_eq(ghrm_region_size_at(&shared.sizes, 0), PAGE);
	/* The probes of rm-protocol §6.6: ours with the right tag, somebody's with a wrong one. */
	ck_assert_uint_eq(
		bench_notify(bench, HOST, 0, GHRM_NOTIFY_RECALL, 5, NULL, 0), GHRM_MSG_INVALID);
	ck_assert_uint_eq(bench_notify(bench, HOST, 0, GHRM_NOTIFY_RECALL, 6, NULL, 0),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(
		bench_notify(bench, HOST, 9, GHRM_NOTIFY_RECALL, 5, NULL, 0), GHRM_HANDLE_INVALID);
	ck_assert_uint_eq(
		bench_notify(bench, GUEST, 0, GHRM_NOTIFY_RECALL, 5, NULL, 0), GHRM_DENIED);
	bench_free(bench);
}
END_TEST

START_TEST(reports_to_the_owner_must_agree_with_the_state)
{
	struct bench *bench = bench_new();
	struct ghrm_participant told;

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(
		bench_notify(bench, GUEST, 0, GHRM_NOTIFY_ACCEPTED, 0, NULL, 0), GHRM_MEM_RELEASED);
	ck_assert_uint_eq(bench_notify(bench, GUEST, 0, GHRM_NOTIFY_RELEASED, 0, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, LEND, 0, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(
		bench_notify(bench, GUEST, 0, GHRM_NOTIFY_RELEASED, 0, NULL, 0), GHRM_MEM_INUSE);
	ck_assert_uint_eq(bench_notify(bench, GUEST, 0, GHRM_NOTIFY_ACCEPTED, 0, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_notify(bench, OTHER, 0, GHRM_NOTIFY_RELEASED, 0, NULL, 0),
		GHRM_HANDLE_INVALID);
	ck_assert_uint_eq(bench_notify(bench, HOST, 0, GHRM_NOTIFY_RELEASED, 0, NULL, 0),
		GHRM_HANDLE_INVALID);
	ck_assert_uint_eq(bench_notify(bench, HOST, 0, 3, 0, NULL, 0), GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(bench->n_notes, 2);
	ck_assert_uint_eq(bench->notes[1].msg_id, GHRM_NOTIF_MEM_ACCEPTED);
	ck_assert(ghrm_decode_participant(bench->notes[1].payload, bench->notes[1].size, &told));
	ck_assert_uint_eq(told.vmid, GUEST);
	bench_free(bench);
}
END_TEST

START_TEST(notify_to_a_vm_without_channel_is_vmid_invalid)
{
	struct bench *bench = bench_new();
	uint16_t target = GHRM_VMID_RM;

	ck_assert_uint_eq(bench_lend(bench, GHRM_VMID_RM, RW, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(
		bench_notify(bench, HOST, 0, GHRM_NOTIFY_SHARED, 0, &target, 1), GHRM_VMID_INVALID);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	bench_free(bench);
}
END_TEST

START_TEST(ready_vm_is_accepted_for_not_told)
{
	struct bench *bench = bench_new();
	uint16_t target = GUEST;

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	ck_assert(emulator_set_state(bench->emulator, GUEST, GHRM_VM_STATUS_READY));
	ck_assert_uint_eq(
		bench_notify(bench, HOST, 0, GHRM_NOTIFY_SHARED, 0, &target, 1), GHRM_MEM_RELEASED);
	ck_assert_uint_eq(bench->n_notes, 0);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, LEND, DONE, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_notify(bench, HOST, 0, GHRM_NOTIFY_SHARED, 0, &target, 1), GHRM_OK);
	ck_assert_uint_eq(bench->n_notes, 1);
	ck_assert_uint_eq(bench->notes[0].msg_id, GHRM_NOTIF_MEM_ACCEPTED);
	bench_free(bench);
}
END_TEST

START_TEST(reset_releases_the_newest_first)
{
	struct bench *bench = bench_new();
	static const uint32_t order[] = { 2, 1,
		3 }; /* 0 goes before, and the newest takes its place */

	for (uint32_t i = 0; i < 4; i++) {
		ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE + i * PAGE, PAGE), GHRM_OK);
		ck_assert_uint_eq(bench_accept(bench, GUEST, i, LEND, DONE, NULL, 0), GHRM_OK);
	}
	ck_assert_uint_eq(bench_release(bench, GUEST, 0), GHRM_OK);
	ck_assert_uint_eq(emulator_reset_borrower(bench->emulator, GUEST), 3);
	bench_read_all(bench);
	ck_assert_uint_eq(bench->n_notes, 3);
	for (size_t i = 0; i < 3; i++) {
		struct ghrm_participant told;

		ck_assert(ghrm_decode_participant(
			bench->notes[i].payload, bench->notes[i].size, &told));
		ck_assert_uint_eq(told.handle, order[i]);
	}
	ck_assert_uint_eq(emulator_reset_borrower(bench->emulator, GUEST), 1);
	for (uint32_t i = 0; i < 4; i++)
		ck_assert_uint_eq(bench_reclaim(bench, HOST, i), GHRM_OK);
	bench_free(bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("emulator: accept and notify");
	TCase *tc = tcase_create("accept");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, accepted_memory_appears_with_the_listed_rights);
	tcase_add_loop_test(tc, accept_is_refused, 0, ARRAY_SIZE(refused));
	tcase_add_loop_test(tc, named_place, 0, ARRAY_SIZE(places));
	tcase_add_test(tc, chosen_places_are_the_lowest_and_large_ones_aligned);
	tcase_add_test(tc, more_than_512_regions_take_several_accepts);
	tcase_add_test(tc, contiguous_after_scattered_is_refused_and_the_reverse_too);
	tcase_add_test(tc, fifth_address_space_fails_until_one_lets_go);
	tcase_add_test(tc, donation_moves_ownership_and_can_be_passed_on);
	tcase_add_test(tc, scattered_physical_pages_become_several_regions);
	tcase_add_test(tc, borrowed_memory_cannot_be_lent_on);
	tcase_add_test(tc, device_memory_is_at_its_physical_address);
	tcase_add_test(tc, sanitize_sticks_although_the_accept_fails);
	tcase_add_test(tc, notify_shared_tells_the_borrower_and_fixes_the_tag);
	tcase_add_test(tc, reports_to_the_owner_must_agree_with_the_state);
	tcase_add_test(tc, notify_to_a_vm_without_channel_is_vmid_invalid);
	tcase_add_test(tc, ready_vm_is_accepted_for_not_told);
	tcase_add_test(tc, reset_releases_the_newest_first);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
