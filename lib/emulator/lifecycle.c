/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The VM life cycle as far as a memory broker sees it (§3.11, §5.8, §5.9). */
#include "emulator/internal.h"

#define HOST_TYPE       0x01000164u /* AArch64, Gunyah with Resource Manager, version 1 */
#define EXIT_CALL       0           /* exit types of VM_EXITED */
#define EXIT_FORCED     7
#define STOP_FORCE      1
#define OS_STATUS_LAST  7
#define STATIC_VMID_END 64

/* Every peer that runs is told; the only peer that the emulated VMs have is their owner. */
static void set_status(struct emulator *emulator, struct vm *vm, enum ghrm_vm_status status)
{
	struct vm *owner = vm_find(emulator, vm->owner);
	struct ghrm_notif_vm_status notification = { .vmid = vm->vmid };
	size_t size;

	vm->status = status;
	notification.state.vm_status = (uint8_t)status;
	notification.state.os_status = vm->os_status;
	notification.state.app_status = vm->app_status;
	size = ghrm_encode_notif_vm_status(
		emulator->scratch, sizeof(emulator->scratch), &notification);
	if (owner && owner->status == GHRM_VM_STATUS_RUNNING && owner->linked)
		link_notify(emulator, owner, GHRM_NOTIF_VM_STATUS, emulator->scratch, size);
}

static void send_exited(
	struct emulator *emulator, struct vm *vm, uint16_t type, uint16_t flags, uint16_t code)
{
	struct vm *owner = vm_find(emulator, vm->owner);
	struct ghrm_notif_vm_exited exited = {
		.vmid = vm->vmid, .exit_type = type, .flags = flags, .code = code
	};
	size_t size =
		ghrm_encode_notif_vm_exited(emulator->scratch, sizeof(emulator->scratch), &exited);

	if (owner && vm_reachable(owner))
		link_notify(emulator, owner, GHRM_NOTIF_VM_EXITED, emulator->scratch, size);
}

uint32_t lifecycle_allocate(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	uint16_t asked, vmid;
	struct vm *made;
	uint32_t error;

	if (vm->vmid != GHRM_VMID_HOST)
		return GHRM_DENIED;
	error = ghrm_decode_vmid(payload, size, &asked, NULL);
	if (error != GHRM_OK)
		return error;
	vmid = asked;
	if (asked == 0)
		for (vmid = DYNAMIC_FIRST; vmid <= DYNAMIC_LAST && emulator->vms[vmid];)
			vmid++;
	if (asked == 0 ? vmid > DYNAMIC_LAST
		       : vmid >= STATIC_VMID_END || !emulator->machine->access_list[vmid] ||
				 emulator->vms[vmid])
		return GHRM_NORESOURCE;
	if (vm_new_allocated(emulator, vmid, &made) < 0)
		return GHRM_NOMEM;
	if (asked == 0)
		emulator->reply_size =
			ghrm_encode_reply_u32(emulator->reply, sizeof(emulator->reply), vmid);
	return GHRM_OK;
}

uint32_t lifecycle_deallocate(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct vm *target;
	uint16_t vmid;
	uint32_t error = ghrm_decode_vmid(payload, size, &vmid, NULL);

	if (error != GHRM_OK)
		return error;
	target = vm_find(emulator, vmid);
	if (!target)
		return emulator_fatal(
			emulator, GHRM_VMID_INVALID, "VM_DEALLOCATE of an unknown VM");
	if (target->owner != vm->vmid)
		return GHRM_DENIED;
	if (target->reset != RESET_NONE ||
		(target->status != GHRM_VM_STATUS_LOAD && target->status != GHRM_VM_STATUS_RESET))
		return GHRM_VM_STATE;
	vm_destroy(emulator, target);
	return GHRM_OK;
}

/* The target of a {vmid, reserved} request; errors in the order payload, unknown, not the owner. */
static uint32_t find_target(struct emulator *emulator, struct vm *vm, uint16_t vmid,
	uint32_t not_owner, struct vm **ret)
{
	*ret = vm_find(emulator, vmid);
	if (!*ret)
		return GHRM_VMID_INVALID;
	return (*ret)->owner == vm->vmid ? GHRM_OK : not_owner;
}

/* The bytes of an image and its device tree must be inside the parcel. */
static bool inside(const struct parcel *parcel, uint64_t offset, uint64_t size)
{
	return offset <= parcel->total && size <= parcel->total - offset;
}

uint32_t lifecycle_config_image(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_vm_config_image image;
	struct parcel *parcel;
	struct vm *target;
	uint32_t error;

	if (vm->vmid != GHRM_VMID_HOST)
		return GHRM_DENIED;
	error = ghrm_decode_vm_config_image(payload, size, &image);
	if (error == GHRM_OK)
		error = find_target(emulator, vm, image.vmid, GHRM_DENIED, &target);
	if (error != GHRM_OK)
		return error;
	if (target->status != GHRM_VM_STATUS_LOAD && target->status != GHRM_VM_STATUS_RESET)
		return GHRM_VM_STATE;
	parcel = parcel_find(emulator, image.handle);
	if (!parcel || !parcel_member(parcel, image.vmid))
		return GHRM_MEM_INVALID;
	if (!inside(parcel, image.image_offset, image.image_size) ||
		!inside(parcel, image.dtb_offset, image.dtb_size) || image.auth > AUTH_ANDROID)
		return GHRM_ARGUMENT_INVALID;
	target->image = image;
	set_status(emulator, target,
		image.auth == AUTH_PLATFORM ? GHRM_VM_STATUS_AUTH : GHRM_VM_STATUS_INIT);
	return GHRM_OK;
}

/*
 * The image of a platform VM is authenticated by the caller's parameters, which mean something to
 * the platform only: here every image is genuine.
 */
uint32_t lifecycle_auth_image(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct vm *target;
	uint32_t error;
	uint16_t vmid;

	if (vm->vmid != GHRM_VMID_HOST)
		return GHRM_DENIED;
	error = ghrm_decode_vm_auth_image(payload, size, &vmid);
	if (error == GHRM_OK)
		error = find_target(emulator, vm, vmid, GHRM_DENIED, &target);
	if (error != GHRM_OK)
		return error;
	if (target->status != GHRM_VM_STATUS_AUTH)
		return GHRM_VM_STATE;
	set_status(emulator, target, GHRM_VM_STATUS_INIT);
	return GHRM_OK;
}

uint32_t lifecycle_init(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	uint16_t vmid, reserved;
	struct vm *target;
	uint32_t error;

	if (vm->vmid != GHRM_VMID_HOST)
		return GHRM_DENIED;
	error = ghrm_decode_vmid(payload, size, &vmid, &reserved);
	if (error == GHRM_OK && reserved != 0)
		error = GHRM_MSG_INVALID;
	if (error == GHRM_OK)
		error = find_target(emulator, vm, vmid, GHRM_DENIED, &target);
	if (error != GHRM_OK)
		return error;
	if (target->status != GHRM_VM_STATUS_INIT)
		return GHRM_VM_STATE;
	target->linked = true;
	set_status(emulator, target, GHRM_VM_STATUS_READY);
	return GHRM_OK;
}

uint32_t lifecycle_start(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct vm *target;
	uint16_t vmid;
	uint32_t error = ghrm_decode_vmid(payload, size, &vmid, NULL);

	if (error == GHRM_OK)
		error = find_target(emulator, vm, vmid, GHRM_DENIED, &target);
	if (error != GHRM_OK)
		return error;
	if (target->status != GHRM_VM_STATUS_READY)
		return GHRM_VM_STATE;
	if (!boot_accept(emulator, target)) {
		set_status(emulator, target, GHRM_VM_STATUS_INIT_FAILED);
		return GHRM_NORESOURCE;
	}
	set_status(emulator, target, GHRM_VM_STATUS_RUNNING);
	return GHRM_OK;
}

uint32_t lifecycle_stop(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_vm_stop stop;
	struct vm *target;
	size_t length;
	uint32_t error = ghrm_decode_vm_stop(payload, size, &stop);

	if (error == GHRM_OK)
		error = find_target(emulator, vm, stop.vmid, GHRM_VMID_INVALID, &target);
	if (error != GHRM_OK)
		return error;
	if (target->status != GHRM_VM_STATUS_RUNNING && target->status != GHRM_VM_STATUS_PAUSED)
		return GHRM_VM_STATE;
	if (stop.flags & STOP_FORCE) {
		set_status(emulator, target, GHRM_VM_STATUS_EXITED);
		send_exited(emulator, target, EXIT_FORCED, 0, 0);
		return GHRM_OK;
	}
	if (!target->linked)
		return emulator_fatal(emulator, GHRM_VM_STATE,
			"VM_STOP without force of a VM without message channel");
	length = ghrm_encode_notif_vm_shutdown(
		emulator->scratch, sizeof(emulator->scratch), stop.reason);
	link_notify(emulator, target, GHRM_NOTIF_VM_SHUTDOWN, emulator->scratch, length);
	return GHRM_OK;
}

uint32_t lifecycle_reset(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct vm *target;
	uint16_t vmid;
	uint32_t error = ghrm_decode_vmid(payload, size, &vmid, NULL);

	if (error == GHRM_OK)
		error = find_target(emulator, vm, vmid, GHRM_VMID_INVALID, &target);
	if (error != GHRM_OK)
		return error;
	if (target->status == GHRM_VM_STATUS_LOAD)
		return emulator_fatal(
			emulator, GHRM_VM_STATE, "VM_RESET of a VM that was never configured");
	if (target->reset != RESET_NONE || (target->status != GHRM_VM_STATUS_EXITED &&
						   target->status != GHRM_VM_STATUS_READY &&
						   target->status != GHRM_VM_STATUS_INIT_FAILED))
		return GHRM_VM_STATE;
	set_status(emulator, target, GHRM_VM_STATUS_RESETTING);
	target->reset = RESET_DEVICES;
	emulator->resetting++;
	return GHRM_OK;
}

bool lifecycle_release_newest(struct emulator *emulator, struct vm *vm)
{
	struct parcel *parcel;

	if (vm->n_held == 0)
		return false;
	parcel = vm->held[vm->n_held - 1].parcel;
	member_release(emulator, parcel, vm->held[vm->n_held - 1].member);
	notify_owner(emulator, parcel, GHRM_NOTIF_MEM_RELEASED, vm->vmid);
	return true;
}

bool lifecycle_step(struct emulator *emulator, struct vm *vm)
{
	switch (vm->reset) {
	case RESET_NONE: return false;
	case RESET_DEVICES:
		vm->linked = false;
		vm->reassembly.active = false;
		link_discard(&vm->link);
		if (emulator->ops.vm_reset)
			emulator->ops.vm_reset(emulator->userdata, vm->vmid);
		vm->reset = RESET_PARCELS;
		return true;
	case RESET_PARCELS:
		if (!lifecycle_release_newest(emulator, vm))
			vm->reset = RESET_DONE;
		return true;
	case RESET_DONE:
		vm->reset = RESET_NONE;
		emulator->resetting--;
		vm->os_status = 0;
		vm->app_status = 0;
		vm->image = (struct ghrm_vm_config_image){ 0 };
		set_status(emulator, vm, GHRM_VM_STATUS_RESET);
		return true;
	}
	return false;
}

uint32_t lifecycle_get_state(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_vm_state state;
	struct vm *target;
	uint16_t vmid;
	uint32_t error = ghrm_decode_vmid(payload, size, &vmid, NULL);

	if (error != GHRM_OK)
		return error;
	target = vmid == 0 ? vm : vm_find(emulator, vmid);
	if (!target)
		return GHRM_NORESOURCE;
	if (target != vm && target->owner != vm->vmid && vm->owner != target->vmid)
		return GHRM_DENIED;
	state = (struct ghrm_vm_state){ (uint8_t)target->status, target->os_status,
		target->app_status };
	emulator->reply_size =
		ghrm_encode_reply_vm_state(emulator->reply, sizeof(emulator->reply), &state);
	return GHRM_OK;
}

uint32_t lifecycle_get_vmid(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload _unused_, size_t size)
{
	if (size != 0)
		return GHRM_MSG_INVALID;
	emulator->reply_size =
		ghrm_encode_reply_u32(emulator->reply, sizeof(emulator->reply), vm->vmid);
	return GHRM_OK;
}

uint32_t lifecycle_host_get_type(struct emulator *emulator, struct vm *vm _unused_,
	const uint8_t *payload _unused_, size_t size)
{
	if (size != 0)
		return GHRM_MSG_INVALID;
	emulator->reply_size =
		ghrm_encode_reply_u32(emulator->reply, sizeof(emulator->reply), HOST_TYPE);
	return GHRM_OK;
}

uint32_t lifecycle_set_status(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_vm_set_status status;
	uint32_t error;

	if (vm->vmid == GHRM_VMID_HOST)
		return GHRM_DENIED;
	error = ghrm_decode_vm_set_status(payload, size, &status);
	if (error != GHRM_OK)
		return error;
	if (status.os_status > OS_STATUS_LAST)
		return GHRM_ARGUMENT_INVALID;
	vm->os_status = status.os_status;
	vm->app_status = status.app_status;
	set_status(emulator, vm, vm->status);
	return GHRM_OK;
}

uint32_t lifecycle_exit(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size)
{
	struct ghrm_vm_exit request;
	uint32_t error = ghrm_decode_vm_exit(payload, size, &request);

	if (error != GHRM_OK)
		return error;
	if (request.reserved != 0 || request.code > 4 || request.code == 2)
		return GHRM_MSG_INVALID;
	/* The primary VM's end is the platform's. */
	if (vm->vmid == GHRM_VMID_HOST)
		return GHRM_ARGUMENT_INVALID;
	if (vm->status != GHRM_VM_STATUS_RUNNING && vm->status != GHRM_VM_STATUS_PAUSED)
		return GHRM_VM_STATE;
	set_status(emulator, vm, GHRM_VM_STATUS_EXITED);
	send_exited(emulator, vm, EXIT_CALL, request.flags, request.code);
	return GHRM_OK;
}
