/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/holder_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/memory/holder_session.h"
#include "util/util.h"

/* On the stack of the thread that waits for it. */
struct call {
	struct call *next;
	struct holder_request request;
	struct holder_reply reply;
	int fd;
	int result; /* 0: there is a reply, if it is a put */
	bool done;
};

struct holder_link {
	struct holder_session session; /* the thread's own, after holder_link_new */
	char *state_dir, *holder_path;

	/* constant after holder_link_new */
	uint64_t left_entries, left_pages;
	pid_t first_pid;
	bool pins_any;

	/* under lock */
	pthread_mutex_t lock;
	pthread_cond_t done;
	struct call *head, **tail;
	bool stopping;

	atomic_uint_least64_t owed;
	int wake; /* eventfd */
	pthread_t thread;
	bool has_thread;
};

/* ---- in the thread ---- */

static void perform(struct holder_link *link, struct call *call)
{
	struct holder_session *session = &link->session;

	if (call->request.command == HOLDER_PUT)
		call->result = holder_session_put(session, &call->request, call->fd, &call->reply);
	else
		call->result = holder_session_drop(session, call->request.name);
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

static void count_owed(struct holder_link *link)
{
	atomic_store(&link->owed, pin_table_count_owed(&link->session.table));
}

static void *run(void *userdata)
{
	struct holder_link *link = userdata;
	struct holder_session *session = &link->session;
	bool stopping = false;

	while (!stopping) {
		struct pollfd fds[] = {
			{ link->wake, POLLIN, 0 },
			{ session->peer.socket, POLLIN, 0 },
		};
		struct call *call;
		uint64_t count;

		if (poll(fds, ARRAY_SIZE(fds), holder_session_timeout(session)) < 0)
			continue;
		/* The holder says nothing unasked: whatever came is an end. */
		if (fds[1].revents)
			holder_session_lost(session, -ECONNRESET);
		if (fds[0].revents && read(link->wake, &count, sizeof(count)) < 0)
			continue;
		while ((call = next_call(link, &stopping))) {
			perform(link, call);
			count_owed(link);
			finish(link, call);
		}
		if (!stopping && holder_session_timeout(session) == 0)
			holder_session_restore(session);
		count_owed(link);
	}
	holder_session_part(session);
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
	};

	call_and_wait(link, &call);
	*ret_lost = call.result < 0;
	if (call.result < 0)
		return call.result;
	if (call.reply.result < 0)
		return call.reply.result;
	put->name = call.reply.name;
	put->pages = call.reply.pages;
	return 0;
}

int holder_link_drop(struct holder_link *link, uint64_t name)
{
	struct call call = {
		.request = { .command = HOLDER_DROP, .name = name },
		.fd = -1,
	};

	call_and_wait(link, &call);
	return call.result;
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

pid_t holder_link_first_pid(const struct holder_link *link)
{
	return link->first_pid;
}

uint64_t holder_link_owed(const struct holder_link *link)
{
	return atomic_load(&link->owed);
}

/* ---- life ---- */

static int open_session(
	struct holder_link *link, const struct holder_link_options *options, char **ret_error)
{
	const char *doing = "cannot open the state directory";
	struct holder_place place = {
		.state_dir = link->state_dir,
		.holder_path = link->holder_path,
		.directory_fd = open(link->state_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		.lock_fd = options->lock_fd,
		.patience = options->patience,
	};
	int r = place.directory_fd < 0 ? -errno : 0;

	holder_session_init(&link->session, &place, options->tag);
	if (r == 0)
		r = holder_session_start(&link->session, options->dead_tag, &doing);
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
	link->wake = -1;
	holder_session_init(&link->session, &(struct holder_place){ .directory_fd = -1 }, "");
	link->tail = &link->head;
	pthread_mutex_init(&link->lock, NULL);
	pthread_cond_init(&link->done, NULL);
	link->state_dir = strdup(options->state_dir);
	link->holder_path = strdup(options->holder_path);
	if (!link->state_dir || !link->holder_path)
		goto fail;
	link->wake = eventfd(0, EFD_CLOEXEC);
	if (link->wake < 0) {
		r = -errno;
		goto fail;
	}
	r = open_session(link, options, ret_error);
	if (r < 0)
		goto fail;
	link->left_entries = link->session.left_entries;
	link->left_pages = link->session.left_pages;
	link->first_pid = link->session.peer.hello.pid;
	link->pins_any = link->session.peer.hello.abilities & HOLDER_PINS_ANY;
	count_owed(link);
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
	holder_session_done(&link->session);
	util_close(link->wake);
	util_close(link->session.place.directory_fd);
	pthread_cond_destroy(&link->done);
	pthread_mutex_destroy(&link->lock);
	free(link->state_dir);
	free(link->holder_path);
	free(link);
	return NULL;
}
