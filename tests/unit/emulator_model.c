/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "emulator_model.h"

const uint16_t model_vmids[VMS] = { HOST, 0x80, 0x81, 0x82, 0x83 };

bool model_is_io(const struct m_parcel *parcel)
{
	return parcel->mem_type == GHRM_MEM_IO;
}

/* Places: for the primary VM the page's number, for guests the window and then the device pages. */
uint64_t model_address(int vm, int place)
{
	int device = vm == 0 ? NORMAL_PAGES : WINDOW;

	if (place >= device)
		return DEVICE + (uint64_t)(place - device) * PAGE;
	return (vm == 0 ? BASE : WINDOW_START) + (uint64_t)place * PAGE;
}

uint64_t model_physical(int page)
{
	return model_address(0, page);
}

int model_identity(int vm, int page)
{
	return vm == 0 ? page : WINDOW + (page - NORMAL_PAGES);
}

struct m_member *model_member(struct m_parcel *parcel, int vm)
{
	for (int i = 0; i < parcel->n_members; i++)
		if (parcel->members[i].vm == vm)
			return &parcel->members[i];
	return NULL;
}

struct m_view model_look(struct model *model, int vm, int place)
{
	int page = model->home[vm][place];

	if (page != NONE && model->owner[page] == vm)
		return (struct m_view){ page, vm, page < NORMAL_PAGES ? RWX : RW,
			page < NORMAL_PAGES ? 0 : 1 };
	if (page != NONE && model->owner[page] >= 100) {
		struct m_parcel *parcel = &model->parcels[model->owner[page] - 100];

		if (parcel->owner == vm && parcel->trans == GHRM_TRANS_SHARE) {
			struct m_member *self = model_member(parcel, vm);

			return (struct m_view){ page, model->owner[page], self->rights,
				self->attr };
		}
	}
	for (int p = 0; p < LISTED; p++) {
		struct m_parcel *parcel = &model->parcels[p];
		struct m_member *member = parcel->live ? model_member(parcel, vm) : NULL;
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

struct m_parcel *model_find(struct model *model, uint32_t handle)
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
		struct m_view first = model_look(model, vm, place);
		struct m_region piece = { place, first.page, 0 };
		bool owned = true;
		uint32_t error;

		if (first.page == NONE)
			return GHRM_MEM_INVALID;
		while (piece.n < n) {
			struct m_view next = model_look(model, vm, place + piece.n);

			if (next.page != first.page + piece.n || next.rights != first.rights ||
				next.attr != first.attr)
				break;
			owned &= next.owner == vm &&
				 (next.page >= NORMAL_PAGES) == model_is_io(parcel);
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

void model_give_back(struct model *model, struct m_parcel *parcel, int begin)
{
	for (int r = begin; r < parcel->n_regions; r++)
		for (int i = 0; i < parcel->regions[r].n; i++)
			model->owner[parcel->regions[r].page + i] = parcel->owner;
	parcel->n_regions = begin;
}

uint32_t model_add(struct model *model, struct m_parcel *parcel, const struct entries *entries)
{
	int begin = parcel->n_regions;

	for (size_t i = 0; i < entries->count; i++) {
		uint32_t error = entries->misaligned[i] ? GHRM_ARGUMENT_INVALID
							: add_entry(model, parcel,
								  entries->place[i], entries->n[i]);

		if (error != GHRM_OK) {
			model_give_back(model, parcel, begin);
			return error;
		}
	}
	return GHRM_OK;
}

int model_owned(struct model *model, int vm)
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
			.attr = model_is_io(parcel) ? GHRM_ATTR_DEVICE : GHRM_ATTR_NORMAL };
		for (int j = 0; j < i; j++)
			if (acl[j].vmid == acl[i].vmid)
				return GHRM_ARGUMENT_INVALID;
		for (int vm = 0; vm < VMS; vm++)
			if (model_vmids[vm] == acl[i].vmid)
				member->vm = vm;
		if (member->vm == NONE && acl[i].vmid != 5)
			return GHRM_ARGUMENT_INVALID;
		if (acl[i].rights < 4 || acl[i].rights > 7 ||
			(model_is_io(parcel) && acl[i].rights & 1))
			return GHRM_ARGUMENT_INVALID;
		if (parcel->trans == GHRM_TRANS_DONATE &&
			acl[i].rights != (model_is_io(parcel) ? RW : RWX))
			return GHRM_DENIED;
		own |= member->vm == parcel->owner;
		parcel->n_members++;
	}
	return own == (parcel->trans == GHRM_TRANS_SHARE) ? GHRM_OK : GHRM_ARGUMENT_INVALID;
}

static uint32_t model_attribute(struct m_parcel *parcel, const struct ghrm_attribute *attribute)
{
	if (attribute->attr > 3 || model_is_io(parcel) != (attribute->attr == 1))
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

uint32_t model_create(struct model *model, struct m_parcel *parcel, uint8_t flags,
	const struct ghrm_acl_entry *acl, int n_acl, const struct entries *entries,
	const struct ghrm_attribute *attribute)
{
	uint32_t error;

	if (n_acl == 0 || (parcel->trans == GHRM_TRANS_DONATE && n_acl > 1))
		return GHRM_ARGUMENT_INVALID;
	if (model_owned(model, parcel->owner) >= MAX_PARCELS)
		return GHRM_DENIED;
	if (flags & GHRM_CREATE_SANITIZE && model_is_io(parcel))
		return GHRM_ARGUMENT_INVALID;
	parcel->handle = model->next_handle++;
	error = model_members(parcel, acl, n_acl);
	if (error == GHRM_OK && attribute)
		error = model_attribute(parcel, attribute);
	if (error == GHRM_OK)
		error = model_add(model, parcel, entries);
	parcel->live = error == GHRM_OK;
	return error;
}

bool model_held(struct m_parcel *parcel)
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

int model_mapping_pages(struct m_parcel *parcel, struct m_member *member, int i)
{
	return member->contiguous ? parcel->total : parcel->regions[i].n;
}

static void unassign(
	struct model *model, int vm, struct m_parcel *parcel, struct m_member *member, int begin)
{
	while (member->assigned > begin) {
		int i = --member->assigned;

		memset(&model->used[vm][member->address[i]], false,
			(size_t)model_mapping_pages(parcel, member, i));
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

static uint32_t model_assign(struct model *model, int vm, struct m_parcel *parcel,
	struct m_member *member, const struct accept_args *args)
{
	int left = (member->contiguous ? 1 : parcel->n_regions) - member->assigned;

	if (args->n > left)
		return GHRM_ARGUMENT_INVALID;
	for (int i = 0; i < (args->n ? args->n : left); i++) {
		int r = member->assigned, n = model_mapping_pages(parcel, member, r);
		int place = args->place[i];

		if (args->n && args->named[i].size != (uint64_t)n * PAGE)
			return GHRM_ARGUMENT_INVALID;
		if (vm == 0 || model_is_io(parcel)) {
			int must = model_identity(vm, parcel->regions[r].page);

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

uint32_t model_accept(struct model *model, int vm, struct m_parcel *parcel,
	const struct accept_args *args, int *ret_first, struct m_member *ret_member)
{
	struct m_member *member = parcel ? model_member(parcel, vm) : NULL;
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
	if (contiguous && (model_is_io(parcel) || (member->holds && !member->contiguous)))
		return GHRM_ARGUMENT_INVALID;
	if (args->flags & GHRM_ACCEPT_SANITIZE) {
		if (model_is_io(parcel) || !(member->rights & GHRM_RIGHT_W))
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

void model_release(struct model *model, int vm, struct m_parcel *parcel, struct m_member *member)
{
	for (int s = 0; member->mapped && s < SLOTS; s++)
		if (parcel->slots[s].vm == vm)
			parcel->slots[s].vm = NONE;
	unassign(model, vm, parcel, member, 0);
	member->holds = member->mapped = member->contiguous = false;
}
