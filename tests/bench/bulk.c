/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What lending much memory costs, beside its steps done bare. */

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/speak.h"
#include "util/util.h"

#define GIB 1073741824.0
/* Far above the frames of this machine; VM 3 owns it in the emulator's default machine. */
#define BARE_REGION (1ull << 43)
#define BARE_STRIDE 0x2000ull /* neighbours do not touch */

/* The kernel frees pinned pages in a thread of its own: not while the next candidate runs. */
#define PAUSE_USEC_GIB 500000.0
#define PAUSE_USEC_MIN 50000.0

/* The order of enum bulk. */
static const struct metric metrics[BULK_N] = {
	{ .key = "lend_populate", .text = "populate" },
	{ .key = "lend_pin", .text = "pin" },
	{ .key = "lend_resolve", .text = "resolve" },
	{ .key = "lend_memory", .text = "populate + pin + resolve" },
	{ .key = "lend_manager", .text = "RM" },
	{ .key = "lend_rest", .text = "the rest" },
	{ .key = "lend", .text = "the whole call" },
	{ .key = "reclaim", .text = "Reclaim" },
	{ .key = "floor_populate", .text = "MADV_POPULATE_WRITE" },
	{ .key = "floor_pin", .text = "io_uring register" },
	{ .key = "floor_resolve", .text = "pagemap" },
	{ .key = "floor_memory", .text = "the three" },
	{ .key = "floor_back", .text = "giving back" },
	{ .key = "floor_packets", .text = "packets" },
	{ .key = "floor_both", .text = "the three + packets" },
	{ .key = "rm_lend", .text = "LEND and APPENDs" },
	{ .key = "rm_reclaim", .text = "RECLAIM" },
	{ .key = "back_both", .text = "giving back + RECLAIM" },
};

static const struct {
	const char *key, *text;
	enum bulk of, to;
} comparisons[BULK_COMPARISONS] = {
	{ "populate", "populate / floor's MADV_POPULATE_WRITE", LEND_POPULATE, FLOOR_POPULATE },
	{ "pin", "pin / floor's io_uring register", LEND_PIN, FLOOR_PIN },
	{ "resolve", "resolve / floor's pagemap", LEND_RESOLVE, FLOOR_RESOLVE },
	{ "memory", "populate + pin + resolve / floor (a)", LEND_MEMORY, FLOOR_MEMORY },
	{ "manager", "RM / floor (b), packets", LEND_MANAGER, FLOOR_PACKETS },
	{ "manager_bare", "RM / bare RM client", LEND_MANAGER, BARE_LEND },
	{ "whole", "the whole call / floors (a) + (b)", LEND_WHOLE, FLOOR_BOTH },
	{ "reclaim", "Reclaim / giving back in (a) + bare RECLAIM", LEND_RECLAIM, BACK_BOTH },
};

struct bench {
	struct bulk_result *result;
	struct series regions, messages, packets, bytes, floor_regions;
	struct ghrm_region *bare; /* as many as there are pages: those of floor (a), then made up */
	struct reply reply;
	struct rm_client rm;
	int varlink_fd, packets_fd;
	pid_t packets_pid;
	struct lent lent; /* the last one */
	bool warm;        /* else nothing is noted */
};

static void note(struct bench *bench, enum bulk bulk, double seconds)
{
	if (bench->warm)
		series_add(&bench->result->metrics[bulk].series,
			seconds * GIB / (double)bench->result->size);
}

static void pause_for_kernel(const struct bench *bench)
{
	double usec = PAUSE_USEC_GIB * (double)bench->result->size / GIB;

	usleep((useconds_t)(usec > PAUSE_USEC_MIN ? usec : PAUSE_USEC_MIN));
}

static int call(struct bench *bench, const char *message, bool with_fd, double *ret_seconds)
{
	double start = stats_now();
	int r = speak_call(bench->varlink_fd, message, strlen(message) + 1, with_fd, &bench->reply);

	*ret_seconds = stats_now() - start;
	bench->reply.fd = util_close(bench->reply.fd);
	if (r == 0 && strstr(bench->reply.text, "\"error\""))
		r = -EPROTO;
	return r;
}

static int run_lend(struct bench *bench)
{
	struct lent *lent = &bench->lent;
	double whole, back, memory;
	char message[256];
	int r;

	snprintf(message, sizeof(message),
		"{\"method\":\"org.ghmem.Broker.Lend\",\"parameters\":{\"memory\":{\"allocate\":"
		"%" PRIu64 "},\"grants\":[{\"vm\":128,\"access\":\"rw\"}]}}",
		bench->result->size);
	r = call(bench, message, true, &whole);
	if (r == 0)
		r = speak_parse_lent(&bench->reply, lent);
	if (r < 0)
		return r;
	snprintf(message, sizeof(message),
		"{\"method\":\"org.ghmem.Broker.Reclaim\",\"parameters\":{\"handle\":%u}}",
		lent->handle);
	r = call(bench, message, false, &back);
	if (r < 0)
		return r;
	memory = lent->populate + lent->pin + lent->resolve;
	note(bench, LEND_POPULATE, lent->populate);
	note(bench, LEND_PIN, lent->pin);
	note(bench, LEND_RESOLVE, lent->resolve);
	note(bench, LEND_MEMORY, memory);
	note(bench, LEND_MANAGER, lent->manager);
	note(bench, LEND_REST, whole - memory - lent->manager);
	note(bench, LEND_WHOLE, whole);
	note(bench, LEND_RECLAIM, back);
	if (bench->warm) {
		series_add(&bench->regions, (double)lent->regions);
		series_add(&bench->messages, (double)lent->messages);
	}
	bench->result->facts = (struct facts){ lent->pinned, lent->made_up };
	return 0;
}

static void make_up(struct bench *bench, size_t from)
{
	for (size_t i = from; i < bench->result->size / GHRM_PAGE_SIZE; i++)
		bench->bare[i] =
			(struct ghrm_region){ BARE_REGION + i * BARE_STRIDE, GHRM_PAGE_SIZE };
}

static int run_memory(struct bench *bench)
{
	struct floor_memory floor;
	size_t regions;
	int r = floor_memory(bench->result->size, bench->lent.pinned,
		bench->lent.made_up ? NULL : bench->bare, &floor, &regions);

	if (r < 0)
		return r;
	make_up(bench, regions);
	note(bench, FLOOR_POPULATE, floor.populate);
	note(bench, FLOOR_PIN, floor.pin);
	note(bench, FLOOR_RESOLVE, floor.resolve);
	note(bench, FLOOR_MEMORY, floor.populate + floor.pin + floor.resolve);
	note(bench, FLOOR_BACK, floor.back);
	if (bench->warm)
		series_add(&bench->floor_regions, regions ? (double)regions : (double)NAN);
	return 0;
}

static int run_packets(struct bench *bench)
{
	struct rm_volume volume = rm_volume((size_t)bench->lent.regions);
	uint64_t packets = (volume.bytes + GHRM_PACKET_MAX - 1) / GHRM_PACKET_MAX;
	double start = stats_now();
	int r = floor_packets_send(bench->packets_fd, packets);

	note(bench, FLOOR_PACKETS, stats_now() - start);
	if (bench->warm) {
		series_add(&bench->packets, (double)packets);
		series_add(&bench->bytes, (double)volume.bytes);
	}
	return r;
}

static int run_rm(struct bench *bench)
{
	double start = stats_now();
	uint32_t handle;
	int r = rm_client_lend(&bench->rm, bench->bare, (size_t)bench->lent.regions, &handle);

	note(bench, BARE_LEND, stats_now() - start);
	if (r < 0)
		return r;
	start = stats_now();
	r = rm_client_reclaim(&bench->rm, handle);
	note(bench, BARE_RECLAIM, stats_now() - start);
	return r;
}

/*
 * Who comes first of the two that take memory changes from round to round: the second one may find
 * pages that the first one has warmed, on a virtual machine also at the host.
 */
static int run_round(struct bench *bench, bool lend_first)
{
	int (*const candidates[])(struct bench *) = { lend_first ? run_lend : run_memory,
		lend_first ? run_memory : run_lend, run_packets, run_rm };
	int r = 0;

	for (size_t c = 0; r == 0 && c < ARRAY_SIZE(candidates); c++) {
		pause_for_kernel(bench);
		r = place_interrupted() ? -EINTR : candidates[c](bench);
	}
	return r;
}

static int prepare(const struct place *place, struct bench *bench)
{
	struct bulk_result *result = bench->result;
	struct series *const counts[] = { &bench->regions, &bench->messages, &bench->packets,
		&bench->bytes, &bench->floor_regions };
	size_t pages = (size_t)(result->size / GHRM_PAGE_SIZE);
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(counts); i++)
		r = series_init(counts[i], result->rounds);
	bench->bare = calloc(pages, sizeof(*bench->bare));
	if (r < 0 || !bench->bare)
		return -ENOMEM;
	make_up(bench, 0);
	bench->packets_fd = floor_packets_start(&bench->packets_pid);
	if (bench->packets_fd < 0)
		return bench->packets_fd;
	bench->varlink_fd = speak_connect(place->varlink, SOCK_STREAM);
	if (bench->varlink_fd < 0)
		return bench->varlink_fd;
	return rm_client_open(&bench->rm, place->floor_rm);
}

static void clean(struct bench *bench)
{
	util_close(bench->packets_fd);
	util_close(bench->varlink_fd);
	rm_client_close(&bench->rm);
	place_reap(&bench->packets_pid, 0, 5);
	series_done(&bench->regions);
	series_done(&bench->messages);
	series_done(&bench->packets);
	series_done(&bench->bytes);
	series_done(&bench->floor_regions);
	free(bench->bare);
	free(bench);
}

static void conclude(struct bench *bench)
{
	struct bulk_result *result = bench->result;

	result->regions = series_median(&bench->regions);
	result->messages = series_median(&bench->messages);
	result->packets = series_median(&bench->packets);
	result->packet_bytes = series_median(&bench->bytes);
	result->floor_regions = series_median(&bench->floor_regions);
	for (size_t i = 0; i < result->rounds; i++) {
		series_add(&result->metrics[BACK_BOTH].series,
			result->metrics[FLOOR_BACK].series.values[i] +
				result->metrics[BARE_RECLAIM].series.values[i]);
		series_add(&result->metrics[FLOOR_BOTH].series,
			result->metrics[FLOOR_MEMORY].series.values[i] +
				result->metrics[FLOOR_PACKETS].series.values[i]);
	}
	for (size_t i = 0; i < BULK_COMPARISONS; i++)
		result->comparisons[i] = (struct comparison){
			.key = comparisons[i].key,
			.text = comparisons[i].text,
			.ratio = series_ratio(&result->metrics[comparisons[i].of].series,
				&result->metrics[comparisons[i].to].series, result->rounds),
		};
}

int bulk_run(const struct place *place, uint64_t size, unsigned rounds, struct bulk_result *result)
{
	struct bench *bench = calloc(1, sizeof(*bench));
	int r = 0;

	if (!bench)
		return -ENOMEM;
	result->size = size;
	result->rounds = rounds;
	bench->result = result;
	bench->packets_fd = bench->varlink_fd = bench->rm.fd = -1;
	for (size_t i = 0; r == 0 && i < BULK_N; i++) {
		result->metrics[i] = metrics[i];
		r = series_init(&result->metrics[i].series, rounds);
	}
	if (r == 0)
		r = prepare(place, bench);
	if (r == 0)
		r = run_round(bench, true);
	bench->warm = true;
	for (unsigned round = 0; r == 0 && round < rounds; round++)
		r = run_round(bench, round % 2);
	if (r == 0)
		conclude(bench);
	if (r == -EPROTO)
		fprintf(stderr, "ghmem-bench: unexpected reply: %.*s\n", 400, bench->reply.text);
	clean(bench);
	return r;
}

void bulk_done(struct bulk_result *result)
{
	for (size_t i = 0; i < BULK_N; i++)
		series_done(&result->metrics[i].series);
}
