/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What a Resource Manager may send, through the client's joining rules, and every whole payload
 * through every decoder, the emulator's side included. Input: one byte of mode, then packets as
 * {u16 length, bytes}, little-endian (tests/fuzz/make-corpus.py writes such files).
 */
#include <stdint.h>

#include "ghrm/message.h"
#include "ghrm/packet.h"
#include "util/util.h"

/* Mode bit 0: wait for whatever reply comes; else for one fixed request only. */
#define MODE_ANY_REPLY 1

/* What entries are summed up into, so that no read of them can be left out. */
static volatile uint64_t sink;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void walk_acl(const struct ghrm_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		sink += ghrm_acl_at(list, i).vmid + ghrm_acl_at(list, i).rights;
}

static void walk_regions(const struct ghrm_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		sink += ghrm_region_at(list, i).address + ghrm_region_at(list, i).size;
}

static void walk_attributes(const struct ghrm_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		sink += ghrm_attribute_at(list, i).attr + ghrm_attribute_at(list, i).vmid;
}

static void walk_lists(const struct ghrm_list *acl, const struct ghrm_list *regions,
	const struct ghrm_list *attributes)
{
	require(acl->count <= GHRM_LIST_MAX && regions->count <= GHRM_LIST_MAX &&
		attributes->count <= GHRM_LIST_MAX);
	walk_acl(acl);
	walk_regions(regions);
	walk_attributes(attributes);
}

static void decode_requests(const uint8_t *payload, size_t size)
{
	struct ghrm_create create;
	struct ghrm_append append;
	struct ghrm_accept accept;
	struct ghrm_lookup lookup;
	struct ghrm_back back;
	struct ghrm_notify notify;
	struct ghrm_list targets;

	if (ghrm_decode_create(payload, size, &create) == GHRM_OK)
		walk_lists(&create.acl, &create.regions, &create.attributes);
	if (ghrm_decode_append(payload, size, &append) == GHRM_OK)
		walk_regions(&append.regions);
	if (ghrm_decode_accept(payload, size, &accept) == GHRM_OK)
		walk_lists(&accept.acl, &accept.regions, &accept.attributes);
	if (ghrm_decode_lookup(payload, size, &lookup) == GHRM_OK)
		walk_lists(&lookup.acl, &lookup.regions, &lookup.attributes);
	require((ghrm_decode_back(payload, size, &back) == GHRM_OK) == (size >= 8));
	require((ghrm_decode_notify(payload, size, &notify) == GHRM_OK) == (size >= 12));
	if (ghrm_decode_notify_targets(payload, size, &targets) == GHRM_OK)
		for (size_t i = 0; i < targets.count; i++)
			sink += ghrm_vmid_at(&targets, i);
}

static void decode_vm_requests(const uint8_t *payload, size_t size)
{
	struct ghrm_vm_stop stop;
	struct ghrm_vm_config_image config;
	struct ghrm_vm_set_status status;
	struct ghrm_vm_exit vm_exit;
	uint16_t vmid, reserved;

	require((ghrm_decode_vmid(payload, size, &vmid, &reserved) == GHRM_OK) == (size == 4));
	require((ghrm_decode_vm_stop(payload, size, &stop) == GHRM_OK) == (size == 8));
	require((ghrm_decode_vm_config_image(payload, size, &config) == GHRM_OK) == (size == 40));
	if (ghrm_decode_vm_auth_image(payload, size, &vmid) == GHRM_OK)
		require(size >= 4 && size % 8 == 4);
	require((ghrm_decode_vm_set_status(payload, size, &status) == GHRM_OK) == (size == 4));
	require((ghrm_decode_vm_exit(payload, size, &vm_exit) == GHRM_OK) == (size == 4));
}

static void decode_replies(const uint8_t *payload, size_t size)
{
	struct ghrm_vm_state state;
	struct ghrm_list regions;
	uint32_t error, value;
	bool incomplete;

	require(ghrm_decode_reply(payload, size, &error) == (size >= 4));
	if (ghrm_decode_reply_u32(payload, size, &error, &value))
		require(size == (error == GHRM_OK ? 8 : 4));
	if (ghrm_decode_reply_accept(payload, size, &error, &regions, &incomplete))
		walk_regions(&regions);
	if (ghrm_decode_reply_vm_state(payload, size, &error, &state))
		require(size == (error == GHRM_OK ? 8 : 4));
}

static void decode_notifications(const uint8_t *payload, size_t size)
{
	struct ghrm_shared shared;
	struct ghrm_participant participant;
	struct ghrm_notif_vm_status status;
	struct ghrm_notif_vm_exited exited;
	uint32_t handle, tag;

	if (ghrm_decode_shared(payload, size, &shared)) {
		walk_acl(&shared.acl);
		for (size_t i = 0; i < shared.sizes.count; i++)
			sink += ghrm_region_size_at(&shared.sizes, i);
		walk_attributes(&shared.attributes);
	}
	require(ghrm_decode_participant(payload, size, &participant) == (size == 12));
	require(ghrm_decode_recall(payload, size, &handle, &tag) == (size == 8));
	require(ghrm_decode_notif_vm_status(payload, size, &status) == (size == 8));
	require(ghrm_decode_notif_vm_shutdown(payload, size, &tag) == (size == 4));
	if (ghrm_decode_notif_vm_exited(payload, size, &exited))
		sink += exited.flags;
}

/* What was joined is cut and joined again: it must come out the same. */
static void cut_and_join(const struct ghrm_message *message)
{
	static struct ghrm_reassembly reassembly;
	size_t packets = ghrm_message_packets(message->size);
	uint8_t packet[GHRM_PACKET_MAX];
	struct ghrm_message joined;

	require(packets >= 1 && packets <= GHRM_PACKETS_MAX);
	for (size_t i = 0; i < packets; i++) {
		size_t size = ghrm_packet_encode(message, i, packet);
		enum ghrm_feed feed = ghrm_reassembly_feed(&reassembly, packet, size, &joined);

		require(feed == (i + 1 < packets ? GHRM_FEED_MORE : GHRM_FEED_MESSAGE));
	}
	require(joined.type == message->type && joined.seq == message->seq &&
		joined.msg_id == message->msg_id && joined.size == message->size &&
		memcmp(joined.payload, message->payload, joined.size) == 0);
}

static void whole_message(const struct ghrm_message *message)
{
	/* A copy of exactly that size, so that reading past it is noticed. */
	_cleanup_free_ uint8_t *payload = malloc(message->size ? message->size : 1);

	require(payload);
	memcpy(payload, message->payload, message->size);
	decode_requests(payload, message->size);
	decode_vm_requests(payload, message->size);
	decode_replies(payload, message->size);
	decode_notifications(payload, message->size);
	cut_and_join(message);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct ghrm_reassembly client, manager;
	struct ghrm_expected expected = { .waiting = true, .seq = 1, .msg_id = GHRM_MEM_RECLAIM };
	struct ghrm_message message;
	struct ghrm_header header;
	uint8_t mode;

	client.active = manager.active = false;
	if (size < 1)
		return 0;
	mode = *data++;
	size--;
	while (size >= 2) {
		size_t length = util_get_le16(data);
		bool aborted = false;

		data += 2;
		size -= 2;
		if (length > size)
			length = size;
		if (mode & MODE_ANY_REPLY && ghrm_packet_decode(data, length, &header) &&
			header.type == GHRM_REPLY) {
			expected.seq = header.seq;
			expected.msg_id = header.msg_id;
		}
		if (ghrm_client_feed(&client, &expected, data, length, &message, &aborted) ==
			GHRM_FEED_MESSAGE) {
			require(message.type == GHRM_REPLY || message.type == GHRM_NOTIFICATION);
			require(message.type != GHRM_REPLY || message.size >= 4);
			whole_message(&message);
		}
		if (ghrm_reassembly_feed(&manager, data, length, &message) == GHRM_FEED_MESSAGE)
			whole_message(&message);
		data += length;
		size -= length;
	}
	return 0;
}
