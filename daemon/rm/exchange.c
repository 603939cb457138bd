/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/rm/exchange.h"

#include <errno.h>

#include "util/log.h"
#include "util/util.h"

#define SEND_AGAIN_USEC        10000    /* after a shortage of memory in the kernel */
#define GARBAGE_COMPLAINT_USEC 10000000 /* at most one line in that time */

/* ---- telling the owner ---- */

static void exchange_charge(struct exchange *exchange)
{
	exchange->job->rm_usec += util_now_usec() - exchange->started_at;
}

static void exchange_return(struct exchange *exchange, struct rm_job *job, enum rm_outcome outcome)
{
	job->outcome = outcome;
	job->execution_unknown = outcome == RM_UNKNOWN;
	mailbox_post(exchange->options.mailbox, &job->letter);
}

static void exchange_finish(struct exchange *exchange, struct rm_job *job, enum rm_outcome outcome)
{
	queue_remove(&exchange->queue, job);
	exchange_return(exchange, job, outcome);
}

static struct rm_event *event_make(const struct exchange *exchange, size_t size)
{
	struct rm_event *event = calloc(1, sizeof(*event) + size);

	if (event) {
		event->letter.deliver = exchange->options.on_event;
		event->size = size;
	}
	return event;
}

static void exchange_tell(
	struct exchange *exchange, struct rm_event *event, enum rm_event_kind kind)
{
	event->kind = kind;
	mailbox_post(exchange->options.mailbox, &event->letter);
}

static void exchange_on_notification(struct exchange *exchange, const struct ghrm_message *message)
{
	struct rm_event *event = event_make(exchange, message->size);

	if (!event) {
		log_err("out of memory: notification 0x%08x is lost", message->msg_id);
		return;
	}
	event->msg_id = message->msg_id;
	if (message->size)
		memcpy(event->payload, message->payload, message->size);
	exchange_tell(exchange, event, RM_EVENT_NOTIFICATION);
}

static void exchange_complain(struct exchange *exchange)
{
	uint64_t now = util_now_usec();

	exchange->garbage++;
	if (exchange->complained_at && now - exchange->complained_at < GARBAGE_COMPLAINT_USEC)
		return;
	exchange->complained_at = now;
	log_warning("%s: %llu packets that belong to nothing were dropped",
		link_endpoint(exchange->link), (unsigned long long)exchange->garbage);
	exchange->garbage = 0;
}

/* ---- deadlines ---- */

static uint64_t exchange_expiry(const struct exchange *exchange, const struct rm_job *job)
{
	/* Time spent in a queue that moved does not count. */
	uint64_t since =
		job->queued_at > exchange->started_at ? job->queued_at : exchange->started_at;

	return since + exchange->options.deadline_usec;
}

struct expiry {
	struct exchange *exchange;
	uint64_t now, next;
};

static void exchange_expire_job(struct rm_job *job, void *userdata)
{
	struct expiry *expiry = userdata;
	uint64_t at = exchange_expiry(expiry->exchange, job);

	if (at <= expiry->now)
		exchange_finish(expiry->exchange, job, RM_UNAVAILABLE);
	else if (at < expiry->next)
		expiry->next = at;
}

static void exchange_set_timer(struct exchange *exchange, uint64_t at)
{
	uint64_t now = util_now_usec(), left = at > now ? at - now : 0;
	struct timeval wait = {
		.tv_sec = (time_t)(left / 1000000),
		.tv_usec = (suseconds_t)(left % 1000000),
	};

	event_add(exchange->timer, &wait);
}

/* While stalled: sends back the jobs that have waited too long and wakes for the next of them. */
static void exchange_expire_queued(struct exchange *exchange)
{
	struct expiry expiry = { .exchange = exchange, .now = util_now_usec(), .next = UINT64_MAX };

	queue_visit(&exchange->queue, exchange_expire_job, &expiry);
	if (exchange->started_at + exchange->options.deadline_usec < expiry.next)
		expiry.next = exchange->started_at + exchange->options.deadline_usec;
	exchange_set_timer(exchange, expiry.next);
}

/* ---- the link's end ---- */

static void exchange_unavailable(struct rm_job *job, void *userdata)
{
	exchange_finish(userdata, job, RM_UNAVAILABLE);
}

/* Half a request is never executed (rm-protocol.md §2.4), so its outcome is known. */
static enum rm_outcome outcome_of_loss(const struct exchange *exchange)
{
	/* Its last packet may have gone out all the same when the device said that it had not. */
	bool whole = exchange->outbox.sent + 1 >= exchange->outbox.n;

	return exchange->phase == EXCHANGE_WAITING || whole ? RM_UNKNOWN : RM_UNAVAILABLE;
}

void exchange_close(struct exchange *exchange)
{
	if (exchange->phase == EXCHANGE_CLOSED)
		return;
	event_del(exchange->readable);
	event_del(exchange->writable);
	event_del(exchange->send_again);
	event_del(exchange->timer);
	if (exchange->job) {
		exchange_charge(exchange);
		exchange_finish(exchange, TAKE_PTR(exchange->job), outcome_of_loss(exchange));
	}
	exchange->phase = EXCHANGE_CLOSED;
	exchange->expected.waiting = exchange->late.expected.waiting = false;
	queue_visit(&exchange->queue, exchange_unavailable, exchange);
}

static void exchange_lose(struct exchange *exchange, int error)
{
	if (exchange->phase == EXCHANGE_CLOSED)
		return;
	log_err("%s: the link to the Resource Manager is lost: %s", link_endpoint(exchange->link),
		error ? strerror(-error) : "closed by the other end");
	exchange_close(exchange);
	exchange_tell(exchange, TAKE_PTR(exchange->lost), RM_EVENT_LINK_LOST);
}

/* ---- sending ---- */

static void exchange_flush(struct exchange *exchange)
{
	static const struct timeval again = { .tv_usec = SEND_AGAIN_USEC };
	int r = outbox_send(&exchange->outbox, exchange->link);

	if (r == 0) {
		event_del(exchange->writable);
		exchange->expected.waiting = true;
		if (exchange->phase == EXCHANGE_SENDING)
			exchange->phase = EXCHANGE_WAITING;
	} else if (r == -EAGAIN) {
		event_add(exchange->writable, NULL);
	} else if (outbox_error_is_temporary(r)) {
		event_del(exchange->writable);
		event_add(exchange->send_again, &again);
	} else {
		exchange_lose(exchange, r);
	}
}

/* 0 is never used, nor is the number of a request whose answer may still come. */
static uint16_t exchange_next_seq(struct exchange *exchange)
{
	do
		exchange->seq++;
	while (exchange->seq == 0 ||
		(exchange->late.expected.waiting && exchange->seq == exchange->late.expected.seq));
	return exchange->seq;
}

static void exchange_send(struct exchange *exchange, uint32_t msg_id, size_t size)
{
	struct ghrm_message message = {
		.type = GHRM_REQUEST,
		.seq = exchange_next_seq(exchange),
		.msg_id = msg_id,
		.payload = exchange->request.payload,
		.size = size,
	};

	exchange->expected = (struct ghrm_expected){ .seq = message.seq, .msg_id = msg_id };
	exchange->started_at = util_now_usec();
	outbox_fill(&exchange->outbox, &message);
	exchange_flush(exchange);
}

/*
 * The Resource Manager works serially: when this is answered, no older request is pending. Also
 * sent when the link took no packet for a whole deadline, to find out when it does again.
 */
static void exchange_stall(struct exchange *exchange)
{
	exchange->job = NULL;
	exchange->phase = EXCHANGE_STALLED;
	exchange_send(exchange, GHRM_VM_GET_VMID, 0);
	if (exchange->phase == EXCHANGE_STALLED)
		exchange_expire_queued(exchange);
}

/* ---- jobs ---- */

static void exchange_start(struct exchange *exchange, struct rm_job *job)
{
	if (atomic_load(&job->cancelled)) {
		exchange_finish(exchange, job, RM_CANCELLED);
		return;
	}
	if (!exchange->settle)
		exchange->settle = event_make(exchange, 0);
	if (!exchange->settle) {
		log_err("out of memory: no request is sent");
		exchange_finish(exchange, job, RM_UNAVAILABLE);
		return;
	}
	job_encode(job, &exchange->request);
	if (!exchange->request.fits) {
		/* What the Resource Manager says of lists that are too long. */
		job->error = GHRM_NORESOURCE;
		exchange_finish(exchange, job, RM_REFUSED);
		return;
	}
	exchange->job = job;
	exchange->phase = EXCHANGE_SENDING;
	exchange_send(exchange, exchange->request.msg_id, exchange->request.size);
	if (exchange->phase != EXCHANGE_CLOSED)
		exchange_set_timer(
			exchange, exchange->started_at + exchange->options.deadline_usec);
}

static void exchange_pump(struct exchange *exchange)
{
	struct rm_job *job;

	while (exchange->phase == EXCHANGE_IDLE && (job = queue_choose(&exchange->queue)))
		exchange_start(exchange, job);
}

static void exchange_go_on(struct exchange *exchange)
{
	exchange->expected.waiting = false;
	exchange->job = NULL;
	exchange->phase = EXCHANGE_IDLE;
	event_del(exchange->timer);
	exchange_pump(exchange);
}

/* ---- answers ---- */

static void exchange_unknown(struct exchange *exchange)
{
	struct rm_job *job = exchange->job;

	exchange_charge(exchange);
	exchange->late = (struct late_request){
		.expected = exchange->expected,
		.creates = job_creates(job),
		.cookie = job->cookie,
	};
	exchange_finish(exchange, job, RM_UNKNOWN);
	exchange_stall(exchange);
}

static void exchange_answered(struct exchange *exchange, const struct ghrm_message *message)
{
	struct rm_job *job = exchange->job;
	uint32_t error, value = GHRM_HANDLE_NONE;

	if (!job_decode_answer(
		    job_asks_value(job), message->payload, message->size, &error, &value)) {
		log_warning("%s: the answer to %s has the wrong size, %zu bytes",
			link_endpoint(exchange->link), ghrm_msg_name(message->msg_id),
			message->size);
		exchange_unknown(exchange);
		return;
	}
	exchange_charge(exchange);
	if (error != GHRM_OK) {
		job->error = error;
		exchange_finish(exchange, job, RM_REFUSED);
		exchange_go_on(exchange);
		return;
	}
	job->queued_at = util_now_usec();
	if (job_advance(job, &exchange->request, value))
		exchange_finish(exchange, job, RM_DONE);
	exchange_go_on(exchange);
}

static void exchange_late_answer(struct exchange *exchange, const struct ghrm_message *message)
{
	struct rm_event *event;
	uint32_t error, handle = GHRM_HANDLE_NONE;

	if (!job_decode_answer(
		    exchange->late.creates, message->payload, message->size, &error, &handle))
		return; /* as good as lost: the barrier settles it */
	exchange->late.expected.waiting = false;
	event = TAKE_PTR(exchange->settle);
	event->cookie = exchange->late.cookie;
	event->msg_id = message->msg_id;
	event->error = error;
	event->handle_known = exchange->late.creates && error == GHRM_OK;
	event->handle = handle;
	exchange_tell(exchange, event, RM_EVENT_LATE_REPLY);
	if (exchange->outbox.sent == 0) { /* then the barrier is not needed any more */
		exchange->outbox.n = 0;
		event_del(exchange->writable);
		event_del(exchange->send_again);
		exchange_go_on(exchange);
	}
}

static void exchange_barrier_answered(struct exchange *exchange)
{
	struct rm_event *event;

	if (exchange->late.expected.waiting) {
		exchange->late.expected.waiting = false;
		event = TAKE_PTR(exchange->settle);
		event->cookie = exchange->late.cookie;
		exchange_tell(exchange, event, RM_EVENT_SETTLED);
	}
	exchange_go_on(exchange);
}

/* ---- receiving ---- */

static bool belongs(const struct ghrm_expected *expected, const struct ghrm_header *header)
{
	return expected->waiting && header->type == GHRM_REPLY && header->seq == expected->seq &&
	       header->msg_id == expected->msg_id;
}

/* Which of the answers that are waited for this packet can be a part of. */
static const struct ghrm_expected *exchange_expects(
	const struct exchange *exchange, const uint8_t *packet, size_t size)
{
	struct ghrm_header header;

	if (!ghrm_packet_decode(packet, size, &header))
		return &exchange->expected;
	if (belongs(&exchange->late.expected, &header))
		return &exchange->late.expected;
	if (header.type == GHRM_CONTINUATION && exchange->reassembly.active &&
		belongs(&exchange->late.expected, &exchange->reassembly.header))
		return &exchange->late.expected;
	return &exchange->expected;
}

static void exchange_on_packet(struct exchange *exchange, const uint8_t *packet, size_t size)
{
	const struct ghrm_expected *expected = exchange_expects(exchange, packet, size);
	bool is_late = expected == &exchange->late.expected, aborted = false;
	struct ghrm_message message;
	enum ghrm_feed feed;

	feed = ghrm_client_feed(&exchange->reassembly, expected, packet, size, &message, &aborted);
	if (feed == GHRM_FEED_DROPPED)
		exchange_complain(exchange);
	if (feed == GHRM_FEED_MESSAGE && message.type == GHRM_NOTIFICATION)
		exchange_on_notification(exchange, &message);
	else if (feed == GHRM_FEED_MESSAGE && is_late)
		exchange_late_answer(exchange, &message);
	else if (feed == GHRM_FEED_MESSAGE && exchange->phase == EXCHANGE_WAITING)
		exchange_answered(exchange, &message);
	else if (feed == GHRM_FEED_MESSAGE && exchange->phase == EXCHANGE_STALLED)
		exchange_barrier_answered(exchange);
	if (!aborted || is_late)
		return;
	/* The answer came and cannot be read. */
	if (exchange->phase == EXCHANGE_WAITING)
		exchange_unknown(exchange);
	else if (exchange->phase == EXCHANGE_STALLED)
		exchange_barrier_answered(exchange);
}

static void exchange_receive(struct exchange *exchange)
{
	int r = inbox_receive(&exchange->inbox, exchange->link);

	if (r == -EAGAIN)
		return;
	if (r < 0) {
		exchange_lose(exchange, r);
		return;
	}
	for (size_t i = 0; i < exchange->inbox.n && exchange->phase != EXCHANGE_CLOSED; i++)
		if (exchange->inbox.sizes[i] > 0)
			exchange_on_packet(
				exchange, exchange->inbox.packets[i], exchange->inbox.sizes[i]);
	if (exchange->inbox.closed)
		exchange_lose(exchange, 0);
}

/* ---- what the loop calls ---- */

static void exchange_on_readable(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	exchange_receive(userdata);
}

static void exchange_on_writable(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	exchange_flush(userdata);
}

/*
 * The barrier's answer can be lost like any other. Asking who we are has no effect, so it is asked
 * again, under a new number; the answer to either is as good, but only the last one is known.
 */
static void exchange_stalled_on(struct exchange *exchange)
{
	bool sent = exchange->outbox.sent == exchange->outbox.n;
	uint64_t now = util_now_usec();

	exchange_expire_queued(exchange);
	if (now < exchange->started_at + exchange->options.deadline_usec)
		return;
	if (!sent) { /* the link is full: the old one is still on its way out */
		exchange_set_timer(exchange, now + exchange->options.deadline_usec);
		return;
	}
	exchange_send(exchange, GHRM_VM_GET_VMID, 0);
	if (exchange->phase == EXCHANGE_STALLED)
		exchange_expire_queued(exchange);
}

static void exchange_on_timer(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct exchange *exchange = userdata;
	uint64_t expiry;

	/* If it was this thread that was late, the answer is here already. */
	exchange_receive(exchange);
	switch (exchange->phase) {
	case EXCHANGE_IDLE:
	case EXCHANGE_CLOSED: return;
	case EXCHANGE_STALLED: exchange_stalled_on(exchange); return;
	case EXCHANGE_SENDING:
	case EXCHANGE_WAITING: break;
	}
	expiry = exchange->started_at + exchange->options.deadline_usec;
	if (util_now_usec() < expiry) {
		exchange_set_timer(exchange, expiry);
		return;
	}
	log_warning("%s: no answer to %s within the deadline", link_endpoint(exchange->link),
		ghrm_msg_name(exchange->expected.msg_id));
	if (exchange->phase == EXCHANGE_WAITING) {
		exchange_unknown(exchange);
		return;
	}
	event_del(exchange->send_again);
	exchange_charge(exchange);
	exchange_finish(exchange, exchange->job, RM_UNAVAILABLE);
	exchange_stall(exchange);
}

/* ---- what the lane calls ---- */

void exchange_add(struct exchange *exchange, struct rm_job *job)
{
	job->queued_at = util_now_usec();
	if (exchange->phase == EXCHANGE_CLOSED || queue_add(&exchange->queue, job) < 0) {
		exchange_return(exchange, job, RM_UNAVAILABLE);
		return;
	}
	if (exchange->phase == EXCHANGE_STALLED)
		exchange_expire_queued(exchange);
	exchange_pump(exchange);
}

static void exchange_on_cancelled(struct rm_job *job, void *userdata)
{
	struct exchange *exchange = userdata;

	if (job != exchange->job && atomic_load(&job->cancelled))
		exchange_finish(exchange, job, RM_CANCELLED);
}

void exchange_return_cancelled(struct exchange *exchange)
{
	queue_visit(&exchange->queue, exchange_on_cancelled, exchange);
}

static int exchange_init_events(struct exchange *exchange, struct event_base *base)
{
	int fd = link_fd(exchange->link);

	exchange->readable =
		event_new(base, fd, EV_READ | EV_PERSIST, exchange_on_readable, exchange);
	exchange->writable =
		event_new(base, fd, EV_WRITE | EV_PERSIST, exchange_on_writable, exchange);
	exchange->send_again = evtimer_new(base, exchange_on_writable, exchange);
	exchange->timer = evtimer_new(base, exchange_on_timer, exchange);
	if (!exchange->readable || !exchange->writable || !exchange->send_again || !exchange->timer)
		return -ENOMEM;
	errno = 0;
	if (event_add(exchange->readable, NULL) < 0)
		return errno > 0 ? -errno : -EIO; /* a descriptor that cannot be polled */
	return 0;
}

int exchange_init(struct exchange *exchange, struct event_base *base, struct link *link,
	const struct lane_options *options)
{
	int r;

	exchange->options = *options;
	queue_init(&exchange->queue);
	exchange->lost = event_make(exchange, 0);
	if (!exchange->lost)
		return -ENOMEM;
	/* Not from the start: an answer meant for a predecessor on the same link must not fit. */
	r = util_random(&exchange->seq, sizeof(exchange->seq));
	if (r < 0)
		return r;
	exchange->link = link;
	r = exchange_init_events(exchange, base);
	if (r < 0)
		exchange->link = NULL; /* stays the caller's */
	return r;
}

static void event_freep(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

void exchange_done(struct exchange *exchange)
{
	queue_done(&exchange->queue);
	event_freep(&exchange->readable);
	event_freep(&exchange->writable);
	event_freep(&exchange->send_again);
	event_freep(&exchange->timer);
	free(exchange->settle);
	free(exchange->lost);
	link_free(exchange->link);
}
