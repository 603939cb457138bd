/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* An emulator without sockets, and the requests of its VMs as function calls. */

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "emulator/emulator.h"
#include "ghrm/error.h"
#include "ghrm/message.h"
#include "ghrm/packet.h"
#include "util/util.h"

#define HOST   GHRM_VMID_HOST
#define GUEST  0x80
#define OTHER  0x81
#define PAGE   GHRM_PAGE_SIZE
#define BASE   0x80000000ull /* memory of the primary VM */
#define DEVICE 0x09000000ull

#define R      4
#define RX     5
#define RW     6
#define RWX    7

struct bench_message {
	enum ghrm_packet_type type;
	uint16_t vmid, seq;
	uint32_t msg_id;
	size_t size;
	uint8_t payload[GHRM_PAYLOAD_MAX];
};

struct bench {
	struct machine *machine;
	struct emulator *emulator;
	uint16_t seq;
	struct ghrm_reassembly *incoming; /* one per VMID */
	struct bench_message reply;       /* the latest */
	struct bench_message *notes;      /* notifications since bench_forget() */
	size_t n_notes;
};

static inline struct bench *bench_new_with(struct machine *machine, bool strict)
{
	struct bench *bench = calloc(1, sizeof(*bench));

	ck_assert_ptr_nonnull(bench);
	bench->machine = machine;
	bench->incoming = calloc(MACHINE_VMIDS, sizeof(*bench->incoming));
	ck_assert_ptr_nonnull(bench->incoming);
	ck_assert_int_eq(emulator_new(&bench->emulator, machine, strict, NULL, NULL), 0);
	return bench;
}

static inline struct bench *bench_new(void)
{
	struct machine *machine;

	ck_assert_int_eq(machine_new_default(&machine), 0);
	return bench_new_with(machine, false);
}

static inline void bench_forget(struct bench *bench)
{
	free(bench->notes);
	bench->notes = NULL;
	bench->n_notes = 0;
}

static inline void bench_free(struct bench *bench)
{
	bench_forget(bench);
	emulator_free(bench->emulator);
	machine_free(bench->machine);
	free(bench->incoming);
	free(bench);
}

static inline void bench_message(
	struct bench *bench, uint16_t vmid, const struct ghrm_message *message)
{
	struct bench_message *to = &bench->reply;

	if (message->type == GHRM_NOTIFICATION) {
		bench->notes = realloc(bench->notes, (bench->n_notes + 1) * sizeof(*bench->notes));
		ck_assert_ptr_nonnull(bench->notes);
		to = &bench->notes[bench->n_notes++];
	}
	to->type = message->type;
	to->vmid = vmid;
	to->seq = message->seq;
	to->msg_id = message->msg_id;
	to->size = message->size;
	memcpy(to->payload, message->payload, message->size);
}

/* Takes up to maximum packets out of a VM's queue. */
static inline size_t bench_read(struct bench *bench, uint16_t vmid, size_t maximum)
{
	uint8_t packet[GHRM_PACKET_MAX];
	struct ghrm_message message;
	size_t n = 0, size;

	while (n < maximum && (size = emulator_take(bench->emulator, vmid, packet)) > 0) {
		n++;
		if (ghrm_reassembly_feed(&bench->incoming[vmid], packet, size, &message) ==
			GHRM_FEED_MESSAGE)
			bench_message(bench, vmid, &message);
	}
	return n;
}

static inline void bench_read_all(struct bench *bench)
{
	for (uint16_t vmid = 0; vmid < MACHINE_VMIDS; vmid++)
		bench_read(bench, vmid, SIZE_MAX);
}

static inline void bench_send(
	struct bench *bench, uint16_t vmid, uint32_t msg_id, const void *payload, size_t size)
{
	struct ghrm_message message = { .type = GHRM_REQUEST,
		.seq = ++bench->seq,
		.msg_id = msg_id,
		.payload = payload,
		.size = size };
	uint8_t packet[GHRM_PACKET_MAX];

	for (size_t i = 0; i < ghrm_message_packets(size); i++)
		emulator_feed(
			bench->emulator, vmid, packet, ghrm_packet_encode(&message, i, packet));
}

/* Sends a request, reads everything, and returns the error number of the reply. */
static inline uint32_t bench_call(
	struct bench *bench, uint16_t vmid, uint32_t msg_id, const void *payload, size_t size)
{
	uint32_t error;

	bench->reply.type = GHRM_CONTINUATION;
	bench_send(bench, vmid, msg_id, payload, size);
	bench_read_all(bench);
	ck_assert_int_eq(bench->reply.type, GHRM_REPLY);
	ck_assert_int_eq(bench->reply.vmid, vmid);
	ck_assert_int_eq(bench->reply.seq, bench->seq);
	ck_assert_int_eq(bench->reply.msg_id, msg_id);
	ck_assert(ghrm_decode_reply(bench->reply.payload, bench->reply.size, &error));
	return error;
}

/* The second word of the latest reply. */
static inline uint32_t bench_value(struct bench *bench)
{
	uint32_t error, value = 0;

	ck_assert(ghrm_decode_reply_u32(bench->reply.payload, bench->reply.size, &error, &value));
	return value;
}

static inline struct ghrm_region bench_accepted(struct bench *bench, size_t i, size_t *ret_n)
{
	struct ghrm_list regions;
	uint32_t error;
	bool incomplete;

	ck_assert(ghrm_decode_reply_accept(
		bench->reply.payload, bench->reply.size, &error, &regions, &incomplete));
	if (ret_n)
		*ret_n = regions.count;
	return i < regions.count ? ghrm_region_at(&regions, i) : (struct ghrm_region){ 0 };
}

static inline uint32_t bench_create_full(struct bench *bench, uint16_t vmid, uint32_t msg_id,
	uint8_t mem_type, uint8_t flags, uint32_t label, const struct ghrm_acl_entry *acl,
	size_t n_acl, const struct ghrm_region *regions, size_t n_regions,
	const struct ghrm_attribute *attributes, size_t n_attributes)
{
	static uint8_t payload[GHRM_PAYLOAD_MAX];
	size_t size = ghrm_encode_create(payload, sizeof(payload), mem_type, flags, label, acl,
		n_acl, regions, n_regions, attributes, n_attributes);

	ck_assert_uint_gt(size, 0);
	return bench_call(bench, vmid, msg_id, payload, size);
}

/* A LEND of one range from the primary VM; returns the error number. */
static inline uint32_t bench_lend(
	struct bench *bench, uint16_t to, uint8_t rights, uint64_t address, uint64_t size)
{
	struct ghrm_acl_entry acl = { to, rights };
	struct ghrm_region region = { address, size };

	return bench_create_full(
		bench, HOST, GHRM_MEM_LEND, GHRM_MEM_NORMAL, 0, 7, &acl, 1, &region, 1, NULL, 0);
}

static inline uint32_t bench_share(struct bench *bench, uint8_t own, uint16_t to, uint8_t rights,
	uint8_t flags, uint64_t address, uint64_t size)
{
	struct ghrm_acl_entry acl[] = { { to, rights }, { HOST, own } };
	struct ghrm_region region = { address, size };

	return bench_create_full(bench, HOST, GHRM_MEM_SHARE, GHRM_MEM_NORMAL, flags, 7, acl, 2,
		&region, 1, NULL, 0);
}

static inline uint32_t bench_append(struct bench *bench, uint16_t vmid, uint32_t handle,
	uint8_t flags, const struct ghrm_region *regions, size_t n)
{
	static uint8_t payload[GHRM_PAYLOAD_MAX];
	size_t size = ghrm_encode_append(payload, sizeof(payload), handle, flags, regions, n);

	return bench_call(bench, vmid, GHRM_MEM_APPEND, payload, size);
}

static inline uint32_t bench_accept(struct bench *bench, uint16_t vmid, uint32_t handle,
	uint8_t trans, uint8_t flags, const struct ghrm_region *regions, size_t n)
{
	static uint8_t payload[GHRM_PAYLOAD_MAX];
	size_t size = ghrm_encode_accept(payload, sizeof(payload), handle, GHRM_MEM_NORMAL, trans,
		flags, 0, NULL, 0, regions, n, NULL, 0);

	return bench_call(bench, vmid, GHRM_MEM_ACCEPT, payload, size);
}

static inline uint32_t bench_back(
	struct bench *bench, uint16_t vmid, uint32_t msg_id, uint32_t handle, uint8_t flags)
{
	uint8_t payload[16];

	return bench_call(bench, vmid, msg_id, payload,
		ghrm_encode_back(payload, sizeof(payload), handle, flags));
}

static inline uint32_t bench_release(struct bench *bench, uint16_t vmid, uint32_t handle)
{
	return bench_back(bench, vmid, GHRM_MEM_RELEASE, handle, 0);
}

static inline uint32_t bench_reclaim(struct bench *bench, uint16_t vmid, uint32_t handle)
{
	return bench_back(bench, vmid, GHRM_MEM_RECLAIM, handle, 0);
}

static inline uint32_t bench_notify(struct bench *bench, uint16_t vmid, uint32_t handle,
	uint8_t flags, uint32_t tag, const uint16_t *targets, size_t n)
{
	uint8_t payload[256];

	return bench_call(bench, vmid, GHRM_MEM_NOTIFY, payload,
		ghrm_encode_notify(payload, sizeof(payload), handle, flags, tag, targets, n));
}

static inline uint32_t bench_vm(
	struct bench *bench, uint16_t vmid, uint32_t msg_id, uint16_t target)
{
	uint8_t payload[4];

	return bench_call(
		bench, vmid, msg_id, payload, ghrm_encode_vmid(payload, sizeof(payload), target));
}

/* "phys=0x80000000 size=0x1000 6 15 parcel" or "unmapped size=0x1000" */
static inline const char *bench_probe(
	struct bench *bench, uint16_t vmid, uint64_t address, uint64_t size)
{
	static char text[128];
	struct emulator_view view;

	ck_assert(emulator_probe(bench->emulator, vmid, address, size, &view));
	if (view.mapped)
		snprintf(text, sizeof(text), "phys=0x%llx size=0x%llx %u %u %s",
			(unsigned long long)view.physical, (unsigned long long)view.size,
			view.rights, view.memtype, view.owner);
	else
		snprintf(text, sizeof(text), "unmapped size=0x%llx", (unsigned long long)view.size);
	return text;
}

static inline void bench_steps(struct bench *bench)
{
	while (emulator_step(bench->emulator))
		bench_read_all(bench);
}
