/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * A second, naive implementation of the memory service: arrays of pages instead of intervals, one
 * page after the other instead of runs. Random operations of five VMs go to both; error numbers,
 * handles and chosen addresses must be the same each time, and so must what the VMs see.
 *
 * EMULATOR_MODEL_SEED and EMULATOR_MODEL_OPERATIONS in the environment repeat or extend a run.
 */
#include "emulator_bench.h"

#define NORMAL_PAGES 48
#define DEVICE_PAGES 8
#define ALL_PAGES    (NORMAL_PAGES + DEVICE_PAGES)
#define WINDOW       4096 /* pages of a guest's address space that are looked at */
#define PLACES       (WINDOW + DEVICE_PAGES)
#define WINDOW_START 0x40000000ull
#define VMS          5
#define SLOTS        2 /* fewer than usual, so that they run out */
#define MAX_PARCELS  6
#define LISTED       (MAX_PARCELS * VMS)
#define MAX_TOTAL    40 /* pages, failed appends included: the window must not overflow */
#define NONE         (-1)

static const uint16_t vmids[VMS] = { HOST, 0x80, 0x81, 0x82, 0x83 };

struct m_region {
	int place, page, n; /* of the owner; physical; pages */
};

struct m_member {
	int vm; /* index, or NONE for a VMID without VM */
	uint16_t vmid;
	uint8_t rights, attr;
	bool holds, mapped, contiguous;
	int assigned, address[64]; /* places */
};

struct m_parcel {
	bool live;
	uint32_t handle, tag;
	int owner;
	uint8_t mem_type, trans;
	bool open, tagged, zero_create, zero_reclaim;
	struct m_member members[VMS];
	int n_members;
	struct m_region regions[64];
	int n_regions, total;
	struct {
		int vm; /* NONE: free */
		uint64_t pages;
	} slots[SLOTS];
};

struct model {
	struct bench *bench;
	int owner[ALL_PAGES]; /* of each page: VM index, or 100 + parcel index */
	int home[VMS][PLACES];
	bool used[VMS][PLACES];
	struct m_parcel parcels[LISTED];
	uint32_t next_handle;
	uint64_t zeroed;
	unsigned outcomes[32];
};

static unsigned below(unsigned n)
{
	return (unsigned)random() % n;
}

static bool is_io(const struct m_parcel *parcel)
{
	return parcel->mem_type == GHRM_MEM_IO;
}

/* Places: for the primary VM the page's number, for guests the window and then the device pages. */
static uint64_t address_of(int vm, int place)
{
	int device = vm == 0 ? NORMAL_PAGES : WINDOW;

	if (place >= device)
		return DEVICE + (uint64_t)(place - device) * PAGE;
	return (vm == 0 ? BASE : WINDOW_START) + (uint64_t)place * PAGE;
}

static uint64_t physical_of(int page)
{
	return address_of(0, page);
}

static int identity_place(int vm, int page)
{
	return vm == 0 ? page : WINDOW + (page - NORMAL_PAGES);
}

static struct m_member *member_of(struct m_parcel *parcel, int vm)
{
	for (int i = 0; i < parcel->n_members; i++)
		if (parcel->members[i].vm == vm)
			return &parcel->members[i];
	return NULL;
}

struct m_view {
	int page; /* NONE: unmapped */
	int owner;
	uint8_t rights, attr;
};

static struct m_view look(struct model *model, int vm, int place)
{
	int page = model->home[vm][place];

	if (page != NONE && model->owner[page] == vm)
		return (struct m_view){ page, vm, page < NORMAL_PAGES ? RWX : RW,
			page < NORMAL_PAGES ? 0 : 1 };
	if (page != NONE && model->owner[page] >= 100) {
		struct m_parcel *parcel = &model->parcels[model->owner[page] - 100];

		if (parcel->owner == vm && parcel->trans == GHRM_TRANS_SHARE) {
			struct m_member *self = member_of(parcel, vm);

			return (struct m_view){ page, model->owner[page], self->rights,
				self->attr };
		}
	}
	for (int p = 0; p < LISTED; p++) {
		struct m_parcel *parcel = &model->parcels[p];
		struct m_member *member = parcel->live ? member_of(parcel, vm) : NULL;
		int at = 0;

		if (!member || !member->mapped)
			continue;
		for (int r = 0; r < parcel->n_regions; r++) {
			int start =
				member->contiguous ? member->address[0] + at : member->address[r];

			at += parcel->regions[r].n;
			if (place >= start && place < start + parcel->regions[r].n)
				return (struct m_view){ parcel->regions[r].page + place - start,
					100 + p, member->rights, member->attr };
		}
	}
	return (struct m_view){ NONE, NONE, 0, 0 };
}

static unsigned memtype(uint8_t attr)
{
	return attr == GHRM_ATTR_DEVICE ? 1 : attr == GHRM_ATTR_UNCACHED ? 5 : 15;
}

/* What the emulator shows of one page must be what the model shows. */
static void compare_place(struct model *model, int vm, int place)
{
	struct m_view want = look(model, vm, place);
	struct emulator_view got;

	ck_assert(emulator_probe(
		model->bench->emulator, vmids[vm], address_of(vm, place), PAGE, &got));
	ck_assert_int_eq(got.mapped, want.page != NONE);
	if (want.page == NONE)
		return;
	ck_assert_uint_eq(got.physical, physical_of(want.page));
	ck_assert_uint_eq(got.rights, want.rights);
	ck_assert_uint_eq(got.memtype, memtype(want.attr));
	ck_assert_int_eq(strcmp(got.owner, "parcel") == 0, want.owner >= 100);
}

static struct m_parcel *find(struct model *model, uint32_t handle)
{
	for (int p = 0; p < LISTED; p++)
		if (model->parcels[p].live && model->parcels[p].handle == handle)
			return &model->parcels[p];
	return NULL;
}

static uint64_t mask_of(const struct m_region *region)
{
	return ((1ull << region->n) - 1) << region->page;
}

/* ---- region lists ---- */

static uint32_t add_piece(struct model *model, struct m_parcel *parcel, struct m_region piece)
{
	int chosen = NONE;

	if (parcel->trans == GHRM_TRANS_SHARE) {
		for (int s = 0; s < SLOTS && chosen == NONE; s++)
			if (parcel->slots[s].vm == parcel->owner &&
				!(parcel->slots[s].pages & mask_of(&piece)))
				chosen = s;
		for (int s = 0; s < SLOTS && chosen == NONE; s++)
			if (parcel->slots[s].vm == NONE)
				chosen = s;
		if (chosen == NONE)
			return GHRM_MAP_FAILED;
		parcel->slots[chosen].vm = parcel->owner;
		parcel->slots[chosen].pages |= mask_of(&piece);
	}
	for (int i = 0; i < piece.n; i++)
		model->owner[piece.page + i] = 100 + (int)(parcel - model->parcels);
	parcel->regions[parcel->n_regions++] = piece;
	parcel->total += piece.n;
	if (parcel->zero_create)
		model->zeroed += (uint64_t)piece.n;
	return GHRM_OK;
}

static uint32_t add_entry(struct model *model, struct m_parcel *parcel, int place, int n)
{
	int vm = parcel->owner;

	if (n == 0)
		return GHRM_MEM_INVALID;
	while (n > 0) {
		struct m_view first = look(model, vm, place);
		struct m_region piece = { place, first.page, 0 };
		bool owned = true;
		uint32_t error;

		if (first.page == NONE)
			return GHRM_MEM_INVALID;
		while (piece.n < n) {
			struct m_view next = look(model, vm, place + piece.n);

			if (next.page != first.page + piece.n || next.rights != first.rights ||
				next.attr != first.attr)
				break;
			owned &= next.owner == vm && (next.page >= NORMAL_PAGES) == is_io(parcel);
			piece.n++;
		}
		if (!owned)
			return GHRM_MEM_INVALID;
		error = add_piece(model, parcel, piece);
		if (error != GHRM_OK)
			return error;
		place += piece.n;
		n -= piece.n;
	}
	return GHRM_OK;
}

static void give_back(struct model *model, struct m_parcel *parcel, int begin)
{
	for (int r = begin; r < parcel->n_regions; r++)
		for (int i = 0; i < parcel->regions[r].n; i++)
			model->owner[parcel->regions[r].page + i] = parcel->owner;
	parcel->n_regions = begin;
}

struct entries {
	struct ghrm_region wire[4];
	int place[4], n[4];
	size_t count;
	bool misaligned[4];
};

static uint32_t add_entries(
	struct model *model, struct m_parcel *parcel, const struct entries *entries)
{
	int begin = parcel->n_regions;

	for (size_t i = 0; i < entries->count; i++) {
		uint32_t error = entries->misaligned[i] ? GHRM_ARGUMENT_INVALID
							: add_entry(model, parcel,
								  entries->place[i], entries->n[i]);

		if (error != GHRM_OK) {
			give_back(model, parcel, begin);
			return error;
		}
	}
	return GHRM_OK;
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
			(struct ghrm_region){ address_of(vm, ret->place[i]) + ret->misaligned[i],
				(uint64_t)ret->n[i] * PAGE };
	}
}

/* ---- operations: each returns what the emulator must answer ---- */

static int count_owned(struct model *model, int vm)
{
	int n = 0;

	for (int p = 0; p < LISTED; p++)
		n += model->parcels[p].live && model->parcels[p].owner == vm;
	return n;
}

static uint32_t model_members(struct m_parcel *parcel, const struct ghrm_acl_entry *acl, int n)
{
	bool own = false;

	for (int i = 0; i < n; i++) {
		struct m_member *member = &parcel->members[i];

		*member = (struct m_member){ .vm = NONE,
			.vmid = acl[i].vmid,
			.rights = acl[i].rights,
			.attr = is_io(parcel) ? GHRM_ATTR_DEVICE : GHRM_ATTR_NORMAL };
		for (int j = 0; j < i; j++)
			if (acl[j].vmid == acl[i].vmid)
				return GHRM_ARGUMENT_INVALID;
		for (int vm = 0; vm < VMS; vm++)
			if (vmids[vm] == acl[i].vmid)
				member->vm = vm;
		if (member->vm == NONE && acl[i].vmid != 5)
			return GHRM_ARGUMENT_INVALID;
		if (acl[i].rights < 4 || acl[i].rights > 7 || (is_io(parcel) && acl[i].rights & 1))
			return GHRM_ARGUMENT_INVALID;
		if (parcel->trans == GHRM_TRANS_DONATE &&
			acl[i].rights != (is_io(parcel) ? RW : RWX))
			return GHRM_DENIED;
		own |= member->vm == parcel->owner;
		parcel->n_members++;
	}
	return own == (parcel->trans == GHRM_TRANS_SHARE) ? GHRM_OK : GHRM_ARGUMENT_INVALID;
}

static uint32_t model_attribute(struct m_parcel *parcel, const struct ghrm_attribute *attribute)
{
	if (attribute->attr > 3 || is_io(parcel) != (attribute->attr == 1))
		return GHRM_ARGUMENT_INVALID;
	if (parcel->trans == GHRM_TRANS_DONATE && attribute->attr > 1)
		return GHRM_ARGUMENT_INVALID;
	for (int i = 0; i < parcel->n_members; i++)
		if (parcel->members[i].vmid == attribute->vmid) {
			parcel->members[i].attr = (uint8_t)attribute->attr;
			return GHRM_OK;
		}
	return GHRM_VMID_INVALID;
}

static uint32_t model_create(struct model *model, struct m_parcel *parcel, uint8_t flags,
	const struct ghrm_acl_entry *acl, int n_acl, const struct entries *entries,
	const struct ghrm_attribute *attribute)
{
	uint32_t error;

	if (n_acl == 0 || (parcel->trans == GHRM_TRANS_DONATE && n_acl > 1))
		return GHRM_ARGUMENT_INVALID;
	if (count_owned(model, parcel->owner) >= MAX_PARCELS)
		return GHRM_DENIED;
	if (flags & GHRM_CREATE_SANITIZE && is_io(parcel))
		return GHRM_ARGUMENT_INVALID;
	parcel->handle = model->next_handle++;
	error = model_members(parcel, acl, n_acl);
	if (error == GHRM_OK && attribute)
		error = model_attribute(parcel, attribute);
	if (error == GHRM_OK)
		error = add_entries(model, parcel, entries);
	parcel->live = error == GHRM_OK;
	return error;
}

static uint32_t op_create(struct model *model, int vm, uint32_t *ret_want)
{
	static const uint32_t ids[] = { GHRM_MEM_DONATE, GHRM_MEM_LEND, GHRM_MEM_SHARE };
	struct ghrm_acl_entry acl[VMS] = { 0 };
	struct ghrm_attribute attribute = { (uint16_t)below(5), vmids[below(VMS)] };
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
		acl[i] = (struct ghrm_acl_entry){ vmids[below(VMS)],
			parcel->trans == GHRM_TRANS_DONATE && below(10) ? (is_io(parcel) ? RW : RWX)
			: below(15)                                     ? (below(2) ? R : RW)
									: (uint8_t)below(9) };
	if (n_acl > 0 && below(25) == 0)
		acl[0].vmid = below(2) ? 5 : 0x90;
	if (n_acl > 0 && parcel->trans == GHRM_TRANS_SHARE && below(8))
		acl[n_acl - 1].vmid = vmids[vm];
	random_entries(model, vm, is_io(parcel), &entries);
	*ret_want = model_create(
		model, parcel, flags, acl, n_acl, &entries, with_attribute ? &attribute : NULL);
	error = bench_create_full(model->bench, vmids[vm], ids[parcel->trans], parcel->mem_type,
		flags, 7, acl, (size_t)n_acl, entries.wire, entries.count, &attribute,
		with_attribute);
	if (error == GHRM_OK && *ret_want == GHRM_OK)
		ck_assert_uint_eq(bench_value(model->bench), parcel->handle);
	return error;
}

static uint32_t op_append(struct model *model, int vm, uint32_t handle, uint32_t *ret_want)
{
	struct m_parcel *parcel = find(model, handle);
	bool end = below(3) == 0;
	struct entries entries;

	random_entries(model, vm, parcel && is_io(parcel), &entries);
	if (!parcel) {
		*ret_want = GHRM_HANDLE_INVALID;
	} else if (parcel->total >= MAX_TOTAL - 9 || parcel->n_regions > 40) {
		*ret_want = GHRM_ARGUMENT_INVALID;
		entries.count = 0;
	} else if (parcel->owner != vm || !parcel->open) {
		*ret_want = GHRM_DENIED;
	} else {
		*ret_want = add_entries(model, parcel, &entries);
		if (*ret_want == GHRM_OK && end)
			parcel->open = false;
	}
	return bench_append(model->bench, vmids[vm], handle, end ? GHRM_APPEND_END : 0,
		entries.wire, entries.count);
}

static bool held_by_anyone(struct m_parcel *parcel)
{
	for (int i = 0; i < parcel->n_members; i++)
		if (parcel->members[i].holds)
			return true;
	return false;
}

static bool take_places(struct model *model, int vm, int place, int n)
{
	int limit = vm == 0 ? ALL_PAGES : place >= WINDOW ? PLACES : WINDOW;

	if (place + n > limit)
		return false;
	for (int i = 0; i < n; i++)
		if (model->used[vm][place + i])
			return false;
	memset(&model->used[vm][place], true, (size_t)n);
	return true;
}

static int pick_places(struct model *model, int vm, int n)
{
	for (int place = 0;; place++)
		if (take_places(model, vm, place, n))
			return place;
}

static int mapping_pages(struct m_parcel *parcel, struct m_member *member, int i)
{
	return member->contiguous ? parcel->total : parcel->regions[i].n;
}

static void unassign(
	struct model *model, int vm, struct m_parcel *parcel, struct m_member *member, int begin)
{
	while (member->assigned > begin) {
		int i = --member->assigned;

		memset(&model->used[vm][member->address[i]], false,
			(size_t)mapping_pages(parcel, member, i));
	}
}

static void finish_donation(
	struct model *model, int vm, struct m_parcel *parcel, struct m_member *member)
{
	int at = 0;

	for (int r = 0; r < parcel->n_regions; r++) {
		struct m_region *region = &parcel->regions[r];
		int start = member->contiguous ? member->address[0] + at : member->address[r];

		for (int i = 0; i < region->n; i++) {
			model->home[parcel->owner][region->place + i] = NONE;
			model->used[parcel->owner][region->place + i] = false;
			model->owner[region->page + i] = vm;
			model->home[vm][start + i] = region->page + i;
		}
		at += region->n;
	}
	parcel->live = false;
}

struct accept_args {
	uint8_t mem_type, trans, flags;
	struct ghrm_region named[64];
	int place[64];
	int n;
	bool wrong_size;
};

static uint32_t model_assign(struct model *model, int vm, struct m_parcel *parcel,
	struct m_member *member, const struct accept_args *args)
{
	int left = (member->contiguous ? 1 : parcel->n_regions) - member->assigned;

	if (args->n > left)
		return GHRM_ARGUMENT_INVALID;
	for (int i = 0; i < (args->n ? args->n : left); i++) {
		int r = member->assigned, n = mapping_pages(parcel, member, r);
		int place = args->place[i];

		if (args->n && args->named[i].size != (uint64_t)n * PAGE)
			return GHRM_ARGUMENT_INVALID;
		if (vm == 0 || is_io(parcel)) {
			int must = identity_place(vm, parcel->regions[r].page);

			if (member->contiguous || (args->n && place != must) ||
				!take_places(model, vm, must, n))
				return GHRM_NORESOURCE;
			place = must;
		} else if (args->n) {
			if (place >= WINDOW || !take_places(model, vm, place, n))
				return GHRM_NORESOURCE;
		} else {
			place = pick_places(model, vm, n);
		}
		member->address[member->assigned++] = place;
	}
	return GHRM_OK;
}

static uint32_t model_map(struct m_parcel *parcel, int vm)
{
	for (int s = 0; s < SLOTS; s++)
		if (parcel->slots[s].vm == NONE) {
			parcel->slots[s].vm = vm;
			return GHRM_OK;
		}
	return GHRM_MAP_FAILED;
}

static uint32_t model_accept(struct model *model, int vm, struct m_parcel *parcel,
	const struct accept_args *args, int *ret_first, struct m_member *ret_member)
{
	struct m_member *member = parcel ? member_of(parcel, vm) : NULL;
	bool contiguous = args->flags & GHRM_ACCEPT_MAP_CONTIGUOUS,
	     done = args->flags & GHRM_ACCEPT_DONE;
	uint32_t error;

	if (!parcel)
		return GHRM_HANDLE_INVALID;
	if (args->mem_type != parcel->mem_type || args->trans != parcel->trans)
		return GHRM_ARGUMENT_INVALID;
	if (!member)
		return GHRM_VMID_INVALID;
	if (parcel->owner == vm || member->mapped)
		return GHRM_DENIED;
	if (contiguous && (is_io(parcel) || (member->holds && !member->contiguous)))
		return GHRM_ARGUMENT_INVALID;
	if (args->flags & GHRM_ACCEPT_SANITIZE) {
		if (is_io(parcel) || !(member->rights & GHRM_RIGHT_W))
			return GHRM_ARGUMENT_INVALID;
		parcel->zero_reclaim = true;
	}
	if (member->holds && member->contiguous && !contiguous && parcel->n_regions > 1)
		return GHRM_ARGUMENT_INVALID;
	if (!member->holds)
		member->contiguous = contiguous;
	*ret_first = member->assigned;
	error = model_assign(model, vm, parcel, member, args);
	if (error == GHRM_OK && done &&
		member->assigned < (member->contiguous ? 1 : parcel->n_regions))
		error = GHRM_ARGUMENT_INVALID;
	if (error == GHRM_OK && done && parcel->trans != GHRM_TRANS_DONATE)
		error = model_map(parcel, vm);
	if (error != GHRM_OK) {
		unassign(model, vm, parcel, member, *ret_first);
		return error;
	}
	member->holds = true;
	parcel->open = false;
	member->mapped = done;
	*ret_member = *member;
	if (done && parcel->trans == GHRM_TRANS_DONATE)
		finish_donation(model, vm, parcel, member);
	return GHRM_OK;
}

static void random_accept(struct m_parcel *parcel, int vm, struct accept_args *ret)
{
	struct m_member *member = parcel ? member_of(parcel, vm) : NULL;

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

		ret->place[i] = vm == 0 || is_io(parcel)
					? (below(10) ? identity_place(vm, parcel->regions[r].page)
						     : (int)below(ALL_PAGES))
					: (int)below(128);
		ret->named[i] = (struct ghrm_region){ address_of(vm, ret->place[i]),
			(uint64_t)(whole ? parcel->total : parcel->regions[r].n) * PAGE +
				(below(30) ? 0 : PAGE) };
	}
}

static uint32_t op_accept(struct model *model, int vm, uint32_t handle, uint32_t *ret_want)
{
	struct m_parcel *parcel = find(model, handle);
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
	error = bench_call(model->bench, vmids[vm], GHRM_MEM_ACCEPT, payload,
		ghrm_encode_accept(payload, sizeof(payload), handle, args.mem_type, args.trans,
			args.flags, 0, NULL, 0, args.named, (size_t)args.n, NULL, 0));
	if (error != GHRM_OK || *ret_want != GHRM_OK || args.n > 0)
		return error;
	for (int i = first; i < member.assigned; i++) {
		size_t n;
		struct ghrm_region got = bench_accepted(model->bench, (size_t)(i - first), &n);

		ck_assert_int_eq((int)n, member.assigned - first);
		ck_assert_uint_eq(got.address, address_of(vm, member.address[i]));
		ck_assert_uint_eq(got.size, (uint64_t)mapping_pages(&before, &member, i) * PAGE);
	}
	return error;
}

static void drop(struct model *model, int vm, struct m_parcel *parcel, struct m_member *member)
{
	for (int s = 0; member->mapped && s < SLOTS; s++)
		if (parcel->slots[s].vm == vm)
			parcel->slots[s].vm = NONE;
	unassign(model, vm, parcel, member, 0);
	member->holds = member->mapped = member->contiguous = false;
}

static uint32_t op_release(struct model *model, int vm, uint32_t handle, uint32_t *ret_want)
{
	struct m_parcel *parcel = find(model, handle);
	struct m_member *member = parcel ? member_of(parcel, vm) : NULL;
	bool sanitize = below(8) == 0;

	if (!member)
		*ret_want = GHRM_HANDLE_INVALID;
	else if (parcel->owner == vm)
		*ret_want = GHRM_DENIED;
	else if (!member->holds)
		*ret_want = GHRM_MEM_RELEASED;
	else if (sanitize && (is_io(parcel) || !(member->rights & GHRM_RIGHT_W)))
		*ret_want = GHRM_ARGUMENT_INVALID;
	else {
		*ret_want = GHRM_OK;
		parcel->zero_reclaim |= sanitize;
		drop(model, vm, parcel, member);
	}
	return bench_back(model->bench, vmids[vm], GHRM_MEM_RELEASE, handle, sanitize);
}

static uint32_t op_reclaim(
	struct model *model, int vm, uint32_t handle, bool plain, uint32_t *ret_want)
{
	struct m_parcel *parcel = find(model, handle);
	bool sanitize = !plain && below(8) == 0;

	if (!parcel)
		*ret_want = GHRM_HANDLE_INVALID;
	else if (parcel->owner != vm)
		*ret_want = GHRM_DENIED;
	else if (held_by_anyone(parcel))
		*ret_want = GHRM_MEM_INUSE;
	else if (sanitize && is_io(parcel))
		*ret_want = GHRM_ARGUMENT_INVALID;
	else {
		*ret_want = GHRM_OK;
		for (int r = 0; r < parcel->n_regions && (sanitize || parcel->zero_reclaim); r++)
			model->zeroed += (uint64_t)parcel->regions[r].n;
		give_back(model, parcel, 0);
		parcel->live = false;
	}
	return bench_back(model->bench, vmids[vm], GHRM_MEM_RECLAIM, handle, sanitize);
}

static uint32_t op_notify(struct model *model, int vm, uint32_t handle, uint32_t *ret_want)
{
	struct m_parcel *parcel = find(model, handle);
	struct m_member *member = parcel ? member_of(parcel, vm) : NULL;
	uint8_t flags = (uint8_t)(below(20) ? 1u << below(4) : below(16));
	uint32_t tag = below(3) == 0;
	int target = (int)below(VMS);
	uint16_t targets[1] = { below(20) ? vmids[target] : 0x90 };
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
			*ret_want = member_of(parcel, target) ? GHRM_OK : GHRM_ARGUMENT_INVALID;
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
	return bench_notify(model->bench, vmids[vm], handle, flags, tag, targets, n);
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
	struct m_parcel *parcel = find(model, handle);
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
	unsigned operation = find(model, handle) || below(10) == 0 ? below(12) : 0;
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
			struct m_member *member =
				model->parcels[p].live ? member_of(&model->parcels[p], vm) : NULL;

			held += member && member->holds;
		}
		ck_assert(emulator_stat(model->bench->emulator, vmids[vm], &stat));
		ck_assert_uint_eq(stat.owned_parcels, (size_t)count_owned(model, vm));
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
			drop(model, parcel->members[i].vm, parcel, &parcel->members[i]);
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
