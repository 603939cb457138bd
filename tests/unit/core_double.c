/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/core_double.h"

#include <check.h>
#include <event2/thread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static enum memory_outcome double_measure(int fd, uint64_t offset, uint64_t size, bool size_given,
	uint64_t *ret_bytes, char reason[static MEMORY_REASON_MAX])
{
	(void)fd;
	if (offset % GHRM_PAGE_SIZE || !size_given || size == 0) {
		snprintf(reason, MEMORY_REASON_MAX, "double says no");
		return MEMORY_INVALID;
	}
	*ret_bytes = size;
	return MEMORY_OK;
}

static uint64_t double_span(uint64_t size)
{
	return size;
}

static void double_memory_submit(void *memory, struct memory_job *job)
{
	struct bench *bench = memory;

	ck_assert_uint_lt(bench->n_memory, DOUBLE_JOBS);
	bench->memory[bench->n_memory++] = job;
}

static void double_rm_submit(void *rm, struct rm_job *job)
{
	struct bench *bench = rm;

	ck_assert_uint_lt(bench->n_rm, DOUBLE_JOBS);
	bench->rm[bench->n_rm++] = job;
	bench->n_rm_total++;
}

static void double_rm_cancel(void *rm, struct rm_job *job)
{
	struct bench *bench = rm;

	(void)job;
	bench->n_cancelled++;
}

static void double_stopped(void *userdata)
{
	struct bench *bench = userdata;

	bench->stopped = true;
}

static const struct memory_ops memory_ops = { double_measure, double_span, double_memory_submit };
static const struct rm_ops rm_ops = { double_rm_submit, double_rm_cancel };

static struct policy *load_policy(const char *text)
{
	char dir[] = "/tmp/test-core.XXXXXX", path[64];
	struct policy_report report;
	struct policy *policy = NULL;
	const char *files[] = { path };
	FILE *stream;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/p.json", dir);
	umask(022);
	stream = fopen(path, "w");
	ck_assert_ptr_nonnull(stream);
	fputs(text, stream);
	fclose(stream);
	ck_assert_int_eq(policy_load_files(files, 1, &policy, &report), 0);
	policy_report_done(&report);
	unlink(path);
	rmdir(dir);
	return policy;
}

void bench_init(struct bench *bench, const char *policy_text)
{
	*bench = (struct bench){};
	evthread_use_pthreads();
	bench->base = event_base_new();
	bench->policy = load_policy(policy_text);
	ck_assert_int_eq(mailbox_init(&bench->answers, bench->base, bench), 0);
	ck_assert_int_eq(broker_new(&bench->broker,
				 &(struct broker_options){
					 .base = bench->base,
					 .memory_ops = &memory_ops,
					 .memory = bench,
					 .rm_ops = &rm_ops,
					 .rm = bench,
					 .policy = bench->policy,
					 .stopped = double_stopped,
					 .userdata = bench,
					 .endpoint = "double",
					 .may_notify = true,
				 }),
		0);
}

void bench_abandon(struct bench *bench)
{
	broker_free(bench->broker, false);
	mailbox_done(&bench->answers);
	policy_unref(bench->policy);
	event_base_free(bench->base);
	libevent_global_shutdown();
}

void bench_done(struct bench *bench)
{
	bench_run(bench);
	ck_assert(TAILQ_EMPTY(&bench->broker->parcels));
	ck_assert(TAILQ_EMPTY(&bench->broker->operations));
	ck_assert_uint_eq(bench->broker->n_parcels, 0);
	ck_assert_uint_eq(quota_accounts(bench->broker->quota), 0);
	ck_assert_uint_eq(bench->n_rm, 0);
	ck_assert_uint_eq(bench->n_memory, 0);
	ck_assert_int_eq(bench->pins, 0);
	ck_assert_uint_eq(bench->n_answers, 0);
	bench_abandon(bench);
}

void bench_run(struct bench *bench)
{
	mailbox_drain(&bench->broker->mailbox);
	mailbox_drain(&bench->answers);
}

struct client *bench_client(struct bench *bench, uid_t uid)
{
	static uint64_t last_id;
	struct client *client = client_new(++last_id, uid, 1234, NULL, 0, NULL, false);

	ck_assert_ptr_nonnull(client);
	broker_post_opened(bench->broker, client);
	return client;
}

void bench_close(struct bench *bench, struct client *client)
{
	broker_post_closed(bench->broker, client);
	bench_run(bench);
}

struct request *bench_about(struct client *client, enum verb verb, uint32_t handle)
{
	struct request *request = request_new();

	ck_assert_ptr_nonnull(request);
	request->client = client;
	request->verb = verb;
	request->handle = handle;
	return request;
}

struct request *bench_lend(struct client *client)
{
	struct request *request = bench_about(client, VERB_LEND, 0);

	request->has_memory = true;
	request->sources = POLICY_SOURCE_ALLOCATE;
	request->size = 65536;
	request->size_given = true;
	request->grants = calloc(1, sizeof(*request->grants));
	request->grants[0] = (struct ghrm_acl_entry){ 0x80, GHRM_RIGHT_R | GHRM_RIGHT_W };
	request->n_grants = 1;
	return request;
}

static void on_answer(struct letter *letter, void *userdata)
{
	struct bench *bench = userdata;

	ck_assert_uint_lt(bench->n_answers, DOUBLE_JOBS);
	bench->answer[bench->n_answers++] = container_of(letter, struct request, letter);
}

void bench_post(struct bench *bench, struct request *request)
{
	request->reply_to = &bench->answers;
	request->deliver = on_answer;
	broker_post_request(bench->broker, request);
	bench_run(bench);
}

static struct memory_job *take_memory(struct bench *bench, enum memory_job_kind kind)
{
	struct memory_job *job;

	ck_assert_uint_gt(bench->n_memory, 0);
	job = bench->memory[0];
	ck_assert_int_eq(job->kind, kind);
	memmove(bench->memory, bench->memory + 1, --bench->n_memory * sizeof(job));
	return job;
}

void bench_pin(struct bench *bench, size_t n_regions)
{
	struct memory_job *job = take_memory(bench, MEMORY_PIN);

	util_close(job->fd);
	job->pinned = calloc(1, sizeof(*job->pinned));
	*job->pinned = (struct pinned){ .memfd = -1, .is_pinned = true };
	for (size_t i = 0; i < n_regions; i++)
		ck_assert_int_eq(
			region_list_add(&job->pinned->regions, 0x80000000 + i * 0x2000, 0x1000), 0);
	job->outcome = MEMORY_OK;
	bench->pins++;
	mailbox_post(job->reply_to, &job->letter);
	bench_run(bench);
}

void bench_pin_fails(struct bench *bench, enum memory_outcome outcome)
{
	struct memory_job *job = take_memory(bench, MEMORY_PIN);

	util_close(job->fd);
	job->outcome = outcome;
	snprintf(job->reason, sizeof(job->reason), "double failed");
	mailbox_post(job->reply_to, &job->letter);
	bench_run(bench);
}

void bench_unpin(struct bench *bench)
{
	struct memory_job *job = take_memory(bench, MEMORY_UNPIN);

	job->pinned = pinned_free(job->pinned);
	bench->pins--;
	mailbox_post(job->reply_to, &job->letter);
	bench_run(bench);
}

static struct rm_job *take_rm(struct bench *bench)
{
	struct rm_job *job;

	ck_assert_uint_gt(bench->n_rm, 0);
	job = bench->rm[0];
	memmove(bench->rm, bench->rm + 1, --bench->n_rm * sizeof(job));
	return job;
}

void bench_rm_created(struct bench *bench, uint32_t handle)
{
	struct rm_job *job = take_rm(bench);

	ck_assert_int_eq(job->kind, RM_JOB_CREATE);
	job->outcome = RM_DONE;
	job->handle_known = true;
	job->handle = handle;
	job->described = job->n_regions;
	job->messages = 1;
	mailbox_post(&bench->broker->mailbox, &job->letter);
	bench_run(bench);
}

void bench_rm(struct bench *bench, enum rm_outcome outcome, uint32_t error)
{
	struct rm_job *job = take_rm(bench);

	job->outcome = outcome;
	job->error = error;
	mailbox_post(&bench->broker->mailbox, &job->letter);
	bench_run(bench);
}

static struct rm_event *event_new_of(enum rm_event_kind kind, size_t size)
{
	struct rm_event *event = calloc(1, sizeof(*event) + size);

	ck_assert_ptr_nonnull(event);
	event->letter.deliver = broker_on_rm_event;
	event->kind = kind;
	event->size = size;
	return event;
}

void bench_event(struct bench *bench, enum rm_event_kind kind, uint64_t cookie)
{
	struct rm_event *event = event_new_of(kind, 0);

	event->cookie = cookie;
	mailbox_post(&bench->broker->mailbox, &event->letter);
	bench_run(bench);
}

void bench_late(struct bench *bench, uint32_t msg_id, uint64_t cookie, uint32_t error,
	bool handle_known, uint32_t handle)
{
	struct rm_event *event = event_new_of(RM_EVENT_LATE_REPLY, 0);

	event->msg_id = msg_id;
	event->cookie = cookie;
	event->error = error;
	event->handle_known = handle_known;
	event->handle = handle;
	mailbox_post(&bench->broker->mailbox, &event->letter);
	bench_run(bench);
}

void bench_notification(struct bench *bench, uint32_t msg_id, uint32_t handle, uint16_t vmid)
{
	const struct ghrm_participant participant = { .handle = handle, .vmid = vmid };
	struct rm_event *event = event_new_of(RM_EVENT_NOTIFICATION, 12);

	event->msg_id = msg_id;
	ck_assert_uint_eq(ghrm_encode_participant(event->payload, 12, &participant), 12);
	mailbox_post(&bench->broker->mailbox, &event->letter);
	bench_run(bench);
}

struct request *bench_answer(struct bench *bench)
{
	ck_assert_uint_eq(bench->n_answers, 1);
	bench->n_answers = 0;
	return bench->answer[0];
}

void bench_lend_whole(struct bench *bench, struct client *client, uint32_t handle)
{
	struct request *answer;

	bench_post(bench, bench_lend(client));
	bench_pin(bench, 3);
	bench_rm_created(bench, handle);
	answer = bench_answer(bench);
	ck_assert_int_eq(answer->reply.outcome, OUTCOME_OK);
	ck_assert_uint_eq(answer->reply.n_parcels, 1);
	ck_assert_uint_eq(answer->reply.parcels[0].handle, handle);
	ck_assert_int_eq(answer->reply.parcels[0].state, PARCEL_OFFERED);
	request_free(answer);
}

const char bench_policy[] =
	"{\"rules\": ["
	"{\"name\": \"root\", \"effect\": \"allow\", \"subject\": {\"users\": [0]},"
	" \"operations\": [\"share\", \"lend\", \"reclaim\", \"list\", \"status\", \"admin\"],"
	" \"access\": \"rwx\", \"memory\": {\"sources\": [\"fd\", \"allocate\", \"private\"]}},"
	"{\"name\": \"alice\", \"effect\": \"allow\", \"subject\": {\"users\": [1001]},"
	" \"operations\": [\"share\", \"lend\", \"reclaim\", \"list\"], \"vms\": [\"0x80-0x82\"],"
	" \"access\": \"rw\", \"memory\": {\"sources\": [\"fd\", \"allocate\"]},"
	" \"limits\": {\"parcels\": 2, \"bytes\": \"1M\", \"regions\": 100}},"
	"{\"name\": \"no-bob\", \"effect\": \"deny\", \"subject\": {\"users\": [1002]}}"
	"]}";

struct request *bench_refused(struct bench *bench, struct request *request, enum outcome outcome)
{
	struct request *answer;

	bench_post(bench, request);
	answer = bench_answer(bench);
	ck_assert_int_eq(answer->reply.outcome, outcome);
	return answer;
}
