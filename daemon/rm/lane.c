/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/rm/lane.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "daemon/rm/packetio.h"
#include "daemon/rm/queue.h"
#include "util/log.h"
#include "util/util.h"

#define SEND_AGAIN_USEC        10000    /* after a shortage of memory in the kernel */
#define GARBAGE_COMPLAINT_USEC 10000000 /* at most one line in that time */

enum lane_phase {
	LANE_IDLE,
	LANE_SENDING, /* a job's request, not all of it is on the link yet */
	LANE_WAITING, /* for its answer */
	LANE_STALLED, /* for the barrier's answer; nothing else is sent */
	LANE_CLOSED,
};

/* A request without an answer whose job has gone back as RM_UNKNOWN. */
struct late_request {
	struct ghrm_expected expected;
	bool is_create;
	uint64_t cookie;
};

struct lane {
	pthread_t thread;
	struct event_base *base;
	struct mailbox intake;
	struct letter stop, look; /* look: at the cancelled flags */
	atomic_bool look_posted;
	struct lane_options options;

	/* The rest belongs to the thread. */
	struct link *link;
	struct event *readable, *writable, *send_again, *timer;
	enum lane_phase phase;
	struct job_queue queue;
	uint16_t seq; /* used last */

	struct rm_job *job;            /* SENDING, WAITING; still in the queue */
	size_t regions;                /* in its request */
	struct ghrm_expected expected; /* the answer to its request, or to the barrier */
	uint64_t started_at;           /* when its request was begun, or the barrier */
	struct late_request late;

	/* Made before they are needed, so that what must be told can be told. */
	struct rm_event *settle, *lost;

	uint64_t garbage, complained_at;
	struct outbox outbox;
	struct inbox inbox;
	struct ghrm_reassembly reassembly;
	uint8_t payload[GHRM_SEND_MAX];
};

/* ---- telling the owner ---- */

static void lane_return(struct lane *lane, struct rm_job *job, enum rm_outcome outcome)
{
	job->outcome = outcome;
	job->execution_unknown = outcome == RM_UNKNOWN;
	mailbox_post(lane->options.mailbox, &job->letter);
}

static void lane_finish(struct lane *lane, struct rm_job *job, enum rm_outcome outcome)
{
	queue_remove(&lane->queue, job);
	lane_return(lane, job, outcome);
}

static struct rm_event *event_make(const struct lane *lane, size_t size)
{
	struct rm_event *event = calloc(1, sizeof(*event) + size);

	if (event) {
		event->letter.deliver = lane->options.on_event;
		event->size = size;
	}
	return event;
}

static void lane_tell(struct lane *lane, struct rm_event *event, enum rm_event_kind kind)
{
	event->kind = kind;
	mailbox_post(lane->options.mailbox, &event->letter);
}

static void lane_on_notification(struct lane *lane, const struct ghrm_message *message)
{
	struct rm_event *event = event_make(lane, message->size);

	if (!event) {
		log_err("out of memory: notification 0x%08x is lost", message->msg_id);
		return;
	}
	event->msg_id = message->msg_id;
	if (message->size)
		memcpy(event->payload, message->payload, message->size);
	lane_tell(lane, event, RM_EVENT_NOTIFICATION);
}

static void lane_complain(struct lane *lane)
{
	uint64_t now = util_now_usec();

	lane->garbage++;
	if (lane->complained_at && now - lane->complained_at < GARBAGE_COMPLAINT_USEC)
		return;
	lane->complained_at = now;
	log_warning("%s: %llu packets that belong to nothing were dropped",
		link_endpoint(lane->link), (unsigned long long)lane->garbage);
	lane->garbage = 0;
}

/* ---- deadlines ---- */

static uint64_t lane_expiry(const struct lane *lane, const struct rm_job *job)
{
	/* Time spent in a queue that moved does not count. */
	uint64_t since = job->queued_at > lane->started_at ? job->queued_at : lane->started_at;

	return since + lane->options.deadline_usec;
}

struct expiry {
	struct lane *lane;
	uint64_t now, next;
};

static void lane_expire_job(struct rm_job *job, void *userdata)
{
	struct expiry *expiry = userdata;
	uint64_t at = lane_expiry(expiry->lane, job);

	if (at <= expiry->now)
		lane_finish(expiry->lane, job, RM_UNAVAILABLE);
	else if (at < expiry->next)
		expiry->next = at;
}

static void lane_set_timer(struct lane *lane, uint64_t at)
{
	uint64_t now = util_now_usec(), left = at > now ? at - now : 0;
	struct timeval wait = {
		.tv_sec = (time_t)(left / 1000000),
		.tv_usec = (suseconds_t)(left % 1000000),
	};

	event_add(lane->timer, &wait);
}

/* While stalled: sends back the jobs that have waited too long and wakes for the next of them. */
static void lane_expire_queued(struct lane *lane)
{
	struct expiry expiry = { .lane = lane, .now = util_now_usec(), .next = UINT64_MAX };

	queue_visit(&lane->queue, lane_expire_job, &expiry);
	if (expiry.next != UINT64_MAX)
		lane_set_timer(lane, expiry.next);
	else
		event_del(lane->timer);
}

/* ---- the link's end ---- */

static void lane_unavailable(struct rm_job *job, void *userdata)
{
	lane_finish(userdata, job, RM_UNAVAILABLE);
}

/* Half a request is never executed (rm-protocol.md §2.4), so its outcome is known. */
static enum rm_outcome outcome_of_loss(const struct lane *lane)
{
	return lane->phase == LANE_WAITING ? RM_UNKNOWN : RM_UNAVAILABLE;
}

static void lane_close(struct lane *lane)
{
	event_del(lane->readable);
	event_del(lane->writable);
	event_del(lane->send_again);
	event_del(lane->timer);
	if (lane->job)
		lane_finish(lane, TAKE_PTR(lane->job), outcome_of_loss(lane));
	lane->phase = LANE_CLOSED;
	lane->expected.waiting = lane->late.expected.waiting = false;
	queue_visit(&lane->queue, lane_unavailable, lane);
}

static void lane_lose(struct lane *lane, int error)
{
	if (lane->phase == LANE_CLOSED)
		return;
	log_err("%s: the link to the Resource Manager is lost: %s", link_endpoint(lane->link),
		error ? strerror(-error) : "closed by the other end");
	lane_close(lane);
	lane_tell(lane, TAKE_PTR(lane->lost), RM_EVENT_LINK_LOST);
}

/* ---- sending ---- */

static void lane_flush(struct lane *lane)
{
	static const struct timeval again = { .tv_usec = SEND_AGAIN_USEC };
	int r = outbox_send(&lane->outbox, lane->link);

	if (r == 0) {
		event_del(lane->writable);
		lane->expected.waiting = true;
		if (lane->phase == LANE_SENDING)
			lane->phase = LANE_WAITING;
	} else if (r == -EAGAIN) {
		event_add(lane->writable, NULL);
	} else if (outbox_error_is_temporary(r)) {
		event_del(lane->writable);
		event_add(lane->send_again, &again);
	} else {
		lane_lose(lane, r);
	}
}

/* 0 is never used, nor is the number of a request whose answer may still come. */
static uint16_t lane_next_seq(struct lane *lane)
{
	do
		lane->seq++;
	while (lane->seq == 0 ||
		(lane->late.expected.waiting && lane->seq == lane->late.expected.seq));
	return lane->seq;
}

static void lane_send(struct lane *lane, uint32_t msg_id, size_t size)
{
	struct ghrm_message message = {
		.type = GHRM_REQUEST,
		.seq = lane_next_seq(lane),
		.msg_id = msg_id,
		.payload = lane->payload,
		.size = size,
	};

	lane->expected = (struct ghrm_expected){ .seq = message.seq, .msg_id = msg_id };
	lane->started_at = util_now_usec();
	outbox_fill(&lane->outbox, &message);
	lane_flush(lane);
}

/*
 * The Resource Manager works serially: when this is answered, no older request is pending. Also
 * sent when the link took no packet for a whole deadline, to find out when it does again.
 */
static void lane_stall(struct lane *lane)
{
	lane->job = NULL;
	lane->phase = LANE_STALLED;
	lane_send(lane, GHRM_VM_GET_VMID, 0);
	if (lane->phase == LANE_STALLED)
		lane_expire_queued(lane);
}

/* ---- jobs to requests ---- */

/* Returns the payload's size, 0 for one that no message can carry. */
static size_t lane_encode_create(struct lane *lane, const struct rm_job *job, uint32_t *ret_msg_id)
{
	size_t left = job->n_regions - job->described;
	const struct ghrm_region *regions = job->regions + job->described;
	uint8_t flags;

	lane->regions = left < GHRM_LIST_MAX ? left : GHRM_LIST_MAX;
	if (job->messages > 0) {
		*ret_msg_id = GHRM_MEM_APPEND;
		flags = lane->regions == left ? GHRM_APPEND_END : 0;
		return ghrm_encode_append(lane->payload, sizeof(lane->payload), job->handle, flags,
			regions, lane->regions);
	}
	*ret_msg_id = job->verb;
	flags = job->flags & GHRM_CREATE_SANITIZE;
	if (lane->regions < left)
		flags |= GHRM_CREATE_APPEND;
	return ghrm_encode_create(lane->payload, sizeof(lane->payload), job->mem_type, flags,
		job->label, job->acl, job->n_acl, regions, lane->regions, NULL, 0);
}

/* False for a request that no message can carry. */
static bool lane_encode(
	struct lane *lane, const struct rm_job *job, uint32_t *ret_msg_id, size_t *ret_size)
{
	lane->regions = 0;
	switch (job->kind) {
	case RM_JOB_CREATE: *ret_size = lane_encode_create(lane, job, ret_msg_id); break;
	case RM_JOB_RECLAIM:
		*ret_msg_id = GHRM_MEM_RECLAIM;
		*ret_size = ghrm_encode_back(
			lane->payload, sizeof(lane->payload), job->handle, job->back_flags);
		break;
	case RM_JOB_NOTIFY:
		*ret_msg_id = GHRM_MEM_NOTIFY;
		*ret_size = ghrm_encode_notify(lane->payload, sizeof(lane->payload), job->handle,
			job->notify_flags, job->tag, job->targets, job->n_targets);
		break;
	case RM_JOB_HELLO:
		*ret_msg_id = GHRM_VM_GET_VMID;
		*ret_size = 0;
		return true;
	}
	return *ret_size > 0;
}

static void lane_start(struct lane *lane, struct rm_job *job)
{
	uint32_t msg_id = 0;
	size_t size = 0;

	if (atomic_load(&job->cancelled)) {
		lane_finish(lane, job, RM_CANCELLED);
		return;
	}
	if (!lane->settle)
		lane->settle = event_make(lane, 0);
	if (!lane->settle) {
		log_err("out of memory: no request is sent");
		lane_finish(lane, job, RM_UNAVAILABLE);
		return;
	}
	if (!lane_encode(lane, job, &msg_id, &size)) {
		/* What the Resource Manager says of lists that are too long. */
		job->error = GHRM_NORESOURCE;
		lane_finish(lane, job, RM_REFUSED);
		return;
	}
	lane->job = job;
	lane->phase = LANE_SENDING;
	lane_send(lane, msg_id, size);
	if (lane->phase != LANE_CLOSED)
		lane_set_timer(lane, lane->started_at + lane->options.deadline_usec);
}

static void lane_pump(struct lane *lane)
{
	struct rm_job *job;

	while (lane->phase == LANE_IDLE && (job = queue_choose(&lane->queue)))
		lane_start(lane, job);
}

static void lane_go_on(struct lane *lane)
{
	lane->expected.waiting = false;
	lane->job = NULL;
	lane->phase = LANE_IDLE;
	event_del(lane->timer);
	lane_pump(lane);
}

/* ---- answers ---- */

static void lane_charge(struct lane *lane)
{
	lane->job->rm_usec += util_now_usec() - lane->started_at;
}

static void lane_unknown(struct lane *lane)
{
	struct rm_job *job = lane->job;

	lane_charge(lane);
	lane->late = (struct late_request){
		.expected = lane->expected,
		.is_create = job->kind == RM_JOB_CREATE && job->messages == 0,
		.cookie = job->cookie,
	};
	lane_finish(lane, job, RM_UNKNOWN);
	lane_stall(lane);
}

/* The two shapes of answers, both exact: some carry a word (create: the handle), most nothing. */
static bool decode_answer(bool has_value, const struct ghrm_message *message, uint32_t *ret_error,
	uint32_t *ret_value)
{
	if (has_value)
		return ghrm_decode_reply_u32(
			message->payload, message->size, ret_error, ret_value);
	return message->size == sizeof(*ret_error) &&
	       ghrm_decode_reply(message->payload, message->size, ret_error);
}

static void lane_answered(struct lane *lane, const struct ghrm_message *message)
{
	struct rm_job *job = lane->job;
	bool is_create = job->kind == RM_JOB_CREATE && job->messages == 0;
	uint32_t error, value;

	if (!decode_answer(is_create || job->kind == RM_JOB_HELLO, message, &error, &value)) {
		log_warning("%s: the answer to %s has the wrong size, %zu bytes",
			link_endpoint(lane->link), ghrm_msg_name(message->msg_id), message->size);
		lane_unknown(lane);
		return;
	}
	lane_charge(lane);
	if (error != GHRM_OK) {
		job->error = error;
		lane_finish(lane, job, RM_REFUSED);
		lane_go_on(lane);
		return;
	}
	if (is_create) {
		job->handle = value;
		job->handle_known = true;
	}
	if (job->kind == RM_JOB_HELLO)
		job->vmid = value;
	job->messages++;
	job->described += lane->regions;
	job->queued_at = util_now_usec();
	if (job->kind != RM_JOB_CREATE || job->described >= job->n_regions)
		lane_finish(lane, job, RM_DONE);
	lane_go_on(lane);
}

static void lane_late_answer(struct lane *lane, const struct ghrm_message *message)
{
	struct rm_event *event;
	uint32_t error, handle = GHRM_HANDLE_NONE;

	if (!decode_answer(lane->late.is_create, message, &error, &handle))
		return; /* as good as lost: the barrier settles it */
	lane->late.expected.waiting = false;
	event = TAKE_PTR(lane->settle);
	event->cookie = lane->late.cookie;
	event->error = error;
	event->handle_known = lane->late.is_create && error == GHRM_OK;
	event->handle = handle;
	lane_tell(lane, event, RM_EVENT_LATE_REPLY);
	if (lane->outbox.sent == 0) { /* then the barrier is not needed any more */
		lane->outbox.n = 0;
		event_del(lane->writable);
		event_del(lane->send_again);
		lane_go_on(lane);
	}
}

static void lane_barrier_answered(struct lane *lane)
{
	struct rm_event *event;

	if (lane->late.expected.waiting) {
		lane->late.expected.waiting = false;
		event = TAKE_PTR(lane->settle);
		event->cookie = lane->late.cookie;
		lane_tell(lane, event, RM_EVENT_SETTLED);
	}
	lane_go_on(lane);
}

/* ---- receiving ---- */

static bool belongs(const struct ghrm_expected *expected, const struct ghrm_header *header)
{
	return expected->waiting && header->type == GHRM_REPLY && header->seq == expected->seq &&
	       header->msg_id == expected->msg_id;
}

/* Which of the answers that are waited for this packet can be a part of. */
static const struct ghrm_expected *lane_expected(
	const struct lane *lane, const uint8_t *packet, size_t size)
{
	struct ghrm_header header;

	if (!ghrm_packet_decode(packet, size, &header))
		return &lane->expected;
	if (belongs(&lane->late.expected, &header))
		return &lane->late.expected;
	if (header.type == GHRM_CONTINUATION && lane->reassembly.active &&
		belongs(&lane->late.expected, &lane->reassembly.header))
		return &lane->late.expected;
	return &lane->expected;
}

static void lane_on_packet(struct lane *lane, const uint8_t *packet, size_t size)
{
	const struct ghrm_expected *expected = lane_expected(lane, packet, size);
	bool is_late = expected == &lane->late.expected, aborted = false;
	struct ghrm_message message;
	enum ghrm_feed feed;

	feed = ghrm_client_feed(&lane->reassembly, expected, packet, size, &message, &aborted);
	if (feed == GHRM_FEED_DROPPED)
		lane_complain(lane);
	if (feed == GHRM_FEED_MESSAGE && message.type == GHRM_NOTIFICATION)
		lane_on_notification(lane, &message);
	else if (feed == GHRM_FEED_MESSAGE && is_late)
		lane_late_answer(lane, &message);
	else if (feed == GHRM_FEED_MESSAGE && lane->phase == LANE_WAITING)
		lane_answered(lane, &message);
	else if (feed == GHRM_FEED_MESSAGE && lane->phase == LANE_STALLED)
		lane_barrier_answered(lane);
	if (!aborted || is_late)
		return;
	/* The answer came and cannot be read. */
	if (lane->phase == LANE_WAITING)
		lane_unknown(lane);
	else if (lane->phase == LANE_STALLED)
		lane_barrier_answered(lane);
}

static void lane_receive(struct lane *lane)
{
	int r = inbox_receive(&lane->inbox, lane->link);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		lane_lose(lane, r);
		return;
	}
	for (size_t i = 0; i < lane->inbox.n && lane->phase != LANE_CLOSED; i++)
		if (lane->inbox.sizes[i] > 0)
			lane_on_packet(lane, lane->inbox.packets[i], lane->inbox.sizes[i]);
	if (lane->inbox.closed)
		lane_lose(lane, 0);
}

/* ---- what the loop calls ---- */

static void lane_on_readable(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	lane_receive(userdata);
}

static void lane_on_writable(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	lane_flush(userdata);
}

static void lane_on_timer(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct lane *lane = userdata;
	uint64_t expiry;

	/* If it was this thread that was late, the answer is here already. */
	lane_receive(lane);
	switch (lane->phase) {
	case LANE_IDLE:
	case LANE_CLOSED: return;
	case LANE_STALLED: lane_expire_queued(lane); return;
	case LANE_SENDING:
	case LANE_WAITING: break;
	}
	expiry = lane->started_at + lane->options.deadline_usec;
	if (util_now_usec() < expiry) {
		lane_set_timer(lane, expiry);
		return;
	}
	log_warning("%s: no answer to %s within the deadline", link_endpoint(lane->link),
		ghrm_msg_name(lane->expected.msg_id));
	if (lane->phase == LANE_WAITING) {
		lane_unknown(lane);
		return;
	}
	event_del(lane->send_again);
	lane_finish(lane, lane->job, RM_UNAVAILABLE);
	lane_stall(lane);
}

static void lane_on_submitted(struct letter *letter, void *userdata)
{
	struct rm_job *job = container_of(letter, struct rm_job, submitted);
	struct lane *lane = userdata;

	job->queued_at = util_now_usec();
	if (lane->phase == LANE_CLOSED || queue_add(&lane->queue, job) < 0) {
		lane_return(lane, job, RM_UNAVAILABLE);
		return;
	}
	if (lane->phase == LANE_STALLED)
		lane_expire_queued(lane);
	lane_pump(lane);
}

static void lane_on_cancelled(struct rm_job *job, void *userdata)
{
	struct lane *lane = userdata;

	if (job != lane->job && atomic_load(&job->cancelled))
		lane_finish(lane, job, RM_CANCELLED);
}

static void lane_on_look(struct letter *letter _unused_, void *userdata)
{
	struct lane *lane = userdata;

	atomic_store(&lane->look_posted, false);
	queue_visit(&lane->queue, lane_on_cancelled, lane);
}

static void lane_on_stop(struct letter *letter _unused_, void *userdata)
{
	struct lane *lane = userdata;

	if (lane->phase != LANE_CLOSED)
		lane_close(lane);
	event_base_loopbreak(lane->base);
}

static void *lane_run(void *userdata)
{
	struct lane *lane = userdata;

	event_base_loop(lane->base, EVLOOP_NO_EXIT_ON_EMPTY);
	return NULL;
}

/* ---- life cycle ---- */

static void lane_destroy(struct lane *lane)
{
	mailbox_done(&lane->intake);
	queue_done(&lane->queue);
	if (lane->readable)
		event_free(lane->readable);
	if (lane->writable)
		event_free(lane->writable);
	if (lane->send_again)
		event_free(lane->send_again);
	if (lane->timer)
		event_free(lane->timer);
	if (lane->base)
		event_base_free(lane->base);
	free(lane->settle);
	free(lane->lost);
	link_free(lane->link);
	free(lane);
}

static void lane_destroyp(struct lane **lane)
{
	if (*lane)
		lane_destroy(*lane);
}

static int lane_init(struct lane *lane)
{
	int fd = link_fd(lane->link), r;

	lane->base = event_base_new();
	if (!lane->base)
		return -ENOMEM;
	r = mailbox_init(&lane->intake, lane->base, lane);
	if (r < 0)
		return r;
	lane->readable = event_new(lane->base, fd, EV_READ | EV_PERSIST, lane_on_readable, lane);
	lane->writable = event_new(lane->base, fd, EV_WRITE | EV_PERSIST, lane_on_writable, lane);
	lane->send_again = evtimer_new(lane->base, lane_on_writable, lane);
	lane->timer = evtimer_new(lane->base, lane_on_timer, lane);
	lane->lost = event_make(lane, 0);
	if (!lane->readable || !lane->writable || !lane->send_again || !lane->timer || !lane->lost)
		return -ENOMEM;
	if (event_add(lane->readable, NULL) < 0)
		return errno > 0 ? -errno : -EIO; /* a descriptor that cannot be polled */
	/* Not from the start: an answer meant for a predecessor on the same link must not fit. */
	return util_random(&lane->seq, sizeof(lane->seq));
}

static int lane_spawn(struct lane *lane)
{
	sigset_t all, before;
	int r;

	/* Signals are the main thread's business. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = -pthread_create(&lane->thread, NULL, lane_run, lane);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r == 0)
		pthread_setname_np(lane->thread, "rm-lane");
	return r;
}

int lane_new(struct lane **ret, struct link *link, const struct lane_options *options)
{
	_cleanup_(lane_destroyp) struct lane *lane = calloc(1, sizeof(*lane));
	int r;

	if (!lane)
		return -ENOMEM;
	lane->options = *options;
	lane->stop.deliver = lane_on_stop;
	lane->look.deliver = lane_on_look;
	queue_init(&lane->queue);
	lane->link = link;
	r = lane_init(lane);
	if (r == 0)
		r = lane_spawn(lane);
	if (r < 0) {
		lane->link = NULL; /* stays the caller's */
		return r;
	}
	*ret = TAKE_PTR(lane);
	return 0;
}

struct lane *lane_free(struct lane *lane)
{
	if (!lane)
		return NULL;
	mailbox_post(&lane->intake, &lane->stop);
	pthread_join(lane->thread, NULL);
	lane_destroy(lane);
	return NULL;
}

void lane_submit(struct lane *lane, struct rm_job *job)
{
	job->submitted.deliver = lane_on_submitted;
	mailbox_post(&lane->intake, &job->submitted);
}

void lane_cancel(struct lane *lane, struct rm_job *job)
{
	atomic_store(&job->cancelled, true);
	if (!atomic_exchange(&lane->look_posted, true))
		mailbox_post(&lane->intake, &lane->look);
}
