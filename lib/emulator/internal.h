/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The emulator's inner structures, for the files of this directory only. */

#include <bsd/sys/queue.h>

#include "emulator/emulator.h"
#include "emulator/interval.h"
#include "emulator/space.h"
#include "ghrm/error.h"
#include "ghrm/message.h"
#include "ghrm/packet.h"
#include "util/util.h"

#define DYNAMIC_FIRST     0x80 /* §1: dynamic VMIDs */
#define DYNAMIC_LAST      0xbe
#define NOTIFICATIONS_MAX 256 /* waiting per VM, §2.8 */
#define HANDLE_INVALID    0xffffffffu

struct parcel;
struct vm;

/*
 * The owner of physical pages: each VM has one extent for normal and one for device memory, each
 * parcel has one. The emulator's ownership map has pointers to these as values.
 */
struct extent {
	struct vm *vm;         /* or NULL */
	struct parcel *parcel; /* or NULL */
	bool io;               /* of a VM: device memory */
};

/* ---- links ---- */

struct link_message {
	TAILQ_ENTRY(link_message) entry;
	enum ghrm_packet_type type;
	uint16_t seq;
	uint32_t msg_id;
	size_t size;
	uint8_t payload[];
};

TAILQ_HEAD(link_messages, link_message);

struct link_packet {
	size_t size;
	uint8_t data[GHRM_PACKET_MAX];
};

/* The way from the Resource Manager to one VM (§2.8). */
struct link {
	struct link_packet *queue; /* a ring of machine->queue_depth */
	unsigned first, count;
	struct link_message *sending; /* being put into the queue */
	size_t sent;                  /* packets of it that are in */
	struct link_message *reply;   /* the one waiting reply */
	struct link_messages notifications;
	unsigned n_notifications;
};

/* ---- VMs ---- */

/* One of the parcels that a VM has accepted or reserved addresses for. */
struct held {
	struct parcel *parcel;
	struct member *member;
};

enum auth_type { AUTH_NONE, AUTH_PLATFORM, AUTH_ANDROID }; /* of an image, §3.11 */
enum reset_stage { RESET_NONE, RESET_DEVICES, RESET_PARCELS, RESET_DONE };

struct vm {
	uint16_t vmid;
	uint16_t owner; /* 0 for the primary VM */
	char name[MACHINE_NAME_MAX];
	enum ghrm_vm_status status;
	uint8_t os_status;
	uint16_t app_status;
	bool linked; /* its message queues exist */
	struct extent normal, device;
	struct space space;
	TAILQ_HEAD(, parcel) owned; /* oldest first */
	size_t n_owned;
	struct held *held; /* oldest first, but the newest fills the place of one that goes */
	size_t n_held, held_room;
	struct ghrm_vm_config_image image;
	const struct machine_device *devices; /* the machine's */
	size_t n_devices;
	enum reset_stage reset;
	struct ghrm_reassembly reassembly;
	struct link link;
};

/* ---- parcels ---- */

struct region {
	uint64_t ipa; /* the owner's */
	uint64_t pa;
	uint32_t pages;
	uint32_t slot; /* mapping slot of the sharing owner's mapping */
};

/* One entry of a parcel's access list and what that VM has done about it. */
struct member {
	uint16_t vmid;
	uint8_t rights;
	uint8_t attr;    /* enum ghrm_attr */
	bool holds;      /* has accepted, or reserved addresses */
	bool mapped;     /* has accepted finally */
	bool contiguous; /* while it holds: one address for the whole parcel */
	unsigned slot;   /* while it is mapped */
	size_t held_index;
	size_t assigned;     /* addresses so far */
	uint64_t *addresses; /* one per region, or one in all */
};

/*
 * The hypervisor maps an extent through at most machine->max_mappings of these. Pages that were
 * rolled back stay recorded in the sharing owner's slots (rm-findings §5), and a slot that has a
 * page recorded cannot map it again.
 */
struct slot {
	bool used;
	uint16_t vmid;
	struct interval_map stale;
};

enum parcel_state { PARCEL_INCOMPLETE, PARCEL_COMPLETE, PARCEL_HELD };

struct parcel {
	RB_ENTRY(parcel) node;
	TAILQ_ENTRY(parcel) entry; /* of the owner's list */
	uint32_t handle;
	struct vm *owner;
	uint8_t mem_type;
	enum ghrm_trans_type trans_type;
	enum parcel_state state;
	uint32_t label;
	bool tagged;
	uint32_t tag;
	bool sanitize_create, sanitize_reclaim;
	struct member *members;
	size_t n_members, n_holders;
	struct ghrm_attribute *attributes;
	size_t n_attributes;
	struct region *regions;
	size_t n_regions, regions_room;
	uint64_t total; /* bytes; keeps what failed appends had added, as in the original */
	struct extent extent;
	struct slot *slots;
};

RB_HEAD(parcel_tree, parcel);
int parcel_compare(const struct parcel *a, const struct parcel *b);
RB_PROTOTYPE(parcel_tree, parcel, node, parcel_compare)

struct emulator {
	const struct machine *machine;
	struct emulator_ops ops;
	void *userdata;
	bool strict, dead;
	unsigned resetting; /* VMs with a reset stage */
	struct vm *vms[MACHINE_VMIDS];
	struct interval_map ownership; /* physical address → struct extent * */
	struct parcel_tree parcels;
	uint32_t next_handle;
	uint16_t notification_seq;
	uint64_t zeroed_pages;
	size_t reply_size; /* 0: the standard reply */
	uint8_t reply[GHRM_PAYLOAD_MAX];
	uint8_t scratch[GHRM_PAYLOAD_MAX]; /* notifications are built here */
};

/* Request handlers return an error number; on success they may have filled emulator->reply. */
typedef uint32_t request_handler(
	struct emulator *emulator, struct vm *vm, const uint8_t *payload, size_t size);

/* core.c */
struct vm *vm_find(struct emulator *emulator, uint16_t vmid);
struct parcel *parcel_find(struct emulator *emulator, uint32_t handle);
void emulator_log(struct emulator *emulator, const char *format, ...) _printf_(2, 3);
/* A request that kills the published Resource Manager: returns what to answer instead. */
uint32_t emulator_fatal(struct emulator *emulator, uint32_t error, const char *what);

/* vm.c */
int vm_new(struct emulator *emulator, const struct machine_vm *description, struct vm **ret);
struct vm *vm_free(struct emulator *emulator, struct vm *vm);
/* A VM that VM_ALLOCATE makes. Returns 0 or -ENOMEM. */
int vm_new_allocated(struct emulator *emulator, uint16_t vmid, struct vm **ret);
/* Gives all that the VM owns to the primary VM and forgets the VM. */
void vm_destroy(struct emulator *emulator, struct vm *vm);
/* Whether the VM can be sent messages. */
bool vm_reachable(const struct vm *vm);

/* link.c */
int link_init(struct link *link, const struct machine *machine);
void link_done(struct link *link);
void link_discard(struct link *link);
/* Sends or parks. Payloads are copied. */
void link_reply(struct emulator *emulator, struct vm *vm, const struct ghrm_message *reply);
void link_notify(struct emulator *emulator, struct vm *vm, uint32_t msg_id, const void *payload,
	size_t size);

/* view.c */
/* The stage-2 view with the owning extent, over which all stays the same; extent is NULL when unmapped. */
struct view {
	struct extent *extent;
	uint64_t physical, size;
	uint8_t rights, attr;
};
void view_at(
	struct emulator *emulator, struct vm *vm, uint64_t ipa, uint64_t size, struct view *ret);

/* regions.c */
/* Adds the regions of a list, or none of them (§3.1.1). */
uint32_t regions_add(
	struct emulator *emulator, struct parcel *parcel, const struct ghrm_list *list);
/* Gives all pages back to the owner. */
void regions_return(struct emulator *emulator, struct parcel *parcel);
static inline uint64_t region_size(const struct region *region)
{
	return region->pages * GHRM_PAGE_SIZE;
}
/* A mapping slot that maps no page for vmid yet; false when all are used up. */
bool slot_take(struct emulator *emulator, struct parcel *parcel, uint16_t vmid, unsigned *ret);
struct extent *extent_of(struct vm *vm, const struct parcel *parcel);

/* parcel.c */
request_handler parcel_handle_donate, parcel_handle_lend, parcel_handle_share;
request_handler parcel_handle_append, parcel_handle_reclaim, parcel_handle_lookup;
static inline bool parcel_is_io(const struct parcel *parcel)
{
	return parcel->mem_type == GHRM_MEM_IO;
}
struct member *parcel_member(struct parcel *parcel, uint16_t vmid);
/* Forgets a parcel whose pages have been dealt with. */
void parcel_forget(struct emulator *emulator, struct parcel *parcel);

/* accept.c */
request_handler accept_handle, release_handle;
/* Accepts on behalf of a VM, finally (§5.9): as its memory, at one address. */
uint32_t accept_as_memory(
	struct emulator *emulator, struct vm *vm, struct parcel *parcel, bool sanitize);
/* The same for a device of its boot configuration. A donation is forgotten when it succeeds. */
uint32_t accept_for_device(struct emulator *emulator, struct vm *vm, struct parcel *parcel,
	const struct machine_device *device);
/* The VM lets go of the parcel. */
void member_release(struct emulator *emulator, struct parcel *parcel, struct member *member);

/* boot.c */
/* The device of the VM's boot configuration that waits for this parcel of others; NULL for none. */
const struct machine_device *boot_device(const struct vm *vm, const struct parcel *parcel);
/* Accepts all that a VM gets at its start; false when the start has failed. */
bool boot_accept(struct emulator *emulator, struct vm *vm);

/* notify.c */
request_handler notify_handle;
/* MEM_ACCEPTED or MEM_RELEASED to the owner of a parcel. */
void notify_owner(struct emulator *emulator, struct parcel *parcel, uint32_t msg_id, uint16_t vmid);

/* lifecycle.c */
request_handler lifecycle_allocate, lifecycle_deallocate, lifecycle_start, lifecycle_stop;
request_handler lifecycle_reset, lifecycle_config_image, lifecycle_init, lifecycle_get_state;
request_handler lifecycle_auth_image, lifecycle_get_vmid, lifecycle_host_get_type,
	lifecycle_set_status, lifecycle_exit;
/* Releases the newest parcel that the VM holds and tells its owner; false when it holds none. */
bool lifecycle_release_newest(struct emulator *emulator, struct vm *vm);
bool lifecycle_step(struct emulator *emulator, struct vm *vm);
