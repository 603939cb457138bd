/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/memory.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "daemon/memory/frames.h"
#include "daemon/memory/holder_link.h"
#include "daemon/memory/pin.h"
#include "util/util.h"

/* In the tag of what a daemon with the built-in emulator keeps: no longer needed when it is dead. */
#define EMULATOR_TAG "emulator:"

struct worker {
	pthread_t thread;
	struct memory *memory;
	bool pinning; /* under the memory's lock, like uid: whose */
	uid_t uid;
};

struct memory {
	struct pinner pinner; /* constant while the workers run */
	struct memory_abilities abilities;

	pthread_mutex_t lock;
	pthread_cond_t work;
	struct memory_job *head, **tail; /* under lock */
	bool stopping;                   /* under lock */

	struct worker *workers;
	unsigned n_workers, n_started;
};

/* ---- workers ---- */

/*
 * A client can make the pinning of its memory take as long as it likes (a page fault that user space
 * serves, a lock on the file), so pins of one uid never take more than half of the workers, and unpins
 * always find one.
 */
static bool may_run(const struct memory *memory, const struct memory_job *job)
{
	unsigned running = 0;

	if (job->kind == MEMORY_UNPIN)
		return true;
	for (unsigned i = 0; i < memory->n_workers; i++)
		running += memory->workers[i].pinning && memory->workers[i].uid == job->uid;
	return running < (memory->n_workers + 1) / 2;
}

/* Takes the oldest job that may run out of the queue; NULL when there is none. */
static struct memory_job *take_job(struct memory *memory)
{
	struct memory_job **at = &memory->head, *job;

	while (*at && !may_run(memory, *at))
		at = &(*at)->next;
	job = *at;
	if (!job)
		return NULL;
	*at = job->next;
	if (memory->tail == &job->next)
		memory->tail = at;
	return job;
}

static struct memory_job *next_job(struct memory *memory, struct worker *worker)
{
	struct memory_job *job;

	pthread_mutex_lock(&memory->lock);
	worker->pinning = false;
	if (memory->head) /* perhaps one that waited for this worker's uid */
		pthread_cond_broadcast(&memory->work);
	while (!(job = take_job(memory)) && !(memory->stopping && !memory->head))
		pthread_cond_wait(&memory->work, &memory->lock);
	if (job) {
		worker->pinning = job->kind == MEMORY_PIN;
		worker->uid = job->uid;
	}
	pthread_mutex_unlock(&memory->lock);
	return job;
}

static void *work(void *userdata)
{
	struct worker *worker = userdata;
	struct memory *memory = worker->memory;
	struct memory_job *job;

	while ((job = next_job(memory, worker))) {
		switch (job->kind) {
		case MEMORY_PIN: pin_do(&memory->pinner, job); break;
		case MEMORY_UNPIN: pin_undo(&memory->pinner, job); break;
		}
		if (job->reply_to)
			mailbox_post(job->reply_to, &job->letter);
		else
			free(job);
	}
	return NULL;
}

void memory_submit(struct memory *memory, struct memory_job *job)
{
	job->next = NULL;
	pthread_mutex_lock(&memory->lock);
	*memory->tail = job;
	memory->tail = &job->next;
	pthread_mutex_unlock(&memory->lock);
	pthread_cond_signal(&memory->work);
}

/* ---- what the machine allows ---- */

static const char *why_no_pin(int r)
{
	switch (-r) {
	case 0: return "the holder lacks CAP_IPC_LOCK, RLIMIT_MEMLOCK binds";
	case EPERM: return "io_uring is forbidden: see sysctl kernel.io_uring_disabled";
	case ENOSYS: return "the kernel has no io_uring";
	case ENOMEM: return "the holder lacks CAP_IPC_LOCK, RLIMIT_MEMLOCK allows no page";
	case EREMOTEIO:
		return "pidfd_getfd is missing or forbidden: see sysctl kernel.yama.ptrace_scope";
	default: return strerror(-r);
	}
}

static void find_abilities(struct memory *memory)
{
	struct memory_abilities *abilities = &memory->abilities;
	int probe = pin_probe(&memory->pinner);
	int shown = memory->pinner.pagemap_fd;
	size_t used = 0;

	if (shown >= 0)
		shown = frames_are_shown(memory->pinner.pagemap_fd);
	abilities->frame_numbers = memory->pinner.has_frames = shown > 0;
	memory->pinner.can_pin = probe == 0;
	abilities->pins = probe == 0 && holder_link_pins_any(memory->pinner.holder);
	if (!abilities->frame_numbers)
		used = (size_t)snprintf(abilities->text, sizeof(abilities->text),
			"no frame numbers (/proc/self/pagemap: %s)",
			shown < 0 ? strerror(-shown) : "CAP_SYS_ADMIN is missing");
	if (!abilities->pins && used < sizeof(abilities->text))
		snprintf(abilities->text + used, sizeof(abilities->text) - used,
			"%sno unlimited pins (%s)", used ? ", " : "", why_no_pin(probe));
}

static int demand_abilities(const struct memory *memory, char **ret_error)
{
	const struct memory_abilities *abilities = &memory->abilities;

	if (abilities->frame_numbers && abilities->pins)
		return 0;
	if (asprintf(ret_error,
		    "this machine does not let ghmemd lend memory: %s; run as root, or with "
		    "CAP_SYS_ADMIN and CAP_IPC_LOCK, and with kernel.io_uring_disabled=0",
		    abilities->text) < 0)
		*ret_error = NULL;
	return -EPERM;
}

/* ---- the holder's place ---- */

static bool read_cgroup(const char *process, char *text, size_t size)
{
	char path[32];
	FILE *file;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%s/cgroup", process);
	file = fopen(path, "re");
	if (!file)
		return false;
	n = fread(text, 1, size - 1, file);
	fclose(file);
	text[n] = '\0';
	return n > 0;
}

/*
 * As a service of systemd with the holder in the service's own control group, one `systemctl kill`
 * would take both. A holder that keeps something is used wherever it is: to refuse it saves nothing.
 */
static int demand_own_cgroup(const struct memory *memory, char **ret_error)
{
	const char *service = getenv("SYSTEMD_EXEC_PID");
	char pid[16], ours[4096], its[4096];
	uint64_t number, entries, pages;

	if (!service || util_parse_u64(service, false, &number) < 0 || number != (uint64_t)getpid())
		return 0;
	snprintf(pid, sizeof(pid), "%d", (int)holder_link_first_pid(memory->pinner.holder));
	memory_left_over(memory, &entries, &pages);
	if (entries > 0 || !read_cgroup("self", ours, sizeof(ours)) ||
		!read_cgroup(pid, its, sizeof(its)) || strcmp(ours, its) != 0)
		return 0;
	if (asprintf(ret_error,
		    "ghmemd-holder runs in the control group of this service, so that killing the "
		    "service would give lent memory back to the kernel: enable "
		    "ghmemd-holder.socket") < 0)
		*ret_error = NULL;
	return -EPERM;
}

/* ---- life ---- */

static int start_workers(struct memory *memory, unsigned workers)
{
	if (workers == 0)
		workers = 1;
	memory->workers = calloc(workers, sizeof(*memory->workers));
	if (!memory->workers)
		return -ENOMEM;
	memory->n_workers = workers;
	for (; memory->n_started < workers; memory->n_started++) {
		struct worker *worker = &memory->workers[memory->n_started];
		int r;

		worker->memory = memory;
		r = pthread_create(&worker->thread, NULL, work, worker);
		if (r > 0)
			return -r;
	}
	return 0;
}

int memory_new(struct memory **ret, const struct memory_options *options, char **ret_error)
{
	const struct holder_link_options holder = {
		.state_dir = options->state_dir,
		.holder_path = options->holder_path,
		.lock_fd = options->lock_fd,
		.tag = options->epoch,
		.dead_tag = EMULATOR_TAG,
	};
	struct memory *memory = calloc(1, sizeof(*memory));
	int r;

	*ret_error = NULL;
	if (!memory)
		return -ENOMEM;
	memory->tail = &memory->head;
	pthread_mutex_init(&memory->lock, NULL);
	pthread_cond_init(&memory->work, NULL);
	memory->pinner.may_invent = options->may_invent;
	memory->pinner.pagemap_fd = frames_open();
	r = holder_link_new(&memory->pinner.holder, &holder, ret_error);
	if (r == 0) {
		find_abilities(memory);
		r = options->may_invent ? 0 : demand_abilities(memory, ret_error);
	}
	if (r == 0 && !options->may_invent)
		r = demand_own_cgroup(memory, ret_error);
	if (r == 0)
		r = start_workers(memory, options->workers);
	if (r < 0) {
		if (!*ret_error && asprintf(ret_error, "cannot start the memory workers: %s",
					   strerror(-r)) < 0)
			*ret_error = NULL;
		memory_free(memory);
		return r;
	}
	*ret = memory;
	return 0;
}

struct memory *memory_free(struct memory *memory)
{
	if (!memory)
		return NULL;
	pthread_mutex_lock(&memory->lock);
	memory->stopping = true;
	pthread_cond_broadcast(&memory->work);
	pthread_mutex_unlock(&memory->lock);
	for (unsigned i = 0; i < memory->n_started; i++)
		pthread_join(memory->workers[i].thread, NULL);
	holder_link_free(memory->pinner.holder);
	util_close(memory->pinner.pagemap_fd);
	pthread_cond_destroy(&memory->work);
	pthread_mutex_destroy(&memory->lock);
	free(memory->workers);
	free(memory);
	return NULL;
}

const struct memory_abilities *memory_abilities(const struct memory *memory)
{
	return &memory->abilities;
}

void memory_left_over(const struct memory *memory, uint64_t *ret_entries, uint64_t *ret_pages)
{
	holder_link_left_over(memory->pinner.holder, ret_entries, ret_pages);
}

uint64_t memory_owed(const struct memory *memory)
{
	return holder_link_owed(memory->pinner.holder);
}
