/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghrm/message.h"

#include "ghrm/wire.h"

const char *ghrm_msg_name(uint32_t msg_id)
{
	static const struct {
		enum ghrm_msg_id id;
		const char *name;
	} names[] = {
		{ GHRM_MEM_DONATE, "MEM_DONATE" },
		{ GHRM_MEM_ACCEPT, "MEM_ACCEPT" },
		{ GHRM_MEM_LEND, "MEM_LEND" },
		{ GHRM_MEM_SHARE, "MEM_SHARE" },
		{ GHRM_MEM_RELEASE, "MEM_RELEASE" },
		{ GHRM_MEM_RECLAIM, "MEM_RECLAIM" },
		{ GHRM_MEM_NOTIFY, "MEM_NOTIFY" },
		{ GHRM_MEM_APPEND, "MEM_APPEND" },
		{ GHRM_MEM_LOOKUP_SGL, "MEM_QCOM_LOOKUP_SGL" },
		{ GHRM_NOTIF_MEM_SHARED, "MEM_SHARED" },
		{ GHRM_NOTIF_MEM_RELEASED, "MEM_RELEASED" },
		{ GHRM_NOTIF_MEM_ACCEPTED, "MEM_ACCEPTED" },
		{ GHRM_NOTIF_MEM_RECALL, "MEM_RECALL" },
		{ GHRM_VM_ALLOCATE, "VM_ALLOCATE" },
		{ GHRM_VM_DEALLOCATE, "VM_DEALLOCATE" },
		{ GHRM_VM_START, "VM_START" },
		{ GHRM_VM_STOP, "VM_STOP" },
		{ GHRM_VM_RESET, "VM_RESET" },
		{ GHRM_VM_CONFIG_IMAGE, "VM_CONFIG_IMAGE" },
		{ GHRM_VM_AUTH_IMAGE, "VM_AUTH_IMAGE" },
		{ GHRM_VM_INIT, "VM_INIT" },
		{ GHRM_VM_GET_STATE, "VM_GET_STATE" },
		{ GHRM_VM_GET_VMID, "VM_GET_VMID" },
		{ GHRM_VM_SET_STATUS, "VM_SET_STATUS" },
		{ GHRM_VM_EXIT, "VM_EXIT" },
		{ GHRM_VM_HOST_GET_TYPE, "VM_HOST_GET_TYPE" },
		{ GHRM_NOTIF_VM_EXITED, "VM_EXITED" },
		{ GHRM_NOTIF_VM_SHUTDOWN, "VM_SHUTDOWN" },
		{ GHRM_NOTIF_VM_STATUS, "VM_STATUS" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].id == msg_id)
			return names[i].name;
	return NULL;
}

/* ---- requests: their length must be exact (§3.11) ---- */

static uint32_t request_finished(const struct wire_reader *reader)
{
	return wire_finished(reader) ? GHRM_OK : GHRM_MSG_INVALID;
}

size_t ghrm_encode_vmid(void *buffer, size_t room, uint16_t vmid)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u16(&writer, vmid);
	wire_put_u16(&writer, 0);
	return wire_written(&writer);
}

uint32_t ghrm_decode_vmid(
	const void *payload, size_t size, uint16_t *ret_vmid, uint16_t *ret_reserved)
{
	struct wire_reader reader = wire_reader(payload, size);
	uint16_t vmid = wire_u16(&reader), reserved = wire_u16(&reader);

	if (!wire_finished(&reader))
		return GHRM_MSG_INVALID;
	*ret_vmid = vmid;
	if (ret_reserved)
		*ret_reserved = reserved;
	return GHRM_OK;
}

size_t ghrm_encode_vm_stop(void *buffer, size_t room, const struct ghrm_vm_stop *stop)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u16(&writer, stop->vmid);
	wire_put_u8(&writer, stop->flags);
	wire_put_u8(&writer, 0);
	wire_put_u32(&writer, stop->reason);
	return wire_written(&writer);
}

uint32_t ghrm_decode_vm_stop(const void *payload, size_t size, struct ghrm_vm_stop *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_vm_stop){ 0 };
	ret->vmid = wire_u16(&reader);
	ret->flags = wire_u8(&reader);
	wire_skip(&reader, 1);
	ret->reason = wire_u32(&reader);
	return request_finished(&reader);
}

size_t ghrm_encode_vm_config_image(
	void *buffer, size_t room, const struct ghrm_vm_config_image *config)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u16(&writer, config->vmid);
	wire_put_u16(&writer, config->auth);
	wire_put_u32(&writer, config->handle);
	wire_put_u64(&writer, config->image_offset);
	wire_put_u64(&writer, config->image_size);
	wire_put_u64(&writer, config->dtb_offset);
	wire_put_u64(&writer, config->dtb_size);
	return wire_written(&writer);
}

uint32_t ghrm_decode_vm_config_image(
	const void *payload, size_t size, struct ghrm_vm_config_image *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_vm_config_image){ 0 };
	ret->vmid = wire_u16(&reader);
	ret->auth = wire_u16(&reader);
	ret->handle = wire_u32(&reader);
	ret->image_offset = wire_u64(&reader);
	ret->image_size = wire_u64(&reader);
	ret->dtb_offset = wire_u64(&reader);
	ret->dtb_size = wire_u64(&reader);
	return request_finished(&reader);
}

size_t ghrm_encode_vm_auth_image(void *buffer, size_t room, uint16_t vmid,
	const struct ghrm_vm_auth_parameter *parameters, uint16_t n)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u16(&writer, vmid);
	wire_put_u16(&writer, n);
	for (size_t i = 0; i < n; i++) {
		wire_put_u32(&writer, parameters[i].type);
		wire_put_u32(&writer, parameters[i].value);
	}
	return wire_written(&writer);
}

uint32_t ghrm_decode_vm_auth_image(const void *payload, size_t size, uint16_t *ret_vmid)
{
	struct wire_reader reader = wire_reader(payload, size);
	uint16_t vmid = wire_u16(&reader), n = wire_u16(&reader);

	wire_skip(&reader, n * 2 * sizeof(uint32_t));
	if (!wire_finished(&reader))
		return GHRM_MSG_INVALID;
	*ret_vmid = vmid;
	return GHRM_OK;
}

size_t ghrm_encode_vm_set_status(void *buffer, size_t room, const struct ghrm_vm_set_status *status)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u8(&writer, 0);
	wire_put_u8(&writer, status->os_status);
	wire_put_u16(&writer, status->app_status);
	return wire_written(&writer);
}

uint32_t ghrm_decode_vm_set_status(const void *payload, size_t size, struct ghrm_vm_set_status *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_vm_set_status){ 0 };
	wire_skip(&reader, 1);
	ret->os_status = wire_u8(&reader);
	ret->app_status = wire_u16(&reader);
	return request_finished(&reader);
}

size_t ghrm_encode_vm_exit(void *buffer, size_t room, const struct ghrm_vm_exit *exit)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u16(&writer, exit->flags);
	wire_put_u8(&writer, exit->code);
	wire_put_u8(&writer, exit->reserved);
	return wire_written(&writer);
}

uint32_t ghrm_decode_vm_exit(const void *payload, size_t size, struct ghrm_vm_exit *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_vm_exit){ 0 };
	ret->flags = wire_u16(&reader);
	ret->code = wire_u8(&reader);
	ret->reserved = wire_u8(&reader);
	return request_finished(&reader);
}

/* ---- replies and notifications ---- */

static void write_state(struct wire_writer *writer, const struct ghrm_vm_state *state)
{
	wire_put_u8(writer, state->vm_status);
	wire_put_u8(writer, state->os_status);
	wire_put_u16(writer, state->app_status);
}

static void read_state(struct wire_reader *reader, struct ghrm_vm_state *ret)
{
	ret->vm_status = wire_u8(reader);
	ret->os_status = wire_u8(reader);
	ret->app_status = wire_u16(reader);
}

size_t ghrm_encode_reply_vm_state(void *buffer, size_t room, const struct ghrm_vm_state *state)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, GHRM_OK);
	write_state(&writer, state);
	return wire_written(&writer);
}

bool ghrm_decode_reply_vm_state(
	const void *payload, size_t size, uint32_t *ret_error, struct ghrm_vm_state *ret)
{
	struct wire_reader reader = wire_reader(payload, size);
	struct ghrm_vm_state state = { 0 };
	uint32_t error = wire_u32(&reader);

	if (error == GHRM_OK)
		read_state(&reader, &state);
	if (!wire_finished(&reader))
		return false;
	*ret_error = error;
	if (error == GHRM_OK)
		*ret = state;
	return true;
}

size_t ghrm_encode_notif_vm_status(
	void *buffer, size_t room, const struct ghrm_notif_vm_status *status)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u16(&writer, status->vmid);
	wire_put_u16(&writer, 0);
	write_state(&writer, &status->state);
	return wire_written(&writer);
}

bool ghrm_decode_notif_vm_status(const void *payload, size_t size, struct ghrm_notif_vm_status *ret)
{
	struct wire_reader reader = wire_reader(payload, size);
	struct ghrm_notif_vm_status status = { 0 };

	status.vmid = wire_u16(&reader);
	wire_skip(&reader, 2);
	read_state(&reader, &status.state);
	if (!wire_finished(&reader))
		return false;
	*ret = status;
	return true;
}

size_t ghrm_encode_notif_vm_exited(
	void *buffer, size_t room, const struct ghrm_notif_vm_exited *exited)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u16(&writer, exited->vmid);
	wire_put_u16(&writer, exited->exit_type);
	wire_put_u32(&writer, 4);
	wire_put_u16(&writer, exited->flags);
	wire_put_u16(&writer, exited->code);
	return wire_written(&writer);
}

bool ghrm_decode_notif_vm_exited(const void *payload, size_t size, struct ghrm_notif_vm_exited *ret)
{
	struct wire_reader reader = wire_reader(payload, size);
	struct ghrm_notif_vm_exited exited = { 0 };
	uint32_t reason;

	exited.vmid = wire_u16(&reader);
	exited.exit_type = wire_u16(&reader);
	reason = wire_u32(&reader);
	if (reader.left != reason)
		return false;
	exited.flags = wire_u16(&reader);
	exited.code = wire_u16(&reader);
	if (reader.failed)
		return false;
	*ret = exited;
	return true;
}

size_t ghrm_encode_notif_vm_shutdown(void *buffer, size_t room, uint32_t reason)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, reason);
	return wire_written(&writer);
}

bool ghrm_decode_notif_vm_shutdown(const void *payload, size_t size, uint32_t *ret_reason)
{
	struct wire_reader reader = wire_reader(payload, size);
	uint32_t reason = wire_u32(&reader);

	if (!wire_finished(&reader))
		return false;
	*ret_reason = reason;
	return true;
}
