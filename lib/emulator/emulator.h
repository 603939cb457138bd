/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A stateful Resource Manager as a pure state machine over message-queue packets: no sockets, no
 * threads, no clock. It answers as the published Resource Manager does, its mistakes included
 * (rm-protocol.md §2 to §5, rm-findings.md); where that one crashes it answers as §8.3 recommends
 * or, when strict, ends.
 *
 * Packets go in through emulator_feed() and come out of one 8-packet queue per VM, through
 * emulator_take() or, as long as the queue is empty, straight through ops->take. Not thread-safe;
 * no function may be called from within an operation of struct emulator_ops.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "emulator/machine.h"
#include "ghrm/packet.h"

struct emulator;

/* What a message did, for ops->message. */
enum emulator_event {
	EMULATOR_RECEIVED, /* from the VM */
	EMULATOR_SENT,     /* to the VM: handed to its queue, maybe not yet wholly in it */
	EMULATOR_LOST,     /* to the VM: pushed out by a later one while it waited */
};

/* All members may be NULL. */
struct emulator_ops {
	/* A packet for a VM. Returns whether it was taken; if not it waits in the queue. */
	bool (*take)(void *userdata, uint16_t vmid, const uint8_t *packet, size_t size);
	/* Every whole message, for traces. */
	void (*message)(void *userdata, enum emulator_event event, uint16_t vmid,
		const struct ghrm_message *message);
	/* Before a request is executed: true to answer *ret_error instead. */
	bool (*refuse)(void *userdata, uint16_t vmid, uint32_t msg_id, uint32_t *ret_error);
	/* Before a reply is sent: true when the operation keeps it (emulator_send_reply()) or drops it. */
	bool (*withhold)(void *userdata, uint16_t vmid, const struct ghrm_message *reply);
	/* The VM is being reset: what it was about to do is void. */
	void (*vm_reset)(void *userdata, uint16_t vmid);
	/* The VM does not exist any more. */
	void (*vm_gone)(void *userdata, uint16_t vmid);
	/* Something for the log, one line. */
	void (*log)(void *userdata, const char *line);
};

/*
 * Switches a platform on. The machine is borrowed and must outlive the emulator; ops (may be NULL)
 * is copied. strict: requests that kill the published Resource Manager end this one, see
 * emulator_dead(). Returns 0 or -ENOMEM.
 */
int emulator_new(struct emulator **ret, const struct machine *machine, bool strict,
	const struct emulator_ops *ops, void *userdata);
struct emulator *emulator_free(struct emulator *emulator);

/* Whether a strict emulator has met a deadly request: it answers nothing any more. */
bool emulator_dead(const struct emulator *emulator);

/* Whether a VM exists and has message queues in principle (the Resource Manager itself has none). */
bool emulator_vm_exists(const struct emulator *emulator, uint16_t vmid);

/* One packet from a VM. Packets that the Resource Manager drops are dropped. */
void emulator_feed(struct emulator *emulator, uint16_t vmid, const void *packet, size_t size);

/*
 * One step of what goes on in the background (the stages of a VM's reset, §5.8). Returns false when
 * there is nothing to do. The transport calls it when it has no input.
 */
bool emulator_step(struct emulator *emulator);

/* Whether emulator_step() has something to do. */
bool emulator_busy(const struct emulator *emulator);

/* Takes one packet out of a VM's queue; returns its size, 0 when the queue is empty. */
size_t emulator_take(
	struct emulator *emulator, uint16_t vmid, uint8_t packet[static GHRM_PACKET_MAX]);

/*
 * Moves up to maximum packets from a VM's queue to ops->take, until that refuses; then sends what
 * waits behind the queue. Returns how many were moved.
 */
size_t emulator_drain(struct emulator *emulator, uint16_t vmid, size_t maximum);

/* Forgets all that was sent to a VM and not taken. */
void emulator_discard(struct emulator *emulator, uint16_t vmid);

/* Sends a reply that ops->withhold kept. */
void emulator_send_reply(
	struct emulator *emulator, uint16_t vmid, const struct ghrm_message *reply);

/* ---- the test bench: what the control connection asks for ---- */

/*
 * What a VM reset does to the parcels that the VM has accepted, at once. Returns the number of
 * steps, at least 1, or 0 for an unknown VM.
 */
size_t emulator_reset_borrower(struct emulator *emulator, uint16_t vmid);

/* Sets a VM's state, READY and RUNNING with message queues; false for an unknown VM or state. */
bool emulator_set_state(struct emulator *emulator, uint16_t vmid, unsigned state);

struct emulator_stat {
	size_t owned_parcels, accepted;
	uint64_t zeroed_pages; /* of all VMs, since the emulator was made */
};
bool emulator_stat(struct emulator *emulator, uint16_t vmid, struct emulator_stat *ret);

/*
 * A VM's stage-2 mapping from an address on. size is how far, up to the size asked for, it goes on
 * alike; the owner is that of the first page, and others may own the later ones.
 */
struct emulator_view {
	bool mapped;
	uint64_t physical, size;
	uint8_t rights;    /* enum ghrm_right */
	uint8_t memtype;   /* 15 write-back, 5 non-cacheable, 1 device */
	const char *owner; /* "parcel", or valid until the VM goes: "hlos", "vm80" … */
	bool io;           /* of the owner's device memory; only where owner is a VM */
};
bool emulator_probe(struct emulator *emulator, uint16_t vmid, uint64_t address, uint64_t size,
	struct emulator_view *ret);

/*
 * A LEND of one region that somebody else in the primary VM makes: a kernel driver. Returns the
 * Resource Manager's error number and *ret_handle.
 */
uint32_t emulator_foreign_lend(struct emulator *emulator, uint16_t vmid, uint64_t address,
	uint64_t size, uint32_t *ret_handle);

struct emulator_parcel {
	uint32_t handle;
	uint16_t owner;
	uint8_t trans_type;
	const char *state; /* "incomplete", "complete", "held" */
	size_t regions, holders;
	uint64_t bytes;
};
/* Calls visit for every parcel in the order of the handles. */
void emulator_parcels(struct emulator *emulator,
	void (*visit)(void *userdata, const struct emulator_parcel *parcel), void *userdata);
