/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Life of an emulator, and the way of a packet from reassembly to its handler and its reply. */
#include "emulator/internal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

static const struct {
	uint32_t msg_id;
	request_handler *handler;
} handlers[] = {
	{ GHRM_MEM_DONATE, parcel_handle_donate },
	{ GHRM_MEM_ACCEPT, accept_handle },
	{ GHRM_MEM_LEND, parcel_handle_lend },
	{ GHRM_MEM_SHARE, parcel_handle_share },
	{ GHRM_MEM_RELEASE, release_handle },
	{ GHRM_MEM_RECLAIM, parcel_handle_reclaim },
	{ GHRM_MEM_NOTIFY, notify_handle },
	{ GHRM_MEM_APPEND, parcel_handle_append },
	{ GHRM_MEM_LOOKUP_SGL, parcel_handle_lookup },
	{ GHRM_VM_ALLOCATE, lifecycle_allocate },
	{ GHRM_VM_DEALLOCATE, lifecycle_deallocate },
	{ GHRM_VM_START, lifecycle_start },
	{ GHRM_VM_STOP, lifecycle_stop },
	{ GHRM_VM_RESET, lifecycle_reset },
	{ GHRM_VM_CONFIG_IMAGE, lifecycle_config_image },
	{ GHRM_VM_AUTH_IMAGE, lifecycle_auth_image },
	{ GHRM_VM_INIT, lifecycle_init },
	{ GHRM_VM_GET_STATE, lifecycle_get_state },
	{ GHRM_VM_GET_VMID, lifecycle_get_vmid },
	{ GHRM_VM_SET_STATUS, lifecycle_set_status },
	{ GHRM_VM_EXIT, lifecycle_exit },
	{ GHRM_VM_HOST_GET_TYPE, lifecycle_host_get_type },
};

int emulator_new(struct emulator **ret, const struct machine *machine, bool strict,
	const struct emulator_ops *ops, void *userdata)
{
	struct emulator *emulator = calloc(1, sizeof(*emulator));

	if (!emulator)
		return -ENOMEM;
	emulator->machine = machine;
	emulator->strict = strict;
	emulator->userdata = userdata;
	if (ops)
		emulator->ops = *ops;
	RB_INIT(&emulator->parcels);
	for (size_t i = 0; i < machine->n_vms; i++) {
		int r = vm_new(emulator, &machine->vms[i], &emulator->vms[machine->vms[i].vmid]);

		if (r < 0) {
			emulator_free(emulator);
			return r;
		}
	}
	*ret = emulator;
	return 0;
}

struct emulator *emulator_free(struct emulator *emulator)
{
	struct parcel *parcel, *next;

	if (!emulator)
		return NULL;
	RB_FOREACH_SAFE (parcel, parcel_tree, &emulator->parcels, next)
		parcel_forget(emulator, parcel);
	for (size_t i = 0; i < MACHINE_VMIDS; i++)
		vm_free(emulator, emulator->vms[i]);
	interval_map_clear(&emulator->ownership);
	free(emulator);
	return NULL;
}

bool emulator_dead(const struct emulator *emulator)
{
	return emulator->dead;
}

struct vm *vm_find(struct emulator *emulator, uint16_t vmid)
{
	return vmid < MACHINE_VMIDS ? emulator->vms[vmid] : NULL;
}

bool emulator_vm_exists(const struct emulator *emulator, uint16_t vmid)
{
	return vmid < MACHINE_VMIDS && emulator->vms[vmid];
}

void emulator_log(struct emulator *emulator, const char *format, ...)
{
	char line[256];
	va_list args;

	if (!emulator->ops.log)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	emulator->ops.log(emulator->userdata, line);
}

uint32_t emulator_fatal(struct emulator *emulator, uint32_t error, const char *what)
{
	emulator_log(emulator, "%s: the published Resource Manager does not survive this%s", what,
		emulator->strict ? "; the platform ends" : "");
	emulator->dead = emulator->strict;
	return error;
}

static uint32_t execute(
	struct emulator *emulator, struct vm *vm, const struct ghrm_message *request)
{
	uint32_t error;

	emulator->reply_size = 0;
	if (emulator->ops.refuse &&
		emulator->ops.refuse(emulator->userdata, vm->vmid, request->msg_id, &error))
		return error;
	for (size_t i = 0; i < ARRAY_SIZE(handlers); i++)
		if (handlers[i].msg_id == request->msg_id)
			return handlers[i].handler(emulator, vm, request->payload, request->size);
	return GHRM_UNIMPLEMENTED;
}

static void dispatch(struct emulator *emulator, uint16_t vmid, const struct ghrm_message *request)
{
	struct ghrm_message reply = { .type = GHRM_REPLY,
		.seq = request->seq,
		.msg_id = request->msg_id,
		.payload = emulator->reply };
	uint32_t error = execute(emulator, vm_find(emulator, vmid), request);
	struct vm *vm = vm_find(emulator, vmid);

	if (emulator->dead || !vm)
		return;
	reply.size = emulator->reply_size;
	if (error != GHRM_OK || reply.size == 0)
		reply.size = ghrm_encode_reply(emulator->reply, sizeof(emulator->reply), error);
	if (emulator->ops.withhold && emulator->ops.withhold(emulator->userdata, vmid, &reply))
		return;
	link_reply(emulator, vm, &reply);
}

void emulator_feed(struct emulator *emulator, uint16_t vmid, const void *packet, size_t size)
{
	struct vm *vm = vm_find(emulator, vmid);
	struct ghrm_message message;

	if (!vm || !vm->linked || emulator->dead)
		return;
	if (ghrm_reassembly_feed(&vm->reassembly, packet, size, &message) != GHRM_FEED_MESSAGE)
		return;
	if (emulator->ops.message)
		emulator->ops.message(emulator->userdata, EMULATOR_RECEIVED, vmid, &message);
	if (message.type == GHRM_REQUEST)
		dispatch(emulator, vmid, &message);
}

bool emulator_busy(const struct emulator *emulator)
{
	return emulator->resetting > 0 && !emulator->dead;
}

bool emulator_step(struct emulator *emulator)
{
	for (size_t i = 0; i < MACHINE_VMIDS && emulator_busy(emulator); i++)
		if (emulator->vms[i] && lifecycle_step(emulator, emulator->vms[i]))
			return true;
	return false;
}

size_t emulator_reset_borrower(struct emulator *emulator, uint16_t vmid)
{
	struct vm *vm = vm_find(emulator, vmid);
	size_t steps = 0;

	if (!vm)
		return 0;
	while (lifecycle_release_newest(emulator, vm))
		steps++;
	return steps > 0 ? steps : 1;
}

bool emulator_set_state(struct emulator *emulator, uint16_t vmid, unsigned state)
{
	struct vm *vm = vm_find(emulator, vmid);

	if (!vm || state > GHRM_VM_STATUS_RESET)
		return false;
	vm->status = (enum ghrm_vm_status)state;
	if (vm->status == GHRM_VM_STATUS_READY || vm->status == GHRM_VM_STATUS_RUNNING)
		vm->linked = true;
	return true;
}

bool emulator_stat(struct emulator *emulator, uint16_t vmid, struct emulator_stat *ret)
{
	struct vm *vm = vm_find(emulator, vmid);

	if (!vm)
		return false;
	*ret = (struct emulator_stat){ .owned_parcels = vm->n_owned,
		.accepted = vm->n_held,
		.zeroed_pages = emulator->zeroed_pages };
	return true;
}

uint32_t emulator_foreign_lend(struct emulator *emulator, uint16_t vmid, uint64_t address,
	uint64_t size, uint32_t *ret_handle)
{
	struct ghrm_acl_entry acl = { vmid, GHRM_RIGHT_R | GHRM_RIGHT_W };
	struct ghrm_region region = { address, size };
	uint8_t payload[64];
	size_t length = ghrm_encode_create(
		payload, sizeof(payload), GHRM_MEM_NORMAL, 0, 0xf0e1, &acl, 1, &region, 1, NULL, 0);
	uint32_t error;

	emulator->reply_size = 0;
	error = parcel_handle_lend(emulator, vm_find(emulator, GHRM_VMID_HOST), payload, length);
	if (error == GHRM_OK &&
		!ghrm_decode_reply_u32(emulator->reply, emulator->reply_size, &error, ret_handle))
		error = GHRM_NOMEM;
	return error;
}
