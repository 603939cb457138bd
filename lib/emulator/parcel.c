/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Making parcels, adding to them, taking them back, finding them: the owner's requests. */
#include "emulator/internal.h"

int parcel_compare(const struct parcel *a, const struct parcel *b)
{
	return a->handle < b->handle ? -1 : a->handle > b->handle;
}

RB_GENERATE(parcel_tree, parcel, node, parcel_compare)

struct parcel *parcel_find(struct emulator *emulator, uint32_t handle)
{
	struct parcel key = { .handle = handle };

	return RB_FIND(parcel_tree, &emulator->parcels, &key);
}

struct member *parcel_member(struct parcel *parcel, uint16_t vmid)
{
	for (size_t i = 0; i < parcel->n_members; i++)
		if (parcel->members[i].vmid == vmid)
			return &parcel->members[i];
	return NULL;
}

/* Frees a parcel that is in no list and owns no page. */
static struct parcel *parcel_free(struct emulator *emulator, struct parcel *parcel)
{
	if (!parcel)
		return NULL;
	for (unsigned i = 0; parcel->slots && i < emulator->machine->max_mappings; i++)
		interval_map_clear(&parcel->slots[i].stale);
	for (size_t i = 0; parcel->members && i < parcel->n_members; i++)
		free(parcel->members[i].addresses);
	free(parcel->slots);
	free(parcel->members);
	free(parcel->attributes);
	free(parcel->regions);
	free(parcel);
	return NULL;
}

void parcel_forget(struct emulator *emulator, struct parcel *parcel)
{
	RB_REMOVE(parcel_tree, &emulator->parcels, parcel);
	TAILQ_REMOVE(&parcel->owner->owned, parcel, entry);
	parcel->owner->n_owned--;
	parcel_free(emulator, parcel);
}

/* The handle that the next create gets; consumed whether or not the create succeeds (§5.7). */
static uint32_t handle_next(struct emulator *emulator)
{
	while (emulator->next_handle == HANDLE_INVALID ||
		parcel_find(emulator, emulator->next_handle))
		emulator->next_handle++;
	return emulator->next_handle++;
}

/* §1: a VMID may stand in an access list when the platform knows it, present or not. */
static bool vmid_valid(struct emulator *emulator, uint16_t vmid)
{
	if (vmid == GHRM_VMID_HOST || vmid == GHRM_VMID_RM)
		return true;
	return vmid < MACHINE_VMIDS &&
	       (emulator->machine->access_list[vmid] || emulator->vms[vmid]);
}

static uint32_t check_acl(
	struct emulator *emulator, struct parcel *parcel, const struct ghrm_list *acl)
{
	uint8_t full = parcel_is_io(parcel) ? GHRM_RIGHT_R | GHRM_RIGHT_W : GHRM_RIGHT_RWX;
	bool seen[MACHINE_VMIDS] = { false };

	for (size_t i = 0; i < acl->count; i++) {
		struct ghrm_acl_entry entry = ghrm_acl_at(acl, i);
		struct member *member = &parcel->members[i];

		if (!vmid_valid(emulator, entry.vmid) || seen[entry.vmid])
			return GHRM_ARGUMENT_INVALID;
		if (entry.rights < GHRM_RIGHT_R || entry.rights > GHRM_RIGHT_RWX)
			return GHRM_ARGUMENT_INVALID;
		if (parcel_is_io(parcel) && entry.rights & GHRM_RIGHT_X)
			return GHRM_ARGUMENT_INVALID;
		if (parcel->trans_type == GHRM_TRANS_DONATE && entry.rights != full)
			return GHRM_DENIED;
		seen[entry.vmid] = true;
		member->vmid = entry.vmid;
		member->rights = entry.rights;
		member->attr = parcel_is_io(parcel) ? GHRM_ATTR_DEVICE : GHRM_ATTR_NORMAL;
		parcel->n_members++;
	}
	if (seen[parcel->owner->vmid] != (parcel->trans_type == GHRM_TRANS_SHARE))
		return GHRM_ARGUMENT_INVALID;
	return GHRM_OK;
}

static uint32_t check_attributes(struct parcel *parcel, const struct ghrm_list *attributes)
{
	for (size_t i = 0; i < attributes->count; i++) {
		struct ghrm_attribute entry = ghrm_attribute_at(attributes, i);
		struct member *member;

		for (size_t j = 0; j < i; j++)
			if (parcel->attributes[j].vmid == entry.vmid)
				return GHRM_ARGUMENT_INVALID;
		if (entry.attr > GHRM_ATTR_CACHED ||
			parcel_is_io(parcel) != (entry.attr == GHRM_ATTR_DEVICE))
			return GHRM_ARGUMENT_INVALID;
		if (parcel->trans_type == GHRM_TRANS_DONATE && entry.attr > GHRM_ATTR_DEVICE)
			return GHRM_ARGUMENT_INVALID;
		member = parcel_member(parcel, entry.vmid);
		if (!member)
			return GHRM_VMID_INVALID;
		member->attr = (uint8_t)entry.attr;
		parcel->attributes[i] = entry;
		parcel->n_attributes++;
	}
	return GHRM_OK;
}

static struct parcel *parcel_new(struct emulator *emulator, struct vm *owner,
	const struct ghrm_create *create, enum ghrm_trans_type trans_type)
{
	struct parcel *parcel = calloc(1, sizeof(*parcel));

	if (!parcel)
		return NULL;
	parcel->owner = owner;
	parcel->mem_type = create->mem_type;
	parcel->trans_type = trans_type;
	parcel->label = create->label;
	parcel->sanitize_create = create->flags & GHRM_CREATE_SANITIZE;
	parcel->extent.parcel = parcel;
	parcel->state = create->flags & GHRM_CREATE_APPEND ? PARCEL_INCOMPLETE : PARCEL_COMPLETE;
	parcel->members = calloc(create->acl.count, sizeof(*parcel->members));
	parcel->attributes = calloc(create->attributes.count + 1u, sizeof(*parcel->attributes));
	parcel->slots = calloc(emulator->machine->max_mappings, sizeof(*parcel->slots));
	if (!parcel->members || !parcel->attributes || !parcel->slots)
		return parcel_free(emulator, parcel);
	return parcel;
}

static uint32_t parcel_create(struct emulator *emulator, struct vm *vm, const uint8_t *payload,
	size_t size, enum ghrm_trans_type trans_type)
{
	struct ghrm_create create;
	struct parcel *parcel;
	uint32_t error = ghrm_decode_create(payload, size, &create);

	if (error != GHRM_OK)
		return error;
	if (create.acl.count == 0 || create.regions.count == 0)
		return GHRM_ARGUMENT_INVALID;
	if (trans_type == GHRM_TRANS_DONATE && create.acl.count > 1)
		return GHRM_ARGUMENT_INVALID;
	if (vm->n_owned >= emulator->machine->max_parcels)
		return GHRM_DENIED;
	if (create.flags & GHRM_CREATE_SANITIZE && create.mem_type == GHRM_MEM_IO)
		return GHRM_ARGUMENT_INVALID;
	parcel = parcel_new(emulator, vm, &create, trans_type);
	if (!parcel)
		return GHRM_NOMEM;
	parcel->handle = handle_next(emulator);
	error = check_acl(emulator, parcel, &create.acl);
	if (error == GHRM_OK)
		error = check_attributes(parcel, &create.attributes);
	if (error == GHRM_OK)
		error = regions_add(emulator, parcel, &create.regions);
	if (error != GHRM_OK) {
		parcel_free(emulator, parcel);
		return error;
	}
	RB_INSERT(parcel_tree, &emulator->parcels, parcel);
	TAILQ_INSERT_TAIL(&vm->owned, parcel, entry);
	vm->n_owned++;
	emulator->reply_size =
		ghrm_encode_reply_u32(emulator->reply, sizeof(emulator->reply), parcel->handle);
	return GHRM_OK;
}

uint32_t parcel_handle_donate(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	return parcel_create(emulator, vm, payload, size, GHRM_TRANS_DONATE);
}

uint32_t parcel_handle_lend(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	return parcel_create(emulator, vm, payload, size, GHRM_TRANS_LEND);
}

uint32_t parcel_handle_share(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	return parcel_create(emulator, vm, payload, size, GHRM_TRANS_SHARE);
}

uint32_t parcel_handle_append(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_append append;
	struct parcel *parcel;
	uint32_t error = ghrm_decode_append(payload, size, &append);

	if (error != GHRM_OK)
		return error;
	if (append.regions.count == 0)
		return GHRM_ARGUMENT_INVALID;
	parcel = parcel_find(emulator, append.handle);
	if (!parcel)
		return GHRM_HANDLE_INVALID;
	if (parcel->owner != vm || parcel->state != PARCEL_INCOMPLETE)
		return GHRM_DENIED;
	error = regions_add(emulator, parcel, &append.regions);
	if (error != GHRM_OK)
		return error;
	if (append.flags & GHRM_APPEND_END)
		parcel->state = PARCEL_COMPLETE;
	return GHRM_OK;
}

uint32_t parcel_handle_reclaim(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_back back;
	struct parcel *parcel;
	uint32_t error = ghrm_decode_back(payload, size, &back);

	if (error != GHRM_OK)
		return error;
	parcel = parcel_find(emulator, back.handle);
	if (!parcel)
		return GHRM_HANDLE_INVALID;
	if (parcel->owner != vm)
		return GHRM_DENIED;
	if (parcel->n_holders > 0)
		return GHRM_MEM_INUSE;
	if (back.flags & GHRM_BACK_SANITIZE && parcel_is_io(parcel))
		return GHRM_ARGUMENT_INVALID;
	if (back.flags & GHRM_BACK_SANITIZE)
		parcel->sanitize_reclaim = true;
	regions_return(emulator, parcel);
	parcel_forget(emulator, parcel);
	return GHRM_OK;
}

static bool lookup_matches(const struct parcel *parcel, const struct ghrm_lookup *lookup)
{
	if (parcel->state != PARCEL_COMPLETE || parcel->mem_type != lookup->mem_type ||
		parcel->n_members != lookup->acl.count ||
		parcel->n_regions != lookup->regions.count ||
		parcel->n_attributes != lookup->attributes.count)
		return false;
	for (size_t i = 0; i < parcel->n_members; i++) {
		struct ghrm_acl_entry entry = ghrm_acl_at(&lookup->acl, i);

		if (parcel->members[i].vmid != entry.vmid ||
			parcel->members[i].rights != entry.rights)
			return false;
	}
	for (size_t i = 0; i < parcel->n_regions; i++) {
		struct ghrm_region entry = ghrm_region_at(&lookup->regions, i);

		if (parcel->regions[i].ipa != entry.address ||
			region_size(&parcel->regions[i]) != entry.size)
			return false;
	}
	for (size_t i = 0; i < parcel->n_attributes; i++) {
		struct ghrm_attribute entry = ghrm_attribute_at(&lookup->attributes, i);

		if (parcel->attributes[i].vmid != entry.vmid ||
			parcel->attributes[i].attr != entry.attr)
			return false;
	}
	return true;
}

uint32_t parcel_handle_lookup(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_lookup lookup;
	struct parcel *parcel;
	uint32_t error = ghrm_decode_lookup(payload, size, &lookup);

	if (error != GHRM_OK)
		return error;
	TAILQ_FOREACH (parcel, &vm->owned, entry) {
		if (!lookup_matches(parcel, &lookup))
			continue;
		emulator->reply_size = ghrm_encode_reply_u32(
			emulator->reply, sizeof(emulator->reply), parcel->handle);
		return GHRM_OK;
	}
	return GHRM_LOOKUP_FAILED;
}

void emulator_parcels(struct emulator *emulator,
	void (*visit)(void *userdata, const struct emulator_parcel *parcel), void *userdata)
{
	static const char *const states[] = { [PARCEL_INCOMPLETE] = "incomplete",
		[PARCEL_COMPLETE] = "complete",
		[PARCEL_HELD] = "held" };
	struct parcel *parcel;

	RB_FOREACH (parcel, parcel_tree, &emulator->parcels) {
		struct emulator_parcel row = { .handle = parcel->handle,
			.owner = parcel->owner->vmid,
			.trans_type = (uint8_t)parcel->trans_type,
			.state = states[parcel->state],
			.regions = parcel->n_regions,
			.holders = parcel->n_holders };

		for (size_t i = 0; i < parcel->n_regions; i++)
			row.bytes += region_size(&parcel->regions[i]);
		visit(userdata, &row);
	}
}
