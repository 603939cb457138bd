/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Resource Manager's messages, both directions: what a client sends and what the Resource
 * Manager (or an emulator) answers and announces. Payloads only; packets are packet.h's business.
 *
 * Layouts and numbers: shared/design/rm-protocol.md §2.9 (lists), §3 (messages). All functions are
 * pure and thread-safe. Nothing is allocated: encoders write into the caller's buffer, decoders
 * hand out views into the caller's payload, valid as long as that is.
 *
 * Encoders return the payload's size in bytes, or 0 when it does not fit the buffer (no message
 * that has an encoder is empty; the empty ones need none). GHRM_SEND_MAX bytes hold every request.
 *
 * Decoders of requests return the error number that the Resource Manager answers for a malformed
 * payload (GHRM_OK, GHRM_MSG_INVALID, GHRM_NORESOURCE …), checked in its order. Decoders of replies
 * and notifications return true, or false for a payload of the wrong shape.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghrm/error.h"

enum ghrm_msg_id {
	GHRM_MEM_DONATE = 0x51000010,
	GHRM_MEM_ACCEPT = 0x51000011,
	GHRM_MEM_LEND = 0x51000012,
	GHRM_MEM_SHARE = 0x51000013,
	GHRM_MEM_RELEASE = 0x51000014,
	GHRM_MEM_RECLAIM = 0x51000015,
	GHRM_MEM_NOTIFY = 0x51000017,
	GHRM_MEM_APPEND = 0x51000018,
	GHRM_MEM_LOOKUP_SGL = 0x5100001a,
	GHRM_NOTIF_MEM_SHARED = 0x51100011,
	GHRM_NOTIF_MEM_RELEASED = 0x51100012,
	GHRM_NOTIF_MEM_ACCEPTED = 0x51100013,
	GHRM_NOTIF_MEM_RECALL = 0x51100014,
	GHRM_VM_ALLOCATE = 0x56000001,
	GHRM_VM_DEALLOCATE = 0x56000002,
	GHRM_VM_START = 0x56000004,
	GHRM_VM_STOP = 0x56000005,
	GHRM_VM_RESET = 0x56000006,
	GHRM_VM_CONFIG_IMAGE = 0x56000009,
	GHRM_VM_AUTH_IMAGE = 0x5600000a,
	GHRM_VM_INIT = 0x5600000b,
	GHRM_VM_GET_STATE = 0x56000017,
	GHRM_VM_GET_VMID = 0x56000024,
	GHRM_VM_SET_STATUS = 0x56000080,
	GHRM_VM_EXIT = 0x56000085,
	GHRM_VM_HOST_GET_TYPE = 0x560000a0,
	GHRM_NOTIF_VM_EXITED = 0x56100001,
	GHRM_NOTIF_VM_SHUTDOWN = 0x56100002,
	GHRM_NOTIF_VM_STATUS = 0x56100008,
};

/* "MEM_LEND", "VM_STATUS"; NULL for a number that has no name here. Static string. */
const char *ghrm_msg_name(uint32_t msg_id);

#define GHRM_VMID_HOST     3    /* the primary VM, HLOS */
#define GHRM_VMID_RM       0xff /* the Resource Manager itself */
#define GHRM_HANDLE_NONE   0xffffffffu
#define GHRM_LIST_MAX      512          /* entries per list and message, §2.9 */
#define GHRM_ADDRESS_LIMIT (1ull << 44) /* §3.1.1 a */
#define GHRM_PAGE_SIZE     4096ull      /* whatever the guest's is, §5.10 */
#define GHRM_REGIONS_MAX   (1u << 20)   /* per parcel, §3.1.1 e */
#define GHRM_PARCELS_MAX   64           /* per owner, §5.10 */

enum ghrm_mem_type { GHRM_MEM_NORMAL = 0, GHRM_MEM_IO = 1 };
enum ghrm_trans_type { GHRM_TRANS_DONATE = 0, GHRM_TRANS_LEND = 1, GHRM_TRANS_SHARE = 2 };
enum ghrm_right { GHRM_RIGHT_X = 1, GHRM_RIGHT_W = 2, GHRM_RIGHT_R = 4, GHRM_RIGHT_RWX = 7 };
enum ghrm_attr {
	GHRM_ATTR_NORMAL = 0,
	GHRM_ATTR_DEVICE = 1,
	GHRM_ATTR_UNCACHED = 2,
	GHRM_ATTR_CACHED = 3
};

enum ghrm_create_flag { GHRM_CREATE_SANITIZE = 1, GHRM_CREATE_APPEND = 2 };
enum ghrm_append_flag { GHRM_APPEND_END = 1 };
enum ghrm_back_flag { GHRM_BACK_SANITIZE = 1 }; /* RELEASE and RECLAIM */
enum ghrm_accept_flag {
	GHRM_ACCEPT_VALIDATE_SANITIZED = 0x01,
	GHRM_ACCEPT_VALIDATE_ACL_ATTR = 0x02,
	GHRM_ACCEPT_VALIDATE_LABEL = 0x04,
	GHRM_ACCEPT_MAP_OTHER = 0x08,
	GHRM_ACCEPT_MAP_CONTIGUOUS = 0x10,
	GHRM_ACCEPT_SANITIZE = 0x20,
	GHRM_ACCEPT_DONE = 0x80,
};
enum ghrm_notify_flag {
	GHRM_NOTIFY_SHARED = 1,
	GHRM_NOTIFY_RELEASED = 2,
	GHRM_NOTIFY_ACCEPTED = 4,
	GHRM_NOTIFY_RECALL = 8,
};
enum ghrm_vm_status {
	GHRM_VM_STATUS_NONE = 0,
	GHRM_VM_STATUS_INIT = 1,
	GHRM_VM_STATUS_READY = 2,
	GHRM_VM_STATUS_RUNNING = 3,
	GHRM_VM_STATUS_PAUSED = 4,
	GHRM_VM_STATUS_LOAD = 5,
	GHRM_VM_STATUS_AUTH = 6,
	GHRM_VM_STATUS_INIT_FAILED = 8,
	GHRM_VM_STATUS_EXITED = 9,
	GHRM_VM_STATUS_RESETTING = 10,
	GHRM_VM_STATUS_RESET = 11,
};

struct ghrm_acl_entry {
	uint16_t vmid;
	uint8_t rights; /* enum ghrm_right, or'ed */
};
struct ghrm_region {
	uint64_t address; /* bytes */
	uint64_t size;    /* bytes */
};
struct ghrm_attribute {
	uint16_t attr;
	uint16_t vmid;
};

/* ---- lists as views ---- */

struct ghrm_list {
	const uint8_t *data; /* packed entries */
	uint16_t count;
	uint16_t second; /* the half-word after the count; map_vmid in MEM_ACCEPT's region list */
};

/* Entry number i < list->count. */
struct ghrm_acl_entry ghrm_acl_at(const struct ghrm_list *list, size_t i);
struct ghrm_region ghrm_region_at(const struct ghrm_list *list, size_t i);
struct ghrm_attribute ghrm_attribute_at(const struct ghrm_list *list, size_t i);
uint16_t ghrm_vmid_at(const struct ghrm_list *list, size_t i);        /* MEM_NOTIFY's targets */
uint64_t ghrm_region_size_at(const struct ghrm_list *list, size_t i); /* MEM_SHARED's sizes */

/* ---- MEM_DONATE, MEM_LEND, MEM_SHARE (§3.1) ---- */

struct ghrm_create {
	uint8_t mem_type;
	uint8_t flags;
	uint32_t label;
	struct ghrm_list acl, regions, attributes;
};

size_t ghrm_encode_create(void *buffer, size_t room, uint8_t mem_type, uint8_t flags,
	uint32_t label, const struct ghrm_acl_entry *acl, size_t n_acl,
	const struct ghrm_region *regions, size_t n_regions,
	const struct ghrm_attribute *attributes, size_t n_attributes);
uint32_t ghrm_decode_create(const void *payload, size_t size, struct ghrm_create *ret);

/* ---- MEM_APPEND (§3.2) ---- */

struct ghrm_append {
	uint32_t handle;
	uint8_t flags;
	struct ghrm_list regions;
};

size_t ghrm_encode_append(void *buffer, size_t room, uint32_t handle, uint8_t flags,
	const struct ghrm_region *regions, size_t n_regions);
uint32_t ghrm_decode_append(const void *payload, size_t size, struct ghrm_append *ret);

/* ---- MEM_ACCEPT (§3.3) ---- */

struct ghrm_accept {
	uint32_t handle;
	uint8_t mem_type, trans_type, flags;
	uint32_t label;
	struct ghrm_list acl, regions, attributes; /* regions.second is map_vmid */
};

size_t ghrm_encode_accept(void *buffer, size_t room, uint32_t handle, uint8_t mem_type,
	uint8_t trans_type, uint8_t flags, uint32_t label, const struct ghrm_acl_entry *acl,
	size_t n_acl, const struct ghrm_region *regions, size_t n_regions,
	const struct ghrm_attribute *attributes, size_t n_attributes);
uint32_t ghrm_decode_accept(const void *payload, size_t size, struct ghrm_accept *ret);

/* ---- MEM_RELEASE, MEM_RECLAIM (§3.4, §3.5) ---- */

struct ghrm_back {
	uint32_t handle;
	uint8_t flags;
};

size_t ghrm_encode_back(void *buffer, size_t room, uint32_t handle, uint8_t flags);
uint32_t ghrm_decode_back(const void *payload, size_t size, struct ghrm_back *ret);

/* ---- MEM_NOTIFY (§3.6) ---- */

struct ghrm_notify {
	uint32_t handle;
	uint8_t flags;
	uint32_t tag;
};

/* n_targets 0 leaves the list out: the 12-byte form, which is also the existence probe (§6.6). */
size_t ghrm_encode_notify(void *buffer, size_t room, uint32_t handle, uint8_t flags, uint32_t tag,
	const uint16_t *targets, size_t n_targets);
/* The first 12 bytes only: the list is looked at later, and only for SHARED and RECALL. */
uint32_t ghrm_decode_notify(const void *payload, size_t size, struct ghrm_notify *ret);
/*
 * The targets, in the three steps that the Resource Manager's order of checks needs (§3.6 rules 6
 * to 8): no list header MSG_INVALID, count 0 ARGUMENT_INVALID, data cut short MSG_INVALID.
 */
uint32_t ghrm_decode_notify_targets(const void *payload, size_t size, struct ghrm_list *ret);

/* ---- MEM_QCOM_LOOKUP_SGL (§3.7) ---- */

struct ghrm_lookup {
	uint8_t mem_type;
	uint32_t label;
	struct ghrm_list acl, regions, attributes;
};

size_t ghrm_encode_lookup(void *buffer, size_t room, uint8_t mem_type, uint32_t label,
	const struct ghrm_acl_entry *acl, size_t n_acl, const struct ghrm_region *regions,
	size_t n_regions);
uint32_t ghrm_decode_lookup(const void *payload, size_t size, struct ghrm_lookup *ret);

/* ---- replies ---- */

/* The 4-byte standard reply (§2.7). */
size_t ghrm_encode_reply(void *buffer, size_t room, uint32_t error);
/* Error word and one more word: a handle (create, lookup) or a VMID, GET_VMID and the like. */
size_t ghrm_encode_reply_u32(void *buffer, size_t room, uint32_t value);
/* MEM_ACCEPT's long reply: addresses that the Resource Manager chose (§3.3). */
size_t ghrm_encode_reply_accept(void *buffer, size_t room, const struct ghrm_region *regions,
	size_t n_regions, bool incomplete);

/* Any reply's error word; false when the payload has none. */
bool ghrm_decode_reply(const void *payload, size_t size, uint32_t *ret_error);
/*
 * Replies that carry a word on success. An error reply is the word alone. false for any other size,
 * so that a handle is never made up.
 */
bool ghrm_decode_reply_u32(
	const void *payload, size_t size, uint32_t *ret_error, uint32_t *ret_value);
bool ghrm_decode_reply_accept(const void *payload, size_t size, uint32_t *ret_error,
	struct ghrm_list *ret_regions, bool *ret_incomplete);

/* ---- memory notifications (§3.8 to §3.10) ---- */

struct ghrm_shared {
	uint32_t handle;
	uint8_t mem_type, trans_type, flags;
	uint16_t owner;
	uint32_t label, tag;
	struct ghrm_list acl, sizes, attributes;
};

size_t ghrm_encode_shared(void *buffer, size_t room, uint32_t handle, uint8_t mem_type,
	uint8_t trans_type, bool sanitized, uint16_t owner, uint32_t label, uint32_t tag,
	const struct ghrm_acl_entry *acl, size_t n_acl, const uint64_t *sizes, size_t n_sizes,
	const struct ghrm_attribute *attributes, size_t n_attributes);
bool ghrm_decode_shared(const void *payload, size_t size, struct ghrm_shared *ret);

/* MEM_RELEASED and MEM_ACCEPTED to the owner. */
struct ghrm_participant {
	uint32_t handle;
	uint16_t vmid;
	uint32_t tag;
};

size_t ghrm_encode_participant(
	void *buffer, size_t room, const struct ghrm_participant *participant);
bool ghrm_decode_participant(const void *payload, size_t size, struct ghrm_participant *ret);

size_t ghrm_encode_recall(void *buffer, size_t room, uint32_t handle, uint32_t tag);
bool ghrm_decode_recall(const void *payload, size_t size, uint32_t *ret_handle, uint32_t *ret_tag);

/* ---- VM life cycle (§3.11) ---- */

/* The {vmid, reserved} requests: ALLOCATE, DEALLOCATE, START, RESET, INIT, GET_STATE. */
size_t ghrm_encode_vmid(void *buffer, size_t room, uint16_t vmid);
/* Exact length required; *ret_reserved (may be NULL) is checked by VM_INIT. */
uint32_t ghrm_decode_vmid(
	const void *payload, size_t size, uint16_t *ret_vmid, uint16_t *ret_reserved);

struct ghrm_vm_stop {
	uint16_t vmid;
	uint8_t flags; /* 1: force */
	uint32_t reason;
};
size_t ghrm_encode_vm_stop(void *buffer, size_t room, const struct ghrm_vm_stop *stop);
uint32_t ghrm_decode_vm_stop(const void *payload, size_t size, struct ghrm_vm_stop *ret);

struct ghrm_vm_config_image {
	uint16_t vmid, auth;
	uint32_t handle;
	uint64_t image_offset, image_size, dtb_offset, dtb_size; /* bytes */
};
size_t ghrm_encode_vm_config_image(
	void *buffer, size_t room, const struct ghrm_vm_config_image *config);
uint32_t ghrm_decode_vm_config_image(
	const void *payload, size_t size, struct ghrm_vm_config_image *ret);

/* Its parameters are the platform's: they are counted, not interpreted. */
struct ghrm_vm_auth_parameter {
	uint32_t type, value;
};
size_t ghrm_encode_vm_auth_image(void *buffer, size_t room, uint16_t vmid,
	const struct ghrm_vm_auth_parameter *parameters, uint16_t n);
uint32_t ghrm_decode_vm_auth_image(const void *payload, size_t size, uint16_t *ret_vmid);

struct ghrm_vm_set_status {
	uint8_t os_status;
	uint16_t app_status;
};
size_t ghrm_encode_vm_set_status(
	void *buffer, size_t room, const struct ghrm_vm_set_status *status);
uint32_t ghrm_decode_vm_set_status(
	const void *payload, size_t size, struct ghrm_vm_set_status *ret);

struct ghrm_vm_exit {
	uint16_t flags;
	uint8_t code;
	uint8_t reserved;
};
size_t ghrm_encode_vm_exit(void *buffer, size_t room, const struct ghrm_vm_exit *exit);
uint32_t ghrm_decode_vm_exit(const void *payload, size_t size, struct ghrm_vm_exit *ret);

/* VM_GET_STATE's reply: error word, then these four bytes. */
struct ghrm_vm_state {
	uint8_t vm_status, os_status;
	uint16_t app_status;
};
size_t ghrm_encode_reply_vm_state(void *buffer, size_t room, const struct ghrm_vm_state *state);
bool ghrm_decode_reply_vm_state(
	const void *payload, size_t size, uint32_t *ret_error, struct ghrm_vm_state *ret);

struct ghrm_notif_vm_status {
	uint16_t vmid;
	struct ghrm_vm_state state;
};
size_t ghrm_encode_notif_vm_status(
	void *buffer, size_t room, const struct ghrm_notif_vm_status *status);
bool ghrm_decode_notif_vm_status(
	const void *payload, size_t size, struct ghrm_notif_vm_status *ret);

struct ghrm_notif_vm_exited {
	uint16_t vmid, exit_type;
	uint16_t flags, code; /* the two halves of the first reason word */
};
size_t ghrm_encode_notif_vm_exited(
	void *buffer, size_t room, const struct ghrm_notif_vm_exited *exited);
bool ghrm_decode_notif_vm_exited(
	const void *payload, size_t size, struct ghrm_notif_vm_exited *ret);

size_t ghrm_encode_notif_vm_shutdown(void *buffer, size_t room, uint32_t reason);
bool ghrm_decode_notif_vm_shutdown(const void *payload, size_t size, uint32_t *ret_reason);
