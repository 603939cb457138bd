/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * ghmemd: puts the rooms together. The main thread is the core thread; the lane, the memory workers
 * and the Varlink I/O threads are started here and ended in the opposite order.
 */

#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "daemon/core/broker.h"
#include "daemon/options.h"
#include "daemon/rm/link.h"
#include "daemon/startup.h"
#include "daemon/varlink/face.h"
#include "util/log.h"

#define CONFIG_FILE      "/etc/ghmemd/ghmemd.json"
#define RM_DEADLINE_USEC (10 * 1000000ull) /* for one answer; RM works in milliseconds */

struct daemon {
	struct options options;
	struct event_base *base;
	struct event *signals[3];
	int lock_fd;
	struct policy *policy;
	struct memory *memory;
	struct lane *lane;
	struct broker *broker;
	struct face *face;
	struct stat socket;
	bool rm_is_built_in;
	bool stopping;       /* a signal has asked for the end */
	struct rm_job hello; /* VM_GET_VMID: is anybody there, and are we VM 3? */
};

/* ---- core's two operation tables ---- */

static void memory_ops_submit(void *memory, struct memory_job *job)
{
	memory_submit(memory, job);
}

static const struct memory_ops memory_ops = {
	.measure = memory_measure,
	.made_up_span = memory_made_up_span,
	.submit = memory_ops_submit,
};

static void rm_ops_submit(void *rm, struct rm_job *job)
{
	struct daemon *daemon = rm;

	lane_submit(daemon->lane, job);
}

static void rm_ops_cancel(void *rm, struct rm_job *job)
{
	struct daemon *daemon = rm;

	lane_cancel(daemon->lane, job);
}

static const struct rm_ops rm_ops = { .submit = rm_ops_submit, .cancel = rm_ops_cancel };

static int reload_policy(void *userdata, struct policy **ret, char **ret_error)
{
	struct daemon *daemon = userdata;

	return startup_policy(&daemon->options, ret, ret_error);
}

static void on_stopped(void *userdata)
{
	struct daemon *daemon = userdata;

	event_base_loopexit(daemon->base, NULL);
}

/* ---- signals ---- */

static void on_signal(evutil_socket_t number, short what _unused_, void *userdata)
{
	_cleanup_free_ char *error = NULL;
	struct daemon *daemon = userdata;

	if (daemon->stopping)
		return;
	if (number == SIGHUP && daemon->face) {
		sd_notify(0, "RELOADING=1");
		broker_reload(daemon->broker, &error);
		sd_notify(0, "READY=1");
		return;
	}
	if (number == SIGHUP)
		return; /* the policy has just been read */
	daemon->stopping = true;
	sd_notify(0, "STOPPING=1");
	if (!daemon->face)
		return; /* still starting: greet_manager looks at it */
	log_notice("stopping: taking memory back");
	face_stop_listening(daemon->face);
	broker_stop(daemon->broker);
}

static int watch_signals(struct daemon *daemon)
{
	static const int numbers[] = { SIGTERM, SIGINT, SIGHUP };

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		daemon->signals[i] = evsignal_new(daemon->base, numbers[i], on_signal, daemon);
		if (!daemon->signals[i] || evsignal_add(daemon->signals[i], NULL) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- start ---- */

static int start_policy(struct daemon *daemon)
{
	_cleanup_free_ char *error = NULL;
	int r = startup_policy(&daemon->options, &daemon->policy, &error);

	if (r == 0)
		return 0;
	log_lines(LOG_ERR, error ? error : strerror(-r));
	log_err("the policy is faulty, so nothing is served; `ghmemctl policy verify` checks it");
	return r;
}

static int start_memory(struct daemon *daemon, bool emulated)
{
	_cleanup_free_ char *error = NULL, *holder = NULL;
	char epoch[32];
	uint64_t random;
	int r;

	r = startup_sibling("ghmemd-holder", &holder);
	if (r == 0)
		r = util_random(&random, sizeof(random));
	if (r < 0)
		return r;
	/* The prefix tells a later daemon that nothing can reach the memory: memory.h, memory_new. */
	snprintf(epoch, sizeof(epoch), "%s%016" PRIx64,
		daemon->rm_is_built_in ? "emulator:" : "rm:", random);
	r = memory_new(&daemon->memory,
		&(struct memory_options){
			.workers = daemon->options.jobs,
			.state_dir = daemon->options.state_dir,
			.holder_path = holder,
			.lock_fd = daemon->lock_fd,
			.may_invent = emulated,
			.epoch = epoch,
		},
		&error);
	if (r < 0)
		log_err("%s", error ? error : strerror(-r));
	return r;
}

static int start_broker(struct daemon *daemon, bool emulated)
{
	struct broker_options options = {
		.base = daemon->base,
		.memory_ops = &memory_ops,
		.memory = daemon->memory,
		.rm_ops = &rm_ops,
		.rm = daemon,
		.policy = daemon->policy,
		.reload = reload_policy,
		.stopped = on_stopped,
		.userdata = daemon,
		.endpoint = daemon->options.rm,
		.emulated = emulated,
		.may_notify = strncmp(daemon->options.rm, "dev:", 4) != 0,
		.abilities = *memory_abilities(daemon->memory),
	};

	memory_left_over(daemon->memory, &options.left_over_entries, &options.left_over_pages);
	if (options.left_over_entries > 0)
		log_warning("the holder keeps %" PRIu64 " parcels (%" PRIu64
			    " pages) of a daemon before this "
			    "one; they stay pinned",
			options.left_over_entries, options.left_over_pages);
	return broker_new(&daemon->broker, &options);
}

static void on_hello(struct letter *letter, void *userdata _unused_)
{
	struct rm_job *job = container_of(letter, struct rm_job, letter);

	job->cookie = 1;
}

/* Nothing is served before the Resource Manager has answered and called us VM 3. */
static int greet_manager(struct daemon *daemon)
{
	struct rm_job *hello = &daemon->hello;

	hello->letter.deliver = on_hello;
	hello->kind = RM_JOB_HELLO;
	hello->urgent = true;
	lane_submit(daemon->lane, hello);
	while (hello->cookie == 0 && !daemon->stopping)
		if (event_base_loop(daemon->base, EVLOOP_ONCE) < 0)
			return -EIO;
	if (daemon->stopping)
		return -ECANCELED;
	if (hello->outcome == RM_DONE && hello->value == GHRM_VMID_HOST)
		return 0;
	if (hello->outcome == RM_DONE)
		log_err("the Resource Manager at %s says that we are VM %" PRIu32 ", not VM %d",
			daemon->options.rm, hello->value, GHRM_VMID_HOST);
	else
		log_err("the Resource Manager at %s does not answer as one", daemon->options.rm);
	return -EPROTO;
}

static int start_lane(struct daemon *daemon, struct link *link)
{
	int r = lane_new(&daemon->lane, link,
		&(struct lane_options){
			.mailbox = broker_mailbox(daemon->broker),
			.on_event = broker_on_rm_event,
			.deadline_usec = RM_DEADLINE_USEC,
		});

	if (r < 0) {
		log_err("%s cannot be used as a link to the Resource Manager: %s",
			daemon->options.rm, strerror(-r));
		link_free(link);
		return r;
	}
	return greet_manager(daemon);
}

static int start_face(struct daemon *daemon)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	_cleanup_close_ int fd = startup_listen(daemon->options.varlink, &daemon->socket);
	int r;

	if (fd < 0)
		return fd;
	r = face_new(&daemon->face, fd, daemon->broker, cpus > 2 ? (unsigned)cpus / 2 : 1);
	if (r == 0)
		TAKE_FD(fd);
	return r;
}

static void tell_ready(const struct daemon *daemon, bool emulated)
{
	const struct memory_abilities *abilities = memory_abilities(daemon->memory);

	if (*abilities->text)
		log_warning("NOT FOR REAL USE: %s", abilities->text);
	log_notice("ready: Resource Manager %s%s, serving %s", daemon->options.rm,
		emulated ? " (an emulator: no VM really gets the memory)" : "",
		daemon->options.varlink);
	if (policy_n_rules(daemon->policy) == 0)
		log_warning("there is no policy rule, so every request is denied; see "
			    "ghmemd.policy(5)");
	sd_notifyf(0, "READY=1\nSTATUS=Lending memory through %s", daemon->options.rm);
}

static int start(struct daemon *daemon)
{
	_cleanup_free_ char *error = NULL;
	struct link *link = NULL;
	bool emulated;
	int r;

	daemon->lock_fd = startup_lock(daemon->options.state_dir);
	if (daemon->lock_fd < 0)
		return daemon->lock_fd;
	r = start_policy(daemon);
	if (r < 0)
		return r;
	daemon->base = event_base_new();
	if (!daemon->base)
		return -ENOMEM;
	r = watch_signals(daemon);
	if (r < 0)
		return r;
	r = link_open(daemon->options.rm, &link, &error);
	if (r < 0) {
		log_err("%s", error ? error : strerror(-r));
		return r;
	}
	emulated = link_is_emulator(link);
	daemon->rm_is_built_in = strcmp(daemon->options.rm, "emulator") == 0;
	r = start_memory(daemon, emulated);
	if (r == 0)
		r = start_broker(daemon, emulated);
	if (r < 0) {
		link_free(link);
		return r;
	}
	r = start_lane(daemon, link);
	if (r == 0)
		r = start_face(daemon);
	if (r == 0)
		tell_ready(daemon, emulated);
	return r;
}

static void finish(struct daemon *daemon)
{
	face_free(daemon->face);
	startup_unlisten(daemon->options.varlink, &daemon->socket);
	lane_free(daemon->lane); /* ends the built-in emulator, and with it every claim on memory */
	broker_free(daemon->broker, daemon->rm_is_built_in);
	memory_free(daemon->memory);
	for (size_t i = 0; i < ARRAY_SIZE(daemon->signals); i++)
		if (daemon->signals[i])
			event_free(daemon->signals[i]);
	if (daemon->base)
		event_base_free(daemon->base);
	policy_unref(daemon->policy);
	util_close(daemon->lock_fd);
	options_done(&daemon->options);
	libevent_global_shutdown();
}

int main(int argc, char **argv)
{
	struct daemon daemon = { .lock_fd = -1 };
	int r = EXIT_FAILURE, started;

	switch (options_parse(argc, argv, CONFIG_FILE, &daemon.options)) {
	case OPTIONS_RUN: break;
	case OPTIONS_EXIT: options_done(&daemon.options); return EXIT_SUCCESS;
	case OPTIONS_USAGE: options_done(&daemon.options); return 2;
	case OPTIONS_FAILED: options_done(&daemon.options); return EXIT_FAILURE;
	}
	log_open("ghmemd", daemon.options.log_level);
	startup_raise_limits();
	evthread_use_pthreads();
	started = start(&daemon);
	if (started == 0) {
		event_base_dispatch(daemon.base);
		log_notice("stopped");
		r = EXIT_SUCCESS;
	} else if (started == -ECANCELED) {
		log_notice("stopped before it had started");
		r = EXIT_SUCCESS;
	} else {
		log_err("not started: %s", strerror(-started));
	}
	finish(&daemon);
	return r;
}
