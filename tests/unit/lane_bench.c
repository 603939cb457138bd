/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/lane_bench.h"

#include <check.h>
#include <errno.h>
#include <event2/thread.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/rm/link.h"
#include "emulator/embedded.h"
#include "util/util.h"

#define PATIENCE_MS  10000
#define QUIET_MS     30
#define MAX_RETURNED 64

struct event_base *base;
static struct mailbox mailbox;
struct lane *lane;
int peer; /* the Resource Manager's end */
struct ghrm_reassembly reassembly;
struct ghrm_region regions[5000];

/* What the lane gave back, jobs and events in one order. */
static struct {
	struct rm_job *job;
	struct rm_event *event;
} returned[MAX_RETURNED];
size_t n_returned, n_seen;

/* The lane's links are made from descriptors here, so no emulator is started. */
int emulator_embedded_new(struct emulator_embedded **ret _unused_, int *ret_fd _unused_)
{
	return -ENOSYS;
}

struct emulator_embedded *emulator_embedded_free(struct emulator_embedded *embedded _unused_)
{
	return NULL;
}

/* ---- the owner's side ---- */

void on_job(struct letter *letter, void *userdata _unused_)
{
	ck_assert_uint_lt(n_returned, MAX_RETURNED);
	returned[n_returned++].job = container_of(letter, struct rm_job, letter);
}

static void on_event(struct letter *letter, void *userdata _unused_)
{
	ck_assert_uint_lt(n_returned, MAX_RETURNED);
	returned[n_returned++].event = container_of(letter, struct rm_event, letter);
}

void start(uint64_t deadline, bool is_socket)
{
	struct lane_options options = {
		.mailbox = &mailbox,
		.on_event = on_event,
		.deadline_usec = deadline,
	};
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };
	struct link *link;
	int ends[2], small = 4096;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	/* Small enough that a long message does not fit at once. */
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	setsockopt(ends[1], SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	peer = ends[1];
	ck_assert_int_eq(link_from_fd(ends[0], is_socket, &link), 0);
	ck_assert_int_eq(lane_new(&lane, link, &options), 0);
}

void setup(void)
{
	evthread_use_pthreads();
	base = event_base_new();
	ck_assert_int_eq(mailbox_init(&mailbox, base, NULL), 0);
	peer = -1;
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
		regions[i] = (struct ghrm_region){ 0x100000000 + i * 0x2000, 0x1000 };
}

void teardown(void)
{
	lane = lane_free(lane);
	mailbox_drain(&mailbox);
	for (size_t i = 0; i < n_returned; i++)
		free(returned[i].event);
	memset(returned, 0, sizeof(returned));
	n_returned = n_seen = 0;
	mailbox_done(&mailbox);
	event_base_free(base);
	peer = util_close(peer);
	libevent_global_shutdown();
}

void next_returned(void)
{
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };

	event_base_loopexit(base, &patience);
	while (n_returned == n_seen)
		ck_assert_msg(event_base_loop(base, EVLOOP_ONCE) == 0 && !event_base_got_exit(base),
			"nothing came back");
}

void expect_job(struct rm_job *job, enum rm_outcome outcome)
{
	next_returned();
	ck_assert_msg(returned[n_seen].job == job, "something else came back");
	n_seen++;
	ck_assert_int_eq(job->outcome, outcome);
	ck_assert(job->execution_unknown == (outcome == RM_UNKNOWN));
}

struct rm_event *expect_event(enum rm_event_kind kind)
{
	next_returned();
	ck_assert_ptr_nonnull(returned[n_seen].event);
	ck_assert_int_eq(returned[n_seen].event->kind, kind);
	return returned[n_seen++].event;
}

struct rm_job create_job(size_t n_regions)
{
	static const struct ghrm_acl_entry acl[] = { { 0x80, 7 } };

	return (struct rm_job){
		.letter.deliver = on_job,
		.kind = RM_JOB_CREATE,
		.cookie = 77,
		.verb = GHRM_MEM_LEND,
		.label = 0x42,
		.acl = acl,
		.n_acl = 1,
		.regions = regions,
		.n_regions = n_regions,
	};
}

struct rm_job reclaim_job(uint32_t handle)
{
	return (struct rm_job){
		.letter.deliver = on_job,
		.kind = RM_JOB_RECLAIM,
		.urgent = true,
		.handle = handle,
		.cookie = 1000 + handle,
	};
}

void sync_with_lane(void)
{
	struct rm_job job = reclaim_job(0);

	atomic_store(&job.cancelled, true);
	lane_submit(lane, &job);
	lane_cancel(lane, &job);
	expect_job(&job, RM_CANCELLED);
}

/* ---- the Resource Manager's side ---- */

struct ghrm_message request(uint32_t msg_id)
{
	struct ghrm_message message;
	uint8_t packet[GHRM_PACKET_MAX];
	enum ghrm_feed feed;

	do {
		ssize_t size = recv(peer, packet, sizeof(packet), 0);

		ck_assert_msg(size > 0, "no request came");
		feed = ghrm_reassembly_feed(&reassembly, packet, (size_t)size, &message);
		ck_assert_int_ne(feed, GHRM_FEED_DROPPED);
	} while (feed == GHRM_FEED_MORE);
	ck_assert_int_eq(message.type, GHRM_REQUEST);
	ck_assert_uint_ne(message.seq, 0);
	ck_assert_uint_eq(message.msg_id, msg_id);
	return message;
}

void quiet(void)
{
	struct pollfd poll_fd = { .fd = peer, .events = POLLIN };

	ck_assert_msg(poll(&poll_fd, 1, QUIET_MS) == 0, "a request came too early");
}

static void say(const struct ghrm_message *message)
{
	uint8_t packet[GHRM_PACKET_MAX];

	for (size_t i = 0; i < ghrm_message_packets(message->size); i++) {
		size_t size = ghrm_packet_encode(message, i, packet);

		ck_assert_int_eq(send(peer, packet, size, MSG_NOSIGNAL), (ssize_t)size);
	}
}

void answer_bytes(const struct ghrm_message *to, const void *payload, size_t size)
{
	struct ghrm_message reply = *to;

	reply.type = GHRM_REPLY;
	reply.payload = payload;
	reply.size = size;
	say(&reply);
}

void answer(const struct ghrm_message *to, uint32_t error)
{
	uint8_t payload[4];

	answer_bytes(to, payload, ghrm_encode_reply(payload, sizeof(payload), error));
}

void answer_u32(const struct ghrm_message *to, uint32_t value)
{
	uint8_t payload[8];

	answer_bytes(to, payload, ghrm_encode_reply_u32(payload, sizeof(payload), value));
}

void notify(uint32_t handle)
{
	uint8_t payload[12];
	struct ghrm_message message = {
		.type = GHRM_NOTIFICATION,
		.msg_id = GHRM_NOTIF_MEM_RELEASED,
		.payload = payload,
	};

	message.size = ghrm_encode_participant(payload, sizeof(payload),
		&(struct ghrm_participant){ .handle = handle, .vmid = 0x80 });
	say(&message);
}
