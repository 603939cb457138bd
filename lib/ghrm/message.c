/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghrm/message.h"

#include "ghrm/wire.h"

/* §2.9 */
enum {
	LIST_HEADER = 4,
	ACL_ENTRY = 4,
	REGION_ENTRY = 16,
	ATTRIBUTE_ENTRY = 4,
	VMID_ENTRY = 4,
	SIZE_ENTRY = 8, /* §3.8 */
};

/* §3: the shortest payload that the Resource Manager looks into. */
enum {
	CREATE_MIN = 20,
	APPEND_MIN = 12,
	ACCEPT_MIN = 24,
	BACK_MIN = 8,
	NOTIFY_MIN = 12,
	NOTIFY_LIST_MIN = 16,
	LOOKUP_MIN = 16,
	SHARED_MIN = 32,
};

/* ---- lists ---- */

struct ghrm_acl_entry ghrm_acl_at(const struct ghrm_list *list, size_t i)
{
	const uint8_t *at = list->data + i * ACL_ENTRY;

	return (struct ghrm_acl_entry){ .vmid = util_get_le16(at), .rights = at[2] };
}

struct ghrm_region ghrm_region_at(const struct ghrm_list *list, size_t i)
{
	const uint8_t *at = list->data + i * REGION_ENTRY;

	return (struct ghrm_region){ .address = util_get_le64(at), .size = util_get_le64(at + 8) };
}

struct ghrm_attribute ghrm_attribute_at(const struct ghrm_list *list, size_t i)
{
	const uint8_t *at = list->data + i * ATTRIBUTE_ENTRY;

	return (struct ghrm_attribute){ .attr = util_get_le16(at), .vmid = util_get_le16(at + 2) };
}

uint16_t ghrm_vmid_at(const struct ghrm_list *list, size_t i)
{
	return util_get_le16(list->data + i * VMID_ENTRY);
}

uint64_t ghrm_region_size_at(const struct ghrm_list *list, size_t i)
{
	return util_get_le64(list->data + i * SIZE_ENTRY);
}

/* The four rules of §2.9, in their order. */
static uint32_t read_list(struct wire_reader *reader, size_t entry, struct ghrm_list *ret)
{
	*ret = (struct ghrm_list){ 0 };
	if (reader->left == 0)
		return GHRM_OK;
	if (reader->left < LIST_HEADER)
		return GHRM_MSG_INVALID;
	ret->count = wire_u16(reader);
	ret->second = wire_u16(reader);
	if (ret->count > GHRM_LIST_MAX)
		return GHRM_NORESOURCE;
	ret->data = wire_take(reader, ret->count * entry);
	return reader->failed ? GHRM_MSG_INVALID : GHRM_OK;
}

/* The lists that most requests end with, and nothing after them. */
static uint32_t read_lists(struct wire_reader *reader, struct ghrm_list *acl,
	struct ghrm_list *regions, struct ghrm_list *attributes)
{
	uint32_t error;

	error = read_list(reader, ACL_ENTRY, acl);
	if (error == GHRM_OK)
		error = read_list(reader, REGION_ENTRY, regions);
	if (error == GHRM_OK)
		error = read_list(reader, ATTRIBUTE_ENTRY, attributes);
	if (error != GHRM_OK)
		return error;
	return wire_finished(reader) ? GHRM_OK : GHRM_MSG_INVALID;
}

static void write_count(struct wire_writer *writer, size_t n)
{
	if (n > UINT16_MAX)
		writer->failed = true;
	wire_put_u16(writer, (uint16_t)n);
	wire_put_u16(writer, 0);
}

static void write_acl(struct wire_writer *writer, const struct ghrm_acl_entry *acl, size_t n)
{
	write_count(writer, n);
	for (size_t i = 0; i < n && !writer->failed; i++) {
		wire_put_u16(writer, acl[i].vmid);
		wire_put_u8(writer, acl[i].rights);
		wire_put_u8(writer, 0);
	}
}

static void write_regions(struct wire_writer *writer, const struct ghrm_region *regions, size_t n)
{
	write_count(writer, n);
	for (size_t i = 0; i < n && !writer->failed; i++) {
		wire_put_u64(writer, regions[i].address);
		wire_put_u64(writer, regions[i].size);
	}
}

static void write_attributes(
	struct wire_writer *writer, const struct ghrm_attribute *attributes, size_t n)
{
	write_count(writer, n);
	for (size_t i = 0; i < n && !writer->failed; i++) {
		wire_put_u16(writer, attributes[i].attr);
		wire_put_u16(writer, attributes[i].vmid);
	}
}

/* ---- create, append ---- */

size_t ghrm_encode_create(void *buffer, size_t room, uint8_t mem_type, uint8_t flags,
	uint32_t label, const struct ghrm_acl_entry *acl, size_t n_acl,
	const struct ghrm_region *regions, size_t n_regions,
	const struct ghrm_attribute *attributes, size_t n_attributes)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u8(&writer, mem_type);
	wire_put_u8(&writer, 0);
	wire_put_u8(&writer, flags);
	wire_put_u8(&writer, 0);
	wire_put_u32(&writer, label);
	write_acl(&writer, acl, n_acl);
	write_regions(&writer, regions, n_regions);
	write_attributes(&writer, attributes, n_attributes);
	return wire_written(&writer);
}

uint32_t ghrm_decode_create(const void *payload, size_t size, struct ghrm_create *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_create){ 0 };
	if (size < CREATE_MIN)
		return GHRM_MSG_INVALID;
	ret->mem_type = wire_u8(&reader);
	wire_skip(&reader, 1);
	ret->flags = wire_u8(&reader);
	wire_skip(&reader, 1);
	ret->label = wire_u32(&reader);
	return read_lists(&reader, &ret->acl, &ret->regions, &ret->attributes);
}

size_t ghrm_encode_append(void *buffer, size_t room, uint32_t handle, uint8_t flags,
	const struct ghrm_region *regions, size_t n_regions)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, handle);
	wire_put_u8(&writer, flags);
	wire_put_zero(&writer, 3);
	write_regions(&writer, regions, n_regions);
	return wire_written(&writer);
}

uint32_t ghrm_decode_append(const void *payload, size_t size, struct ghrm_append *ret)
{
	struct wire_reader reader = wire_reader(payload, size);
	uint32_t error;

	*ret = (struct ghrm_append){ 0 };
	if (size < APPEND_MIN)
		return GHRM_MSG_INVALID;
	ret->handle = wire_u32(&reader);
	ret->flags = wire_u8(&reader);
	wire_skip(&reader, 3);
	error = read_list(&reader, REGION_ENTRY, &ret->regions);
	if (error != GHRM_OK)
		return error;
	return wire_finished(&reader) ? GHRM_OK : GHRM_MSG_INVALID;
}

/* ---- accept, release, reclaim ---- */

size_t ghrm_encode_accept(void *buffer, size_t room, uint32_t handle, uint8_t mem_type,
	uint8_t trans_type, uint8_t flags, uint32_t label, const struct ghrm_acl_entry *acl,
	size_t n_acl, const struct ghrm_region *regions, size_t n_regions,
	const struct ghrm_attribute *attributes, size_t n_attributes)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, handle);
	wire_put_u8(&writer, mem_type);
	wire_put_u8(&writer, trans_type);
	wire_put_u8(&writer, flags);
	wire_put_u8(&writer, 0);
	wire_put_u32(&writer, label);
	write_acl(&writer, acl, n_acl);
	write_regions(&writer, regions, n_regions);
	write_attributes(&writer, attributes, n_attributes);
	return wire_written(&writer);
}

uint32_t ghrm_decode_accept(const void *payload, size_t size, struct ghrm_accept *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_accept){ 0 };
	if (size < ACCEPT_MIN)
		return GHRM_MSG_INVALID;
	ret->handle = wire_u32(&reader);
	ret->mem_type = wire_u8(&reader);
	ret->trans_type = wire_u8(&reader);
	ret->flags = wire_u8(&reader);
	wire_skip(&reader, 1);
	ret->label = wire_u32(&reader);
	return read_lists(&reader, &ret->acl, &ret->regions, &ret->attributes);
}

size_t ghrm_encode_back(void *buffer, size_t room, uint32_t handle, uint8_t flags)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, handle);
	wire_put_u8(&writer, flags);
	wire_put_zero(&writer, 3);
	return wire_written(&writer);
}

uint32_t ghrm_decode_back(const void *payload, size_t size, struct ghrm_back *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_back){ 0 };
	if (size < BACK_MIN)
		return GHRM_MSG_INVALID;
	ret->handle = wire_u32(&reader);
	ret->flags = wire_u8(&reader);
	return GHRM_OK;
}

/* ---- notify, lookup ---- */

size_t ghrm_encode_notify(void *buffer, size_t room, uint32_t handle, uint8_t flags, uint32_t tag,
	const uint16_t *targets, size_t n_targets)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, handle);
	wire_put_u8(&writer, flags);
	wire_put_zero(&writer, 3);
	wire_put_u32(&writer, tag);
	if (n_targets)
		write_count(&writer, n_targets);
	for (size_t i = 0; i < n_targets && !writer.failed; i++) {
		wire_put_u16(&writer, targets[i]);
		wire_put_u16(&writer, 0);
	}
	return wire_written(&writer);
}

uint32_t ghrm_decode_notify(const void *payload, size_t size, struct ghrm_notify *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_notify){ 0 };
	if (size < NOTIFY_MIN)
		return GHRM_MSG_INVALID;
	ret->handle = wire_u32(&reader);
	ret->flags = wire_u8(&reader);
	wire_skip(&reader, 3);
	ret->tag = wire_u32(&reader);
	return GHRM_OK;
}

uint32_t ghrm_decode_notify_targets(const void *payload, size_t size, struct ghrm_list *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_list){ 0 };
	if (size < NOTIFY_LIST_MIN)
		return GHRM_MSG_INVALID;
	wire_skip(&reader, NOTIFY_MIN);
	ret->count = wire_u16(&reader);
	ret->second = wire_u16(&reader);
	if (ret->count == 0)
		return GHRM_ARGUMENT_INVALID;
	/* Not one of §2.9's lists: no limit of 512, and what follows it is ignored (§3.6). */
	ret->data = wire_take(&reader, (size_t)ret->count * VMID_ENTRY);
	return ret->data ? GHRM_OK : GHRM_MSG_INVALID;
}

size_t ghrm_encode_lookup(void *buffer, size_t room, uint8_t mem_type, uint32_t label,
	const struct ghrm_acl_entry *acl, size_t n_acl, const struct ghrm_region *regions,
	size_t n_regions)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u8(&writer, mem_type);
	wire_put_zero(&writer, 3);
	wire_put_u32(&writer, label);
	write_acl(&writer, acl, n_acl);
	write_regions(&writer, regions, n_regions);
	return wire_written(&writer);
}

uint32_t ghrm_decode_lookup(const void *payload, size_t size, struct ghrm_lookup *ret)
{
	struct wire_reader reader = wire_reader(payload, size);

	*ret = (struct ghrm_lookup){ 0 };
	if (size < LOOKUP_MIN)
		return GHRM_MSG_INVALID;
	ret->mem_type = wire_u8(&reader);
	wire_skip(&reader, 3);
	ret->label = wire_u32(&reader);
	return read_lists(&reader, &ret->acl, &ret->regions, &ret->attributes);
}

/* ---- replies ---- */

size_t ghrm_encode_reply(void *buffer, size_t room, uint32_t error)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, error);
	return wire_written(&writer);
}

size_t ghrm_encode_reply_u32(void *buffer, size_t room, uint32_t value)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, GHRM_OK);
	wire_put_u32(&writer, value);
	return wire_written(&writer);
}

size_t ghrm_encode_reply_accept(void *buffer, size_t room, const struct ghrm_region *regions,
	size_t n_regions, bool incomplete)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, GHRM_OK);
	if (n_regions > UINT16_MAX)
		return 0;
	wire_put_u16(&writer, (uint16_t)n_regions);
	wire_put_u8(&writer, incomplete);
	wire_put_u8(&writer, 0);
	for (size_t i = 0; i < n_regions && !writer.failed; i++) {
		wire_put_u64(&writer, regions[i].address);
		wire_put_u64(&writer, regions[i].size);
	}
	return wire_written(&writer);
}

bool ghrm_decode_reply(const void *payload, size_t size, uint32_t *ret_error)
{
	if (size < sizeof(*ret_error))
		return false;
	*ret_error = util_get_le32(payload);
	return true;
}

bool ghrm_decode_reply_u32(
	const void *payload, size_t size, uint32_t *ret_error, uint32_t *ret_value)
{
	struct wire_reader reader = wire_reader(payload, size);
	uint32_t error = wire_u32(&reader), value = 0;

	if (error == GHRM_OK)
		value = wire_u32(&reader);
	if (!wire_finished(&reader))
		return false;
	*ret_error = error;
	if (error == GHRM_OK)
		*ret_value = value;
	return true;
}

bool ghrm_decode_reply_accept(const void *payload, size_t size, uint32_t *ret_error,
	struct ghrm_list *ret_regions, bool *ret_incomplete)
{
	struct wire_reader reader = wire_reader(payload, size);
	struct ghrm_list regions = { 0 };
	uint32_t error = wire_u32(&reader);
	uint8_t flags = 0;

	if (error == GHRM_OK) {
		regions.count = wire_u16(&reader);
		flags = wire_u8(&reader);
		wire_skip(&reader, 1);
		regions.data = wire_take(&reader, (size_t)regions.count * REGION_ENTRY);
	}
	if (!wire_finished(&reader))
		return false;
	*ret_error = error;
	*ret_regions = regions;
	*ret_incomplete = flags & 1;
	return true;
}

/* ---- notifications ---- */

size_t ghrm_encode_shared(void *buffer, size_t room, uint32_t handle, uint8_t mem_type,
	uint8_t trans_type, bool sanitized, uint16_t owner, uint32_t label, uint32_t tag,
	const struct ghrm_acl_entry *acl, size_t n_acl, const uint64_t *sizes, size_t n_sizes,
	const struct ghrm_attribute *attributes, size_t n_attributes)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, handle);
	wire_put_u8(&writer, mem_type);
	wire_put_u8(&writer, trans_type);
	wire_put_u8(&writer, sanitized);
	wire_put_u8(&writer, 0);
	wire_put_u16(&writer, owner);
	wire_put_u16(&writer, 0);
	wire_put_u32(&writer, label);
	wire_put_u32(&writer, tag);
	write_acl(&writer, acl, n_acl);
	write_count(&writer, n_sizes);
	for (size_t i = 0; i < n_sizes && !writer.failed; i++)
		wire_put_u64(&writer, sizes[i]);
	write_attributes(&writer, attributes, n_attributes);
	return wire_written(&writer);
}

bool ghrm_decode_shared(const void *payload, size_t size, struct ghrm_shared *ret)
{
	struct wire_reader reader = wire_reader(payload, size);
	struct ghrm_shared shared = { 0 };

	if (size < SHARED_MIN)
		return false;
	shared.handle = wire_u32(&reader);
	shared.mem_type = wire_u8(&reader);
	shared.trans_type = wire_u8(&reader);
	shared.flags = wire_u8(&reader);
	wire_skip(&reader, 1);
	shared.owner = wire_u16(&reader);
	wire_skip(&reader, 2);
	shared.label = wire_u32(&reader);
	shared.tag = wire_u32(&reader);
	/* Unlike in requests no list may be left out: §3.8's total size has all three heads. */
	if (read_list(&reader, ACL_ENTRY, &shared.acl) != GHRM_OK || reader.left == 0 ||
		read_list(&reader, SIZE_ENTRY, &shared.sizes) != GHRM_OK || reader.left == 0 ||
		read_list(&reader, ATTRIBUTE_ENTRY, &shared.attributes) != GHRM_OK ||
		!wire_finished(&reader))
		return false;
	*ret = shared;
	return true;
}

size_t ghrm_encode_participant(
	void *buffer, size_t room, const struct ghrm_participant *participant)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, participant->handle);
	wire_put_u16(&writer, participant->vmid);
	wire_put_u16(&writer, 0);
	wire_put_u32(&writer, participant->tag);
	return wire_written(&writer);
}

bool ghrm_decode_participant(const void *payload, size_t size, struct ghrm_participant *ret)
{
	struct wire_reader reader = wire_reader(payload, size);
	struct ghrm_participant participant = { 0 };

	participant.handle = wire_u32(&reader);
	participant.vmid = wire_u16(&reader);
	wire_skip(&reader, 2);
	participant.tag = wire_u32(&reader);
	if (!wire_finished(&reader))
		return false;
	*ret = participant;
	return true;
}

size_t ghrm_encode_recall(void *buffer, size_t room, uint32_t handle, uint32_t tag)
{
	struct wire_writer writer = wire_writer(buffer, room);

	wire_put_u32(&writer, handle);
	wire_put_u32(&writer, tag);
	return wire_written(&writer);
}

bool ghrm_decode_recall(const void *payload, size_t size, uint32_t *ret_handle, uint32_t *ret_tag)
{
	struct wire_reader reader = wire_reader(payload, size);
	uint32_t handle = wire_u32(&reader), tag = wire_u32(&reader);

	if (!wire_finished(&reader))
		return false;
	*ret_handle = handle;
	*ret_tag = tag;
	return true;
}
