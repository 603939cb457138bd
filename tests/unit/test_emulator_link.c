/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a VM that does not read gets, and in which order (rm-findings §3). */
#include "emulator_bench.h"

static void send_notify(struct bench *bench, uint32_t handle, uint8_t flags)
{
	uint16_t target = GUEST;
	uint8_t payload[64];

	bench_send(bench, HOST, GHRM_MEM_NOTIFY, payload,
		ghrm_encode_notify(payload, sizeof(payload), handle, flags, 0, &target, 1));
	bench_read(bench, HOST, SIZE_MAX);
}

static void send_reclaim(struct bench *bench, uint16_t vmid, uint32_t handle)
{
	uint8_t payload[16];

	bench_send(bench, vmid, GHRM_MEM_RECLAIM, payload,
		ghrm_encode_back(payload, sizeof(payload), handle, 0));
}

START_TEST(eight_packets_one_sending_and_the_latest_waiting_reply)
{
	struct bench *bench = bench_new();
	uint16_t seqs[16];
	size_t n = 0;

	for (unsigned i = 0; i < 14; i++)
		send_reclaim(bench, HOST, 9);
	while (bench_read(bench, HOST, 1) > 0)
		seqs[n++] = bench->reply.seq;
	ck_assert_uint_eq(n, 10);
	for (size_t i = 0; i < 9; i++)
		ck_assert_uint_eq(seqs[i], i + 1);
	ck_assert_uint_eq(seqs[9], 14);
	bench_free(bench);
}
END_TEST

START_TEST(blocked_attempts_use_up_notification_numbers)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	for (unsigned i = 0; i < 12; i++)
		send_notify(bench, 0, GHRM_NOTIFY_SHARED);
	send_notify(bench, 0, GHRM_NOTIFY_RECALL);
	while (bench_read(bench, GUEST, 1) > 0)
		;
	ck_assert_uint_eq(bench->n_notes, 13);
	for (uint16_t i = 0; i < 9; i++)
		ck_assert_uint_eq(bench->notes[i].seq, i);
	/* 9 by the first blocked one, then two for each further. */
	ck_assert_uint_ge(bench->notes[9].seq, 9 + 1 + 2 * 3);
	for (size_t i = 10; i < 13; i++)
		ck_assert_uint_gt(bench->notes[i].seq, bench->notes[i - 1].seq);
	ck_assert_uint_eq(bench->notes[12].msg_id, GHRM_NOTIF_MEM_RECALL);
	bench_free(bench);
}
END_TEST

START_TEST(waiting_reply_overtakes_waiting_notifications)
{
	struct bench *bench = bench_new();

	ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE, PAGE), GHRM_OK);
	for (unsigned i = 0; i < 10; i++)
		send_notify(bench, 0, GHRM_NOTIFY_SHARED);
	send_reclaim(bench, GUEST, 9);
	bench->reply.type = GHRM_CONTINUATION;
	ck_assert_uint_eq(bench_read(bench, GUEST, 9), 9);
	ck_assert_int_eq(bench->reply.type, GHRM_CONTINUATION);
	ck_assert_uint_eq(bench_read(bench, GUEST, 1), 1);
	ck_assert_int_eq(bench->reply.type, GHRM_REPLY);
	ck_assert_uint_eq(bench->n_notes, 9);
	ck_assert_uint_eq(bench_read(bench, GUEST, SIZE_MAX), 1);
	ck_assert_uint_eq(bench->n_notes, 10);
	bench_free(bench);
}
END_TEST

START_TEST(the_oldest_of_257_waiting_notifications_is_lost)
{
	struct bench *bench = bench_new();
	uint32_t handle, tag;

	for (unsigned i = 0; i < 60; i++)
		ck_assert_uint_eq(bench_lend(bench, GUEST, RW, BASE + i * PAGE, PAGE), GHRM_OK);
	for (uint32_t i = 0; i < 270; i++)
		send_notify(bench, i % 60, GHRM_NOTIFY_RECALL);
	bench_read(bench, GUEST, SIZE_MAX);
	ck_assert_uint_eq(bench->n_notes, 265);
	ck_assert(ghrm_decode_recall(bench->notes[8].payload, bench->notes[8].size, &handle, &tag));
	ck_assert_uint_eq(handle, 8);
	ck_assert(ghrm_decode_recall(bench->notes[9].payload, bench->notes[9].size, &handle, &tag));
	ck_assert_uint_eq(handle, 14);
	bench_free(bench);
}
END_TEST

START_TEST(half_sent_reply_is_finished_before_anything_else)
{
	struct bench *bench = bench_new();
	struct ghrm_acl_entry acl = { GUEST, RW };
	struct ghrm_region regions[GHRM_LIST_MAX];
	uint8_t payload[64];
	size_t n;

	for (size_t i = 0; i < GHRM_LIST_MAX; i++)
		regions[i] = (struct ghrm_region){ BASE + 2 * i * PAGE, PAGE };
	ck_assert_uint_eq(bench_create_full(bench, HOST, GHRM_MEM_LEND, 0, 0, 7, &acl, 1, regions,
				  GHRM_LIST_MAX, NULL, 0),
		GHRM_OK);
	bench_send(bench, GUEST, GHRM_MEM_ACCEPT, payload,
		ghrm_encode_accept(payload, sizeof(payload), 0, 0, GHRM_TRANS_LEND,
			GHRM_ACCEPT_DONE, 0, NULL, 0, NULL, 0, NULL,
			0)); /* 36 packets, of which 8 fit */
	send_notify(bench, 0, GHRM_NOTIFY_RECALL);
	ck_assert_uint_eq(bench_read(bench, GUEST, 36), 36);
	ck_assert_uint_eq(bench->n_notes, 0);
	bench_accepted(bench, 0, &n);
	ck_assert_uint_eq(n, GHRM_LIST_MAX);
	ck_assert_uint_eq(bench_read(bench, GUEST, SIZE_MAX), 1);
	ck_assert_uint_eq(bench->n_notes, 1);
	bench_free(bench);
}
END_TEST

START_TEST(discarded_output_is_gone_and_the_link_goes_on)
{
	struct bench *bench = bench_new();

	for (unsigned i = 0; i < 12; i++)
		send_reclaim(bench, HOST, 9);
	emulator_discard(bench->emulator, HOST);
	ck_assert_uint_eq(bench_read(bench, HOST, SIZE_MAX), 0);
	ck_assert_uint_eq(bench_reclaim(bench, HOST, 9), GHRM_HANDLE_INVALID);
	bench_free(bench);
}
END_TEST

START_TEST(only_requests_are_answered_and_unknown_ones_are_unimplemented)
{
	struct bench *bench = bench_new();
	struct ghrm_message message = { .seq = 1, .msg_id = GHRM_MEM_RECLAIM };
	uint8_t packet[GHRM_PACKET_MAX];

	for (int type = GHRM_REPLY; type <= GHRM_NOTIFICATION; type++) {
		message.type = (enum ghrm_packet_type)type;
		emulator_feed(
			bench->emulator, HOST, packet, ghrm_packet_encode(&message, 0, packet));
	}
	ck_assert_uint_eq(bench_read(bench, HOST, SIZE_MAX), 0);
	ck_assert_uint_eq(bench_call(bench, HOST, 0x51000016, "abc", 3), GHRM_UNIMPLEMENTED);
	ck_assert_uint_eq(
		bench_call(bench, HOST, GHRM_NOTIF_MEM_SHARED, NULL, 0), GHRM_UNIMPLEMENTED);
	bench_free(bench);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("emulator: links");
	TCase *tc = tcase_create("links");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, eight_packets_one_sending_and_the_latest_waiting_reply);
	tcase_add_test(tc, blocked_attempts_use_up_notification_numbers);
	tcase_add_test(tc, waiting_reply_overtakes_waiting_notifications);
	tcase_add_test(tc, the_oldest_of_257_waiting_notifications_is_lost);
	tcase_add_test(tc, half_sent_reply_is_finished_before_anything_else);
	tcase_add_test(tc, discarded_output_is_gone_and_the_link_goes_on);
	tcase_add_test(tc, only_requests_are_answered_and_unknown_ones_are_unimplemented);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
