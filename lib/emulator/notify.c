/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* MEM_NOTIFY and the notifications that it causes (§3.6, §3.8 to §3.10). */
#include "emulator/internal.h"

static struct ghrm_participant participant_of(const struct parcel *parcel, uint16_t vmid)
{
	return (struct ghrm_participant){
		.handle = parcel->handle, .vmid = vmid, .tag = parcel->tagged ? parcel->tag : 0
	};
}

static void tell_owner(struct emulator *emulator, struct vm *owner, uint32_t msg_id,
	const struct ghrm_participant *participant)
{
	size_t size =
		ghrm_encode_participant(emulator->scratch, sizeof(emulator->scratch), participant);

	if (!vm_reachable(owner)) {
		emulator_log(emulator, "VM 0x%x cannot be told about parcel %u", owner->vmid,
			participant->handle);
		return;
	}
	link_notify(emulator, owner, msg_id, emulator->scratch, size);
}

void notify_owner(struct emulator *emulator, struct parcel *parcel, uint32_t msg_id, uint16_t vmid)
{
	struct ghrm_participant participant = participant_of(parcel, vmid);

	tell_owner(emulator, parcel->owner, msg_id, &participant);
}

static void notify_shared(struct emulator *emulator, struct parcel *parcel, struct vm *target)
{
	struct ghrm_acl_entry acl[GHRM_LIST_MAX];
	uint64_t sizes[GHRM_LIST_MAX];
	size_t n_sizes = parcel->n_regions < GHRM_LIST_MAX ? parcel->n_regions : GHRM_LIST_MAX;
	size_t size;

	for (size_t i = 0; i < parcel->n_members; i++)
		acl[i] = (struct ghrm_acl_entry){ parcel->members[i].vmid,
			parcel->members[i].rights };
	for (size_t i = 0; i < n_sizes; i++)
		sizes[i] = region_size(&parcel->regions[i]);
	size = ghrm_encode_shared(emulator->scratch, sizeof(emulator->scratch), parcel->handle,
		parcel->mem_type, (uint8_t)parcel->trans_type, parcel->sanitize_create,
		parcel->owner->vmid, parcel->label, parcel->tagged ? parcel->tag : 0, acl,
		parcel->n_members, sizes, n_sizes, parcel->attributes, parcel->n_attributes);
	link_notify(emulator, target, GHRM_NOTIF_MEM_SHARED, emulator->scratch, size);
}

static void notify_recall(struct emulator *emulator, struct parcel *parcel, struct vm *target)
{
	size_t size = ghrm_encode_recall(emulator->scratch, sizeof(emulator->scratch),
		parcel->handle, parcel->tagged ? parcel->tag : 0);

	link_notify(emulator, target, GHRM_NOTIF_MEM_RECALL, emulator->scratch, size);
}

/*
 * A VM in state READY is not told: the Resource Manager accepts for it what its boot configuration
 * wants (§5.9), which a parcel that is donated does not survive.
 */
static uint32_t notify_ready(struct emulator *emulator, struct parcel *parcel, struct vm *target)
{
	struct ghrm_participant participant = participant_of(parcel, target->vmid);
	struct vm *owner = parcel->owner;
	uint32_t msg_id = GHRM_NOTIF_MEM_ACCEPTED;

	if (!parcel_member(parcel, target->vmid)->holds) {
		const struct machine_device *device = boot_device(target, parcel);

		if (!device)
			return GHRM_MEM_RELEASED;
		if (accept_for_device(emulator, target, parcel, device) != GHRM_OK)
			msg_id = GHRM_NOTIF_MEM_RELEASED;
	}
	tell_owner(emulator, owner, msg_id, &participant);
	return GHRM_OK;
}

/* Nothing is sent unless all targets pass. */
static uint32_t check_targets(struct emulator *emulator, struct parcel *parcel, bool shared,
	const struct ghrm_list *targets)
{
	if (targets->count > parcel->n_members)
		return GHRM_ARGUMENT_INVALID;
	for (size_t i = 0; i < targets->count; i++) {
		uint16_t vmid = ghrm_vmid_at(targets, i);

		if (vmid != GHRM_VMID_RM && !vm_find(emulator, vmid))
			return GHRM_VMID_INVALID;
		if (!parcel_member(parcel, vmid))
			return GHRM_ARGUMENT_INVALID;
	}
	for (size_t i = 0; i < targets->count; i++) {
		struct vm *target = vm_find(emulator, ghrm_vmid_at(targets, i));

		if (shared && target && target->status == GHRM_VM_STATUS_READY)
			continue;
		if (!target || !vm_reachable(target))
			return emulator_fatal(emulator, GHRM_VMID_INVALID,
				"MEM_NOTIFY to a VM without message channel");
	}
	return GHRM_OK;
}

static uint32_t notify_targets(struct emulator *emulator, struct vm *vm, struct parcel *parcel,
	const struct ghrm_notify *notify, const uint8_t *payload, size_t size)
{
	bool shared = notify->flags == GHRM_NOTIFY_SHARED;
	struct ghrm_list targets;
	uint32_t error, result = GHRM_OK;

	if (parcel->owner != vm)
		return GHRM_DENIED;
	error = ghrm_decode_notify_targets(payload, size, &targets);
	if (error != GHRM_OK)
		return error;
	error = check_targets(emulator, parcel, shared, &targets);
	if (error != GHRM_OK)
		return error;
	if (shared && !parcel->tagged) {
		parcel->tagged = true;
		parcel->tag = notify->tag;
	}
	for (size_t i = 0; i < targets.count; i++) {
		struct vm *target = vm_find(emulator, ghrm_vmid_at(&targets, i));

		if (!shared) {
			notify_recall(emulator, parcel, target);
		} else if (target->status != GHRM_VM_STATUS_READY) {
			notify_shared(emulator, parcel, target);
		} else {
			error = notify_ready(emulator, parcel, target);
			if (error != GHRM_OK)
				result = error;
		}
	}
	return result;
}

static uint32_t notify_participant(struct emulator *emulator, struct vm *vm, struct parcel *parcel,
	const struct ghrm_notify *notify)
{
	struct member *member = parcel_member(parcel, vm->vmid);
	bool accepted = notify->flags == GHRM_NOTIFY_ACCEPTED;

	if (!member)
		return GHRM_HANDLE_INVALID;
	if (!accepted && member->holds)
		return GHRM_MEM_INUSE;
	if (accepted && !member->holds)
		return GHRM_MEM_RELEASED;
	notify_owner(emulator, parcel, accepted ? GHRM_NOTIF_MEM_ACCEPTED : GHRM_NOTIF_MEM_RELEASED,
		vm->vmid);
	return GHRM_OK;
}

uint32_t notify_handle(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_notify notify;
	struct parcel *parcel;
	uint32_t error = ghrm_decode_notify(payload, size, &notify);

	if (error != GHRM_OK)
		return error;
	parcel = parcel_find(emulator, notify.handle);
	if (!parcel)
		return GHRM_HANDLE_INVALID;
	if (parcel->tagged && parcel->tag != notify.tag)
		return GHRM_ARGUMENT_INVALID;
	switch (notify.flags) {
	case GHRM_NOTIFY_SHARED:
	case GHRM_NOTIFY_RECALL:
		return notify_targets(emulator, vm, parcel, &notify, payload, size);
	case GHRM_NOTIFY_ACCEPTED:
	case GHRM_NOTIFY_RELEASED: return notify_participant(emulator, vm, parcel, &notify);
	default: return GHRM_ARGUMENT_INVALID;
	}
}
