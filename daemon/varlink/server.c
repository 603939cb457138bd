/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/varlink/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/socket.h>

#include "util/log.h"

/* How long accepting rests when descriptors or memory are short. */
#define ACCEPT_PAUSE_MSEC 100
/* One complaint of a kind in this time. */
#define COMPLAINT_USEC (10 * 1000000u)

bool server_may_complain(_Atomic uint64_t *next)
{
	uint64_t now = util_now_usec(), due = atomic_load(next);

	return now >= due && atomic_compare_exchange_strong(next, &due, now + COMPLAINT_USEC);
}

static void server_complain(struct varlink_server *server, int error)
{
	if (server_may_complain(&server->next_complaint))
		log_warning("cannot take a Varlink client: %s", strerror(error));
}

/*
 * The socket stays readable while a client waits in its queue, so without descriptors or memory
 * the loop would spin on it.
 */
static void thread_pause_accepting(struct varlink_thread *thread)
{
	static const struct timeval pause = { .tv_usec = ACCEPT_PAUSE_MSEC * 1000 };

	if (event_add(&thread->pause_event, &pause) >= 0)
		event_del(&thread->listen_event);
}

static void thread_on_pause_over(evutil_socket_t fd _unused_, short what _unused_, void *userdata)
{
	struct varlink_thread *thread = userdata;

	if (event_add(&thread->listen_event, NULL) < 0)
		thread_pause_accepting(thread);
}

/* One client a time: the other threads are awake as well and take their share. */
static void thread_on_listen(evutil_socket_t listen_fd, short what _unused_, void *userdata)
{
	struct varlink_thread *thread = userdata;
	struct varlink_server *server = thread->server;
	int fd, r;

	fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return;
		server_complain(server, errno);
		thread_pause_accepting(thread);
		return;
	}
	r = connection_new(thread, fd);
	/* A process that ended before its turn is nothing to talk about. */
	if (r < 0 && r != -ESRCH && r != -EUSERS)
		server_complain(server, -r);
	/* This client is lost; those behind it may find better times. */
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		thread_pause_accepting(thread);
}

static void thread_stop_listening(struct letter *letter _unused_, void *userdata)
{
	struct varlink_thread *thread = userdata;
	struct varlink_server *server = thread->server;

	if (!thread->listening)
		return;
	thread->listening = false;
	event_del(&thread->listen_event);
	event_del(&thread->pause_event);
	if (atomic_fetch_sub(&server->n_listening, 1) == 1)
		util_close(server->listen_fd);
}

static void thread_quit(struct letter *letter _unused_, void *userdata)
{
	struct varlink_thread *thread = userdata;

	event_base_loopbreak(thread->base);
}

static void *thread_main(void *argument)
{
	struct varlink_thread *thread = argument;
	const struct varlink_server_options *options = &thread->server->options;

	if (options->thread_started)
		thread->userdata =
			options->thread_started(thread->base, thread->index, options->userdata);
	if (event_base_loop(thread->base, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
		log_err("Varlink thread %u: the event loop failed", thread->index);
	while (!LIST_EMPTY(&thread->connections))
		connection_free(LIST_FIRST(&thread->connections));
	if (options->thread_stopped)
		options->thread_stopped(thread->userdata, options->userdata);
	return NULL;
}

static int thread_init(struct varlink_thread *thread)
{
	struct varlink_server *server = thread->server;
	struct event_config *config = event_config_new();
	int r;

	if (!config)
		return -ENOMEM;
	/* Edge-triggering is part of how connections are read; the environment may not take it away. */
	if (event_config_require_features(config, EV_FEATURE_ET) >= 0 &&
		event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV) >= 0)
		thread->base = event_base_new_with_config(config);
	event_config_free(config);
	if (!thread->base)
		return -ENOMEM;
	r = mailbox_init(&thread->mailbox, thread->base, thread);
	if (r < 0)
		return r;
	if (event_assign(&thread->listen_event, thread->base, server->listen_fd,
		    EV_READ | EV_PERSIST, thread_on_listen, thread) < 0 ||
		event_assign(&thread->pause_event, thread->base, -1, 0, thread_on_pause_over,
			thread) < 0 ||
		event_add(&thread->listen_event, NULL) < 0)
		return -ENOMEM;
	thread->listening = true;
	atomic_fetch_add(&server->n_listening, 1);
	return 0;
}

static void thread_done(struct varlink_thread *thread)
{
	if (thread->listening) {
		event_del(&thread->listen_event);
		event_del(&thread->pause_event);
	}
	mailbox_done(&thread->mailbox);
	if (thread->base)
		event_base_free(thread->base);
}

/* Signals are the main thread's. */
static int server_start_threads(struct varlink_server *server)
{
	sigset_t all, before;
	int r = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	for (; r == 0 && server->n_started < server->options.threads; server->n_started += r == 0) {
		struct varlink_thread *thread = &server->threads[server->n_started];

		r = pthread_create(&thread->pthread, NULL, thread_main, thread);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return -r;
}

/* Ends and frees everything but the listening socket. */
static void server_destroy(struct varlink_server *server)
{
	for (unsigned i = 0; i < server->n_started; i++)
		mailbox_post(&server->threads[i].mailbox, &server->threads[i].quit_letter);
	for (unsigned i = 0; i < server->n_started; i++)
		pthread_join(server->threads[i].pthread, NULL);
	for (unsigned i = 0; i < server->options.threads; i++)
		thread_done(&server->threads[i]);
	bounds_done(&server->bounds);
	free(server->threads);
	free(server);
}

int varlink_server_new(
	struct varlink_server **ret, int listen_fd, const struct varlink_server_options *options)
{
	struct varlink_server *server;
	int r;

	if (options->threads == 0)
		return -EINVAL;
	r = util_set_nonblock(listen_fd);
	if (r < 0)
		return r;
	server = calloc(1, sizeof(*server));
	if (!server)
		return -ENOMEM;
	server->options = *options;
	server->listen_fd = listen_fd;
	server->next_id = 1;
	server->threads = calloc(options->threads, sizeof(*server->threads));
	if (!server->threads) {
		free(server);
		return -ENOMEM;
	}
	bounds_init(&server->bounds);
	for (unsigned i = 0; i < options->threads; i++) {
		server->threads[i].server = server;
		server->threads[i].index = i;
		server->threads[i].quit_letter.deliver = thread_quit;
		server->threads[i].stop_listening_letter.deliver = thread_stop_listening;
		LIST_INIT(&server->threads[i].connections);
	}
	for (unsigned i = 0; r == 0 && i < options->threads; i++)
		r = thread_init(&server->threads[i]);
	if (r == 0)
		r = server_start_threads(server);
	if (r < 0) {
		server_destroy(server);
		return r;
	}
	*ret = server;
	return 0;
}

void varlink_server_stop_listening(struct varlink_server *server)
{
	if (atomic_exchange(&server->stop_listening_posted, true))
		return;
	for (unsigned i = 0; i < server->options.threads; i++)
		mailbox_post(
			&server->threads[i].mailbox, &server->threads[i].stop_listening_letter);
}

struct varlink_server *varlink_server_free(struct varlink_server *server)
{
	if (!server)
		return NULL;
	varlink_server_stop_listening(server);
	server_destroy(server);
	return NULL;
}
