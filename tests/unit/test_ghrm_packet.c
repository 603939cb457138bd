/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Packets: headers, cutting and joining, by rm-protocol.md §2.2 to §2.5. */
#include "tests/unit/ghrm_hex.h"

#include "ghrm/message.h"
#include "ghrm/packet.h"
#include "util/util.h"

/* ---- headers ---- */

static const struct {
	const char *packet;
	size_t size; /* 0: as written; else padded with zeroes */
	bool good;
} headers[] = {
	{ "21 01 05 00 15 00 00 51", 0, true },
	{ "21 01 05 00 15 00 00 51", 240, true },
	{ "21 01 05 00 15 00 00 51", 241, false },
	{ "", 0, false },
	{ "21", 0, false },
	{ "21 01 03 00 15 00 00", 0, false },
	{ "20 01 01 00 15 00 00 51", 0, false },
	{ "22 01 01 00 15 00 00 51", 0, false },
	{ "2f 01 01 00 15 00 00 51", 0, false },
	{ "01 01 01 00 15 00 00 51", 0, false },
	{ "11 01 01 00 15 00 00 51", 0, false },
	{ "31 01 01 00 15 00 00 51", 0, false },
	{ "f1 01 01 00 15 00 00 51", 0, false },
	{ "21 f9 01 00 15 00 00 51", 0, true },  /* 62 continuations */
	{ "21 fd 01 00 15 00 00 51", 0, false }, /* 63 */
	{ "21 00 01 00 15 00 00 51", 0, true },
	{ "21 03 01 00 15 00 00 51", 0, true },
};

START_TEST(header_is_checked)
{
	uint8_t packet[512] = { 0 };
	size_t size = hex_bytes(headers[_i].packet, packet, sizeof(packet));
	struct ghrm_header header;

	if (headers[_i].size)
		size = headers[_i].size;
	ck_assert_msg(ghrm_packet_decode(packet, size, &header) == headers[_i].good, "%s",
		headers[_i].packet);
}
END_TEST

START_TEST(header_fields_are_read)
{
	uint8_t packet[8];
	struct ghrm_header header;

	hex_bytes("21 f9 34 12 12 00 00 51", packet, sizeof(packet));
	ck_assert(ghrm_packet_decode(packet, 8, &header));
	ck_assert_int_eq(header.type, GHRM_REQUEST);
	ck_assert_uint_eq(header.fragments, 62);
	ck_assert_uint_eq(header.seq, 0x1234);
	ck_assert_uint_eq(header.msg_id, GHRM_MEM_LEND);
}
END_TEST

/* ---- cutting ---- */

static const struct {
	size_t size, packets, last;
} cuts[] = {
	{ 0, 1, 0 },
	{ 1, 1, 1 },
	{ 231, 1, 231 },
	{ 232, 1, 232 },
	{ 233, 2, 1 },
	{ 463, 2, 231 },
	{ 464, 2, 232 },
	{ 465, 3, 1 },
	{ 8204, 36, 84 },   /* a full APPEND */
	{ 8220, 36, 100 },  /* a create with 512 regions and 2 VMs */
	{ 12308, 54, 12 },  /* a create with all lists full */
	{ 14384, 62, 232 }, /* GHRM_SEND_MAX */
	{ 14385, 63, 1 },
	{ 14616, 63, 232 },
	{ 14617, 0, 0 },
};

START_TEST(message_is_cut_at_232_bytes_and_joined_again)
{
	static uint8_t payload[GHRM_PAYLOAD_MAX];
	static struct ghrm_reassembly reassembly;
	uint8_t packet[GHRM_PACKET_MAX];
	struct ghrm_message message = { GHRM_REQUEST, 7, GHRM_MEM_SHARE, payload, cuts[_i].size };
	struct ghrm_message joined;
	size_t packets = cuts[_i].packets;

	ck_assert_uint_eq(ghrm_message_packets(cuts[_i].size), packets);
	for (size_t i = 0; i < sizeof(payload); i++)
		payload[i] = (uint8_t)(i * 7 + i / 251);
	for (size_t i = 0; i < packets; i++) {
		size_t size = ghrm_packet_encode(&message, i, packet);
		enum ghrm_feed feed = ghrm_reassembly_feed(&reassembly, packet, size, &joined);

		ck_assert_uint_eq(size, 8 + (i + 1 < packets ? 232 : cuts[_i].last));
		ck_assert_uint_eq(packet[1], (packets - 1) << 2 | (i == 0 ? GHRM_REQUEST : 0));
		ck_assert_int_eq(feed, i + 1 < packets ? GHRM_FEED_MORE : GHRM_FEED_MESSAGE);
	}
	if (packets)
		assert_bytes(joined.payload, joined.size, payload, cuts[_i].size, "payload");
}
END_TEST

/* ---- joining ---- */

/*
 * One step: a packet, what the feed says and, for a whole message, its payload (the content bytes).
 * aborted: the client was waiting for that reply and lost it with this packet.
 */
struct step {
	const char *packet;
	enum ghrm_feed feed;
	const char *payload;
	bool aborted;
};
struct scene {
	const char *name;
	struct ghrm_expected expected; /* client only */
	struct step steps[8];
};

#define DROP(packet_)                                        \
	{                                                    \
		.packet = packet_, .feed = GHRM_FEED_DROPPED \
	}
#define LOSE(packet_)                                                         \
	{                                                                     \
		.packet = packet_, .feed = GHRM_FEED_DROPPED, .aborted = true \
	}
#define TAKE(packet_)                                     \
	{                                                 \
		.packet = packet_, .feed = GHRM_FEED_MORE \
	}
#define JOIN(packet_, payload_)                                                   \
	{                                                                         \
		.packet = packet_, .feed = GHRM_FEED_MESSAGE, .payload = payload_ \
	}
#define JOIN_AND_LOSE(packet_, payload_)                                                           \
	{                                                                                          \
		.packet = packet_, .feed = GHRM_FEED_MESSAGE, .payload = payload_, .aborted = true \
	}

static const struct scene rm_scenes[] = {
	{ "continuation with nothing open is dropped", { 0 },
		{ DROP("21 04 01 00 15 00 00 51 aa") } },
	{ "short and empty pieces are joined", { 0 },
		{ TAKE("21 0d 01 00 15 00 00 51 aa"), TAKE("21 0c 01 00 15 00 00 51"),
			TAKE("21 0c 01 00 15 00 00 51 bb cc"),
			JOIN("21 0c 01 00 15 00 00 51 dd", "aa bb cc dd") } },
	{ "other sequence number is dropped, message stays open", { 0 },
		{ TAKE("21 05 01 00 15 00 00 51 aa"), DROP("21 04 02 00 15 00 00 51 bb"),
			JOIN("21 04 01 00 15 00 00 51 cc", "aa cc") } },
	{ "other id is dropped, message stays open", { 0 },
		{ TAKE("21 05 01 00 15 00 00 51 aa"), DROP("21 04 01 00 14 00 00 51 bb"),
			JOIN("21 04 01 00 15 00 00 51 cc", "aa cc") } },
	{ "other fragment count is dropped, message stays open", { 0 },
		{ TAKE("21 05 01 00 15 00 00 51 aa"), DROP("21 08 01 00 15 00 00 51 bb"),
			JOIN("21 04 01 00 15 00 00 51 cc", "aa cc") } },
	{ "bad packets leave the message open", { 0 },
		{ TAKE("21 05 01 00 15 00 00 51 aa"), DROP("21 04 01 00"),
			DROP("22 04 01 00 15 00 00 51 bb"), DROP("21 fd 01 00 15 00 00 51 bb"),
			JOIN("21 04 01 00 15 00 00 51 cc", "aa cc") } },
	{ "a whole message discards the open one", { 0 },
		{ TAKE("21 05 01 00 15 00 00 51 aa"), JOIN("21 01 02 00 15 00 00 51 bb", "bb"),
			DROP("21 04 01 00 15 00 00 51 cc") } },
	{ "so does a notification", { 0 },
		{ TAKE("21 05 01 00 15 00 00 51 aa"), JOIN("21 03 02 00 15 00 00 51 bb", "bb"),
			DROP("21 04 01 00 15 00 00 51 cc") } },
	{ "a first packet replaces the open message", { 0 },
		{ TAKE("21 05 01 00 15 00 00 51 aa"), TAKE("21 05 02 00 15 00 00 51 bb"),
			DROP("21 04 01 00 15 00 00 51 cc"),
			JOIN("21 04 02 00 15 00 00 51 dd", "bb dd") } },
	{ "nothing is open after the last continuation", { 0 },
		{ TAKE("21 05 01 00 15 00 00 51 aa"), JOIN("21 04 01 00 15 00 00 51 bb", "aa bb"),
			DROP("21 04 01 00 15 00 00 51 bb") } },
	{ "an empty message is one", { 0 }, { JOIN("21 01 01 00 24 00 00 56", "") } },
};

#define EXPECT_1                          \
	{                                 \
		true, 1, GHRM_MEM_RECLAIM \
	}

static const struct scene client_scenes[] = {
	{ "the expected reply", EXPECT_1,
		{ JOIN("21 02 01 00 15 00 00 51 00 00 00 00", "00 00 00 00") } },
	{ "no reply is expected", { false, 1, GHRM_MEM_RECLAIM },
		{ DROP("21 02 01 00 15 00 00 51 00 00 00 00") } },
	{ "wrong sequence number", EXPECT_1, { DROP("21 02 02 00 15 00 00 51 00 00 00 00") } },
	{ "wrong id", EXPECT_1, { DROP("21 02 01 00 14 00 00 51 00 00 00 00") } },
	{ "request", EXPECT_1, { DROP("21 01 01 00 15 00 00 51 00 00 00 00") } },
	{ "reply without an error word", EXPECT_1, { LOSE("21 02 01 00 15 00 00 51 00 00 00") } },
	{ "other reply without an error word", EXPECT_1,
		{ DROP("21 02 02 00 15 00 00 51 00 00 00") } },
	{ "bad packet", EXPECT_1, { DROP("20 02 01 00 15 00 00 51 00 00 00 00") } },
	{ "notifications need no expectation", { 0 },
		{ JOIN("21 03 09 00 08 00 10 56 80 00 00 00 0b 00 00 00",
			"80 00 00 00 0b 00 00 00") } },
	{ "notification before the reply", EXPECT_1,
		{ JOIN("21 03 09 00 12 00 10 51 01", "01"),
			JOIN("21 02 01 00 15 00 00 51 00 00 00 00", "00 00 00 00") } },
	{ "fragmented reply; the continuation's sequence number does not matter", EXPECT_1,
		{ TAKE("21 06 01 00 15 00 00 51 00 00 00 00"),
			JOIN("21 04 63 00 15 00 00 51 aa", "00 00 00 00 aa") } },
	{ "continuation with another id ends the reply", EXPECT_1,
		{ TAKE("21 06 01 00 15 00 00 51 00 00 00 00"), LOSE("21 04 01 00 14 00 00 51 aa"),
			DROP("21 04 01 00 15 00 00 51 aa") } },
	{ "continuation with another count ends the reply", EXPECT_1,
		{ TAKE("21 06 01 00 15 00 00 51 00 00 00 00"), LOSE("21 08 01 00 15 00 00 51 aa"),
			DROP("21 04 01 00 15 00 00 51 aa") } },
	{ "notification ends the reply", EXPECT_1,
		{ TAKE("21 06 01 00 15 00 00 51 00 00 00 00"),
			JOIN_AND_LOSE("21 03 01 00 12 00 10 51 aa", "aa"),
			DROP("21 04 01 00 15 00 00 51 aa") } },
	{ "reply ends a notification, which nobody waits for", EXPECT_1,
		{ TAKE("21 07 01 00 12 00 10 51 aa"),
			JOIN("21 02 01 00 15 00 00 51 00 00 00 00", "00 00 00 00"),
			DROP("21 04 01 00 12 00 10 51 bb") } },
	{ "dropped packets leave a half-joined message alone", EXPECT_1,
		{ TAKE("21 06 01 00 15 00 00 51 00 00 00 00"),
			DROP("21 01 01 00 15 00 00 51 00 00 00 00"),
			DROP("21 02 02 00 15 00 00 51 00 00 00 00"), DROP("21 04"),
			JOIN("21 04 01 00 15 00 00 51 aa", "00 00 00 00 aa") } },
	{ "continuation with nothing open", EXPECT_1, { DROP("21 04 01 00 15 00 00 51 aa") } },
};

static void play(const struct scene *scene, bool client)
{
	static struct ghrm_reassembly reassembly;
	uint8_t packet[GHRM_PACKET_MAX], want[GHRM_PACKET_MAX];

	memset(&reassembly, 0, sizeof(reassembly));
	for (const struct step *step = scene->steps; step->packet; step++) {
		size_t size = hex_bytes(step->packet, packet, sizeof(packet));
		struct ghrm_message message;
		enum ghrm_feed feed;
		bool aborted = false;

		if (client)
			feed = ghrm_client_feed(
				&reassembly, &scene->expected, packet, size, &message, &aborted);
		else
			feed = ghrm_reassembly_feed(&reassembly, packet, size, &message);
		ck_assert_msg(feed == step->feed, "%s: %s: %d", scene->name, step->packet, feed);
		ck_assert_msg(aborted == step->aborted, "%s: %s", scene->name, step->packet);
		if (feed == GHRM_FEED_MESSAGE)
			assert_bytes(message.payload, message.size, want,
				hex_bytes(step->payload, want, sizeof(want)), scene->name);
	}
}

START_TEST(resource_manager_joins)
{
	play(&rm_scenes[_i], false);
}
END_TEST

START_TEST(client_joins)
{
	play(&client_scenes[_i], true);
}
END_TEST

START_TEST(aborted_pointer_may_be_null)
{
	static struct ghrm_reassembly reassembly;
	struct ghrm_expected expected = EXPECT_1;
	struct ghrm_message message;
	uint8_t packet[GHRM_PACKET_MAX];
	size_t size;

	size = hex_bytes("21 06 01 00 15 00 00 51 00 00 00 00", packet, sizeof(packet));
	ck_assert_int_eq(ghrm_client_feed(&reassembly, &expected, packet, size, &message, NULL),
		GHRM_FEED_MORE);
	size = hex_bytes("21 08 01 00 15 00 00 51", packet, sizeof(packet));
	ck_assert_int_eq(ghrm_client_feed(&reassembly, &expected, packet, size, &message, NULL),
		GHRM_FEED_DROPPED);
	size = hex_bytes("21 02 01 00 15 00 00 51", packet, sizeof(packet));
	ck_assert_int_eq(ghrm_client_feed(&reassembly, &expected, packet, size, &message, NULL),
		GHRM_FEED_DROPPED);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ghrm_packet");
	TCase *tests = tcase_create("packet");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tests, header_is_checked, 0, ARRAY_SIZE(headers));
	tcase_add_test(tests, header_fields_are_read);
	tcase_add_loop_test(
		tests, message_is_cut_at_232_bytes_and_joined_again, 0, ARRAY_SIZE(cuts));
	tcase_add_loop_test(tests, resource_manager_joins, 0, ARRAY_SIZE(rm_scenes));
	tcase_add_loop_test(tests, client_joins, 0, ARRAY_SIZE(client_scenes));
	tcase_add_test(tests, aborted_pointer_may_be_null);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
