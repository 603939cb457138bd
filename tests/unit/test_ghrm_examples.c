/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The worked examples of rm-protocol.md §7, written and read. */
#include "tests/unit/ghrm_examples.h"
#include "tests/unit/ghrm_hex.h"

#include "ghrm/message.h"
#include "ghrm/packet.h"
#include "util/util.h"

static const struct ghrm_acl_entry guest_and_host[] = { { 0x80, 6 }, { 3, 7 } };
static const struct ghrm_acl_entry guest_rwx[] = { { 0x80, 7 } };
static const struct ghrm_region two_regions[] = {
	{ 0x880000000, 0x10000 },
	{ 0x880200000, 0x1000 },
};
static const uint64_t two_sizes[] = { 0x10000, 0x1000 };
static const struct ghrm_region appended[] = { { 0x8A0000000, 0x200000 } };
static const struct ghrm_region mapped[] = { { 0x90000000, 0x10000 }, { 0x90010000, 0x1000 } };
static const uint16_t guest[] = { 0x80 };

static void assert_acl(const struct ghrm_list *list, const struct ghrm_acl_entry *acl, size_t n)
{
	ck_assert_uint_eq(list->count, n);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(ghrm_acl_at(list, i).vmid, acl[i].vmid);
		ck_assert_uint_eq(ghrm_acl_at(list, i).rights, acl[i].rights);
	}
}

static void assert_regions(
	const struct ghrm_list *list, const struct ghrm_region *regions, size_t n)
{
	ck_assert_uint_eq(list->count, n);
	for (size_t i = 0; i < n; i++) {
		ck_assert_uint_eq(ghrm_region_at(list, i).address, regions[i].address);
		ck_assert_uint_eq(ghrm_region_at(list, i).size, regions[i].size);
	}
}

static size_t share_write(void *buffer, size_t room)
{
	return ghrm_encode_create(
		buffer, room, 0, 0, 0x42, guest_and_host, 2, two_regions, 2, NULL, 0);
}

static void share_read(const uint8_t *payload, size_t size)
{
	struct ghrm_create create;

	ck_assert_uint_eq(ghrm_decode_create(payload, size, &create), GHRM_OK);
	ck_assert_uint_eq(create.mem_type, GHRM_MEM_NORMAL);
	ck_assert_uint_eq(create.flags, 0);
	ck_assert_uint_eq(create.label, 0x42);
	assert_acl(&create.acl, guest_and_host, 2);
	assert_regions(&create.regions, two_regions, 2);
	ck_assert_uint_eq(create.attributes.count, 0);
}

static size_t handle_5_write(void *buffer, size_t room)
{
	return ghrm_encode_reply_u32(buffer, room, 5);
}

static void assert_word(const uint8_t *payload, size_t size, uint32_t want)
{
	uint32_t error, value;

	ck_assert(ghrm_decode_reply_u32(payload, size, &error, &value));
	ck_assert_uint_eq(error, GHRM_OK);
	ck_assert_uint_eq(value, want);
}

static void handle_5_read(const uint8_t *payload, size_t size)
{
	assert_word(payload, size, 5);
}

static size_t append_write(void *buffer, size_t room)
{
	return ghrm_encode_append(buffer, room, 6, GHRM_APPEND_END, appended, 1);
}

static void append_read(const uint8_t *payload, size_t size)
{
	struct ghrm_append append;

	ck_assert_uint_eq(ghrm_decode_append(payload, size, &append), GHRM_OK);
	ck_assert_uint_eq(append.handle, 6);
	ck_assert_uint_eq(append.flags, GHRM_APPEND_END);
	assert_regions(&append.regions, appended, 1);
}

static size_t ok_write(void *buffer, size_t room)
{
	return ghrm_encode_reply(buffer, room, GHRM_OK);
}

static void assert_error(const uint8_t *payload, size_t size, uint32_t want)
{
	uint32_t error;

	ck_assert(ghrm_decode_reply(payload, size, &error));
	ck_assert_uint_eq(error, want);
}

static void ok_read(const uint8_t *payload, size_t size)
{
	assert_error(payload, size, GHRM_OK);
}

static size_t reclaim_write(void *buffer, size_t room)
{
	return ghrm_encode_back(buffer, room, 5, 0);
}

static void assert_back(const uint8_t *payload, size_t size, uint8_t flags)
{
	struct ghrm_back back;

	ck_assert_uint_eq(ghrm_decode_back(payload, size, &back), GHRM_OK);
	ck_assert_uint_eq(back.handle, 5);
	ck_assert_uint_eq(back.flags, flags);
}

static void reclaim_read(const uint8_t *payload, size_t size)
{
	assert_back(payload, size, 0);
}

static size_t in_use_write(void *buffer, size_t room)
{
	return ghrm_encode_reply(buffer, room, GHRM_MEM_INUSE);
}

static void in_use_read(const uint8_t *payload, size_t size)
{
	uint32_t error, value = 77;

	assert_error(payload, size, GHRM_MEM_INUSE);
	/* The error form of a reply that would carry a word. */
	ck_assert(ghrm_decode_reply_u32(payload, size, &error, &value));
	ck_assert_uint_eq(error, GHRM_MEM_INUSE);
	ck_assert_uint_eq(value, 77);
}

static size_t sanitize_write(void *buffer, size_t room)
{
	return ghrm_encode_back(buffer, room, 5, GHRM_BACK_SANITIZE);
}

static void sanitize_read(const uint8_t *payload, size_t size)
{
	assert_back(payload, size, GHRM_BACK_SANITIZE);
}

static size_t accept_write(void *buffer, size_t room)
{
	return ghrm_encode_accept(buffer, room, 5, GHRM_MEM_NORMAL, GHRM_TRANS_SHARE,
		GHRM_ACCEPT_DONE | GHRM_ACCEPT_VALIDATE_LABEL | GHRM_ACCEPT_VALIDATE_ACL_ATTR, 0x42,
		guest_and_host, 2, NULL, 0, NULL, 0);
}

static void accept_read(const uint8_t *payload, size_t size)
{
	struct ghrm_accept accept;

	ck_assert_uint_eq(ghrm_decode_accept(payload, size, &accept), GHRM_OK);
	ck_assert_uint_eq(accept.handle, 5);
	ck_assert_uint_eq(accept.mem_type, GHRM_MEM_NORMAL);
	ck_assert_uint_eq(accept.trans_type, GHRM_TRANS_SHARE);
	ck_assert_uint_eq(accept.flags, 0x86);
	ck_assert_uint_eq(accept.label, 0x42);
	assert_acl(&accept.acl, guest_and_host, 2);
	ck_assert_uint_eq(accept.regions.count, 0);
	ck_assert_uint_eq(accept.regions.second, 0);
	ck_assert_uint_eq(accept.attributes.count, 0);
}

static size_t accepted_write(void *buffer, size_t room)
{
	return ghrm_encode_reply_accept(buffer, room, mapped, 2, false);
}

static void accepted_read(const uint8_t *payload, size_t size)
{
	struct ghrm_list regions;
	uint32_t error;
	bool incomplete;

	ck_assert(ghrm_decode_reply_accept(payload, size, &error, &regions, &incomplete));
	ck_assert_uint_eq(error, GHRM_OK);
	ck_assert(!incomplete);
	assert_regions(&regions, mapped, 2);
}

static size_t notify_write(void *buffer, size_t room)
{
	return ghrm_encode_notify(buffer, room, 5, GHRM_NOTIFY_SHARED, 0xCAFE0001, guest, 1);
}

static void assert_notify(const uint8_t *payload, size_t size, uint8_t flags)
{
	struct ghrm_notify notify;

	ck_assert_uint_eq(ghrm_decode_notify(payload, size, &notify), GHRM_OK);
	ck_assert_uint_eq(notify.handle, 5);
	ck_assert_uint_eq(notify.flags, flags);
	ck_assert_uint_eq(notify.tag, 0xCAFE0001);
}

static void notify_read(const uint8_t *payload, size_t size)
{
	struct ghrm_list targets;

	assert_notify(payload, size, GHRM_NOTIFY_SHARED);
	ck_assert_uint_eq(ghrm_decode_notify_targets(payload, size, &targets), GHRM_OK);
	ck_assert_uint_eq(targets.count, 1);
	ck_assert_uint_eq(ghrm_vmid_at(&targets, 0), 0x80);
}

static size_t shared_write(void *buffer, size_t room)
{
	return ghrm_encode_shared(buffer, room, 5, GHRM_MEM_NORMAL, GHRM_TRANS_SHARE, false, 3,
		0x42, 0xCAFE0001, guest_and_host, 2, two_sizes, 2, NULL, 0);
}

static void shared_read(const uint8_t *payload, size_t size)
{
	struct ghrm_shared shared;

	ck_assert(ghrm_decode_shared(payload, size, &shared));
	ck_assert_uint_eq(shared.handle, 5);
	ck_assert_uint_eq(shared.mem_type, GHRM_MEM_NORMAL);
	ck_assert_uint_eq(shared.trans_type, GHRM_TRANS_SHARE);
	ck_assert_uint_eq(shared.flags, 0);
	ck_assert_uint_eq(shared.owner, 3);
	ck_assert_uint_eq(shared.label, 0x42);
	ck_assert_uint_eq(shared.tag, 0xCAFE0001);
	assert_acl(&shared.acl, guest_and_host, 2);
	ck_assert_uint_eq(shared.sizes.count, 2);
	ck_assert_uint_eq(ghrm_region_size_at(&shared.sizes, 0), 0x10000);
	ck_assert_uint_eq(ghrm_region_size_at(&shared.sizes, 1), 0x1000);
	ck_assert_uint_eq(shared.attributes.count, 0);
}

static size_t released_write(void *buffer, size_t room)
{
	return ghrm_encode_participant(
		buffer, room, &(struct ghrm_participant){ 5, 0x80, 0xCAFE0001 });
}

static void released_read(const uint8_t *payload, size_t size)
{
	struct ghrm_participant participant;

	ck_assert(ghrm_decode_participant(payload, size, &participant));
	ck_assert_uint_eq(participant.handle, 5);
	ck_assert_uint_eq(participant.vmid, 0x80);
	ck_assert_uint_eq(participant.tag, 0xCAFE0001);
}

static size_t probe_write(void *buffer, size_t room)
{
	return ghrm_encode_notify(buffer, room, 5, GHRM_NOTIFY_RECALL, 0xCAFE0001, NULL, 0);
}

static void probe_read(const uint8_t *payload, size_t size)
{
	struct ghrm_list targets;

	assert_notify(payload, size, GHRM_NOTIFY_RECALL);
	ck_assert_uint_eq(ghrm_decode_notify_targets(payload, size, &targets), GHRM_MSG_INVALID);
}

static size_t yours_write(void *buffer, size_t room)
{
	return ghrm_encode_reply(buffer, room, GHRM_MSG_INVALID);
}

static void yours_read(const uint8_t *payload, size_t size)
{
	assert_error(payload, size, GHRM_MSG_INVALID);
}

static size_t lookup_write(void *buffer, size_t room)
{
	return ghrm_encode_lookup(buffer, room, 0, 0x42, guest_and_host, 2, two_regions, 2);
}

static void lookup_read(const uint8_t *payload, size_t size)
{
	struct ghrm_lookup lookup;

	ck_assert_uint_eq(ghrm_decode_lookup(payload, size, &lookup), GHRM_OK);
	ck_assert_uint_eq(lookup.mem_type, GHRM_MEM_NORMAL);
	ck_assert_uint_eq(lookup.label, 0x42);
	assert_acl(&lookup.acl, guest_and_host, 2);
	assert_regions(&lookup.regions, two_regions, 2);
	ck_assert_uint_eq(lookup.attributes.count, 0);
}

static size_t empty_write(void *buffer _unused_, size_t room _unused_)
{
	return 0;
}

static void empty_read(const uint8_t *payload _unused_, size_t size)
{
	ck_assert_uint_eq(size, 0);
}

static size_t vmid_3_write(void *buffer, size_t room)
{
	return ghrm_encode_reply_u32(buffer, room, 3);
}

static void vmid_3_read(const uint8_t *payload, size_t size)
{
	assert_word(payload, size, 3);
}

static size_t reset_write(void *buffer, size_t room)
{
	return ghrm_encode_notif_vm_status(buffer, room,
		&(struct ghrm_notif_vm_status){
			.vmid = 0x80, .state.vm_status = GHRM_VM_STATUS_RESET });
}

static void reset_read(const uint8_t *payload, size_t size)
{
	struct ghrm_notif_vm_status status;

	ck_assert(ghrm_decode_notif_vm_status(payload, size, &status));
	ck_assert_uint_eq(status.vmid, 0x80);
	ck_assert_uint_eq(status.state.vm_status, GHRM_VM_STATUS_RESET);
	ck_assert_uint_eq(status.state.os_status, 0);
	ck_assert_uint_eq(status.state.app_status, 0);
}

static size_t exited_write(void *buffer, size_t room)
{
	return ghrm_encode_notif_vm_exited(
		buffer, room, &(struct ghrm_notif_vm_exited){ .vmid = 0x80, .exit_type = 7 });
}

static void exited_read(const uint8_t *payload, size_t size)
{
	struct ghrm_notif_vm_exited exited;

	ck_assert(ghrm_decode_notif_vm_exited(payload, size, &exited));
	ck_assert_uint_eq(exited.vmid, 0x80);
	ck_assert_uint_eq(exited.exit_type, 7);
	ck_assert_uint_eq(exited.flags, 0);
	ck_assert_uint_eq(exited.code, 0);
}

static struct ghrm_region *forty_regions(void)
{
	static struct ghrm_region regions[40];

	for (size_t i = 0; i < 40; i++)
		regions[i] = (struct ghrm_region){ 0x900000000 + i * 0x2000, 0x1000 };
	return regions;
}

static size_t lend_write(void *buffer, size_t room)
{
	return ghrm_encode_create(buffer, room, 0, GHRM_CREATE_APPEND, 0x77, guest_rwx, 1,
		forty_regions(), 40, NULL, 0);
}

static void lend_read(const uint8_t *payload, size_t size)
{
	struct ghrm_create create;

	ck_assert_uint_eq(ghrm_decode_create(payload, size, &create), GHRM_OK);
	ck_assert_uint_eq(create.flags, GHRM_CREATE_APPEND);
	ck_assert_uint_eq(create.label, 0x77);
	assert_acl(&create.acl, guest_rwx, 1);
	assert_regions(&create.regions, forty_regions(), 40);
}

static size_t handle_6_write(void *buffer, size_t room)
{
	return ghrm_encode_reply_u32(buffer, room, 6);
}

static void handle_6_read(const uint8_t *payload, size_t size)
{
	assert_word(payload, size, 6);
}

static const struct {
	const char *name;
	const char *packets[4];
	enum ghrm_packet_type type;
	uint16_t seq;
	uint32_t msg_id;
	size_t (*write)(void *buffer, size_t room);
	void (*read)(const uint8_t *payload, size_t size);
} examples[] = {
	{ "E1", { E1 }, GHRM_REQUEST, 1, GHRM_MEM_SHARE, share_write, share_read },
	{ "E2", { E2 }, GHRM_REPLY, 1, GHRM_MEM_SHARE, handle_5_write, handle_5_read },
	{ "E3", { E3 }, GHRM_REQUEST, 2, GHRM_MEM_APPEND, append_write, append_read },
	{ "E4", { E4 }, GHRM_REPLY, 2, GHRM_MEM_APPEND, ok_write, ok_read },
	{ "E5", { E5 }, GHRM_REQUEST, 3, GHRM_MEM_RECLAIM, reclaim_write, reclaim_read },
	{ "E6", { E6 }, GHRM_REPLY, 3, GHRM_MEM_RECLAIM, in_use_write, in_use_read },
	{ "E7", { E7 }, GHRM_REQUEST, 4, GHRM_MEM_RECLAIM, sanitize_write, sanitize_read },
	{ "E8", { E8 }, GHRM_REPLY, 4, GHRM_MEM_RECLAIM, ok_write, ok_read },
	{ "E9", { E9 }, GHRM_REQUEST, 0, GHRM_MEM_ACCEPT, accept_write, accept_read },
	{ "E10", { E10 }, GHRM_REPLY, 0, GHRM_MEM_ACCEPT, accepted_write, accepted_read },
	{ "E11", { E11 }, GHRM_REQUEST, 5, GHRM_MEM_NOTIFY, notify_write, notify_read },
	{ "E12", { E12 }, GHRM_NOTIFICATION, 7, GHRM_NOTIF_MEM_SHARED, shared_write, shared_read },
	{ "E13", { E13 }, GHRM_NOTIFICATION, 8, GHRM_NOTIF_MEM_RELEASED, released_write,
		released_read },
	{ "E14", { E14 }, GHRM_REQUEST, 6, GHRM_MEM_NOTIFY, probe_write, probe_read },
	{ "E15", { E15 }, GHRM_REPLY, 6, GHRM_MEM_NOTIFY, yours_write, yours_read },
	{ "E16", { E16 }, GHRM_REQUEST, 8, GHRM_MEM_LOOKUP_SGL, lookup_write, lookup_read },
	{ "E17", { E17 }, GHRM_REPLY, 8, GHRM_MEM_LOOKUP_SGL, handle_5_write, handle_5_read },
	{ "E18", { E18 }, GHRM_REQUEST, 9, GHRM_VM_GET_VMID, empty_write, empty_read },
	{ "E19", { E19 }, GHRM_REPLY, 9, GHRM_VM_GET_VMID, vmid_3_write, vmid_3_read },
	{ "E20", { E20 }, GHRM_NOTIFICATION, 9, GHRM_NOTIF_VM_STATUS, reset_write, reset_read },
	{ "E21", { E21 }, GHRM_NOTIFICATION, 10, GHRM_NOTIF_VM_EXITED, exited_write, exited_read },
	{ "E22", { E22_1, E22_2, E22_3 }, GHRM_REQUEST, 0x1234, GHRM_MEM_LEND, lend_write,
		lend_read },
	{ "E23", { E23 }, GHRM_REPLY, 0x1234, GHRM_MEM_LEND, handle_6_write, handle_6_read },
};

START_TEST(example_is_written_byte_for_byte)
{
	uint8_t payload[GHRM_SEND_MAX], packet[GHRM_PACKET_MAX], want[GHRM_PACKET_MAX];
	struct ghrm_message message = {
		.type = examples[_i].type,
		.seq = examples[_i].seq,
		.msg_id = examples[_i].msg_id,
		.payload = payload,
	};
	size_t n = 0;

	message.size = examples[_i].write(payload, sizeof(payload));
	for (; examples[_i].packets[n]; n++) {
		size_t n_want = hex_bytes(examples[_i].packets[n], want, sizeof(want));

		assert_bytes(packet, ghrm_packet_encode(&message, n, packet), want, n_want,
			examples[_i].name);
	}
	ck_assert_uint_eq(ghrm_message_packets(message.size), n);
}
END_TEST

START_TEST(example_does_not_fit_one_byte_less)
{
	uint8_t payload[GHRM_SEND_MAX];
	size_t size = examples[_i].write(payload, sizeof(payload));

	for (size_t room = 0; room < size; room++)
		ck_assert_uint_eq(examples[_i].write(payload, room), 0);
	ck_assert_uint_eq(examples[_i].write(payload, size), size);
}
END_TEST

START_TEST(example_is_read_back)
{
	static struct ghrm_reassembly reassembly;
	uint8_t packet[GHRM_PACKET_MAX];
	struct ghrm_message message;
	enum ghrm_feed feed = GHRM_FEED_DROPPED;
	size_t size;

	for (size_t n = 0; examples[_i].packets[n]; n++) {
		if (n > 0)
			ck_assert_int_eq(feed, GHRM_FEED_MORE);
		size = hex_bytes(examples[_i].packets[n], packet, sizeof(packet));
		feed = ghrm_reassembly_feed(&reassembly, packet, size, &message);
	}
	ck_assert_int_eq(feed, GHRM_FEED_MESSAGE);
	ck_assert_int_eq(message.type, examples[_i].type);
	ck_assert_uint_eq(message.seq, examples[_i].seq);
	ck_assert_uint_eq(message.msg_id, examples[_i].msg_id);
	examples[_i].read(message.payload, message.size);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ghrm_examples");
	TCase *tests = tcase_create("examples");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tests, example_is_written_byte_for_byte, 0, ARRAY_SIZE(examples));
	tcase_add_loop_test(tests, example_does_not_fit_one_byte_less, 0, ARRAY_SIZE(examples));
	tcase_add_loop_test(tests, example_is_read_back, 0, ARRAY_SIZE(examples));
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
