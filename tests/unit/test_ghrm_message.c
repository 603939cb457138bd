/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Payloads: list rules, sizes and the error numbers of malformed requests (rm-protocol.md §2.9, §3). */
#include <check.h>
#include <stdlib.h>

#include "ghrm/message.h"
#include "ghrm/packet.h"
#include "util/util.h"

static const struct ghrm_acl_entry two_vms[] = { { 0x80, 6 }, { 3, 7 } };
static const struct ghrm_region regions[513] = { { 0x1000, 0x2000 }, { 0x8000, 0x1000 } };
static const struct ghrm_attribute one_attribute[] = { { GHRM_ATTR_UNCACHED, 0x80 } };
static const uint16_t targets[] = { 0x80, 0x81 };
static const uint64_t sizes[] = { 0x2000, 0x1000 };

static uint32_t create_error(const uint8_t *payload, size_t size)
{
	struct ghrm_create create;
	return ghrm_decode_create(payload, size, &create);
}

static uint32_t append_error(const uint8_t *payload, size_t size)
{
	struct ghrm_append append;
	return ghrm_decode_append(payload, size, &append);
}

static uint32_t accept_error(const uint8_t *payload, size_t size)
{
	struct ghrm_accept accept;
	return ghrm_decode_accept(payload, size, &accept);
}

static uint32_t back_error(const uint8_t *payload, size_t size)
{
	struct ghrm_back back;
	return ghrm_decode_back(payload, size, &back);
}

static uint32_t notify_error(const uint8_t *payload, size_t size)
{
	struct ghrm_notify notify;
	return ghrm_decode_notify(payload, size, &notify);
}

static uint32_t targets_error(const uint8_t *payload, size_t size)
{
	struct ghrm_list list;
	return ghrm_decode_notify_targets(payload, size, &list);
}

static uint32_t lookup_error(const uint8_t *payload, size_t size)
{
	struct ghrm_lookup lookup;
	return ghrm_decode_lookup(payload, size, &lookup);
}

static uint32_t vmid_error(const uint8_t *payload, size_t size)
{
	uint16_t vmid;
	return ghrm_decode_vmid(payload, size, &vmid, NULL);
}

static uint32_t stop_error(const uint8_t *payload, size_t size)
{
	struct ghrm_vm_stop stop;
	return ghrm_decode_vm_stop(payload, size, &stop);
}

static uint32_t config_error(const uint8_t *payload, size_t size)
{
	struct ghrm_vm_config_image config;
	return ghrm_decode_vm_config_image(payload, size, &config);
}

static uint32_t auth_error(const uint8_t *payload, size_t size)
{
	uint16_t vmid;
	return ghrm_decode_vm_auth_image(payload, size, &vmid);
}

static uint32_t set_status_error(const uint8_t *payload, size_t size)
{
	struct ghrm_vm_set_status status;
	return ghrm_decode_vm_set_status(payload, size, &status);
}

static uint32_t exit_error(const uint8_t *payload, size_t size)
{
	struct ghrm_vm_exit vm_exit;
	return ghrm_decode_vm_exit(payload, size, &vm_exit);
}

static size_t create_full(void *buffer, size_t room)
{
	return ghrm_encode_create(
		buffer, room, 0, 0, 0x42, two_vms, 2, regions, 2, one_attribute, 1);
}

static size_t append_full(void *buffer, size_t room)
{
	return ghrm_encode_append(buffer, room, 5, 0, regions, 2);
}

static size_t accept_full(void *buffer, size_t room)
{
	return ghrm_encode_accept(buffer, room, 5, 0, 2, GHRM_ACCEPT_DONE, 0x42, two_vms, 2,
		regions, 2, one_attribute, 1);
}

static size_t back_full(void *buffer, size_t room)
{
	return ghrm_encode_back(buffer, room, 5, 0);
}

static size_t notify_full(void *buffer, size_t room)
{
	return ghrm_encode_notify(buffer, room, 5, GHRM_NOTIFY_SHARED, 7, targets, 2);
}

static size_t lookup_full(void *buffer, size_t room)
{
	return ghrm_encode_lookup(buffer, room, 0, 0x42, two_vms, 2, regions, 2);
}

static size_t vmid_full(void *buffer, size_t room)
{
	return ghrm_encode_vmid(buffer, room, 0x80);
}

static size_t stop_full(void *buffer, size_t room)
{
	return ghrm_encode_vm_stop(buffer, room, &(struct ghrm_vm_stop){ 0x80, 1, 3 });
}

static size_t config_full(void *buffer, size_t room)
{
	return ghrm_encode_vm_config_image(
		buffer, room, &(struct ghrm_vm_config_image){ 0x80, 1, 5, 1, 2, 3, 4 });
}

static size_t auth_full(void *buffer, size_t room)
{
	static const struct ghrm_vm_auth_parameter parameters[] = { { 1, 2 }, { 3, 4 } };

	return ghrm_encode_vm_auth_image(buffer, room, 0x80, parameters, 2);
}

static size_t set_status_full(void *buffer, size_t room)
{
	return ghrm_encode_vm_set_status(buffer, room, &(struct ghrm_vm_set_status){ 4, 9 });
}

static size_t exit_full(void *buffer, size_t room)
{
	return ghrm_encode_vm_exit(buffer, room, &(struct ghrm_vm_exit){ 1, 3, 0 });
}

/*
 * Every length from 0 to two bytes over the whole. ok: the lengths that are accepted; those of
 * requests with lists end before a list's head (§2.9 rule 1). longer: excess bytes are ignored.
 */
static const struct {
	const char *name;
	size_t (*encode)(void *buffer, size_t room);
	uint32_t (*decode)(const uint8_t *payload, size_t size);
	size_t full;
	size_t ok[4];
	bool longer;
} sweeps[] = {
	/* 8 + (4 + 8) + (4 + 32) + (4 + 4) */
	{ "create", create_full, create_error, 64, { 20, 56, 64 }, false },
	{ "append", append_full, append_error, 44, { 44 }, false },
	/* 12 + (4 + 8) + (4 + 32) + (4 + 4) */
	{ "accept", accept_full, accept_error, 68, { 24, 60, 68 }, false },
	{ "back", back_full, back_error, 8, { 8 }, true },
	{ "notify", notify_full, notify_error, 24, { 12 }, true },
	{ "notify targets", notify_full, targets_error, 24, { 24 }, true },
	{ "lookup", lookup_full, lookup_error, 56, { 20, 56, 60 }, false },
	{ "vmid", vmid_full, vmid_error, 4, { 4 }, false },
	{ "stop", stop_full, stop_error, 8, { 8 }, false },
	{ "config image", config_full, config_error, 40, { 40 }, false },
	{ "auth image", auth_full, auth_error, 20, { 20 }, false },
	{ "set status", set_status_full, set_status_error, 4, { 4 }, false },
	{ "exit", exit_full, exit_error, 4, { 4 }, false },
};

START_TEST(truncation_sweep)
{
	uint8_t payload[256] = { 0 };
	size_t full = sweeps[_i].encode(payload, sizeof(payload));

	ck_assert_uint_eq(full, sweeps[_i].full);
	for (size_t size = 0; size <= full + 8; size++) {
		/* A copy of exactly this size, so that reading past it is noticed. */
		_cleanup_free_ uint8_t *copy = malloc(size ? size : 1);
		bool ok = false;
		uint32_t error;

		ck_assert_ptr_nonnull(copy);
		memcpy(copy, payload, size);
		for (size_t i = 0; i < ARRAY_SIZE(sweeps[_i].ok); i++)
			ok |= sweeps[_i].ok[i] &&
			      (size == sweeps[_i].ok[i] ||
				      (sweeps[_i].longer && size > sweeps[_i].ok[i]));
		error = sweeps[_i].decode(copy, size);
		ck_assert_msg(error == (ok ? GHRM_OK : GHRM_MSG_INVALID), "%s: %zu bytes: %u",
			sweeps[_i].name, size, error);
	}
}
END_TEST

/* With empty lists; zero bytes are heads of such. The shortest is not what the heads add up to. */
static const struct {
	const char *name;
	uint32_t (*decode)(const uint8_t *payload, size_t size);
	size_t size;
	uint32_t error;
} empty[] = {
	{ "create", create_error, 8, GHRM_MSG_INVALID },
	{ "create", create_error, 12, GHRM_MSG_INVALID },
	{ "create", create_error, 16, GHRM_MSG_INVALID },
	{ "create", create_error, 20, GHRM_OK },
	{ "create", create_error, 21, GHRM_MSG_INVALID },
	{ "append", append_error, 8, GHRM_MSG_INVALID },
	{ "append", append_error, 12, GHRM_OK },
	{ "append", append_error, 13, GHRM_MSG_INVALID },
	{ "accept", accept_error, 12, GHRM_MSG_INVALID },
	{ "accept", accept_error, 16, GHRM_MSG_INVALID },
	{ "accept", accept_error, 20, GHRM_MSG_INVALID },
	{ "accept", accept_error, 24, GHRM_OK },
	{ "lookup", lookup_error, 8, GHRM_MSG_INVALID },
	{ "lookup", lookup_error, 12, GHRM_MSG_INVALID },
	{ "lookup", lookup_error, 16, GHRM_OK },
	{ "lookup", lookup_error, 19, GHRM_MSG_INVALID },
	{ "lookup", lookup_error, 20, GHRM_OK },
};

START_TEST(shortest_requests)
{
	static const uint8_t zero[32];
	uint32_t error = empty[_i].decode(zero, empty[_i].size);

	ck_assert_msg(error == empty[_i].error, "%s of %zu bytes: %u", empty[_i].name,
		empty[_i].size, error);
}
END_TEST

/* Offsets of the list counts in the whole payloads above. */
static const struct {
	const char *name;
	size_t (*encode)(void *buffer, size_t room);
	uint32_t (*decode)(const uint8_t *payload, size_t size);
	size_t count_at;
	uint16_t count;
	uint32_t error;
} counts[] = {
	{ "acl 512 of 2", create_full, create_error, 8, 512, GHRM_MSG_INVALID },
	{ "acl 513", create_full, create_error, 8, 513, GHRM_NORESOURCE },
	{ "acl 65535", create_full, create_error, 8, 65535, GHRM_NORESOURCE },
	{ "regions 513", create_full, create_error, 20, 513, GHRM_NORESOURCE },
	{ "regions 3 of 2", create_full, create_error, 20, 3, GHRM_MSG_INVALID },
	{ "regions 1 of 2: the rest is a list", create_full, create_error, 20, 1,
		GHRM_NORESOURCE }, /* 0x8000 is read as a count */
	{ "attributes 513", create_full, create_error, 56, 513, GHRM_NORESOURCE },
	{ "attributes 0 of 1", create_full, create_error, 56, 0, GHRM_MSG_INVALID },
	{ "append 0 of 2", append_full, append_error, 8, 0, GHRM_MSG_INVALID },
	{ "append 513", append_full, append_error, 8, 513, GHRM_NORESOURCE },
	{ "append 512 of 2", append_full, append_error, 8, 512, GHRM_MSG_INVALID },
	{ "accept acl 513", accept_full, accept_error, 12, 513, GHRM_NORESOURCE },
	{ "accept regions 513", accept_full, accept_error, 24, 513, GHRM_NORESOURCE },
	{ "lookup regions 513", lookup_full, lookup_error, 20, 513, GHRM_NORESOURCE },
	{ "targets 0", notify_full, targets_error, 12, 0, GHRM_ARGUMENT_INVALID },
	{ "targets 1 of 2", notify_full, targets_error, 12, 1, GHRM_OK },
	{ "targets 3 of 2", notify_full, targets_error, 12, 3, GHRM_MSG_INVALID },
	{ "targets 513 of 2", notify_full, targets_error, 12, 513, GHRM_MSG_INVALID },
};

START_TEST(list_counts_are_checked)
{
	uint8_t payload[256];
	size_t size = counts[_i].encode(payload, sizeof(payload));
	uint32_t error;

	util_put_le16(payload + counts[_i].count_at, counts[_i].count);
	error = counts[_i].decode(payload, size);
	ck_assert_msg(error == counts[_i].error, "%s: %u", counts[_i].name, error);
}
END_TEST

START_TEST(earlier_list_decides)
{
	uint8_t payload[256];
	size_t size = create_full(payload, sizeof(payload));

	/* Too many regions, but the access list before them is already cut short … */
	util_put_le16(payload + 8, 512);
	util_put_le16(payload + 20, 513);
	ck_assert_uint_eq(create_error(payload, size), GHRM_MSG_INVALID);
	/* … and too many regions outweigh the bytes that are missing at the end. */
	util_put_le16(payload + 8, 2);
	ck_assert_uint_eq(create_error(payload, size - 1), GHRM_NORESOURCE);
}
END_TEST

START_TEST(second_half_of_a_count_is_ignored_but_delivered)
{
	uint8_t payload[256];
	size_t size = accept_full(payload, sizeof(payload));
	struct ghrm_accept accept;

	util_put_le16(payload + 14, 0xffff);
	util_put_le16(payload + 26, 0x81);
	ck_assert_uint_eq(ghrm_decode_accept(payload, size, &accept), GHRM_OK);
	ck_assert_uint_eq(accept.acl.count, 2);
	ck_assert_uint_eq(accept.acl.second, 0xffff);
	ck_assert_uint_eq(accept.regions.count, 2);
	ck_assert_uint_eq(accept.regions.second, 0x81);
}
END_TEST

START_TEST(reserved_bytes_are_ignored)
{
	uint8_t payload[256];
	size_t size = create_full(payload, sizeof(payload));
	struct ghrm_create create;

	payload[1] = payload[3] = payload[15] = 0xff;
	ck_assert_uint_eq(ghrm_decode_create(payload, size, &create), GHRM_OK);
	ck_assert_uint_eq(create.mem_type, 0);
	ck_assert_uint_eq(ghrm_acl_at(&create.acl, 0).rights, 6);
}
END_TEST

START_TEST(attributes_come_attribute_first)
{
	uint8_t payload[256];
	size_t size = create_full(payload, sizeof(payload));
	struct ghrm_create create;

	ck_assert_uint_eq(payload[60], GHRM_ATTR_UNCACHED);
	ck_assert_uint_eq(payload[62], 0x80);
	ck_assert_uint_eq(ghrm_decode_create(payload, size, &create), GHRM_OK);
	ck_assert_uint_eq(create.attributes.count, 1);
	ck_assert_uint_eq(ghrm_attribute_at(&create.attributes, 0).attr, GHRM_ATTR_UNCACHED);
	ck_assert_uint_eq(ghrm_attribute_at(&create.attributes, 0).vmid, 0x80);
}
END_TEST

START_TEST(full_lists_fit_what_a_client_may_send)
{
	static struct ghrm_acl_entry acl[512];
	static struct ghrm_attribute attributes[512];
	static uint8_t payload[GHRM_SEND_MAX];
	struct ghrm_create create;
	size_t size;

	for (size_t i = 0; i < 512; i++)
		acl[i] = (struct ghrm_acl_entry){ .vmid = (uint16_t)i, .rights = 7 };
	size = ghrm_encode_create(
		payload, sizeof(payload), 0, 0, 1, acl, 512, regions, 512, attributes, 512);
	ck_assert_uint_eq(size, 12308);
	ck_assert_uint_eq(ghrm_decode_create(payload, size, &create), GHRM_OK);
	ck_assert_uint_eq(ghrm_acl_at(&create.acl, 511).vmid, 511);
	size = ghrm_encode_append(payload, sizeof(payload), 1, 0, regions, 513);
	ck_assert_uint_eq(append_error(payload, size), GHRM_NORESOURCE);
}
END_TEST

START_TEST(more_entries_than_a_count_can_say_are_refused)
{
	size_t n = 65536;
	_cleanup_free_ uint16_t *vmids = calloc(n, sizeof(*vmids));
	_cleanup_free_ uint8_t *buffer = malloc(n * 8);

	ck_assert(vmids && buffer);
	ck_assert_uint_eq(ghrm_encode_notify(buffer, n * 8, 1, 1, 1, vmids, n), 0);
	ck_assert_uint_eq(
		ghrm_encode_notify(buffer, n * 8, 1, 1, 1, vmids, n - 1), 16 + 4 * (n - 1));
}
END_TEST

/* ---- replies ---- */

static const struct {
	const char *name;
	uint8_t bytes[12];
	size_t size;
	bool word, u32; /* well-formed as a standard reply, as a reply with a word */
	uint32_t error, value;
} replies[] = {
	{ "handle 0", { 0, 0, 0, 0, 0, 0, 0, 0 }, 8, true, true, 0, 0 },
	{ "handle 5", { 0, 0, 0, 0, 5, 0, 0, 0 }, 8, true, true, 0, 5 },
	{ "error", { 0xa, 0, 0, 0 }, 4, true, true, 0xa, 99 },
	{ "success without a handle", { 0, 0, 0, 0 }, 4, true, false, 0, 99 },
	{ "error with a word", { 0xa, 0, 0, 0, 5, 0, 0, 0 }, 8, true, false, 0xa, 99 },
	{ "handle cut short", { 0, 0, 0, 0, 5, 0, 0 }, 7, true, false, 0, 99 },
	{ "too long", { 0, 0, 0, 0, 5, 0, 0, 0, 0 }, 9, true, false, 0, 99 },
	{ "half an error word", { 0, 0 }, 2, false, false, 0, 99 },
	{ "empty", { 0 }, 0, false, false, 0, 99 },
};

START_TEST(reply_sizes_are_checked)
{
	uint32_t error = 77, value = 99;

	ck_assert(
		ghrm_decode_reply(replies[_i].bytes, replies[_i].size, &error) == replies[_i].word);
	ck_assert_uint_eq(error, replies[_i].word ? replies[_i].error : 77);
	error = 77;
	ck_assert(ghrm_decode_reply_u32(replies[_i].bytes, replies[_i].size, &error, &value) ==
		  replies[_i].u32);
	ck_assert_uint_eq(error, replies[_i].u32 ? replies[_i].error : 77);
	ck_assert_uint_eq(value, replies[_i].value);
}
END_TEST

START_TEST(accept_reply_sizes_are_checked)
{
	uint8_t payload[64];
	size_t size = ghrm_encode_reply_accept(payload, sizeof(payload), regions, 2, true);
	struct ghrm_list list;
	uint32_t error;
	bool incomplete;

	ck_assert_uint_eq(size, 40);
	for (size_t n = 0; n <= size + 1; n++)
		ck_assert(ghrm_decode_reply_accept(payload, n, &error, &list, &incomplete) ==
			  (n == size));
	ck_assert(ghrm_decode_reply_accept(payload, size, &error, &list, &incomplete));
	ck_assert(incomplete);
	ck_assert_uint_eq(ghrm_region_at(&list, 1).address, 0x8000);
	size = ghrm_encode_reply_accept(payload, sizeof(payload), NULL, 0, false);
	ck_assert_uint_eq(size, 8);
	ck_assert(ghrm_decode_reply_accept(payload, size, &error, &list, &incomplete));
	ck_assert(!incomplete);
	ck_assert_uint_eq(list.count, 0);
	size = ghrm_encode_reply(payload, sizeof(payload), GHRM_NORESOURCE);
	ck_assert(ghrm_decode_reply_accept(payload, size, &error, &list, &incomplete));
	ck_assert_uint_eq(error, GHRM_NORESOURCE);
}
END_TEST

START_TEST(vm_state_reply)
{
	uint8_t payload[8];
	struct ghrm_vm_state state = { GHRM_VM_STATUS_RUNNING, 4, 0x1234 }, read = { 0 };
	uint32_t error;

	ck_assert_uint_eq(ghrm_encode_reply_vm_state(payload, sizeof(payload), &state), 8);
	for (size_t n = 0; n < 8; n++)
		ck_assert(!ghrm_decode_reply_vm_state(payload, n, &error, &read));
	ck_assert(ghrm_decode_reply_vm_state(payload, 8, &error, &read));
	ck_assert_uint_eq(read.vm_status, GHRM_VM_STATUS_RUNNING);
	ck_assert_uint_eq(read.os_status, 4);
	ck_assert_uint_eq(read.app_status, 0x1234);
	ck_assert_uint_eq(ghrm_encode_reply(payload, sizeof(payload), GHRM_DENIED), 4);
	ck_assert(ghrm_decode_reply_vm_state(payload, 4, &error, &read));
	ck_assert_uint_eq(error, GHRM_DENIED);
}
END_TEST

/* ---- notifications ---- */

static size_t shared_full(void *buffer, size_t room)
{
	return ghrm_encode_shared(
		buffer, room, 5, 0, 2, true, 3, 0x42, 7, two_vms, 2, sizes, 2, one_attribute, 1);
}

static bool shared_good(const uint8_t *payload, size_t size)
{
	struct ghrm_shared shared;
	return ghrm_decode_shared(payload, size, &shared);
}

static size_t participant_full(void *buffer, size_t room)
{
	return ghrm_encode_participant(buffer, room, &(struct ghrm_participant){ 5, 0x80, 7 });
}

static bool participant_good(const uint8_t *payload, size_t size)
{
	struct ghrm_participant participant;
	return ghrm_decode_participant(payload, size, &participant);
}

static size_t recall_full(void *buffer, size_t room)
{
	return ghrm_encode_recall(buffer, room, 5, 7);
}

static bool recall_good(const uint8_t *payload, size_t size)
{
	uint32_t handle = 0, tag = 0;
	bool good = ghrm_decode_recall(payload, size, &handle, &tag);

	ck_assert(!good || (handle == 5 && tag == 7));
	return good;
}

static size_t status_full(void *buffer, size_t room)
{
	return ghrm_encode_notif_vm_status(
		buffer, room, &(struct ghrm_notif_vm_status){ 0x80, { 3, 4, 5 } });
}

static bool status_good(const uint8_t *payload, size_t size)
{
	struct ghrm_notif_vm_status status;
	return ghrm_decode_notif_vm_status(payload, size, &status);
}

static size_t exited_full(void *buffer, size_t room)
{
	return ghrm_encode_notif_vm_exited(
		buffer, room, &(struct ghrm_notif_vm_exited){ 0x80, 7, 1, 2 });
}

static bool exited_good(const uint8_t *payload, size_t size)
{
	struct ghrm_notif_vm_exited exited;
	return ghrm_decode_notif_vm_exited(payload, size, &exited);
}

static size_t shutdown_full(void *buffer, size_t room)
{
	return ghrm_encode_notif_vm_shutdown(buffer, room, 3);
}

static bool shutdown_good(const uint8_t *payload, size_t size)
{
	uint32_t reason;
	return ghrm_decode_notif_vm_shutdown(payload, size, &reason);
}

static const struct {
	size_t (*encode)(void *buffer, size_t room);
	bool (*good)(const uint8_t *payload, size_t size);
	size_t full;
} notifications[] = {
	{ shared_full, shared_good, 32 + 8 + 16 + 4 },
	{ participant_full, participant_good, 12 },
	{ recall_full, recall_good, 8 },
	{ status_full, status_good, 8 },
	{ exited_full, exited_good, 12 },
	{ shutdown_full, shutdown_good, 4 },
};

START_TEST(notification_sizes_are_checked)
{
	uint8_t payload[128] = { 0 };
	size_t full = notifications[_i].encode(payload, sizeof(payload));

	ck_assert_uint_eq(full, notifications[_i].full);
	for (size_t n = 0; n <= full + 8; n++)
		ck_assert_msg(notifications[_i].good(payload, n) == (n == full), "%zu", n);
}
END_TEST

START_TEST(exited_with_a_long_reason)
{
	static const uint8_t payload[24] = { 0x80, 0, 3, 0, 16, 0, 0, 0, 1, 0, 4, 0 };
	struct ghrm_notif_vm_exited exited;

	ck_assert(ghrm_decode_notif_vm_exited(payload, sizeof(payload), &exited));
	ck_assert_uint_eq(exited.exit_type, 3);
	ck_assert_uint_eq(exited.flags, 1);
	ck_assert_uint_eq(exited.code, 4);
	ck_assert(!ghrm_decode_notif_vm_exited(payload, 23, &exited));
}
END_TEST

START_TEST(names)
{
	ck_assert_str_eq(ghrm_msg_name(GHRM_MEM_LEND), "MEM_LEND");
	ck_assert_str_eq(ghrm_msg_name(GHRM_NOTIF_VM_STATUS), "VM_STATUS");
	ck_assert_ptr_null(ghrm_msg_name(0x51000016));
	ck_assert_str_eq(ghrm_error_name(GHRM_OK), "OK");
	ck_assert_str_eq(ghrm_error_name(GHRM_MEM_INUSE), "MEM_INUSE");
	ck_assert_str_eq(ghrm_error_name(GHRM_VM_STATE), "VM_STATE");
	ck_assert_str_eq(ghrm_error_name(GHRM_UNIMPLEMENTED), "UNIMPLEMENTED");
	ck_assert_str_eq(ghrm_error_name(0x15), "UNKNOWN");
	for (uint32_t error = 0; error < 0x20; error++) {
		ck_assert_ptr_nonnull(ghrm_error_name(error));
		ck_assert_ptr_nonnull(ghrm_error_text(error));
	}
	ck_assert_ptr_nonnull(ghrm_error_text(GHRM_UNIMPLEMENTED));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ghrm_message");
	TCase *tests = tcase_create("message");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(tests, truncation_sweep, 0, ARRAY_SIZE(sweeps));
	tcase_add_loop_test(tests, shortest_requests, 0, ARRAY_SIZE(empty));
	tcase_add_loop_test(tests, list_counts_are_checked, 0, ARRAY_SIZE(counts));
	tcase_add_test(tests, earlier_list_decides);
	tcase_add_test(tests, second_half_of_a_count_is_ignored_but_delivered);
	tcase_add_test(tests, reserved_bytes_are_ignored);
	tcase_add_test(tests, attributes_come_attribute_first);
	tcase_add_test(tests, full_lists_fit_what_a_client_may_send);
	tcase_add_test(tests, more_entries_than_a_count_can_say_are_refused);
	tcase_add_loop_test(tests, reply_sizes_are_checked, 0, ARRAY_SIZE(replies));
	tcase_add_test(tests, accept_reply_sizes_are_checked);
	tcase_add_test(tests, vm_state_reply);
	tcase_add_loop_test(tests, notification_sizes_are_checked, 0, ARRAY_SIZE(notifications));
	tcase_add_test(tests, exited_with_a_long_reason);
	tcase_add_test(tests, names);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
