/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Packets of the Resource Manager's message queues: an 8-byte header and at most 232 bytes of
 * content; a longer message is cut into one first packet and up to 62 continuations.
 *
 * Numbers: shared/design/rm-protocol.md §2. All functions are pure and thread-safe as long as no
 * two threads use one struct ghrm_reassembly at a time. Nothing is allocated.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GHRM_PACKET_MAX    240 /* §2.1: size of a queue message */
#define GHRM_HEADER_SIZE   8   /* §2.2 */
#define GHRM_CONTENT_MAX   232 /* §2.3 */
#define GHRM_FRAGMENTS_MAX 62  /* §2.3: continuations of one message */
#define GHRM_PACKETS_MAX   63
#define GHRM_PAYLOAD_MAX   14616 /* §2.3: what a receiver must take: 63 × 232 bytes */
#define GHRM_SEND_MAX      14384 /* §2.3: what a client may send: 62 × 232 bytes */

enum ghrm_packet_type {
	GHRM_CONTINUATION = 0,
	GHRM_REQUEST = 1,
	GHRM_REPLY = 2,
	GHRM_NOTIFICATION = 3,
};

struct ghrm_header {
	enum ghrm_packet_type type;
	uint8_t fragments; /* continuations of the whole message, the same in each of its packets */
	uint16_t seq;
	uint32_t msg_id;
};

/* A whole message; payload is borrowed. */
struct ghrm_message {
	enum ghrm_packet_type type; /* never GHRM_CONTINUATION */
	uint16_t seq;
	uint32_t msg_id;
	const uint8_t *payload;
	size_t size;
};

/*
 * Reads the header of one packet. size: bytes of the packet. Returns true and fills *ret, or false
 * for a packet that every receiver drops: shorter than 8 bytes or longer than 240, wrong version or
 * header length, more than 62 continuations (§2.4 rules 1 and 2).
 */
bool ghrm_packet_decode(const void *packet, size_t size, struct ghrm_header *ret);

/* How many packets a payload of size bytes takes (1 … 63); 0 when it is over GHRM_PAYLOAD_MAX. */
size_t ghrm_message_packets(size_t size);

/*
 * Writes packet number index (0 … ghrm_message_packets()-1) of a message. Returns its size in
 * bytes, 8 … 240. The message must not be over GHRM_PAYLOAD_MAX.
 */
size_t ghrm_packet_encode(
	const struct ghrm_message *message, size_t index, uint8_t packet[static GHRM_PACKET_MAX]);

/* Joins packets into messages. Zero-initialised it is empty. 15 KiB: not for small stacks. */
struct ghrm_reassembly {
	bool active;
	struct ghrm_header header; /* of the message that is being joined */
	uint8_t have;              /* continuations so far */
	size_t size;
	uint8_t payload[GHRM_PAYLOAD_MAX];
};

enum ghrm_feed {
	GHRM_FEED_DROPPED, /* the packet had no effect on the message being joined */
	GHRM_FEED_MORE,    /* taken; the message is not complete yet */
	GHRM_FEED_MESSAGE, /* *ret is a whole message, valid until the next call */
};

/* Takes one packet by the Resource Manager's rules (§2.4). */
enum ghrm_feed ghrm_reassembly_feed(struct ghrm_reassembly *reassembly, const void *packet,
	size_t size, struct ghrm_message *ret);

/* The one request whose reply a client waits for. */
struct ghrm_expected {
	bool waiting;
	uint16_t seq;
	uint32_t msg_id;
};

/*
 * Takes one packet by the client's rules (§2.5): requests are dropped; so is a reply to anything
 * but *expected, and one without an error word; a first packet that is not dropped ends a
 * half-joined message, and so does a continuation with another msg_id or fragment count (its
 * sequence number is not looked at). *ret_aborted (may be NULL) is set to true when the reply to
 * *expected is lost: it was being joined and was ended that way, or it has no error word; else it
 * is left alone.
 */
enum ghrm_feed ghrm_client_feed(struct ghrm_reassembly *reassembly,
	const struct ghrm_expected *expected, const void *packet, size_t size,
	struct ghrm_message *ret, bool *ret_aborted);
