/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making, appending to, finding and reclaiming parcels. */
#include "emulator_bench.h"

START_TEST(lend_takes_the_owners_access_until_reclaim)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_value(bench), 0);
	ck_assert_str_eq(bench_probe(bench, HOST, BASE, PAGE), "unmapped size=0x1000");
	ck_assert_str_eq(bench_probe(bench, HOST, BASE + PAGE, PAGE),
		"phys=0x80001000 size=0x1000 7 15 hlos");
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	ck_assert_str_eq(
		bench_probe(bench, HOST, BASE, PAGE), "phys=0x80000000 size=0x1000 7 15 hlos");
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_HANDLE_INVALID);
	bench_free(bench);
}
END_TEST

START_TEST(share_leaves_the_owner_the_rights_it_listed)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_share(bench, R, GUEST, RW, 0, BASE, PAGE), GHRM_OK);
	ck_assert_str_eq(
		bench_probe(bench, HOST, BASE, PAGE), "phys=0x80000000 size=0x1000 4 15 parcel");
	bench_free(bench);
}
END_TEST

START_TEST(overlap_is_mem_invalid_and_rolls_back)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region twice[] = { { BASE, 2 * PAGE }, { BASE + PAGE, PAGE } };

	ck_assert_uint_eq(
		bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, 0, 0, &acl, 1, twice, 2, NULL, 0),
		GHRM_MEM_INVALID);
	ck_assert_str_eq(
		bench_probe(bench, HOST, BASE, 4 * PAGE), "phys=0x80000000 size=0x4000 7 15 hlos");
	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_MEM_INVALID);
	bench_free(bench);
}
END_TEST

START_TEST(late_failures_burn_handles_and_early_ones_do_not)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region region = { BASE, PAGE };

	ck_assert_uint_eq(
		bench_lend(bench, GUEST, 2, BASE, PAGE), GHRM_ARGUMENT_INVALID); /* 0 burnt */
	ck_assert_uint_eq(
		bench_lend(bench, GUEST, RW, BASE + 1, PAGE), GHRM_ARGUMENT_INVALID); /* 1 */
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, 0, 0, NULL, 0, &region,
				  1, NULL, 0),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, GHRM_MEM_IO,
				  GHRM_CREATE_SANITIZE, 0, &acl, 1, &region, 1, NULL, 0),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_value(bench), 2);
	bench_free(bench);
}
END_TEST

/* { region, expected error } */
static const struct {
	uint64_t address, size;
	uint32_t error;
} bad_regions[] = {
	{ BASE + 1, PAGE, GHRM_ARGUMENT_INVALID },
	{ BASE, PAGE + 1, GHRM_ARGUMENT_INVALID },
	{ 1ull << 44, PAGE, GHRM_ARGUMENT_INVALID },
	{ 0xa000000, 1ull << 44, GHRM_ARGUMENT_INVALID },
	{ BASE, 0, GHRM_MEM_INVALID },
	{ (1ull << 44) - PAGE, 2 * PAGE, GHRM_MEM_INVALID },
	{ DEVICE, PAGE, GHRM_MEM_INVALID }, /* device memory lent as normal */
	{ DEVICE - PAGE, 2 * PAGE, GHRM_MEM_INVALID },
};

START_TEST(bad_region_is_refused)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(
		bench_lend(bench, GUEST, RW, bad_regions[_i].address, bad_regions[_i].size),
		bad_regions[_i].error);
	bench_free(bench);
}
END_TEST

/* { VMID, whether it may stand in an access list } */
static const struct {
	uint16_t vmid;
	bool valid;
} acl_vmids[] = { { 0, false }, { 2, false }, { 3, false }, { 4, true }, { 31, true },
	{ 32, false }, { 0x80, true }, { 0x83, true }, { 0x84, false }, { 0xbf, false },
	{ 0xff, true }, { 0x103, false }, { 0xffff, false } };

START_TEST(lend_to_vmid)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_lend(bench, acl_vmids[_i].vmid, RW, BASE, PAGE),
		acl_vmids[_i].valid ? GHRM_OK : GHRM_ARGUMENT_INVALID);
	bench_free(bench);
}
END_TEST

START_TEST(share_needs_the_owner_in_the_list_and_lend_its_absence)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl[] = { { GUEST, RW }, { HOST, RW } };
	struct ghrm_region region = { BASE, PAGE };

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_SHARE, 0, 0, 0, acl, 1, &region,
				  1, NULL, 0),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(
		bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, 0, 0, acl, 2, &region, 1, NULL, 0),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_SHARE, 0, 0, 0, acl, 2, &region,
				  1, NULL, 0),
		GHRM_OK);
	bench_free(bench);
}
END_TEST

START_TEST(donate_needs_one_vm_with_full_rights)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry two[] = { { GUEST, RWX }, { OTHER, RWX } }, weak = { GUEST, RW };
	struct ghrm_region region = { BASE, PAGE };

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_DONATE, 0, 0, 0, two, 2, &region,
				  1, NULL, 0),
		GHRM_ARGUMENT_INVALID);
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_DONATE, 0, 0, 0, &weak, 1,
				  &region, 1, NULL, 0),
		GHRM_DENIED);
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_DONATE, 0, 0, 0, two, 1, &region,
				  1, NULL, 0),
		GHRM_OK);
	bench_free(bench);
}
END_TEST

START_TEST(attributes_are_checked_in_order)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region region = { BASE, PAGE };
	static const struct {
		struct ghrm_attribute attributes[2];
		size_t n;
		uint32_t error;
	} cases[] = {
		{ { { GHRM_ATTR_UNCACHED, GUEST } }, 1, GHRM_OK },
		{ { { 4, GUEST } }, 1, GHRM_ARGUMENT_INVALID },
		{ { { GHRM_ATTR_DEVICE, GUEST } }, 1, GHRM_ARGUMENT_INVALID },
		{ { { GHRM_ATTR_NORMAL, OTHER } }, 1, GHRM_VMID_INVALID },
		{ { { GHRM_ATTR_NORMAL, GUEST }, { GHRM_ATTR_CACHED, GUEST } }, 2,
			GHRM_ARGUMENT_INVALID },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		region.address += PAGE;
		ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, 0, 0, &acl, 1,
					  &region, 1, cases[i].attributes, cases[i].n),
			cases[i].error);
	}
	bench_free(bench);
}
END_TEST

START_TEST(sixty_five_parcels_are_one_too_many)
{
	struct bench *bench = bench_new();

	for (unsigned i = 0; i < 64; i++)
		ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE + i * PAGE, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE + 64 * PAGE, PAGE), GHRM_DENIED);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 17), GHRM_OK);
	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE + 64 * PAGE, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_value(bench), 64);
	bench_free(bench);
}
END_TEST

static uint32_t lend_open(struct bench *bench, uint64_t address)
{
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region region = { address, PAGE };

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, GHRM_CREATE_APPEND, 7,
				  &acl, 1, &region, 1, NULL, 0),
		GHRM_OK);
	return bench_value(bench);
}

START_TEST(failed_append_rolls_back_and_leaves_the_parcel_open)
{
	struct bench *bench = bench_new();
	uint32_t handle = lend_open(bench, BASE);
	struct ghrm_region regions[] = { { BASE + PAGE, PAGE }, { BASE, PAGE } };

	ck_assert_uint_eq(
		bench_append(bench, HOST, handle, GHRM_APPEND_END, regions, 2), GHRM_MEM_INVALID);
	ck_assert_str_eq(bench_probe(bench, HOST, BASE + PAGE, PAGE),
		"phys=0x80001000 size=0x1000 7 15 hlos");
	ck_assert_uint_eq(bench_append(bench, HOST, handle, GHRM_APPEND_END, regions, 1), GHRM_OK);
	ck_assert_uint_eq(
		bench_append(bench, HOST, handle, GHRM_APPEND_END, regions, 1), GHRM_DENIED);
	ck_assert_uint_eq(bench_append(bench, GUEST, handle, 0, regions, 1), GHRM_DENIED);
	ck_assert_uint_eq(bench_append(bench, HOST, 99, 0, regions, 1), GHRM_HANDLE_INVALID);
	ck_assert_uint_eq(bench_append(bench, HOST, handle, 0, NULL, 0), GHRM_ARGUMENT_INVALID);
	bench_free(bench);
}
END_TEST

START_TEST(failed_append_inflates_the_total_for_contiguous_accepts)
{
	struct bench *bench = bench_new();
	uint32_t handle = lend_open(bench, BASE);
	struct ghrm_region bad[] = { { BASE + PAGE, 2 * PAGE }, { BASE, PAGE } },
			   good = { BASE + PAGE, PAGE };
	struct ghrm_region got;

	ck_assert_uint_eq(bench_append(bench, HOST, handle, 0, bad, 2), GHRM_MEM_INVALID);
	ck_assert_uint_eq(bench_append(bench, HOST, handle, GHRM_APPEND_END, &good, 1), GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, GUEST, handle, GHRM_TRANS_LEND,
				  GHRM_ACCEPT_DONE | GHRM_ACCEPT_MAP_CONTIGUOUS, NULL, 0),
		GHRM_OK);
	got = bench_accepted(bench, 0, NULL);
	ck_assert_uint_eq(got.address, 0x40000000);
	ck_assert_uint_eq(got.size, 4 * PAGE);
	ck_assert_str_eq(bench_probe(bench, GUEST, 0x40000000, 8 * PAGE),
		"phys=0x80000000 size=0x2000 6 15 parcel");
	bench_free(bench);
}
END_TEST

START_TEST(failed_appends_of_a_share_use_up_mapping_slots)
{
	struct bench *bench = bench_new();
	struct ghrm_region bad[] = { { BASE + PAGE, PAGE }, { BASE, PAGE } },
			   other = { BASE + 2 * PAGE, PAGE };

	ck_assert_uint_eq(
		bench_share(bench, RW, GUEST, RW, GHRM_CREATE_APPEND, BASE, PAGE), GHRM_OK);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_uint_eq(bench_append(bench, HOST, 0, 0, bad, 2), GHRM_MEM_INVALID);
	ck_assert_uint_eq(bench_append(bench, HOST, 0, 0, bad, 2), GHRM_MAP_FAILED);
	ck_assert_uint_eq(bench_append(bench, HOST, 0, GHRM_APPEND_END, &other, 1), GHRM_OK);
	ck_assert_uint_eq(
		bench_accept(bench, GUEST, 0, GHRM_TRANS_SHARE, GHRM_ACCEPT_DONE, NULL, 0),
		GHRM_MAP_FAILED);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	ck_assert_str_eq(
		bench_probe(bench, HOST, BASE, 4 * PAGE), "phys=0x80000000 size=0x4000 7 15 hlos");
	bench_free(bench);
}
END_TEST

START_TEST(region_limit_denies_the_append_that_would_pass_it)
{
	struct bench *bench = bench_new();
	struct ghrm_region regions[GHRM_LIST_MAX];
	uint64_t next = BASE;
	uint32_t handle = lend_open(bench, next);
	struct emulator_stat stat;

	/* 2^20 - 1 regions are missing: 2047 full appends and one of 511. */
	for (unsigned message = 0; message < 2048; message++) {
		size_t n = message < 2047 ? GHRM_LIST_MAX : GHRM_LIST_MAX - 1;

		for (size_t i = 0; i < n; i++)
			regions[i] = (struct ghrm_region){ next += 2 * PAGE, PAGE };
		ck_assert_uint_eq(bench_append(bench, HOST, handle, 0, regions, n), GHRM_OK);
	}
	regions[0] = (struct ghrm_region){ next += 2 * PAGE, PAGE };
	ck_assert_uint_eq(
		bench_append(bench, HOST, handle, GHRM_APPEND_END, regions, 1), GHRM_DENIED);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, handle), GHRM_OK);
	ck_assert(emulator_stat(bench->emulator, HOST, &stat));
	ck_assert_uint_eq(stat.owned_parcels, 0);
	ck_assert_str_eq(bench_probe(bench, HOST, BASE, 1ull << 33),
		"phys=0x80000000 size=0x200000000 7 15 hlos");
	bench_free(bench);
}
END_TEST

START_TEST(reclaim_while_held_is_in_use)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	ck_assert_uint_eq(bench_accept(bench, GUEST, 0, GHRM_TRANS_LEND, 0, NULL, 0), GHRM_OK);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_MEM_INUSE);
	ck_assert_uint_eq(bench_reclaim(bench, GUEST, 0), GHRM_DENIED);
	ck_assert_uint_eq(bench_release(bench, GUEST, 0), GHRM_OK);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 0), GHRM_OK);
	bench_free(bench);
}
END_TEST

START_TEST(lookup_finds_complete_unheld_parcels_of_the_caller)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region region = { BASE, PAGE };
	uint8_t payload[64];
	size_t size = ghrm_encode_lookup(payload, sizeof(payload), 0, 99, &acl, 1, &region, 1);
	uint32_t handle = lend_open(bench, BASE);

	ck_assert_uint_eq(
		bench_call(bench, HOST, GHRM_MEM_LOOKUP_SGL, payload, size), GHRM_LOOKUP_FAILED);
	ck_assert_uint_eq(
		bench_accept(bench, GUEST, handle, GHRM_TRANS_LEND, GHRM_ACCEPT_DONE, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(
		bench_call(bench, HOST, GHRM_MEM_LOOKUP_SGL, payload, size), GHRM_LOOKUP_FAILED);
	ck_assert_uint_eq(bench_release(bench, GUEST, handle), GHRM_OK);
	ck_assert_uint_eq(bench_call(bench, HOST, GHRM_MEM_LOOKUP_SGL, payload, size), GHRM_OK);
	ck_assert_uint_eq(bench_value(bench), handle);
	ck_assert_uint_eq(
		bench_call(bench, GUEST, GHRM_MEM_LOOKUP_SGL, payload, size), GHRM_LOOKUP_FAILED);
	bench_free(bench);
}
END_TEST

START_TEST(accept_of_an_unfinished_parcel_closes_it)
{
	struct bench *bench = bench_new();
	uint32_t handle = lend_open(bench, BASE);
	struct ghrm_region more = { BASE + PAGE, PAGE };

	ck_assert_uint_eq(
		bench_accept(bench, GUEST, handle, GHRM_TRANS_LEND, GHRM_ACCEPT_DONE, NULL, 0),
		GHRM_OK);
	ck_assert_uint_eq(
		bench_append(bench, HOST, handle, GHRM_APPEND_END, &more, 1), GHRM_DENIED);
	ck_assert_uint_eq(bench_release(bench, GUEST, handle), GHRM_OK);
	ck_assert_uint_eq(
		bench_append(bench, HOST, handle, GHRM_APPEND_END, &more, 1), GHRM_DENIED);
	bench_free(bench);
}
END_TEST

START_TEST(sanitize_zeroes_at_create_and_at_reclaim)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region region = { BASE, 3 * PAGE };
	struct emulator_stat stat;

	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, GHRM_CREATE_SANITIZE, 7,
				  &acl, 1, &region, 1, NULL, 0),
		GHRM_OK);
	ck_assert(emulator_stat(bench->emulator, HOST, &stat));
	ck_assert_uint_eq(stat.zeroed_pages, 3);
	ck_assert_uint_eq(
		bench_back(bench, HOST, GHRM_MEM_RECLAIM, 0, GHRM_BACK_SANITIZE), GHRM_OK);
	ck_assert(emulator_stat(bench->emulator, HOST, &stat));
	ck_assert_uint_eq(stat.zeroed_pages, 6);
	bench_free(bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("emulator: parcels");
	TCase *tc = tcase_create("parcels");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, lend_takes_the_owners_access_until_reclaim);
	tcase_add_test(tc, share_leaves_the_owner_the_rights_it_listed);
	tcase_add_test(tc, overlap_is_mem_invalid_and_rolls_back);
	tcase_add_test(tc, late_failures_burn_handles_and_early_ones_do_not);
	tcase_add_loop_test(tc, bad_region_is_refused, 0, ARRAY_SIZE(bad_regions));
	tcase_add_loop_test(tc, lend_to_vmid, 0, ARRAY_SIZE(acl_vmids));
	tcase_add_test(tc, share_needs_the_owner_in_the_list_and_lend_its_absence);
	tcase_add_test(tc, donate_needs_one_vm_with_full_rights);
	tcase_add_test(tc, attributes_are_checked_in_order);
	tcase_add_test(tc, sixty_five_parcels_are_one_too_many);
	tcase_add_test(tc, failed_append_rolls_back_and_leaves_the_parcel_open);
	tcase_add_test(tc, failed_append_inflates_the_total_for_contiguous_accepts);
	tcase_add_test(tc, failed_appends_of_a_share_use_up_mapping_slots);
	tcase_add_test(tc, region_limit_denies_the_append_that_would_pass_it);
	tcase_add_test(tc, reclaim_while_held_is_in_use);
	tcase_add_test(tc, lookup_finds_complete_unheld_parcels_of_the_caller);
	tcase_add_test(tc, accept_of_an_unfinished_parcel_closes_it);
	tcase_add_test(tc, sanitize_zeroes_at_create_and_at_reclaim);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
