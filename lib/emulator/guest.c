/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Guests inside the emulator (--auto-accept): a VM that no client speaks for accepts what
 * MEM_NOTIFY(SHARED) announces and reports it, and releases on MEM_RECALL and reports that. They
 * speak to the Resource Manager in packets like everybody else, one request at a time.
 */
#include "emulator/server-internal.h"

#include "ghrm/error.h"
#include "ghrm/message.h"
#include "util/util.h"

enum job_step {
	JOB_RESERVE,  /* ACCEPT without the final flag: more than one message may be needed */
	JOB_ACCEPT,   /* the final ACCEPT */
	JOB_ACCEPTED, /* NOTIFY(ACCEPTED) */
	JOB_RELEASE,
	JOB_RELEASED, /* NOTIFY(RELEASED) */
	JOB_GIVE_UP,  /* RELEASE after a failed ACCEPT */
};

struct job {
	TAILQ_ENTRY(job) entry;
	enum job_step step;
	uint32_t handle, tag;
	uint8_t mem_type, trans_type;
};

struct guest {
	TAILQ_HEAD(, job) jobs;
	bool waiting, answered; /* for the reply to the first job's request; it is there */
	uint16_t seq;
	uint32_t error;
	bool incomplete;
	struct ghrm_reassembly reassembly;
};

void guest_forget(struct server *server, uint16_t vmid)
{
	struct guest *guest = vmid < MACHINE_VMIDS ? server->guests[vmid] : NULL;
	struct job *job;

	if (!guest)
		return;
	while ((job = TAILQ_FIRST(&guest->jobs))) {
		TAILQ_REMOVE(&guest->jobs, job, entry);
		free(job);
	}
	free(guest);
	server->guests[vmid] = NULL;
}

static struct guest *guest_get(struct server *server, uint16_t vmid)
{
	if (!server->guests[vmid]) {
		server->guests[vmid] = calloc(1, sizeof(struct guest));
		if (server->guests[vmid])
			TAILQ_INIT(&server->guests[vmid]->jobs);
	}
	return server->guests[vmid];
}

static void guest_add(struct guest *guest, const struct job *description)
{
	struct job *job = malloc(sizeof(*job));

	if (!job)
		return;
	*job = *description;
	TAILQ_INSERT_TAIL(&guest->jobs, job, entry);
}

static void guest_notified(struct guest *guest, uint16_t vmid, const struct ghrm_message *message)
{
	struct ghrm_shared shared;
	struct job job = { 0 };

	if (message->msg_id == GHRM_NOTIF_MEM_SHARED &&
		ghrm_decode_shared(message->payload, message->size, &shared) &&
		shared.owner != vmid) {
		/* The list of sizes is cut at 512: with fewer, one message does. */
		job.step = shared.sizes.count < GHRM_LIST_MAX ? JOB_ACCEPT : JOB_RESERVE;
		job.handle = shared.handle;
		job.tag = shared.tag;
		job.mem_type = shared.mem_type;
		job.trans_type = shared.trans_type;
		guest_add(guest, &job);
	} else if (message->msg_id == GHRM_NOTIF_MEM_RECALL &&
		   ghrm_decode_recall(message->payload, message->size, &job.handle, &job.tag)) {
		job.step = JOB_RELEASE;
		guest_add(guest, &job);
	}
}

static void guest_replied(struct guest *guest, const struct ghrm_message *message)
{
	struct ghrm_list regions;

	if (!guest->waiting || message->seq != guest->seq)
		return;
	guest->incomplete = false;
	if (!ghrm_decode_reply_accept(
		    message->payload, message->size, &guest->error, &regions, &guest->incomplete) &&
		!ghrm_decode_reply(message->payload, message->size, &guest->error))
		guest->error = GHRM_MSG_INVALID;
	guest->answered = true;
}

void guest_take(struct server *server, uint16_t vmid, const uint8_t *packet, size_t size)
{
	struct guest *guest = vmid == GHRM_VMID_HOST ? NULL : guest_get(server, vmid);
	struct ghrm_message message;

	if (!guest || ghrm_reassembly_feed(&guest->reassembly, packet, size, &message) !=
			      GHRM_FEED_MESSAGE)
		return;
	if (message.type == GHRM_NOTIFICATION)
		guest_notified(guest, vmid, &message);
	else if (message.type == GHRM_REPLY)
		guest_replied(guest, &message);
}

/* What follows on a reply; false when the job is finished. */
static bool job_next(struct job *job, uint32_t error, bool incomplete)
{
	bool ok = error == GHRM_OK;

	switch (job->step) {
	case JOB_RESERVE:
	case JOB_ACCEPT:
		/* Already accepted, or gone: nothing to give up. */
		if (error == GHRM_DENIED || error == GHRM_HANDLE_INVALID)
			return false;
		if (!ok)
			job->step = JOB_GIVE_UP;
		else if (job->step == JOB_ACCEPT)
			job->step = JOB_ACCEPTED;
		else if (!incomplete)
			job->step = JOB_ACCEPT;
		/* A donation is over with its acceptance: its handle is gone. */
		return job->step != JOB_ACCEPTED || job->trans_type != GHRM_TRANS_DONATE;
	case JOB_RELEASE: job->step = JOB_RELEASED; return ok;
	case JOB_ACCEPTED:
	case JOB_RELEASED:
	case JOB_GIVE_UP: return false;
	}
	return false;
}

static size_t job_encode(const struct job *job, uint8_t *buffer, size_t room, uint32_t *ret_msg_id)
{
	switch (job->step) {
	case JOB_RESERVE:
	case JOB_ACCEPT:
		*ret_msg_id = GHRM_MEM_ACCEPT;
		return ghrm_encode_accept(buffer, room, job->handle, job->mem_type, job->trans_type,
			job->step == JOB_ACCEPT ? GHRM_ACCEPT_DONE : 0, 0, NULL, 0, NULL, 0, NULL,
			0);
	case JOB_ACCEPTED:
		*ret_msg_id = GHRM_MEM_NOTIFY;
		return ghrm_encode_notify(
			buffer, room, job->handle, GHRM_NOTIFY_ACCEPTED, job->tag, NULL, 0);
	case JOB_RELEASED:
		*ret_msg_id = GHRM_MEM_NOTIFY;
		return ghrm_encode_notify(
			buffer, room, job->handle, GHRM_NOTIFY_RELEASED, job->tag, NULL, 0);
	case JOB_RELEASE:
	case JOB_GIVE_UP:
		*ret_msg_id = GHRM_MEM_RELEASE;
		return ghrm_encode_back(buffer, room, job->handle, 0);
	}
	return 0;
}

static void guest_send(
	struct server *server, uint16_t vmid, struct guest *guest, const struct job *job)
{
	uint8_t payload[64], packet[GHRM_PACKET_MAX];
	struct ghrm_message message = {
		.type = GHRM_REQUEST, .seq = ++guest->seq, .payload = payload
	};

	message.size = job_encode(job, payload, sizeof(payload), &message.msg_id);
	guest->waiting = true;
	guest->answered = false;
	emulator_feed(server->emulator, vmid, packet, ghrm_packet_encode(&message, 0, packet));
}

/* Goes as far as possible without waiting; false when there was nothing to do. */
static bool guest_run(struct server *server, uint16_t vmid, struct guest *guest)
{
	bool worked = false;
	struct job *job;

	while ((job = TAILQ_FIRST(&guest->jobs))) {
		if (guest->waiting && !guest->answered)
			return worked;
		worked = true;
		if (guest->waiting) {
			guest->waiting = false;
			if (!job_next(job, guest->error, guest->incomplete)) {
				TAILQ_REMOVE(&guest->jobs, job, entry);
				free(job);
				continue;
			}
		}
		guest_send(server, vmid, guest, job);
	}
	return worked;
}

bool guests_run(struct server *server)
{
	bool worked = false;

	if (!server->options.auto_accept)
		return false;
	for (size_t vmid = 0; vmid < MACHINE_VMIDS; vmid++)
		if (server->guests[vmid])
			worked |= guest_run(server, (uint16_t)vmid, server->guests[vmid]);
	return worked;
}
