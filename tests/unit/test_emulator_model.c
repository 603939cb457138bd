/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Random operations of five VMs go to the emulator and to the naive model; error numbers, handles
 * and chosen addresses must be the same each time, and so must what the VMs see.
 *
 * EMULATOR_MODEL_SEED and EMULATOR_MODEL_OPERATIONS in the environment repeat or extend a run.
 */
#include "emulator_model.h"

static unsigned below(unsigned n)
{
	return (unsigned)random() % n;
}

static unsigned memtype(uint8_t attr)
{
	return attr == GHRM_ATTR_DEVICE ? 1 : attr == GHRM_ATTR_UNCACHED ? 5 : 15;
}

/* What the emulator shows of one page must be what the model shows. */
static void compare_place(struct model *model, int vm, int place)
{
	struct m_view want = model_look(model, vm, place);
	struct emulator_view got;

	ck_assert(emulator_probe(
		model->bench->emulator, model_vmids[vm], model_address(vm, place), PAGE, &got));
	ck_assert_int_eq(got.mapped, want.page != NONE);
	if (want.page == NONE)
		return;
	ck_assert_uint_eq(got.physical, model_physical(want.page));
	ck_assert_uint_eq(got.rights, want.rights);
	ck_assert_uint_eq(got.memtype, memtype(want.attr));
	ck_assert_int_eq(strcmp(got.owner, "parcel") == 0, want.owner >= 100);
}

/* A place of normal memory that a VM owns and has not given away, at random, or else fallback. */
static int owned_place(struct model *model, int vm, int fallback)
{
	int found[NORMAL_PAGES];
	unsigned n = 0;

	for (int place = 0; place < (vm == 0 ? NORMAL_PAGES : WINDOW) && n < NORMAL_PAGES; place++)
		if (model->home[vm][place] != NONE && model->owner[model->home[vm][place]] == vm)
			found[n++] = place;
	return n > 0 ? found[below(n)] : fallback;
}

static void random_entries(struct model *model, int vm, bool io, struct entries *ret)
{
	ret->count = below(3) ? 1 : 1 + below(3);
	for (size_t i = 0; i < ret->count; i++) {
		int pages = vm == 0 ? (io ? DEVICE_PAGES : NORMAL_PAGES) : (io ? DEVICE_PAGES : 24);
		int first = io ? (vm == 0 ? NORMAL_PAGES : WINDOW) : 0;

		ret->n[i] = below(40) ? (int)(1 + below(3)) : 0;
		ret->place[i] = first + (int)below((unsigned)(pages - ret->n[i]));
		if (!io && below(8))
			ret->place[i] = owned_place(model, vm, ret->place[i]);
		/* The primary VM's memory goes on behind the pages that are looked at. */
		if (vm == 0 && !io && ret->place[i] + ret->n[i] > NORMAL_PAGES)
			ret->n[i] = NORMAL_PAGES - ret->place[i];
		ret->misaligned[i] = below(50) == 0;
		ret->wire[i] =
			(struct ghrm_region){ model_address(vm, ret->place[i]) + ret->misaligned[i],
				(uint64_t)ret->n[i] * PAGE };
	}
}

static uint32_t op_create(struct model *model, int vm, uint32_t *ret_want)
{
	static const uint32_t ids[] = { GHRM_MEM_DONATE, GHRM_MEM_LEND, GHRM_MEM_SHARE };
	struct ghrm_acl_entry acl[VMS] = { 0 };
	struct ghrm_attribute attribute = { (uint16_t)below(5), model_vmids[below(VMS)] };
	struct m_parcel *parcel = model->parcels;
	struct entries entries;
	bool with_attribute = below(6) == 0;
	int n_acl = below(30) ? (int)(1 + below(3)) : 0;
	uint8_t flags = (uint8_t)((below(8) ? 0 : GHRM_CREATE_SANITIZE) |
				  (below(3) ? 0 : GHRM_CREATE_APPEND));
	uint32_t error;

	while (parcel->live)
		parcel++;
	memset(parcel, 0, sizeof(*parcel));
	for (int s = 0; s < SLOTS; s++)
		parcel->slots[s].vm = NONE;
	parcel->owner = vm;
	parcel->mem_type = below(8) == 0;
	parcel->trans = below(3) ? (uint8_t)(1 + below(2)) : GHRM_TRANS_DONATE;
	parcel->open = flags & GHRM_CREATE_APPEND;
	parcel->zero_create = flags & GHRM_CREATE_SANITIZE;
	if (parcel->trans == GHRM_TRANS_DONATE && below(10))
		n_acl = 1;
	for (int i = 0; i < n_acl; i++)
		acl[i] = (struct ghrm_acl_entry){ model_vmids[below(VMS)],
			parcel->trans == GHRM_TRANS_DONATE && below(10)
				? (model_is_io(parcel) ? RW : RWX)
			: below(15) ? (below(2) ? R : RW)
				    : (uint8_t)below(9) };
	if (n_acl > 0 && below(25) == 0)
		acl[0].vmid = below(2) ? 5 : 0x90;
	if (n_acl > 0 && parcel->trans == GHRM_TRANS_SHARE && below(8))
		acl[n_acl - 1].vmid = model_vmids[vm];
	random_entries(model, vm, model_is_io(parcel), &entries);
	*ret_want = model_create(
		model, parcel, flags, acl, n_acl, &entries, with_attribute ? &attribute : NULL);
	error = bench_create_full(model->bench, model_vmids[vm], ids[parcel->trans],
		parcel->mem_type, flags, 7, acl, (size_t)n_acl, entries.wire, entries.count,
		&attribute, with_attribute);
	if (error == GHRM_OK && *ret_want == GHRM_OK)
		ck_assert_uint_eq(bench_value(model->bench), parcel->handle);
	return error;
}

static uint32_t op_append(struct model *model, int vm, uint32_t handle, uint32_t *ret_want)
{
	struct m_parcel *parcel = model_find(model, handle);
	bool end = below(3) == 0;
	struct entries entries;

	random_entries(model, vm, parcel && model_is_io(parcel), &entries);
	if (!parcel) {
		*ret_want = GHRM_HANDLE_INVALID;
	} else if (parcel->total >= MAX_TOTAL - 9 || parcel->n_regions > 40) {
		*ret_want = GHRM_ARGUMENT_INVALID;
		entries.count = 0;
	} else if (parcel->owner != vm || !parcel->open) {
		*ret_want = GHRM_DENIED;
	} else {
		*ret_want = model_add(model, parcel, &entries);
		if (*ret_want == GHRM_OK && end)
			parcel->open = false;
	}
	return bench_append(model->bench, model_vmids[vm], handle, end ? GHRM_APPEND_END : 0,
		entries.wire, entries.count);
}

static void random_accept(struct m_parcel *parcel, int vm, struct accept_args *ret)
{
	struct m_member *member = parcel ? model_member(parcel, vm) : NULL;

	memset(ret, 0, sizeof(*ret));
	ret->mem_type = parcel && below(20) ? parcel->mem_type : (uint8_t)below(2);
	ret->trans = parcel && below(20) ? parcel->trans : (uint8_t)below(3);
	ret->flags = (uint8_t)((below(4) ? GHRM_ACCEPT_DONE : 0) |
			       (below(5) ? 0 : GHRM_ACCEPT_MAP_CONTIGUOUS) |
			       (below(8) ? 0 : GHRM_ACCEPT_SANITIZE));
	if (!parcel || !member || below(2))
		return;
	ret->n = 1 + (int)below((unsigned)parcel->n_regions);
	for (int i = 0; i < ret->n; i++) {
		int r = member->assigned + i < parcel->n_regions ? member->assigned + i : 0;
		bool whole = ret->flags & GHRM_ACCEPT_MAP_CONTIGUOUS;

		ret->place[i] = vm == 0 || model_is_io(parcel)
					? (below(10) ? model_identity(vm, parcel->regions[r].page)
						     : (int)below(ALL_PAGES))
					: (int)below(128);
		ret->named[i] = (struct ghrm_region){ model_address(vm, ret->place[i]),
			(uint64_t)(whole ? parcel->total : parcel->regions[r].n) * PAGE +
				(below(30) ? 0 : PAGE) };
	}
}

static uint32_t op_accept(struct model *model, int vm, uint32_t handle, uint32_t *ret_want)
{
	struct m_parcel *parcel = model_find(model, handle);
	struct m_parcel before = { 0 };
	struct m_member member = { 0 };
	struct accept_args args;
	uint8_t payload[2048];
	int first = 0;
	uint32_t error;

	random_accept(parcel, vm, &args);
	if (parcel)
		before = *parcel;
	*ret_want = model_accept(model, vm, parcel, &args, &first, &member);
	error = bench_call(model->bench, model_vmids[vm], GHRM_MEM_ACCEPT, payload,
		ghrm_encode_accept(payload, sizeof(payload), handle, args.mem_type, args.trans,
			args.flags, 0, NULL, 0, args.named, (size_t)args.n, NULL, 0));
	if (error != GHRM_OK || *ret_want != GHRM_OK || args.n > 0)
		return error;
	for (int i = first; i < member.assigned; i++) {
		size_t n;
		struct ghrm_region got = bench_accepted(model->bench, (size_t)(i - first), &n);

		ck_assert_int_eq((int)n, member.assigned - first);
		ck_assert_uint_eq(got.address, model_address(vm, member.address[i]));
		ck_assert_uint_eq(
			got.size, (uint64_t)model_mapping_pages(&before, &member, i) * PAGE);
	}
	return error;
}

static uint32_t op_release(struct model *model, int vm, uint32_t handle, uint32_t *ret_want)
{
	struct m_parcel *parcel = model_find(model, handle);
	struct m_member *member = parcel ? model_member(parcel, vm) : NULL;
	bool sanitize = below(8) == 0;

	if (!member)
		*ret_want = GHRM_HANDLE_INVALID;
	else if (parcel->owner == vm)
		*ret_want = GHRM_DENIED;
	else if (!member->holds)
		*ret_want = GHRM_MEM_RELEASED;
	else if (sanitize && (model_is_io(parcel) || !(member->rights & GHRM_RIGHT_W)))
		*ret_want = GHRM_ARGUMENT_INVALID;
	else {
		*ret_want = GHRM_OK;
		parcel->zero_reclaim |= sanitize;
		model_release(model, vm, parcel, member);
	}
	return bench_back(model->bench, model_vmids[vm], GHRM_MEM_RELEASE, handle, sanitize);
}

static uint32_t op_reclaim(
	struct model *model, int vm, uint32_t handle, bool plain, uint32_t *ret_want)
{
	struct m_parcel *parcel = model_find(model, handle);
	bool sanitize = !plain && below(8) == 0;

	if (!parcel)
		*ret_want = GHRM_HANDLE_INVALID;
	else if (parcel->owner != vm)
		*ret_want = GHRM_DENIED;
	else if (model_held(parcel))
		*ret_want = GHRM_MEM_INUSE;
	else if (sanitize && model_is_io(parcel))
		*ret_want = GHRM_ARGUMENT_INVALID;
	else {
		*ret_want = GHRM_OK;
		for (int r = 0; r < parcel->n_regions && (sanitize || parcel->zero_reclaim); r++)
			model->zeroed += (uint64_t)parcel->regions[r].n;
		model_give_back(model, parcel, 0);
		parcel->live = false;
	}
	return bench_back(model->bench, model_vmids[vm], GHRM_MEM_RECLAIM, handle, sanitize);
}

static uint32_t op_notify(struct model *model, int vm, uint32_t handle, uint32_t *ret_want)
{
	struct m_parcel *parcel = model_find(model, handle);
	struct m_member *member = parcel ? model_member(parcel, vm) : NULL;
	uint8_t flags = (uint8_t)(below(20) ? 1u << below(4) : below(16));
	uint32_t tag = below(3) == 0;
	int target = (int)below(VMS);
	uint16_t targets[1] = { below(20) ? model_vmids[target] : 0x90 };
	size_t n = below(4) != 0;

	if (!parcel)
		*ret_want = GHRM_HANDLE_INVALID;
	else if (parcel->tagged && parcel->tag != tag)
		*ret_want = GHRM_ARGUMENT_INVALID;
	else if (flags == GHRM_NOTIFY_SHARED || flags == GHRM_NOTIFY_RECALL) {
		if (parcel->owner != vm)
			*ret_want = GHRM_DENIED;
		else if (n == 0)
			*ret_want = GHRM_MSG_INVALID;
		else if (targets[0] == 0x90)
			*ret_want = GHRM_VMID_INVALID;
		else
			*ret_want = model_member(parcel, target) ? GHRM_OK : GHRM_ARGUMENT_INVALID;
		if (*ret_want == GHRM_OK && flags == GHRM_NOTIFY_SHARED) {
			parcel->tagged = true;
			parcel->tag = tag;
		}
	} else if (flags != GHRM_NOTIFY_ACCEPTED && flags != GHRM_NOTIFY_RELEASED)
		*ret_want = GHRM_ARGUMENT_INVALID;
	else if (!member)
		*ret_want = GHRM_HANDLE_INVALID;
	else if (flags == GHRM_NOTIFY_ACCEPTED)
		*ret_want = member->holds ? GHRM_OK : GHRM_MEM_RELEASED;
	else
		*ret_want = member->holds ? GHRM_MEM_INUSE : GHRM_OK;
	return bench_notify(model->bench, model_vmids[vm], handle, flags, tag, targets, n);
}

static uint32_t random_handle(struct model *model)
{
	struct m_parcel *parcel = &model->parcels[below(LISTED)];

	for (unsigned i = 0; i < LISTED && !parcel->live; i++)
		parcel = &model->parcels[below(LISTED)];
	if (parcel->live && below(30))
		return parcel->handle;
	return below(model->next_handle + 2);
}

/* Somebody whom the parcel concerns, mostly: its owner, or a VM of its access list. */
static int actor(struct model *model, uint32_t handle, bool owner)
{
	struct m_parcel *parcel = model_find(model, handle);
	int vm = (int)below(VMS);

	if (!parcel || parcel->n_members == 0 || below(8) == 0)
		return vm;
	if (owner)
		return parcel->owner;
	for (unsigned i = 0; i < 4; i++) {
		struct m_member *member = &parcel->members[below((unsigned)parcel->n_members)];

		if (member->vm != NONE && member->vm != parcel->owner)
			return member->vm;
	}
	return vm;
}

static void step(struct model *model)
{
	uint32_t handle = random_handle(model), want = 0, got;
	unsigned operation = model_find(model, handle) || below(10) == 0 ? below(12) : 0;
	int vm;

	switch (operation) {
	case 0:
	case 1:
	case 2: got = op_create(model, below(2) ? 0 : (int)below(VMS), &want); break;
	case 3: got = op_append(model, actor(model, handle, true), handle, &want); break;
	case 4:
	case 5:
	case 6: got = op_accept(model, actor(model, handle, false), handle, &want); break;
	case 7:
	case 8: got = op_release(model, actor(model, handle, false), handle, &want); break;
	case 9: got = op_notify(model, actor(model, handle, below(2)), handle, &want); break;
	default: got = op_reclaim(model, actor(model, handle, true), handle, false, &want); break;
	}
	ck_assert_uint_eq(got, want);
	model->outcomes[want & 31]++;
	bench_forget(model->bench);
	vm = (int)below(VMS);
	compare_place(model, vm, (int)below(vm == 0 ? ALL_PAGES : 160));
}

static void compare_all(struct model *model)
{
	struct emulator_stat stat;

	for (int vm = 0; vm < VMS; vm++) {
		size_t held = 0;

		for (int place = 0; place < (vm == 0 ? ALL_PAGES : PLACES); place++)
			compare_place(model, vm, place);
		for (int p = 0; p < LISTED; p++) {
			struct m_member *member = model->parcels[p].live
							  ? model_member(&model->parcels[p], vm)
							  : NULL;

			held += member && member->holds;
		}
		ck_assert(emulator_stat(model->bench->emulator, model_vmids[vm], &stat));
		ck_assert_uint_eq(stat.owned_parcels, (size_t)model_owned(model, vm));
		ck_assert_uint_eq(stat.accepted, held);
		ck_assert_uint_eq(stat.zeroed_pages, model->zeroed);
	}
}

/* Everybody lets go, every owner takes back: all pages are somebody's own again. */
static void finish(struct model *model)
{
	for (int p = 0; p < LISTED; p++) {
		struct m_parcel *parcel = &model->parcels[p];
		uint32_t want;

		if (!parcel->live)
			continue;
		for (int i = 0; i < parcel->n_members; i++) {
			if (!parcel->members[i].holds)
				continue;
			ck_assert_uint_eq(bench_release(model->bench, parcel->members[i].vmid,
						  parcel->handle),
				GHRM_OK);
			model_release(model, parcel->members[i].vm, parcel, &parcel->members[i]);
		}
		ck_assert_uint_eq(
			op_reclaim(model, parcel->owner, parcel->handle, true, &want), GHRM_OK);
	}
	bench_forget(model->bench);
	compare_all(model);
	for (int page = 0; page < ALL_PAGES; page++)
		ck_assert_int_lt(model->owner[page], VMS);
}

static unsigned long from_environment(const char *name, unsigned long fallback)
{
	const char *text = getenv(name);

	return text ? strtoul(text, NULL, 10) : fallback;
}

START_TEST(emulator_and_model_agree)
{
	unsigned seed = (unsigned)from_environment("EMULATOR_MODEL_SEED", (unsigned long)_i);
	unsigned long operations = from_environment("EMULATOR_MODEL_OPERATIONS", 100000);
	struct model *model = calloc(1, sizeof(*model));

	ck_assert_ptr_nonnull(model);
	printf("model: seed %u, %lu operations\n", seed, operations);
	fflush(stdout);
	srandom(seed);
	model->bench = bench_new();
	model->bench->machine->max_parcels = MAX_PARCELS;
	emulator_free(model->bench->emulator);
	model->bench->machine->max_mappings = SLOTS;
	ck_assert_int_eq(
		emulator_new(&model->bench->emulator, model->bench->machine, false, NULL, NULL), 0);
	for (int vm = 0; vm < VMS; vm++)
		for (int place = 0; place < PLACES; place++) {
			model->home[vm][place] = vm == 0 && place < ALL_PAGES ? place : NONE;
			model->used[vm][place] = vm == 0 && place < ALL_PAGES;
		}
	for (unsigned long i = 0; i < operations; i++) {
		step(model);
		if (i % 10000 == 0)
			compare_all(model);
	}
	finish(model);
	/* Each error that can be reached was. */
	ck_assert_uint_gt(model->outcomes[GHRM_OK], operations / 10);
	for (unsigned error = GHRM_NORESOURCE; operations >= 100000 && error <= GHRM_VMID_INVALID;
		error++)
		if (error != GHRM_BUSY && error != GHRM_VALIDATE_FAILED)
			ck_assert_msg(model->outcomes[error] > 0, "%s was never met",
				ghrm_error_name(error));
	bench_free(model->bench);
	free(model);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("emulator: model");
	TCase *tc = tcase_create("model");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 600);
	tcase_add_loop_test(tc, emulator_and_model_agree, 1, 11);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
