/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What one small call costs, beside a plain echo and a bare client of the Resource Manager. */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/speak.h"
#include "util/util.h"

#define ECHO_SIZE   200
#define BARE_REGION 0x800000000ull /* VM 3 owns it in the emulator's default machine */

static const char get_info[] = "{\"method\":\"org.varlink.service.GetInfo\"}";
static const char get_status[] = "{\"method\":\"org.ghmem.Broker.Status\"}";
static const char lend_page[] =
	"{\"method\":\"org.ghmem.Broker.Lend\",\"parameters\":{\"memory\":{\"allocate\":4096},"
	"\"grants\":[{\"vm\":128,\"access\":\"rw\"}]}}";

/* The order of enum call. */
static const struct metric metrics[CALL_N] = {
	{ .key = "echo", .text = "plain socket echo (the floor)" },
	{ .key = "get_info", .text = "org.varlink.service.GetInfo" },
	{ .key = "status", .text = "Status" },
	{ .key = "lend", .text = "Lend, allocate 4 KiB" },
	{ .key = "lend_populate", .text = "  of it, by its cost: populate" },
	{ .key = "lend_pin", .text = "  pin" },
	{ .key = "lend_resolve", .text = "  resolve" },
	{ .key = "lend_manager", .text = "  RM" },
	{ .key = "reclaim", .text = "Reclaim of it" },
	{ .key = "lend_reclaim", .text = "Lend + Reclaim" },
	{ .key = "lend_reclaim_own", .text = "Lend + Reclaim, without RM" },
	{ .key = "rm_lend", .text = "bare RM client: LEND" },
	{ .key = "rm_reclaim", .text = "bare RM client: RECLAIM" },
	{ .key = "rm_lend_reclaim", .text = "bare RM client: LEND + RECLAIM" },
};

struct bench {
	struct calls_result *result;
	struct reply reply;
	struct rm_client rm;
	int echo_fd, varlink_fd;
	pid_t echo_pid;
	bool warm; /* else nothing is noted */
};

static void note(struct bench *bench, enum call call, double seconds)
{
	if (bench->warm)
		series_add(&bench->result->metrics[call].series, seconds);
}

static void note_size(struct bench *bench, enum call call, size_t request)
{
	bench->result->metrics[call].request = request;
	bench->result->metrics[call].reply = bench->reply.size;
}

static int run_echo(struct bench *bench)
{
	char message[ECHO_SIZE] = { 0 };
	double start = stats_now();
	int r = speak_write(bench->echo_fd, message, sizeof(message));

	if (r == 0)
		r = speak_read(bench->echo_fd, message, sizeof(message));
	note(bench, CALL_ECHO, stats_now() - start);
	return r;
}

static int run_plain(struct bench *bench, enum call call, const char *message, size_t size)
{
	double start = stats_now();
	int r = speak_call(bench->varlink_fd, message, size, false, &bench->reply);

	note(bench, call, stats_now() - start);
	note_size(bench, call, size);
	if (r == 0 && strstr(bench->reply.text, "\"error\""))
		r = -EPROTO;
	return r;
}

static int run_lend(struct bench *bench)
{
	char message[128];
	double start = stats_now(), lend, reclaim;
	struct lent lent;
	int r, size;

	r = speak_call(bench->varlink_fd, lend_page, sizeof(lend_page), true, &bench->reply);
	lend = stats_now() - start;
	if (r < 0)
		return r;
	bench->reply.fd = util_close(bench->reply.fd);
	note_size(bench, CALL_LEND, sizeof(lend_page));
	r = speak_parse_lent(&bench->reply, &lent);
	if (r < 0)
		return r;
	bench->result->facts = (struct facts){ lent.pinned, lent.made_up };
	size = snprintf(message, sizeof(message),
		"{\"method\":\"org.ghmem.Broker.Reclaim\",\"parameters\":{\"handle\":%u}}",
		lent.handle);
	start = stats_now();
	r = speak_call(bench->varlink_fd, message, (size_t)size + 1, false, &bench->reply);
	reclaim = stats_now() - start;
	if (r == 0 && strstr(bench->reply.text, "\"error\""))
		r = -EPROTO;
	note_size(bench, CALL_RECLAIM, (size_t)size + 1);
	note(bench, CALL_LEND, lend);
	note(bench, CALL_POPULATE, lent.populate);
	note(bench, CALL_PIN, lent.pin);
	note(bench, CALL_RESOLVE, lent.resolve);
	note(bench, CALL_MANAGER, lent.manager);
	note(bench, CALL_RECLAIM, reclaim);
	note(bench, CALL_BOTH, lend + reclaim);
	/* The reply to Reclaim does not tell the Resource Manager's time; see take_out_reclaim(). */
	note(bench, CALL_OWN, lend + reclaim - lent.manager);
	return r;
}

static int run_rm(struct bench *bench)
{
	const struct ghrm_region region = { BARE_REGION, GHRM_PAGE_SIZE };
	double start = stats_now(), lend, reclaim;
	uint32_t handle;
	int r = rm_client_lend(&bench->rm, &region, 1, &handle);

	lend = stats_now() - start;
	if (r < 0)
		return r;
	start = stats_now();
	r = rm_client_reclaim(&bench->rm, handle);
	reclaim = stats_now() - start;
	note(bench, CALL_RM_LEND, lend);
	note(bench, CALL_RM_RECLAIM, reclaim);
	note(bench, CALL_RM_BOTH, lend + reclaim);
	return r;
}

static int run_info(struct bench *bench)
{
	return run_plain(bench, CALL_INFO, get_info, sizeof(get_info));
}

static int run_status(struct bench *bench)
{
	return run_plain(bench, CALL_STATUS, get_status, sizeof(get_status));
}

static int run_round(struct bench *bench, unsigned calls)
{
	static int (*const candidates[])(
		struct bench *) = { run_echo, run_info, run_status, run_lend, run_rm };
	int r = 0;

	for (size_t c = 0; r == 0 && c < ARRAY_SIZE(candidates); c++)
		for (unsigned i = 0; r == 0 && i < calls; i++)
			r = place_interrupted() ? -EINTR : candidates[c](bench);
	return r;
}

/* From each sample the median of the bare RECLAIMs of the same round. */
static void take_out_reclaim(struct calls_result *result)
{
	const struct series *bare = &result->metrics[CALL_RM_RECLAIM].series;
	struct series *own = &result->metrics[CALL_OWN].series;

	for (size_t round = 0; round < result->rounds; round++) {
		size_t first = round * result->calls;
		double median = stats_median(bare->values + first, result->calls);

		for (size_t i = 0; i < result->calls; i++)
			own->values[first + i] -= median;
	}
}

static int connect_all(const struct place *place, struct bench *bench)
{
	int r;

	bench->echo_fd = floor_echo_start(&bench->echo_pid, ECHO_SIZE);
	if (bench->echo_fd < 0)
		return bench->echo_fd;
	bench->varlink_fd = speak_connect(place->varlink, SOCK_STREAM);
	if (bench->varlink_fd < 0)
		return bench->varlink_fd;
	r = rm_client_open(&bench->rm, place->floor_rm);
	return r;
}

static int measure(
	const struct place *place, const struct bench_options *options, struct bench *bench)
{
	int r = connect_all(place, bench);

	if (r == 0)
		r = run_round(bench, options->calls);
	bench->warm = true;
	for (unsigned round = 0; r == 0 && round < options->rounds; round++)
		r = run_round(bench, options->calls);
	return r;
}

int calls_run(
	const struct place *place, const struct bench_options *options, struct calls_result *result)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int r = bench ? 0 : -ENOMEM;

	result->rounds = options->rounds;
	result->calls = options->calls;
	for (size_t i = 0; r == 0 && i < CALL_N; i++) {
		result->metrics[i] = metrics[i];
		r = series_init(
			&result->metrics[i].series, (size_t)options->rounds * options->calls);
	}
	if (r < 0) {
		free(bench);
		return r;
	}
	result->metrics[CALL_ECHO].request = result->metrics[CALL_ECHO].reply = ECHO_SIZE;
	*bench = (struct bench){ .result = result, .echo_fd = -1, .varlink_fd = -1, .rm.fd = -1 };
	r = measure(place, options, bench);
	if (r == -EPROTO)
		fprintf(stderr, "ghmem-bench: unexpected reply: %.*s\n", 400, bench->reply.text);
	util_close(bench->echo_fd);
	util_close(bench->varlink_fd);
	rm_client_close(&bench->rm);
	place_reap(&bench->echo_pid, 0, 5);
	free(bench);
	if (r < 0)
		return r;
	take_out_reclaim(result);
	for (size_t i = 0; i < CALL_N; i++)
		result->to_echo[i] = series_ratio(&result->metrics[i].series,
			&result->metrics[CALL_ECHO].series, result->rounds);
	result->both_to_rm = series_ratio(&result->metrics[CALL_BOTH].series,
		&result->metrics[CALL_RM_BOTH].series, result->rounds);
	return 0;
}

void calls_done(struct calls_result *result)
{
	for (size_t i = 0; i < CALL_N; i++)
		series_done(&result->metrics[i].series);
}
