/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Accepting and releasing parcels: the borrower's requests (§3.3, §3.4, rm-findings §6, §7). */
#include "emulator/internal.h"

static uint32_t check_validate(const struct parcel *parcel, const struct ghrm_accept *accept)
{
	if (accept->flags & GHRM_ACCEPT_VALIDATE_SANITIZED && !parcel->sanitize_create)
		return GHRM_VALIDATE_FAILED;
	if (accept->flags & GHRM_ACCEPT_VALIDATE_LABEL && accept->label != parcel->label)
		return GHRM_VALIDATE_FAILED;
	if (!(accept->flags & GHRM_ACCEPT_VALIDATE_ACL_ATTR))
		return GHRM_OK;
	if (accept->acl.count != parcel->n_members ||
		accept->attributes.count != parcel->n_attributes)
		return GHRM_VALIDATE_FAILED;
	for (size_t i = 0; i < parcel->n_members; i++) {
		struct ghrm_acl_entry entry = ghrm_acl_at(&accept->acl, i);

		if (entry.vmid != parcel->members[i].vmid ||
			entry.rights != parcel->members[i].rights)
			return GHRM_VALIDATE_FAILED;
	}
	for (size_t i = 0; i < parcel->n_attributes; i++) {
		struct ghrm_attribute entry = ghrm_attribute_at(&accept->attributes, i);

		if (entry.vmid != parcel->attributes[i].vmid ||
			entry.attr != parcel->attributes[i].attr)
			return GHRM_VALIDATE_FAILED;
	}
	return GHRM_OK;
}

static uint32_t check_accept(struct emulator *emulator, struct vm *vm, struct parcel *parcel,
	const struct ghrm_accept *accept, struct member **ret)
{
	bool contiguous = accept->flags & GHRM_ACCEPT_MAP_CONTIGUOUS;
	struct member *member;
	uint32_t error;

	if (accept->mem_type != parcel->mem_type || accept->trans_type != parcel->trans_type)
		return GHRM_ARGUMENT_INVALID;
	error = check_validate(parcel, accept);
	if (error != GHRM_OK)
		return error;
	if (accept->flags & GHRM_ACCEPT_MAP_OTHER)
		return GHRM_DENIED;
	if (accept->regions.second != 0)
		return GHRM_ARGUMENT_INVALID;
	member = parcel_member(parcel, vm->vmid);
	if (!member)
		return GHRM_VMID_INVALID;
	if (parcel->owner == vm || member->mapped)
		return GHRM_DENIED;
	if (contiguous &&
		(parcel->mem_type != GHRM_MEM_NORMAL || (member->holds && !member->contiguous)))
		return GHRM_ARGUMENT_INVALID;
	if (accept->flags & GHRM_ACCEPT_SANITIZE) {
		if (parcel_is_io(parcel) || !(member->rights & GHRM_RIGHT_W))
			return GHRM_ARGUMENT_INVALID;
		parcel->sanitize_reclaim = true;
	}
	/* The published one writes past a one-element array here and stops later (rm-findings §13). */
	if (member->holds && member->contiguous && !contiguous && parcel->n_regions > 1)
		return emulator_fatal(emulator, GHRM_ARGUMENT_INVALID,
			"MEM_ACCEPT of several regions after reserving one contiguous range");
	*ret = member;
	return GHRM_OK;
}

static size_t mappings(const struct parcel *parcel, const struct member *member)
{
	return member->contiguous ? 1 : parcel->n_regions;
}

static uint64_t mapping_size(const struct parcel *parcel, const struct member *member, size_t i)
{
	return member->contiguous ? parcel->total : region_size(&parcel->regions[i]);
}

static bool must_be_physical(const struct vm *vm, const struct parcel *parcel)
{
	return vm->space.direct || parcel_is_io(parcel);
}

/* One address that the VM has named, or that the Resource Manager chooses (given is NULL). */
static uint32_t assign_one(struct vm *vm, struct parcel *parcel, struct member *member,
	const struct ghrm_region *given)
{
	size_t i = member->assigned;
	uint64_t size = mapping_size(parcel, member, i);
	uint64_t address = given ? given->address : parcel->regions[i].pa;

	if (given &&
		(address >= GHRM_ADDRESS_LIMIT || address % GHRM_PAGE_SIZE || given->size != size))
		return GHRM_ARGUMENT_INVALID;
	if (must_be_physical(vm, parcel)) {
		if (member->contiguous || address != parcel->regions[i].pa)
			return GHRM_NORESOURCE;
		if (!space_take(&vm->space, parcel_is_io(parcel), address, size))
			return GHRM_NORESOURCE;
	} else if (given) {
		if (!space_take(&vm->space, false, address, size))
			return GHRM_NORESOURCE;
	} else if (!space_pick(&vm->space, size, &address)) {
		return GHRM_NORESOURCE;
	}
	member->addresses[member->assigned++] = address;
	return GHRM_OK;
}

static void unassign(struct vm *vm, struct parcel *parcel, struct member *member, size_t begin)
{
	while (member->assigned > begin) {
		size_t i = --member->assigned;

		space_give(&vm->space, member->addresses[i], mapping_size(parcel, member, i));
	}
}

/* Forgets all that the member has of the parcel, addresses included. */
static void member_reset(struct vm *vm, struct parcel *parcel, struct member *member)
{
	unassign(vm, parcel, member, 0);
	free(member->addresses);
	member->addresses = NULL;
	member->contiguous = false;
	member->mapped = false;
}

/* At most so many addresses when the Resource Manager chooses. */
static uint32_t assign(struct vm *vm, struct parcel *parcel, struct member *member,
	const struct ghrm_list *given, size_t most)
{
	size_t left = mappings(parcel, member) - member->assigned;
	size_t n = given->count;

	if (n > left)
		return GHRM_ARGUMENT_INVALID;
	if (n == 0)
		n = left < most ? left : most;
	for (size_t i = 0; i < n; i++) {
		struct ghrm_region named = { 0 };
		uint32_t error;

		if (given->count > 0)
			named = ghrm_region_at(given, i);
		error = assign_one(vm, parcel, member, given->count > 0 ? &named : NULL);
		if (error != GHRM_OK)
			return error;
	}
	return GHRM_OK;
}

static bool hold(struct vm *vm, struct parcel *parcel, struct member *member)
{
	if (vm->n_held == vm->held_room) {
		size_t room = vm->held_room ? vm->held_room * 2 : 16;
		struct held *held = realloc(vm->held, room * sizeof(*held));

		if (!held)
			return false;
		vm->held = held;
		vm->held_room = room;
	}
	member->holds = true;
	member->held_index = vm->n_held;
	vm->held[vm->n_held++] = (struct held){ parcel, member };
	parcel->n_holders++;
	parcel->state = PARCEL_HELD;
	return true;
}

static void let_go(struct vm *vm, struct parcel *parcel, struct member *member)
{
	struct held *last = &vm->held[vm->n_held - 1];

	vm->held[member->held_index] = *last;
	last->member->held_index = member->held_index;
	vm->n_held--;
	member->holds = false;
	if (--parcel->n_holders == 0)
		parcel->state = PARCEL_COMPLETE;
}

void member_release(struct emulator *emulator, struct parcel *parcel, struct member *member)
{
	struct vm *vm = vm_find(emulator, member->vmid);

	if (member->mapped)
		parcel->slots[member->slot].used = false;
	member_reset(vm, parcel, member);
	let_go(vm, parcel, member);
}

/* The donee's final accept: the pages become its own, the donor's addresses become free. */
static void complete_donation(
	struct emulator *emulator, struct vm *vm, struct parcel *parcel, struct member *member)
{
	struct vm *donor = parcel->owner;
	bool io = parcel_is_io(parcel);
	uint64_t next = member->contiguous ? member->addresses[0] : 0;

	for (size_t i = 0; i < parcel->n_regions; i++) {
		struct region *region = &parcel->regions[i];
		uint64_t size = region_size(region);
		uint64_t address = member->contiguous ? next : member->addresses[i];

		next = address + size;
		space_home_remove(&donor->space, region->ipa, size);
		space_give(&donor->space, region->ipa, size);
		space_home_add(&vm->space, io, address, size, region->pa);
		interval_map_set(&emulator->ownership, region->pa, region->pa + size,
			(uintptr_t)extent_of(vm, parcel));
	}
	if (member->holds)
		let_go(vm, parcel, member);
	parcel_forget(emulator, parcel);
}

/* The addresses that this call has assigned, for the reply. */
static void encode_assigned(struct emulator *emulator, const struct parcel *parcel,
	const struct member *member, size_t begin)
{
	struct ghrm_region chosen[GHRM_LIST_MAX];
	size_t n = member->assigned - begin;

	for (size_t i = 0; i < n; i++)
		chosen[i] = (struct ghrm_region){ member->addresses[begin + i],
			mapping_size(parcel, member, begin + i) };
	emulator->reply_size = ghrm_encode_reply_accept(emulator->reply, sizeof(emulator->reply),
		chosen, n, member->assigned < mappings(parcel, member));
}

/*
 * Addresses, then the mapping if it is the final call. Changes nothing when it fails. A reply has
 * room for so many chosen addresses only; an accept on behalf of a VM has neither.
 */
static uint32_t accept(struct emulator *emulator, struct vm *vm, struct parcel *parcel,
	struct member *member, const struct ghrm_accept *request, bool reply)
{
	bool done = request->flags & GHRM_ACCEPT_DONE, held = member->holds;
	bool donate = parcel->trans_type == GHRM_TRANS_DONATE;
	size_t begin = member->assigned;
	uint32_t error = GHRM_NOMEM;

	if (!held) {
		member->contiguous = request->flags & GHRM_ACCEPT_MAP_CONTIGUOUS;
		member->addresses = calloc(mappings(parcel, member), sizeof(*member->addresses));
	}
	if (member->addresses)
		error = assign(
			vm, parcel, member, &request->regions, reply ? GHRM_LIST_MAX : SIZE_MAX);
	if (error == GHRM_OK && done && member->assigned < mappings(parcel, member))
		error = GHRM_ARGUMENT_INVALID;
	if (error == GHRM_OK && done && !donate &&
		!slot_take(emulator, parcel, vm->vmid, &member->slot))
		error = GHRM_MAP_FAILED;
	if (error == GHRM_OK && !held && !(done && donate) && !hold(vm, parcel, member)) {
		if (done)
			parcel->slots[member->slot].used = false;
		error = GHRM_NOMEM;
	}
	if (error != GHRM_OK) {
		unassign(vm, parcel, member, begin);
		if (!held)
			member_reset(vm, parcel, member);
		return error;
	}
	if (reply && request->regions.count == 0)
		encode_assigned(emulator, parcel, member, begin);
	if (done && donate)
		complete_donation(emulator, vm, parcel, member);
	else if (done)
		member->mapped = true;
	return GHRM_OK;
}

uint32_t accept_handle(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_accept request;
	struct parcel *parcel;
	struct member *member;
	uint32_t error = ghrm_decode_accept(payload, size, &request);

	if (error != GHRM_OK)
		return error;
	parcel = parcel_find(emulator, request.handle);
	if (!parcel)
		return GHRM_HANDLE_INVALID;
	error = check_accept(emulator, vm, parcel, &request, &member);
	if (error != GHRM_OK)
		return error;
	return accept(emulator, vm, parcel, member, &request, true);
}

static uint32_t accept_on_behalf(struct emulator *emulator, struct vm *vm, struct parcel *parcel,
	const struct ghrm_accept *request)
{
	struct member *member;
	uint32_t error = check_accept(emulator, vm, parcel, request, &member);

	return error == GHRM_OK ? accept(emulator, vm, parcel, member, request, false) : error;
}

uint32_t accept_as_memory(
	struct emulator *emulator, struct vm *vm, struct parcel *parcel, bool sanitize)
{
	struct ghrm_accept request = { .handle = parcel->handle,
		.mem_type = parcel->mem_type,
		.trans_type = (uint8_t)parcel->trans_type,
		.flags = (uint8_t)(GHRM_ACCEPT_DONE | GHRM_ACCEPT_MAP_CONTIGUOUS |
				   (sanitize ? GHRM_ACCEPT_SANITIZE : 0)) };

	return accept_on_behalf(emulator, vm, parcel, &request);
}

uint32_t accept_for_device(struct emulator *emulator, struct vm *vm, struct parcel *parcel,
	const struct machine_device *device)
{
	struct ghrm_accept request = { .handle = parcel->handle,
		.mem_type = device->io ? GHRM_MEM_IO : GHRM_MEM_NORMAL,
		.trans_type = (uint8_t)parcel->trans_type,
		.flags = GHRM_ACCEPT_DONE };
	uint8_t place[2 * sizeof(uint64_t)]; /* a region on the wire */

	if (device->fixed) {
		util_put_le64(place, device->address);
		util_put_le64(place + sizeof(uint64_t), parcel->total);
		request.flags |= GHRM_ACCEPT_MAP_CONTIGUOUS;
		request.regions = (struct ghrm_list){ .data = place, .count = 1 };
	}
	return accept_on_behalf(emulator, vm, parcel, &request);
}

uint32_t release_handle(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_back back;
	struct parcel *parcel;
	struct member *member;
	uint32_t error = ghrm_decode_back(payload, size, &back);

	if (error != GHRM_OK)
		return error;
	parcel = parcel_find(emulator, back.handle);
	if (!parcel)
		return GHRM_HANDLE_INVALID;
	member = parcel_member(parcel, vm->vmid);
	if (!member)
		return GHRM_HANDLE_INVALID;
	if (parcel->owner == vm)
		return GHRM_DENIED;
	if (!member->holds)
		return GHRM_MEM_RELEASED;
	if (back.flags & GHRM_BACK_SANITIZE) {
		if (parcel_is_io(parcel) || !(member->rights & GHRM_RIGHT_W))
			return GHRM_ARGUMENT_INVALID;
		parcel->sanitize_reclaim = true;
	}
	member_release(emulator, parcel, member);
	return GHRM_OK;
}
