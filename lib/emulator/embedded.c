/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "emulator/embedded.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "emulator/server.h"
#include "util/util.h"

struct emulator_embedded {
	struct event_base *base;
	struct event *stop;
	int stop_fd; /* written by emulator_embedded_free() to end the thread */
	struct machine *machine;
	struct server *server;
	pthread_t thread;
	bool running;
};

static void on_stop(evutil_socket_t fd _unused_, short events _unused_, void *userdata)
{
	struct emulator_embedded *embedded = userdata;

	event_base_loopbreak(embedded->base);
}

static void *run(void *userdata)
{
	struct emulator_embedded *embedded = userdata;

	event_base_dispatch(embedded->base);
	return NULL;
}

struct emulator_embedded *emulator_embedded_free(struct emulator_embedded *embedded)
{
	if (!embedded)
		return NULL;
	if (embedded->running) {
		eventfd_write(embedded->stop_fd, 1);
		pthread_join(embedded->thread, NULL);
	}
	server_free(embedded->server);
	if (embedded->stop)
		event_free(embedded->stop);
	if (embedded->base)
		event_base_free(embedded->base);
	util_close(embedded->stop_fd);
	machine_free(embedded->machine);
	free(embedded);
	return NULL;
}

static void emulator_embedded_freep(struct emulator_embedded **embedded)
{
	emulator_embedded_free(*embedded);
}

/* Everything but the thread; fd is the emulator's end of the pair and taken over. */
static int prepare(struct emulator_embedded *embedded, int fd)
{
	static const struct server_options options = { .quiet = true };
	_cleanup_close_ int link = fd;
	int r;

	embedded->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (embedded->stop_fd < 0)
		return -errno;
	embedded->base = event_base_new();
	if (!embedded->base)
		return -ENOMEM;
	embedded->stop = event_new(embedded->base, embedded->stop_fd, EV_READ, on_stop, embedded);
	if (!embedded->stop || event_add(embedded->stop, NULL) < 0)
		return -ENOMEM;
	r = machine_new_default(&embedded->machine);
	if (r < 0)
		return r;
	r = server_new(&embedded->server, embedded->base, embedded->machine, &options);
	if (r < 0)
		return r;
	return server_attach(embedded->server, TAKE_FD(link), GHRM_VMID_HOST);
}

/* Signals are the program's business, not this thread's. */
static int start(struct emulator_embedded *embedded)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&embedded->thread, NULL, run, embedded);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	embedded->running = r == 0;
	return -r;
}

int emulator_embedded_new(struct emulator_embedded **ret, int *ret_fd)
{
	_cleanup_(emulator_embedded_freep) struct emulator_embedded *embedded =
		calloc(1, sizeof(*embedded));
	_cleanup_close_ int near = -1;
	int pair[2], r;

	if (!embedded)
		return -ENOMEM;
	embedded->stop_fd = -1;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	near = pair[0];
	r = prepare(embedded, pair[1]);
	if (r < 0)
		return r;
	r = start(embedded);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(embedded);
	*ret_fd = TAKE_FD(near);
	return 0;
}
