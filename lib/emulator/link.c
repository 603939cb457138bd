/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The outgoing side of the Resource Manager, per VM: a queue of 8 packets, one message that is being
 * put into it, one waiting reply and up to 256 waiting notifications (§2.8, rm-findings §3). The
 * order in which waiting messages are tried matters, because every attempt to send a notification
 * uses up a number of the one global counter, also an attempt that is blocked:
 *
 *  - a new notification first tries the oldest waiting one, then itself;
 *  - when the message that was being sent is wholly in the queue, the waiting reply is tried, then
 *    the waiting notifications until one is blocked; if any of these went in whole, its completion
 *    makes the Resource Manager try once more.
 */
#include "emulator/internal.h"

#include <errno.h>

int link_init(struct link *link, const struct machine *machine)
{
	TAILQ_INIT(&link->notifications);
	link->queue = calloc(machine->queue_depth, sizeof(*link->queue));
	return link->queue ? 0 : -ENOMEM;
}

void link_discard(struct link *link)
{
	struct link_message *message;

	while ((message = TAILQ_FIRST(&link->notifications))) {
		TAILQ_REMOVE(&link->notifications, message, entry);
		free(message);
	}
	free(link->sending);
	free(link->reply);
	link->sending = link->reply = NULL;
	link->n_notifications = 0;
	link->first = link->count = 0;
	link->sent = 0;
}

void link_done(struct link *link)
{
	if (!link->queue)
		return;
	link_discard(link);
	free(link->queue);
	link->queue = NULL;
}

static struct ghrm_message link_view(const struct link_message *message)
{
	return (struct ghrm_message){ .type = message->type,
		.seq = message->seq,
		.msg_id = message->msg_id,
		.payload = message->payload,
		.size = message->size };
}

static void link_tell(struct emulator *emulator, enum emulator_event event, struct vm *vm,
	const struct link_message *message)
{
	struct ghrm_message view = link_view(message);

	if (emulator->ops.message)
		emulator->ops.message(emulator->userdata, event, vm->vmid, &view);
}

static bool link_put(struct emulator *emulator, struct vm *vm, const uint8_t *packet, size_t size)
{
	struct link *link = &vm->link;
	struct link_packet *place;

	if (link->count == 0 && emulator->ops.take &&
		emulator->ops.take(emulator->userdata, vm->vmid, packet, size))
		return true;
	if (link->count == emulator->machine->queue_depth)
		return false;
	place = &link->queue[(link->first + link->count++) % emulator->machine->queue_depth];
	place->size = size;
	memcpy(place->data, packet, size);
	return true;
}

/* Puts as much as possible of the message being sent into the queue; true when that was all. */
static bool link_push(struct emulator *emulator, struct vm *vm)
{
	struct link *link = &vm->link;
	struct ghrm_message message = link_view(link->sending);
	uint8_t packet[GHRM_PACKET_MAX];
	size_t packets = ghrm_message_packets(message.size);

	while (link->sent < packets) {
		size_t size = ghrm_packet_encode(&message, link->sent, packet);

		if (!link_put(emulator, vm, packet, size))
			return false;
		link->sent++;
	}
	free(link->sending);
	link->sending = NULL;
	return true;
}

enum transmit { TRANSMIT_BUSY, TRANSMIT_BEGUN, TRANSMIT_WHOLE };

/* Takes the message over unless it is TRANSMIT_BUSY. */
static enum transmit link_transmit(
	struct emulator *emulator, struct vm *vm, struct link_message *message)
{
	struct link *link = &vm->link;

	if (link->sending)
		return TRANSMIT_BUSY;
	link_tell(emulator, EMULATOR_SENT, vm, message);
	link->sending = message;
	link->sent = 0;
	return link_push(emulator, vm) ? TRANSMIT_WHOLE : TRANSMIT_BEGUN;
}

/* Tries the waiting notifications in order until one is blocked. Returns whether any went in whole. */
static bool link_flush(struct emulator *emulator, struct vm *vm)
{
	struct link *link = &vm->link;
	struct link_message *message;
	bool whole = false;

	while ((message = TAILQ_FIRST(&link->notifications))) {
		enum transmit result;

		message->seq = emulator->notification_seq++;
		TAILQ_REMOVE(&link->notifications, message, entry);
		result = link_transmit(emulator, vm, message);
		if (result == TRANSMIT_BUSY) {
			TAILQ_INSERT_HEAD(&link->notifications, message, entry);
			break;
		}
		link->n_notifications--;
		whole |= result == TRANSMIT_WHOLE;
	}
	return whole;
}

/* The queue has room: goes on with what was being sent, then with what waits. */
static void link_go_on(struct emulator *emulator, struct vm *vm)
{
	struct link *link = &vm->link;
	bool whole = false;

	if (!link->sending || !link_push(emulator, vm))
		return;
	if (link->reply)
		whole = link_transmit(emulator, vm, TAKE_PTR(link->reply)) == TRANSMIT_WHOLE;
	whole |= link_flush(emulator, vm);
	if (whole)
		link_flush(emulator, vm);
}

static struct link_message *link_message_new(
	enum ghrm_packet_type type, uint16_t seq, uint32_t msg_id, const void *payload, size_t size)
{
	struct link_message *message = malloc(sizeof(*message) + size);

	if (!message)
		return NULL;
	message->type = type;
	message->seq = seq;
	message->msg_id = msg_id;
	message->size = size;
	if (size > 0)
		memcpy(message->payload, payload, size);
	return message;
}

void link_reply(struct emulator *emulator, struct vm *vm, const struct ghrm_message *reply)
{
	struct link_message *message = link_message_new(
		GHRM_REPLY, reply->seq, reply->msg_id, reply->payload, reply->size);
	struct link *link = &vm->link;

	if (!message) {
		emulator_log(emulator, "no memory for a reply to VM 0x%x", vm->vmid);
		return;
	}
	if (link_transmit(emulator, vm, message) != TRANSMIT_BUSY)
		return;
	if (link->reply)
		link_tell(emulator, EMULATOR_LOST, vm, link->reply);
	free(link->reply);
	link->reply = message;
}

void link_notify(
	struct emulator *emulator, struct vm *vm, uint32_t msg_id, const void *payload, size_t size)
{
	struct link_message *message =
		link_message_new(GHRM_NOTIFICATION, 0, msg_id, payload, size);
	struct link *link = &vm->link;

	if (!message) {
		emulator_log(emulator, "no memory for a notification to VM 0x%x", vm->vmid);
		return;
	}
	link_flush(emulator, vm);
	message->seq = emulator->notification_seq++;
	if (link_transmit(emulator, vm, message) != TRANSMIT_BUSY)
		return;
	if (link->n_notifications == NOTIFICATIONS_MAX) {
		struct link_message *oldest = TAILQ_FIRST(&link->notifications);

		link_tell(emulator, EMULATOR_LOST, vm, oldest);
		TAILQ_REMOVE(&link->notifications, oldest, entry);
		link->n_notifications--;
		free(oldest);
	}
	TAILQ_INSERT_TAIL(&link->notifications, message, entry);
	link->n_notifications++;
}

static size_t link_pop(struct emulator *emulator, struct link *link, uint8_t *packet)
{
	struct link_packet *place = &link->queue[link->first];
	size_t size;

	if (link->count == 0)
		return 0;
	size = place->size;
	memcpy(packet, place->data, size);
	link->first = (link->first + 1) % emulator->machine->queue_depth;
	link->count--;
	return size;
}

size_t emulator_take(
	struct emulator *emulator, uint16_t vmid, uint8_t packet[static GHRM_PACKET_MAX])
{
	struct vm *vm = vm_find(emulator, vmid);
	size_t size;

	if (!vm)
		return 0;
	size = link_pop(emulator, &vm->link, packet);
	if (size > 0)
		link_go_on(emulator, vm);
	return size;
}

size_t emulator_drain(struct emulator *emulator, uint16_t vmid, size_t maximum)
{
	struct vm *vm = vm_find(emulator, vmid);
	struct link *link;
	size_t moved = 0;

	if (!vm || !emulator->ops.take)
		return 0;
	link = &vm->link;
	while (moved < maximum && link->count > 0) {
		struct link_packet *place = &link->queue[link->first];

		if (!emulator->ops.take(emulator->userdata, vmid, place->data, place->size))
			break;
		link->first = (link->first + 1) % emulator->machine->queue_depth;
		link->count--;
		moved++;
	}
	if (moved > 0)
		link_go_on(emulator, vm);
	return moved;
}

void emulator_discard(struct emulator *emulator, uint16_t vmid)
{
	struct vm *vm = vm_find(emulator, vmid);

	if (vm)
		link_discard(&vm->link);
}

void emulator_send_reply(struct emulator *emulator, uint16_t vmid, const struct ghrm_message *reply)
{
	struct vm *vm = vm_find(emulator, vmid);

	if (vm && vm->linked && !emulator->dead)
		link_reply(emulator, vm, reply);
}
