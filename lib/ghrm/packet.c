/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghrm/packet.h"

#include <assert.h>

#include "util/util.h"

#define API_BYTE 0x21 /* §2.2: version 1, header of two words */

static_assert(GHRM_PACKET_MAX == GHRM_HEADER_SIZE + GHRM_CONTENT_MAX, "§2.3");
static_assert(GHRM_PAYLOAD_MAX == GHRM_PACKETS_MAX * GHRM_CONTENT_MAX, "§2.3");
static_assert(GHRM_SEND_MAX == GHRM_FRAGMENTS_MAX * GHRM_CONTENT_MAX, "§2.3");

bool ghrm_packet_decode(const void *packet, size_t size, struct ghrm_header *ret)
{
	const uint8_t *bytes = packet;
	uint8_t fragments;

	if (size < GHRM_HEADER_SIZE || size > GHRM_PACKET_MAX || bytes[0] != API_BYTE)
		return false;
	fragments = bytes[1] >> 2;
	if (fragments > GHRM_FRAGMENTS_MAX)
		return false;
	*ret = (struct ghrm_header){
		.type = (enum ghrm_packet_type)(bytes[1] & 3),
		.fragments = fragments,
		.seq = util_get_le16(bytes + 2),
		.msg_id = util_get_le32(bytes + 4),
	};
	return true;
}

size_t ghrm_message_packets(size_t size)
{
	if (size > GHRM_PAYLOAD_MAX)
		return 0;
	return size ? (size + GHRM_CONTENT_MAX - 1) / GHRM_CONTENT_MAX : 1;
}

size_t ghrm_packet_encode(
	const struct ghrm_message *message, size_t index, uint8_t packet[static GHRM_PACKET_MAX])
{
	size_t from = index * GHRM_CONTENT_MAX;
	size_t content = from < message->size ? message->size - from : 0;
	uint8_t fragments = (uint8_t)(ghrm_message_packets(message->size) - 1);
	uint8_t type = index == 0 ? (uint8_t)message->type : GHRM_CONTINUATION;

	if (content > GHRM_CONTENT_MAX)
		content = GHRM_CONTENT_MAX;
	packet[0] = API_BYTE;
	packet[1] = (uint8_t)(fragments << 2 | type);
	util_put_le16(packet + 2, message->seq);
	util_put_le32(packet + 4, message->msg_id);
	if (content)
		memcpy(packet + GHRM_HEADER_SIZE, message->payload + from, content);
	return GHRM_HEADER_SIZE + content;
}

static enum ghrm_feed reassembly_add(struct ghrm_reassembly *reassembly, const uint8_t *packet,
	size_t size, struct ghrm_message *ret)
{
	size_t content = size - GHRM_HEADER_SIZE;

	/* Fits always: at most 63 packets of at most 232 bytes each. */
	memcpy(reassembly->payload + reassembly->size, packet + GHRM_HEADER_SIZE, content);
	reassembly->size += content;
	if (reassembly->have < reassembly->header.fragments)
		return GHRM_FEED_MORE;
	reassembly->active = false;
	*ret = (struct ghrm_message){
		.type = reassembly->header.type,
		.seq = reassembly->header.seq,
		.msg_id = reassembly->header.msg_id,
		.payload = reassembly->payload,
		.size = reassembly->size,
	};
	return GHRM_FEED_MESSAGE;
}

static enum ghrm_feed reassembly_start(struct ghrm_reassembly *reassembly,
	const struct ghrm_header *header, const uint8_t *packet, size_t size,
	struct ghrm_message *ret)
{
	reassembly->active = true;
	reassembly->header = *header;
	reassembly->have = 0;
	reassembly->size = 0;
	return reassembly_add(reassembly, packet, size, ret);
}

static enum ghrm_feed reassembly_continue(struct ghrm_reassembly *reassembly, const uint8_t *packet,
	size_t size, struct ghrm_message *ret)
{
	reassembly->have++;
	return reassembly_add(reassembly, packet, size, ret);
}

enum ghrm_feed ghrm_reassembly_feed(struct ghrm_reassembly *reassembly, const void *packet,
	size_t size, struct ghrm_message *ret)
{
	const struct ghrm_header *open = &reassembly->header;
	struct ghrm_header header;

	if (!ghrm_packet_decode(packet, size, &header))
		return GHRM_FEED_DROPPED;
	if (header.type != GHRM_CONTINUATION)
		return reassembly_start(reassembly, &header, packet, size, ret);
	if (!reassembly->active || header.seq != open->seq || header.msg_id != open->msg_id ||
		header.fragments != open->fragments)
		return GHRM_FEED_DROPPED;
	return reassembly_continue(reassembly, packet, size, ret);
}

static bool is_expected(const struct ghrm_expected *expected, const struct ghrm_header *header)
{
	return expected->waiting && header->type == GHRM_REPLY && header->seq == expected->seq &&
	       header->msg_id == expected->msg_id;
}

static void client_abort(
	struct ghrm_reassembly *reassembly, const struct ghrm_expected *expected, bool *ret_aborted)
{
	if (reassembly->active && ret_aborted && is_expected(expected, &reassembly->header))
		*ret_aborted = true;
	reassembly->active = false;
}

enum ghrm_feed ghrm_client_feed(struct ghrm_reassembly *reassembly,
	const struct ghrm_expected *expected, const void *packet, size_t size,
	struct ghrm_message *ret, bool *ret_aborted)
{
	const struct ghrm_header *open = &reassembly->header;
	struct ghrm_header header;

	if (!ghrm_packet_decode(packet, size, &header))
		return GHRM_FEED_DROPPED;
	switch (header.type) {
	case GHRM_REQUEST: return GHRM_FEED_DROPPED;
	case GHRM_REPLY:
		if (!is_expected(expected, &header))
			return GHRM_FEED_DROPPED;
		if (size - GHRM_HEADER_SIZE < sizeof(uint32_t)) {
			if (ret_aborted)
				*ret_aborted = true;
			return GHRM_FEED_DROPPED;
		}
		break;
	case GHRM_NOTIFICATION: break;
	case GHRM_CONTINUATION:
		if (!reassembly->active)
			return GHRM_FEED_DROPPED;
		/* The sequence number of a continuation is not looked at: §2.5. */
		if (header.msg_id != open->msg_id || header.fragments != open->fragments) {
			client_abort(reassembly, expected, ret_aborted);
			return GHRM_FEED_DROPPED;
		}
		return reassembly_continue(reassembly, packet, size, ret);
	}
	client_abort(reassembly, expected, ret_aborted);
	return reassembly_start(reassembly, &header, packet, size, ret);
}
