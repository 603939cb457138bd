/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "emulator/trace.h"

#include <inttypes.h>

#include "ghrm/error.h"
#include "ghrm/message.h"
#include "util/util.h"

#define SHOWN_MAX 3 /* entries of a list that are shown */

static void print_acl(FILE *stream, const struct ghrm_list *acl)
{
	fputs(" acl=[", stream);
	for (size_t i = 0; i < acl->count && i < SHOWN_MAX; i++) {
		struct ghrm_acl_entry entry = ghrm_acl_at(acl, i);

		fprintf(stream, "%s0x%x:%s%s%s", i ? " " : "", entry.vmid,
			entry.rights & GHRM_RIGHT_R ? "r" : "",
			entry.rights & GHRM_RIGHT_W ? "w" : "",
			entry.rights & GHRM_RIGHT_X ? "x" : "");
	}
	if (acl->count > SHOWN_MAX)
		fprintf(stream, " … %u in all", acl->count);
	fputc(']', stream);
}

static void print_regions(FILE *stream, const struct ghrm_list *regions)
{
	fputs(" regions=[", stream);
	for (size_t i = 0; i < regions->count && i < SHOWN_MAX; i++) {
		struct ghrm_region entry = ghrm_region_at(regions, i);

		fprintf(stream, "%s0x%" PRIx64 "+0x%" PRIx64, i ? " " : "", entry.address,
			entry.size);
	}
	if (regions->count > SHOWN_MAX)
		fprintf(stream, " … %u in all", regions->count);
	fputc(']', stream);
}

static void print_attributes(FILE *stream, const struct ghrm_list *attributes)
{
	if (attributes->count > 0)
		fprintf(stream, " attributes=%u", attributes->count);
}

static const char *notify_name(uint8_t flags)
{
	switch (flags) {
	case GHRM_NOTIFY_SHARED: return "SHARED";
	case GHRM_NOTIFY_RELEASED: return "RELEASED";
	case GHRM_NOTIFY_ACCEPTED: return "ACCEPTED";
	case GHRM_NOTIFY_RECALL: return "RECALL";
	default: return "?";
	}
}

static bool print_create(FILE *stream, const struct ghrm_message *message)
{
	struct ghrm_create create;

	if (ghrm_decode_create(message->payload, message->size, &create) != GHRM_OK)
		return false;
	fprintf(stream, " type=%s%s%s label=0x%" PRIx32,
		create.mem_type == GHRM_MEM_IO ? "io" : "normal",
		create.flags & GHRM_CREATE_SANITIZE ? " sanitize" : "",
		create.flags & GHRM_CREATE_APPEND ? " append" : "", create.label);
	print_acl(stream, &create.acl);
	print_regions(stream, &create.regions);
	print_attributes(stream, &create.attributes);
	return true;
}

static bool print_accept(FILE *stream, const struct ghrm_message *message)
{
	struct ghrm_accept accept;

	if (ghrm_decode_accept(message->payload, message->size, &accept) != GHRM_OK)
		return false;
	fprintf(stream, " handle=%" PRIu32 " flags=0x%x label=0x%" PRIx32, accept.handle,
		accept.flags, accept.label);
	if (accept.acl.count > 0)
		print_acl(stream, &accept.acl);
	print_regions(stream, &accept.regions);
	print_attributes(stream, &accept.attributes);
	return true;
}

static bool print_notify(FILE *stream, const struct ghrm_message *message)
{
	struct ghrm_notify notify;
	struct ghrm_list targets;

	if (ghrm_decode_notify(message->payload, message->size, &notify) != GHRM_OK)
		return false;
	fprintf(stream, " handle=%" PRIu32 " %s tag=0x%" PRIx32, notify.handle,
		notify_name(notify.flags), notify.tag);
	if (ghrm_decode_notify_targets(message->payload, message->size, &targets) != GHRM_OK)
		return true;
	fputs(" to=[", stream);
	for (size_t i = 0; i < targets.count && i < SHOWN_MAX; i++)
		fprintf(stream, "%s0x%x", i ? " " : "", ghrm_vmid_at(&targets, i));
	if (targets.count > SHOWN_MAX)
		fprintf(stream, " … %u in all", targets.count);
	fputc(']', stream);
	return true;
}

static bool print_append(FILE *stream, const struct ghrm_message *message)
{
	struct ghrm_append append;

	if (ghrm_decode_append(message->payload, message->size, &append) != GHRM_OK)
		return false;
	fprintf(stream, " handle=%" PRIu32 "%s", append.handle,
		append.flags & GHRM_APPEND_END ? " end" : "");
	print_regions(stream, &append.regions);
	return true;
}

static bool print_lookup(FILE *stream, const struct ghrm_message *message)
{
	struct ghrm_lookup lookup;

	if (ghrm_decode_lookup(message->payload, message->size, &lookup) != GHRM_OK)
		return false;
	print_acl(stream, &lookup.acl);
	print_regions(stream, &lookup.regions);
	return true;
}

static bool print_back(FILE *stream, const struct ghrm_message *message)
{
	struct ghrm_back back;

	if (ghrm_decode_back(message->payload, message->size, &back) != GHRM_OK)
		return false;
	fprintf(stream, " handle=%" PRIu32 "%s", back.handle,
		back.flags & GHRM_BACK_SANITIZE ? " sanitize" : "");
	return true;
}

static bool print_shared(FILE *stream, const struct ghrm_message *message)
{
	struct ghrm_shared shared;

	if (!ghrm_decode_shared(message->payload, message->size, &shared))
		return false;
	fprintf(stream, " handle=%" PRIu32 " owner=0x%x label=0x%" PRIx32 " tag=0x%" PRIx32,
		shared.handle, shared.owner, shared.label, shared.tag);
	print_acl(stream, &shared.acl);
	fprintf(stream, " regions=%u", shared.sizes.count);
	print_attributes(stream, &shared.attributes);
	return true;
}

static bool print_notification(FILE *stream, const struct ghrm_message *message)
{
	struct ghrm_participant participant;
	struct ghrm_notif_vm_status status;
	struct ghrm_notif_vm_exited exited;
	uint32_t handle, tag;

	switch (message->msg_id) {
	case GHRM_NOTIF_MEM_SHARED: return print_shared(stream, message);
	case GHRM_NOTIF_MEM_ACCEPTED:
	case GHRM_NOTIF_MEM_RELEASED:
		if (!ghrm_decode_participant(message->payload, message->size, &participant))
			return false;
		fprintf(stream, " handle=%" PRIu32 " by=0x%x tag=0x%" PRIx32, participant.handle,
			participant.vmid, participant.tag);
		return true;
	case GHRM_NOTIF_MEM_RECALL:
		if (!ghrm_decode_recall(message->payload, message->size, &handle, &tag))
			return false;
		fprintf(stream, " handle=%" PRIu32 " tag=0x%" PRIx32, handle, tag);
		return true;
	case GHRM_NOTIF_VM_STATUS:
		if (!ghrm_decode_notif_vm_status(message->payload, message->size, &status))
			return false;
		fprintf(stream, " vm=0x%x status=%u", status.vmid, status.state.vm_status);
		return true;
	case GHRM_NOTIF_VM_EXITED:
		if (!ghrm_decode_notif_vm_exited(message->payload, message->size, &exited))
			return false;
		fprintf(stream, " vm=0x%x type=%u code=%u", exited.vmid, exited.exit_type,
			exited.code);
		return true;
	default: return false;
	}
}

static bool print_request(FILE *stream, const struct ghrm_message *message)
{
	uint16_t vmid;

	switch (message->msg_id) {
	case GHRM_MEM_DONATE:
	case GHRM_MEM_LEND:
	case GHRM_MEM_SHARE: return print_create(stream, message);
	case GHRM_MEM_APPEND: return print_append(stream, message);
	case GHRM_MEM_ACCEPT: return print_accept(stream, message);
	case GHRM_MEM_RELEASE:
	case GHRM_MEM_RECLAIM: return print_back(stream, message);
	case GHRM_MEM_NOTIFY: return print_notify(stream, message);
	case GHRM_MEM_LOOKUP_SGL: return print_lookup(stream, message);
	case GHRM_VM_ALLOCATE:
	case GHRM_VM_DEALLOCATE:
	case GHRM_VM_START:
	case GHRM_VM_RESET:
	case GHRM_VM_INIT:
	case GHRM_VM_GET_STATE:
		if (ghrm_decode_vmid(message->payload, message->size, &vmid, NULL) != GHRM_OK)
			return false;
		fprintf(stream, " vm=0x%x", vmid);
		return true;
	default: return false;
	}
}

static bool print_reply(FILE *stream, const struct ghrm_message *message)
{
	struct ghrm_list regions;
	uint32_t error, value;
	bool incomplete;

	if (!ghrm_decode_reply(message->payload, message->size, &error))
		return false;
	fprintf(stream, " %s", ghrm_error_name(error));
	if (message->msg_id == GHRM_MEM_ACCEPT &&
		ghrm_decode_reply_accept(
			message->payload, message->size, &error, &regions, &incomplete) &&
		error == GHRM_OK) {
		print_regions(stream, &regions);
		fputs(incomplete ? " incomplete" : "", stream);
	} else if (message->size > 4 && message->msg_id != GHRM_MEM_ACCEPT &&
		   ghrm_decode_reply_u32(message->payload, message->size, &error, &value)) {
		if (message->msg_id == GHRM_MEM_DONATE || message->msg_id == GHRM_MEM_LEND ||
			message->msg_id == GHRM_MEM_SHARE || message->msg_id == GHRM_MEM_LOOKUP_SGL)
			fprintf(stream, " handle=%" PRIu32, value);
		else
			fprintf(stream, " 0x%" PRIx32, value);
	}
	return true;
}

void trace_message(
	FILE *stream, enum emulator_event event, uint16_t vmid, const struct ghrm_message *message)
{
	static const char *const arrows[] = {
		[EMULATOR_RECEIVED] = "->", [EMULATOR_SENT] = "<-", [EMULATOR_LOST] = "xx"
	};
	static const char *const types[] = { "continuation", "request", "reply", "notification" };
	const char *name = ghrm_msg_name(message->msg_id);
	bool known = false;

	flockfile(stream);
	fprintf(stream, "VM 0x%02x %s %-12s ", vmid, arrows[event], types[message->type]);
	if (name)
		fputs(name, stream);
	else
		fprintf(stream, "0x%08" PRIx32, message->msg_id);
	fprintf(stream, " seq=%u", message->seq);
	if (message->type == GHRM_REQUEST)
		known = print_request(stream, message);
	else if (message->type == GHRM_REPLY)
		known = print_reply(stream, message);
	else if (message->type == GHRM_NOTIFICATION)
		known = print_notification(stream, message);
	if (!known && message->size > 0)
		fprintf(stream, " (%zu bytes)", message->size);
	fputc('\n', stream);
	funlockfile(stream);
}
