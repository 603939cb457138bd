/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/holder_link.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "util/log.h"
#include "util/util.h"

/* On the stack of the thread that waits for it. */
struct call {
	struct call *next;
	struct holder_request request;
	struct holder_reply reply;
	int fd;
	int ring;
	int result; /* 0: there is a reply */
	bool done;
};

struct holder_link {
	/* the thread's own, after holder_link_new */
	struct holder_place place;
	char *state_dir, *holder_path, *tag;
	struct holder_peer peer;
	uint64_t next_name;
	uint64_t pins;       /* kept by the present holder, made here */
	uint64_t pins_alone; /* made here, whose holder has died; an upper bound */
	bool complained;     /* that no holder can be had */

	/* constant after holder_link_new */
	uint64_t left_entries, left_pages;
	int *left_rings; /* copies of what a daemon before this one pinned */
	size_t n_left_rings;
	bool pins_any;

	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct call *head, **tail;
	bool stopping;

	int wake; /* eventfd */
	pthread_t thread;
	bool has_thread;
};

/* ---- the connection ---- */

static void lost(struct holder_link *link, int why)
{
	if (holder_peer_is_dead(&link->peer)) {
		link->pins_alone += link->pins;
		link->pins = 0;
		log_err("the holder (pid %" PRId32 ") has died: %" PRIu64
			" pins are held by this process alone now",
			link->peer.hello.pid, link->pins_alone);
	} else {
		log_err("the connection to the holder (pid %" PRId32 ") has ended: %s",
			link->peer.hello.pid, strerror(-why));
	}
	holder_peer_done(&link->peer);
}

static int reopen(struct holder_link *link, bool may_start)
{
	uint64_t epoch = link->peer.hello.epoch;
	int r = holder_peer_open(&link->peer, &link->place, may_start);

	if (r < 0) {
		/* Without need of one there is nothing to complain about. */
		if (may_start && !link->complained)
			log_err("no holder: %s", strerror(-r));
		link->complained |= may_start;
		return r;
	}
	link->complained = false;
	if (link->peer.hello.epoch != epoch) {
		link->pins_alone += link->pins;
		link->pins = 0;
		log_notice("a new holder (pid %" PRId32 ") serves", link->peer.hello.pid);
	}
	if (link->next_name <= link->peer.hello.name)
		link->next_name = link->peer.hello.name + 1;
	return 0;
}

/* ---- calls, in the thread ---- */

/* The holder's pin has a second owner before anybody relies on it. */
static int copy_ring(struct holder_link *link, struct call *call)
{
	struct holder_request drop = { .command = HOLDER_DROP, .name = call->request.name };
	struct holder_reply reply;
	int r;

	if (call->reply.result < 0 || call->reply.ring_fd < 0)
		return 0;
	call->ring = holder_peer_copy(&link->peer, call->reply.ring_fd);
	if (call->ring >= 0)
		return 0;
	if (call->ring == -ESRCH) {
		r = -ECONNRESET;
	} else {
		log_err("cannot copy a pin out of the holder (pid %" PRId32 "): %s",
			link->peer.hello.pid, strerror(-call->ring));
		r = holder_peer_ask(&link->peer, &drop, -1, &reply, NULL);
	}
	call->reply.result = -EREMOTEIO;
	call->ring = -1;
	return r;
}

static void account(struct holder_link *link, const struct call *call)
{
	if (call->reply.result < 0 || call->reply.class != HOLDER_MEMORY)
		return;
	if (call->request.command == HOLDER_PUT)
		link->pins++;
	else if (call->request.command == HOLDER_DROP && link->pins > 0)
		link->pins--;
}

static int attempt(struct holder_link *link, struct call *call)
{
	bool is_put = call->request.command == HOLDER_PUT;
	int r = 0;

	if (link->peer.socket < 0)
		r = reopen(link, is_put);
	if (r < 0)
		return r;
	if (is_put)
		call->request.name = link->next_name++;
	r = holder_peer_ask(&link->peer, &call->request, call->fd, &call->reply, NULL);
	if (r == 0 && is_put)
		r = copy_ring(link, call);
	if (r < 0)
		lost(link, r);
	else
		account(link, call);
	return r;
}

static void perform(struct holder_link *link, struct call *call)
{
	bool had_connection = link->peer.socket >= 0;

	call->result = attempt(link, call);
	/* After a time-out it may still come about: once more would pin twice. */
	if (call->result < 0 && had_connection && call->result != -ETIMEDOUT)
		call->result = attempt(link, call);
}

static struct call *next_call(struct holder_link *link, bool *ret_stopping)
{
	struct call *call;

	pthread_mutex_lock(&link->lock);
	call = link->head;
	if (call)
		link->head = call->next;
	if (!link->head)
		link->tail = &link->head;
	*ret_stopping = link->stopping;
	pthread_mutex_unlock(&link->lock);
	return call;
}

static void finish(struct holder_link *link, struct call *call)
{
	pthread_mutex_lock(&link->lock);
	call->done = true;
	pthread_cond_broadcast(&link->done);
	pthread_mutex_unlock(&link->lock);
}

static void *run(void *userdata)
{
	struct holder_link *link = userdata;
	bool stopping = false;

	while (!stopping) {
		struct pollfd fds[] = {
			{ link->wake, POLLIN, 0 },
			{ link->peer.socket, POLLIN, 0 },
		};
		struct call *call;
		uint64_t count;

		if (poll(fds, ARRAY_SIZE(fds), -1) < 0)
			continue;
		/* The holder says nothing unasked: whatever came is an end. */
		if (fds[1].revents)
			lost(link, -ECONNRESET);
		if (fds[0].revents && read(link->wake, &count, sizeof(count)) < 0)
			continue;
		while ((call = next_call(link, &stopping))) {
			perform(link, call);
			finish(link, call);
		}
	}
	return NULL;
}

/* ---- calls, from outside ---- */

static void wake(struct holder_link *link)
{
	static const uint64_t one = 1;

	if (write(link->wake, &one, sizeof(one)) < 0)
		abort(); /* the counter cannot overflow */
}

static void call_and_wait(struct holder_link *link, struct call *call)
{
	pthread_mutex_lock(&link->lock);
	*link->tail = call;
	link->tail = &call->next;
	pthread_mutex_unlock(&link->lock);
	wake(link);
	pthread_mutex_lock(&link->lock);
	while (!call->done)
		pthread_cond_wait(&link->done, &link->lock);
	pthread_mutex_unlock(&link->lock);
}

int holder_link_put(struct holder_link *link, struct holder_put *put, bool *ret_lost)
{
	struct call call = {
		.request = {
			.command = HOLDER_PUT,
			.class = put->class,
			.offset = put->offset,
			.size = put->size,
		},
		.fd = put->fd,
		.ring = -1,
	};

	memccpy(call.request.tag, link->tag, 0, sizeof(call.request.tag) - 1);
	call_and_wait(link, &call);
	*ret_lost = call.result < 0;
	if (call.result < 0)
		return call.result;
	if (call.reply.result < 0)
		return call.reply.result;
	put->name = call.reply.name;
	put->pages = call.reply.pages;
	put->ring = call.ring;
	return 0;
}

int holder_link_drop(struct holder_link *link, uint64_t name)
{
	struct call call = {
		.request = { .command = HOLDER_DROP, .name = name },
		.fd = -1,
		.ring = -1,
	};

	call_and_wait(link, &call);
	if (call.result == -ENOENT || call.result == -ECONNREFUSED)
		return 0;
	if (call.result < 0)
		return call.result;
	return call.reply.result == -ENOENT ? 0 : call.reply.result;
}

bool holder_link_pins_any(const struct holder_link *link)
{
	return link->pins_any;
}

void holder_link_left_over(
	const struct holder_link *link, uint64_t *ret_entries, uint64_t *ret_pages)
{
	*ret_entries = link->left_entries;
	*ret_pages = link->left_pages;
}

/* ---- life ---- */

/* A pin that its holder alone has ends with the holder: this process becomes its second owner. */
static int adopt(struct holder_link *link, const struct holder_reply *entry)
{
	int *rings;
	int ring;

	if (entry->class == HOLDER_CLIENT)
		return 0;
	link->left_entries++;
	link->left_pages += entry->pages;
	if (entry->ring_fd < 0)
		return 0;
	rings = reallocarray(link->left_rings, link->n_left_rings + 1, sizeof(*rings));
	if (!rings)
		return -ENOMEM;
	link->left_rings = rings;
	ring = holder_peer_copy(&link->peer, entry->ring_fd);
	if (ring < 0)
		return ring;
	rings[link->n_left_rings++] = ring;
	return 0;
}

static int take_stock(struct holder_link *link, const char *dead_tag)
{
	struct holder_request request = { .command = HOLDER_LIST };
	struct holder_reply entry, dropped;
	int r;

	for (;;) {
		request.command = HOLDER_LIST;
		r = holder_peer_ask(&link->peer, &request, -1, &entry, NULL);
		if (r < 0)
			return r;
		if (entry.result < 0)
			return entry.result == -ENOENT ? 0 : entry.result;
		if (entry.name <= request.name)
			return -EPROTO;
		request.name = entry.name;
		entry.tag[sizeof(entry.tag) - 1] = '\0';
		if (strncmp(entry.tag, dead_tag, strlen(dead_tag)) == 0) {
			request.command = HOLDER_DROP;
			r = holder_peer_ask(&link->peer, &request, -1, &dropped, NULL);
			if (r == 0)
				r = dropped.result;
		} else {
			r = adopt(link, &entry);
		}
		if (r < 0)
			return r;
	}
}

static int open_first(struct holder_link *link, const char *dead_tag, char **ret_error)
{
	const char *doing = "cannot open the state directory";
	int r;

	link->place.directory_fd = open(link->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = link->place.directory_fd < 0 ? -errno : 0;
	if (r == 0) {
		doing = "cannot reach or start the holder of";
		r = holder_peer_open(&link->peer, &link->place, true);
	}
	if (r == 0) {
		doing = "cannot read what is kept by the holder of";
		r = take_stock(link, dead_tag);
	}
	if (r < 0 && asprintf(ret_error, "%s %s (%s): %s", doing, link->state_dir,
			     link->holder_path, strerror(-r)) < 0)
		*ret_error = NULL;
	return r;
}

int holder_link_new(
	struct holder_link **ret, const struct holder_link_options *options, char **ret_error)
{
	struct holder_link *link = calloc(1, sizeof(*link));
	int r = -ENOMEM;

	*ret_error = NULL;
	if (!link)
		return -ENOMEM;
	link->peer = HOLDER_PEER_NONE;
	link->place.directory_fd = link->wake = -1;
	link->tail = &link->head;
	pthread_mutex_init(&link->lock, NULL);
	pthread_cond_init(&link->done, NULL);
	link->state_dir = strdup(options->state_dir);
	link->holder_path = strdup(options->holder_path);
	link->tag = strdup(options->tag);
	if (!link->state_dir || !link->holder_path || !link->tag)
		goto fail;
	link->place.state_dir = link->state_dir;
	link->place.holder_path = link->holder_path;
	link->place.lock_fd = options->lock_fd;
	link->wake = eventfd(0, EFD_CLOEXEC);
	if (link->wake < 0) {
		r = -errno;
		goto fail;
	}
	r = open_first(link, options->dead_tag, ret_error);
	if (r < 0)
		goto fail;
	link->next_name = link->peer.hello.name + 1;
	link->pins_any = link->peer.hello.abilities & HOLDER_PINS_ANY;
	r = -pthread_create(&link->thread, NULL, run, link);
	if (r < 0)
		goto fail;
	link->has_thread = true;
	*ret = link;
	return 0;
fail:
	holder_link_free(link);
	return r;
}

struct holder_link *holder_link_free(struct holder_link *link)
{
	if (!link)
		return NULL;
	if (link->has_thread) {
		pthread_mutex_lock(&link->lock);
		link->stopping = true;
		pthread_mutex_unlock(&link->lock);
		wake(link);
		pthread_join(link->thread, NULL);
	}
	for (size_t i = 0; i < link->n_left_rings; i++)
		util_close(link->left_rings[i]);
	holder_peer_done(&link->peer);
	util_close(link->wake);
	util_close(link->place.directory_fd);
	pthread_cond_destroy(&link->done);
	pthread_mutex_destroy(&link->lock);
	free(link->left_rings);
	free(link->state_dir);
	free(link->holder_path);
	free(link->tag);
	free(link);
	return NULL;
}
