/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The lane against a Resource Manager that the test plays at the other end of a socket pair. */
#include <check.h>
#include <errno.h>
#include <event2/thread.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/rm/lane.h"
#include "daemon/rm/link.h"
#include "emulator/embedded.h"
#include "ghrm/packet.h"
#include "util/util.h"

#define LONG_DEADLINE  20000000ull
#define SHORT_DEADLINE 100000ull
#define PATIENCE_MS    10000
#define QUIET_MS       30
#define MAX_RETURNED   64

static struct event_base *base;
static struct mailbox mailbox;
static struct lane *lane;
static int peer; /* the Resource Manager's end */
static struct ghrm_reassembly reassembly;
static struct ghrm_region regions[5000];

/* What the lane gave back, jobs and events in one order. */
static struct {
	struct rm_job *job;
	struct rm_event *event;
} returned[MAX_RETURNED];
static size_t n_returned, n_seen;

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

static void on_job(struct letter *letter, void *userdata _unused_)
{
	ck_assert_uint_lt(n_returned, MAX_RETURNED);
	returned[n_returned++].job = container_of(letter, struct rm_job, letter);
}

static void on_event(struct letter *letter, void *userdata _unused_)
{
	ck_assert_uint_lt(n_returned, MAX_RETURNED);
	returned[n_returned++].event = container_of(letter, struct rm_event, letter);
}

static void start(uint64_t deadline, bool is_socket)
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

static void setup(void)
{
	evthread_use_pthreads();
	base = event_base_new();
	ck_assert_int_eq(mailbox_init(&mailbox, base, NULL), 0);
	peer = -1;
	for (size_t i = 0; i < ARRAY_SIZE(regions); i++)
		regions[i] = (struct ghrm_region){ 0x100000000 + i * 0x2000, 0x1000 };
}

static void teardown(void)
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

static void next_returned(void)
{
	struct timeval patience = { .tv_sec = PATIENCE_MS / 1000 };

	event_base_loopexit(base, &patience);
	while (n_returned == n_seen)
		ck_assert_msg(event_base_loop(base, EVLOOP_ONCE) == 0 && !event_base_got_exit(base),
			"nothing came back");
}

static void expect_job(struct rm_job *job, enum rm_outcome outcome)
{
	next_returned();
	ck_assert_msg(returned[n_seen].job == job, "something else came back");
	n_seen++;
	ck_assert_int_eq(job->outcome, outcome);
	ck_assert(job->execution_unknown == (outcome == RM_UNKNOWN));
}

static struct rm_event *expect_event(enum rm_event_kind kind)
{
	next_returned();
	ck_assert_ptr_nonnull(returned[n_seen].event);
	ck_assert_int_eq(returned[n_seen].event->kind, kind);
	return returned[n_seen++].event;
}

static struct rm_job create_job(size_t n_regions)
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

static struct rm_job reclaim_job(uint32_t handle)
{
	return (struct rm_job){
		.letter.deliver = on_job,
		.kind = RM_JOB_RECLAIM,
		.urgent = true,
		.handle = handle,
		.cookie = 1000 + handle,
	};
}

/* Returns when the lane has seen everything submitted so far; it must be busy. */
static void sync_with_lane(void)
{
	struct rm_job job = reclaim_job(0);

	atomic_store(&job.cancelled, true);
	lane_submit(lane, &job);
	lane_cancel(lane, &job);
	expect_job(&job, RM_CANCELLED);
}

/* ---- the Resource Manager's side ---- */

static struct ghrm_message request(uint32_t msg_id)
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

static void quiet(void)
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

static void answer_bytes(const struct ghrm_message *to, const void *payload, size_t size)
{
	struct ghrm_message reply = *to;

	reply.type = GHRM_REPLY;
	reply.payload = payload;
	reply.size = size;
	say(&reply);
}

static void answer(const struct ghrm_message *to, uint32_t error)
{
	uint8_t payload[4];

	answer_bytes(to, payload, ghrm_encode_reply(payload, sizeof(payload), error));
}

static void answer_u32(const struct ghrm_message *to, uint32_t value)
{
	uint8_t payload[8];

	answer_bytes(to, payload, ghrm_encode_reply_u32(payload, sizeof(payload), value));
}

static void notify(uint32_t handle)
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

/* ---- requests of one job ---- */

static const size_t chunk_counts[] = { 1, 511, 512, 513, 1024, 1025, 5000 };

static void assert_regions(const struct ghrm_list *list, size_t from, size_t n)
{
	ck_assert_uint_eq(list->count, n);
	for (size_t i = 0; i < n; i++)
		ck_assert_uint_eq(ghrm_region_at(list, i).address, regions[from + i].address);
}

static void play_create(size_t n)
{
	struct rm_job job = create_job(n);
	struct ghrm_message message;
	struct ghrm_create create;
	struct ghrm_append append;
	uint32_t messages = 1;
	size_t at;

	job.flags = GHRM_CREATE_SANITIZE;
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	ck_assert_uint_eq(ghrm_decode_create(message.payload, message.size, &create), GHRM_OK);
	ck_assert_uint_eq(create.label, 0x42);
	ck_assert_uint_eq(create.acl.count, 1);
	ck_assert_uint_eq(create.flags, GHRM_CREATE_SANITIZE | (n > 512 ? GHRM_CREATE_APPEND : 0));
	assert_regions(&create.regions, 0, n < 512 ? n : 512);
	answer_u32(&message, 9);
	for (at = create.regions.count; at < n; at += append.regions.count, messages++) {
		size_t left = n - at;

		message = request(GHRM_MEM_APPEND);
		ck_assert_uint_eq(
			ghrm_decode_append(message.payload, message.size, &append), GHRM_OK);
		ck_assert_uint_eq(append.handle, 9);
		ck_assert_uint_eq(append.flags, left <= 512 ? GHRM_APPEND_END : 0);
		assert_regions(&append.regions, at, left < 512 ? left : 512);
		answer(&message, GHRM_OK);
	}
	expect_job(&job, RM_DONE);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.handle, 9);
	ck_assert_uint_eq(job.messages, messages);
	ck_assert_uint_eq(job.messages, (n + 511) / 512);
	ck_assert_uint_eq(job.described, n);
	ck_assert_uint_gt(job.rm_usec, 0);
}

START_TEST(regions_are_sent_in_chunks_of_512)
{
	start(LONG_DEADLINE, true);
	play_create(chunk_counts[_i]);
}
END_TEST

START_TEST(device_takes_one_packet_per_write)
{
	start(LONG_DEADLINE, false);
	play_create(1025);
}
END_TEST

START_TEST(handle_zero)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_u32(&message, 0);
	expect_job(&job, RM_DONE);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.handle, 0);
}
END_TEST

START_TEST(refused_create_leaves_no_handle)
{
	struct rm_job job = create_job(513);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer(&message, GHRM_MEM_INVALID);
	expect_job(&job, RM_REFUSED);
	ck_assert_uint_eq(job.error, GHRM_MEM_INVALID);
	ck_assert(!job.handle_known);
	ck_assert_uint_eq(job.messages, 0);
	quiet();
}
END_TEST

START_TEST(refused_append_comes_back_with_the_handle)
{
	struct rm_job job = create_job(1500);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_u32(&message, 5);
	message = request(GHRM_MEM_APPEND);
	answer(&message, GHRM_NOMEM);
	expect_job(&job, RM_REFUSED);
	ck_assert_uint_eq(job.error, GHRM_NOMEM);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.handle, 5);
	ck_assert_uint_eq(job.messages, 1);
	ck_assert_uint_eq(job.described, 512);
	quiet(); /* the lane never reclaims by itself */
}
END_TEST

START_TEST(notify_and_probe_are_sent)
{
	static const uint16_t targets[] = { 0x80, 0x81 };
	struct rm_job job = {
		.letter.deliver = on_job,
		.kind = RM_JOB_NOTIFY,
		.urgent = true,
		.notify_flags = GHRM_NOTIFY_SHARED,
		.tag = 3,
		.targets = targets,
		.n_targets = 2,
		.handle = 8,
	};
	struct rm_job probe = job;
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	probe.n_targets = 0;
	lane_submit(lane, &job);
	lane_submit(lane, &probe);
	message = request(GHRM_MEM_NOTIFY);
	ck_assert_uint_eq(message.size, 24);
	answer(&message, GHRM_OK);
	expect_job(&job, RM_DONE);
	message = request(GHRM_MEM_NOTIFY);
	ck_assert_uint_eq(message.size, 12);
	answer(&message, GHRM_MSG_INVALID);
	expect_job(&probe, RM_REFUSED);
	ck_assert_uint_eq(probe.error, GHRM_MSG_INVALID);
}
END_TEST

/* ---- whose turn it is ---- */

START_TEST(one_outstanding)
{
	struct rm_job jobs[3];

	start(LONG_DEADLINE, true);
	for (uint32_t i = 0; i < 3; i++) {
		jobs[i] = reclaim_job(i);
		lane_submit(lane, &jobs[i]);
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct ghrm_message message = request(GHRM_MEM_RECLAIM);

		quiet();
		answer(&message, GHRM_OK);
		expect_job(&jobs[i], RM_DONE);
	}
}
END_TEST

START_TEST(urgent_overtakes_bulk_between_appends)
{
	struct rm_job bulk = create_job(1025), urgent = reclaim_job(3);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &bulk);
	message = request(GHRM_MEM_LEND);
	lane_submit(lane, &urgent);
	sync_with_lane();
	answer_u32(&message, 5);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&urgent, RM_DONE);
	for (int i = 0; i < 2; i++) {
		message = request(GHRM_MEM_APPEND);
		answer(&message, GHRM_OK);
	}
	expect_job(&bulk, RM_DONE);
}
END_TEST

/* Which job a bulk request belongs to: creates by their label, appends by their handle. */
static char bulk_turn(uint32_t msg_id)
{
	struct ghrm_message message = request(msg_id);
	struct ghrm_create create;
	struct ghrm_append append;

	if (msg_id == GHRM_MEM_APPEND) {
		ck_assert_uint_eq(
			ghrm_decode_append(message.payload, message.size, &append), GHRM_OK);
		answer(&message, GHRM_OK);
		return (char)append.handle;
	}
	ck_assert_uint_eq(ghrm_decode_create(message.payload, message.size, &create), GHRM_OK);
	answer_u32(&message, create.label);
	return (char)create.label;
}

START_TEST(bulk_takes_turns_by_uid)
{
	static const struct {
		char name;
		uid_t uid;
		uint64_t connection;
	} who[] = { { 'A', 1, 10 }, { 'B', 1, 11 }, { 'C', 2, 12 } };
	/* uid 2 has every other turn while it has work; uid 1's connections share the rest. */
	static const char order[] = "CBCACBAB";
	struct rm_job jobs[3], first = create_job(1);
	struct ghrm_message message;
	char got[sizeof(order)] = "";
	bool begun[3] = { false };

	start(LONG_DEADLINE, true);
	first.uid = 1;
	first.connection = 9;
	lane_submit(lane, &first);
	message = request(GHRM_MEM_LEND);
	for (size_t i = 0; i < 3; i++) {
		jobs[i] = create_job(1025);
		jobs[i].label = (uint32_t)who[i].name;
		jobs[i].uid = who[i].uid;
		jobs[i].connection = who[i].connection;
	}
	/* A has had its first request before the others come. */
	lane_submit(lane, &jobs[0]);
	sync_with_lane();
	answer_u32(&message, 1);
	expect_job(&first, RM_DONE);
	message = request(GHRM_MEM_LEND);
	begun[0] = true;
	lane_submit(lane, &jobs[1]);
	lane_submit(lane, &jobs[2]);
	sync_with_lane();
	answer_u32(&message, 'A');
	for (size_t i = 0; i < strlen(order); i++) {
		size_t n = (size_t)(order[i] - 'A');

		got[i] = bulk_turn(begun[n] ? GHRM_MEM_APPEND : GHRM_MEM_LEND);
		begun[n] = true;
	}
	ck_assert_str_eq(got, order);
	expect_job(&jobs[2], RM_DONE);
	expect_job(&jobs[0], RM_DONE);
	expect_job(&jobs[1], RM_DONE);
}
END_TEST

START_TEST(at_most_eight_urgent_in_a_row)
{
	static const char order[] = "UUUUUUUUBUUUUUUUUBUUUU";
	struct rm_job bulk = create_job(1025), urgent[20];
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &bulk);
	message = request(GHRM_MEM_LEND);
	for (uint32_t i = 0; i < 20; i++) {
		urgent[i] = reclaim_job(i);
		lane_submit(lane, &urgent[i]);
	}
	sync_with_lane();
	answer_u32(&message, 5);
	for (size_t i = 0; i < strlen(order); i++) {
		message = request(order[i] == 'U' ? GHRM_MEM_RECLAIM : GHRM_MEM_APPEND);
		answer(&message, GHRM_OK);
	}
	while (n_seen < 22) { /* with sync_with_lane's */
		next_returned();
		n_seen = n_returned;
	}
	ck_assert_int_eq(bulk.outcome, RM_DONE);
}
END_TEST

/* ---- what the Resource Manager says unasked ---- */

START_TEST(notification_before_reply)
{
	struct rm_job job = reclaim_job(3);
	struct ghrm_message message;
	struct ghrm_participant participant;
	struct rm_event *event;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_RECLAIM);
	notify(4);
	event = expect_event(RM_EVENT_NOTIFICATION);
	ck_assert_uint_eq(event->msg_id, GHRM_NOTIF_MEM_RELEASED);
	ck_assert(ghrm_decode_participant(event->payload, event->size, &participant));
	ck_assert_uint_eq(participant.handle, 4);
	answer(&message, GHRM_OK);
	expect_job(&job, RM_DONE);
}
END_TEST

START_TEST(wrong_seq_ignored)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message, wrong;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	wrong = message;
	wrong.seq++;
	answer_u32(&wrong, 13);
	wrong = message;
	wrong.msg_id = GHRM_MEM_SHARE;
	answer_u32(&wrong, 14);
	answer_u32(&message, 15);
	expect_job(&job, RM_DONE);
	ck_assert_uint_eq(job.handle, 15);
}
END_TEST

START_TEST(garbage_is_dropped)
{
	uint8_t garbage[300];
	struct rm_job job = reclaim_job(3);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_RECLAIM);
	memset(garbage, 0x21, sizeof(garbage));
	for (size_t size = 0; size < sizeof(garbage); size += 7)
		ck_assert_int_eq(send(peer, garbage, size, MSG_NOSIGNAL), (ssize_t)size);
	answer(&message, GHRM_OK);
	expect_job(&job, RM_DONE);
}
END_TEST

/* ---- answers that are late, lost or odd ---- */

START_TEST(late_reply)
{
	struct rm_job job = create_job(513), next = reclaim_job(3);
	struct ghrm_message message, barrier;
	struct rm_event *event;

	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	expect_job(&job, RM_UNKNOWN);
	ck_assert(!job.handle_known);
	barrier = request(GHRM_VM_GET_VMID);
	ck_assert_uint_eq(barrier.size, 0);
	ck_assert_uint_ne(barrier.seq, message.seq);
	lane_submit(lane, &next);
	quiet();
	answer_u32(&message, 0);
	event = expect_event(RM_EVENT_LATE_REPLY);
	ck_assert_uint_eq(event->cookie, 77);
	ck_assert_uint_eq(event->error, GHRM_OK);
	ck_assert(event->handle_known);
	ck_assert_uint_eq(event->handle, 0);
	answer_u32(&message, 0); /* once is enough */
	quiet();
	answer_u32(&barrier, 3);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&next, RM_DONE);
}
END_TEST

START_TEST(late_error)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message, barrier;
	struct rm_event *event;

	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	expect_job(&job, RM_UNKNOWN);
	barrier = request(GHRM_VM_GET_VMID);
	answer(&message, GHRM_DENIED);
	answer_u32(&barrier, 3);
	event = expect_event(RM_EVENT_LATE_REPLY);
	ck_assert_uint_eq(event->error, GHRM_DENIED);
	ck_assert(!event->handle_known);
}
END_TEST

START_TEST(lost_reply_then_barrier)
{
	struct rm_job job = create_job(600), next = reclaim_job(3);
	struct ghrm_message message;

	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_u32(&message, 5);
	message = request(GHRM_MEM_APPEND);
	lane_submit(lane, &next);
	expect_job(&job, RM_UNKNOWN);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.handle, 5);
	ck_assert_uint_eq(job.described, 512);
	message = request(GHRM_VM_GET_VMID);
	answer(&message, GHRM_UNIMPLEMENTED); /* an answer all the same */
	ck_assert_uint_eq(expect_event(RM_EVENT_SETTLED)->cookie, 77);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&next, RM_DONE);
}
END_TEST

START_TEST(queued_jobs_expire_behind_an_unanswered_barrier)
{
	struct rm_job job = create_job(600), second = create_job(600), third = reclaim_job(3);
	struct ghrm_message message, barrier;

	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	lane_submit(lane, &second);
	expect_job(&job, RM_UNKNOWN);
	barrier = request(GHRM_VM_GET_VMID);
	expect_job(&second, RM_UNAVAILABLE);
	ck_assert(!second.handle_known);
	lane_submit(lane, &third);
	expect_job(&third, RM_UNAVAILABLE);
	quiet(); /* the barrier is not sent again */
	answer_u32(&barrier, 3);
	expect_event(RM_EVENT_SETTLED);
	third = reclaim_job(3);
	lane_submit(lane, &third);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&third, RM_DONE);
}
END_TEST

static const struct {
	const uint8_t payload[12];
	size_t size;
} odd_answers[] = {
	{ { 0 }, 4 },                         /* success, no handle */
	{ { 0, 0, 0, 0, 5, 0, 0, 0, 0 }, 9 }, /* too long */
	{ { 0, 0, 0, 0, 5, 0 }, 6 },          /* cut short */
	{ { 3, 0, 0, 0, 5, 0, 0, 0 }, 8 },    /* an error with a handle */
	{ { 0, 0 }, 2 },                      /* not even an error word */
};

START_TEST(short_reply_is_unknown)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_bytes(&message, odd_answers[_i].payload, odd_answers[_i].size);
	expect_job(&job, RM_UNKNOWN);
	ck_assert(!job.handle_known);
	message = request(GHRM_VM_GET_VMID);
	answer_u32(&message, 3);
	ck_assert_uint_eq(expect_event(RM_EVENT_SETTLED)->cookie, 77);
}
END_TEST

START_TEST(unsent_request_is_unavailable)
{
	struct rm_job job = create_job(512), next = reclaim_job(3);
	struct ghrm_message message;
	uint8_t packet[GHRM_PACKET_MAX];
	ssize_t size;

	/* 36 packets do not fit the link and nobody reads. */
	start(SHORT_DEADLINE, true);
	lane_submit(lane, &job);
	expect_job(&job, RM_UNAVAILABLE);
	ck_assert(!job.execution_unknown);
	/* Half of it is there; then the barrier. */
	do {
		size = recv(peer, packet, sizeof(packet), 0);
		ck_assert_int_gt(size, 0);
	} while (ghrm_reassembly_feed(&reassembly, packet, (size_t)size, &message) !=
		 GHRM_FEED_MESSAGE);
	ck_assert_uint_eq(message.msg_id, GHRM_VM_GET_VMID);
	answer_u32(&message, 3);
	lane_submit(lane, &next);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	expect_job(&next, RM_DONE);
}
END_TEST

/* ---- the end of the link ---- */

START_TEST(link_closed)
{
	struct rm_job job = create_job(513), second = create_job(1), third = reclaim_job(3);

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	request(GHRM_MEM_LEND);
	lane_submit(lane, &second);
	sync_with_lane();
	peer = util_close(peer);
	expect_job(&job, RM_UNKNOWN);
	expect_job(&second, RM_UNAVAILABLE);
	expect_event(RM_EVENT_LINK_LOST);
	lane_submit(lane, &third);
	expect_job(&third, RM_UNAVAILABLE);
}
END_TEST

START_TEST(idle_link_closed)
{
	start(LONG_DEADLINE, true);
	peer = util_close(peer);
	expect_event(RM_EVENT_LINK_LOST);
}
END_TEST

START_TEST(answer_before_the_end_counts)
{
	struct rm_job job = reclaim_job(3);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_RECLAIM);
	answer(&message, GHRM_OK);
	peer = util_close(peer);
	expect_job(&job, RM_DONE);
	expect_event(RM_EVENT_LINK_LOST);
}
END_TEST

START_TEST(free_gives_jobs_back)
{
	struct rm_job job = create_job(513), second = create_job(1), third = reclaim_job(3);

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	request(GHRM_MEM_LEND);
	lane_submit(lane, &second);
	lane_submit(lane, &third);
	lane = lane_free(lane);
	expect_job(&job, RM_UNKNOWN);
	next_returned();
	ck_assert_uint_eq(n_returned - n_seen, 2);
	ck_assert_int_eq(second.outcome, RM_UNAVAILABLE);
	ck_assert_int_eq(third.outcome, RM_UNAVAILABLE);
	n_seen = n_returned;
}
END_TEST

/* ---- cancelling ---- */

START_TEST(cancel_between_appends)
{
	struct rm_job job = create_job(1500);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	answer_u32(&message, 5);
	message = request(GHRM_MEM_APPEND);
	lane_cancel(lane, &job);
	answer(&message, GHRM_OK);
	expect_job(&job, RM_CANCELLED);
	ck_assert(job.handle_known);
	ck_assert_uint_eq(job.messages, 2);
	ck_assert_uint_eq(job.described, 1024);
	quiet();
}
END_TEST

START_TEST(cancel_of_the_last_request_comes_too_late)
{
	struct rm_job job = create_job(1);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	lane_cancel(lane, &job);
	answer_u32(&message, 5);
	expect_job(&job, RM_DONE);
	lane_cancel(lane, &job);
}
END_TEST

START_TEST(cancel_of_a_queued_job_does_not_wait)
{
	struct rm_job job = create_job(1), queued = create_job(1);
	struct ghrm_message message;

	start(LONG_DEADLINE, true);
	lane_submit(lane, &job);
	message = request(GHRM_MEM_LEND);
	lane_submit(lane, &queued);
	lane_cancel(lane, &queued);
	expect_job(&queued, RM_CANCELLED);
	answer_u32(&message, 5);
	expect_job(&job, RM_DONE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("lane");
	TCase *tests = tcase_create("lane");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_set_timeout(tests, 60);
	tcase_add_loop_test(tests, regions_are_sent_in_chunks_of_512, 0, ARRAY_SIZE(chunk_counts));
	tcase_add_test(tests, device_takes_one_packet_per_write);
	tcase_add_test(tests, handle_zero);
	tcase_add_test(tests, refused_create_leaves_no_handle);
	tcase_add_test(tests, refused_append_comes_back_with_the_handle);
	tcase_add_test(tests, notify_and_probe_are_sent);
	tcase_add_test(tests, one_outstanding);
	tcase_add_test(tests, urgent_overtakes_bulk_between_appends);
	tcase_add_test(tests, bulk_takes_turns_by_uid);
	tcase_add_test(tests, at_most_eight_urgent_in_a_row);
	tcase_add_test(tests, notification_before_reply);
	tcase_add_test(tests, wrong_seq_ignored);
	tcase_add_test(tests, garbage_is_dropped);
	tcase_add_test(tests, late_reply);
	tcase_add_test(tests, late_error);
	tcase_add_test(tests, lost_reply_then_barrier);
	tcase_add_test(tests, queued_jobs_expire_behind_an_unanswered_barrier);
	tcase_add_loop_test(tests, short_reply_is_unknown, 0, ARRAY_SIZE(odd_answers));
	tcase_add_test(tests, unsent_request_is_unavailable);
	tcase_add_test(tests, link_closed);
	tcase_add_test(tests, idle_link_closed);
	tcase_add_test(tests, answer_before_the_end_counts);
	tcase_add_test(tests, free_gives_jobs_back);
	tcase_add_test(tests, cancel_between_appends);
	tcase_add_test(tests, cancel_of_the_last_request_comes_too_late);
	tcase_add_test(tests, cancel_of_a_queued_job_does_not_wait);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
