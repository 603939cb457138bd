/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The tables for people and the document for programs. Missing figures: "-" and null. */

#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>

#include "tests/bench/bench.h"
#include "util/util.h"

#define CELL_MAX 32

/* A figure as a cell. */
static const char *cell(char text[static CELL_MAX], double value, int decimals)
{
	if (isnan(value))
		return "-";
	snprintf(text, CELL_MAX, "%.*f", decimals, value);
	return text;
}

static void print_ratio(const struct ratio *ratio)
{
	if (isnan(ratio->median))
		printf("%8s", "-");
	else
		printf("%8.2f  (%.2f to %.2f)", ratio->median, ratio->low, ratio->high);
}

/* ---- text: the machine ---- */

static void print_machine(const struct results *results)
{
	const struct machine *machine = &results->machine;

	printf("ghmem-bench %s\n\n", PACKAGE_VERSION);
	printf("  kernel      %s\n", machine->kernel);
	printf("  CPU         %s, %d online\n", machine->cpu, machine->cpus);
	if (machine->pinned_to >= 0)
		printf("  pinned to   CPU %d, all processes\n", machine->pinned_to);
	else
		printf("  pinned to   nothing: the processes run on any CPU\n");
	printf("  load        %.2f before, %.2f after (1 minute)\n", machine->load_before,
		machine->load_after);
	printf("  memfds      huge pages for shmem: %s\n", machine->shmem_huge);
	printf("  versions    ghmemd %s; %s; %s\n", machine->daemon, machine->tools,
		machine->optimized ? "optimized" : "NOT OPTIMIZED");
	printf("  sanitized   %s\n", machine->sanitized ? "YES: these times say nothing" : "no");
	printf("  rounds      %u, with %u calls of each candidate in each", results->calls.rounds,
		results->calls.calls);
	for (size_t i = 0; i < results->n_bulks; i++)
		printf("; %" PRIu64 " MiB: %u", results->bulks[i].size >> 20,
			results->bulks[i].rounds);
	printf("\n");
}

static void print_missing(const struct results *results)
{
	bool pinned = results->calls.facts.pinned, made_up = results->calls.facts.made_up;

	for (size_t i = 0; i < results->n_bulks; i++) {
		pinned = pinned && results->bulks[i].facts.pinned;
		made_up = made_up || results->bulks[i].facts.made_up;
	}
	if (!pinned)
		printf("\nNOT PINNED: the daemon said of some memory that it is not pinned (not "
		       "root: "
		       "RLIMIT_MEMLOCK).\nIts \"pin\" is then the attempt that fails; the floor's "
		       "is left out with all that is computed\nfrom it.\n");
	if (made_up)
		printf("\nMADE UP: this user sees no frame numbers. The regions are made up, "
		       "\"resolve\" is only their\nmaking up, the bare RM client's are others; the "
		       "floor's pagemap is left out with all that is\ncomputed from it.\n");
	if (results->left_out[0])
		printf("\nLEFT OUT: %s\n", results->left_out);
}

/* ---- text: calls ---- */

static void print_calls(const struct calls_result *calls)
{
	printf("\nOne call, µs. Ratio to the echo of the same round: median of the rounds (lowest "
	       "to "
	       "highest).\nClients send bytes encoded beforehand on a plain socket: no client-side "
	       "JSON is counted.\n\n");
	printf("  %-32s %8s %8s %8s %8s  %8s\n", "", "median", "p99", "request", "reply", "ratio");
	printf("  %-32s %8s %8s %8s %8s\n", "", "µs", "µs", "bytes", "bytes");
	for (size_t i = 0; i < CALL_N; i++) {
		const struct metric *metric = &calls->metrics[i];
		char a[CELL_MAX], b[CELL_MAX];

		printf("  %-32s %8s %8s", metric->text,
			cell(a, series_median(&metric->series) * 1e6, 1),
			cell(b, series_p99(&metric->series) * 1e6, 1));
		if (metric->request)
			printf(" %8zu %8zu  ", metric->request, metric->reply);
		else
			printf(" %8s %8s  ", "", "");
		print_ratio(&calls->to_echo[i]);
		printf("\n");
	}
	printf("\n  Lend + Reclaim / bare RM client's LEND + RECLAIM: ");
	print_ratio(&calls->both_to_rm);
	printf("\n  without RM: less cost.manager of each Lend's reply, less the bare RECLAIM of "
	       "the "
	       "round\n");
}

/* ---- text: much memory ---- */

enum { COLUMNS = 8 };

static const struct row {
	const char *text;
	int columns[COLUMNS]; /* enum bulk, or -1 */
} rows[] = {
	{ "Lend, allocate", { LEND_POPULATE, LEND_PIN, LEND_RESOLVE, LEND_MEMORY, LEND_MANAGER,
				    LEND_REST, LEND_WHOLE, LEND_RECLAIM } },
	{ "floor (a): one process", { FLOOR_POPULATE, FLOOR_PIN, FLOOR_RESOLVE, FLOOR_MEMORY, -1,
					    -1, -1, FLOOR_BACK } },
	{ "floor (b): packets", { -1, -1, -1, -1, FLOOR_PACKETS, -1, -1, -1 } },
	{ "floors (a) + (b)", { -1, -1, -1, -1, -1, -1, FLOOR_BOTH, -1 } },
	{ "bare RM client", { -1, -1, -1, -1, BARE_LEND, -1, -1, BARE_RECLAIM } },
};

static void print_row(const struct bulk_result *bulk, const struct row *row, bool p99)
{
	printf("  %-22s %-6s", p99 ? "" : row->text, p99 ? "p99" : "median");
	for (size_t i = 0; i < COLUMNS; i++) {
		const struct series *series =
			row->columns[i] < 0 ? NULL : &bulk->metrics[row->columns[i]].series;
		char text[CELL_MAX];

		printf(" %8s",
			!series ? ""
				: cell(text, p99 ? series_p99(series) : series_median(series), 4));
	}
	printf("\n");
}

static void print_bulk(const struct bulk_result *bulk)
{
	double gib = (double)bulk->size / 1073741824.0;
	char a[CELL_MAX];

	printf("\nLend of %" PRIu64 " MiB, s/GiB (%u rounds%s)\n\n", bulk->size >> 20, bulk->rounds,
		bulk->rounds < 100 ? "; p99 is the slowest round" : "");
	printf("  %-22s %-6s %8s %8s %8s %8s %8s %8s %8s %8s\n", "", "", "populate", "pin",
		"resolve", "the 3", "RM", "rest", "whole", "Reclaim");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		print_row(bulk, &rows[i], false);
		print_row(bulk, &rows[i], true);
	}
	printf("\n  whole call: median %.1f ms, p99 %.1f ms; Reclaim: median %.1f ms, p99 %.1f "
	       "ms\n",
		series_median(&bulk->metrics[LEND_WHOLE].series) * gib * 1e3,
		series_p99(&bulk->metrics[LEND_WHOLE].series) * gib * 1e3,
		series_median(&bulk->metrics[LEND_RECLAIM].series) * gib * 1e3,
		series_p99(&bulk->metrics[LEND_RECLAIM].series) * gib * 1e3);
	printf("  median of the rounds: %.0f regions in %.0f messages (floor (a) has %s regions); "
	       "floor (b):\n  %.0f packets of 240 bytes for %.0f bytes of the LEND and its "
	       "APPENDs\n\n",
		bulk->regions, bulk->messages, cell(a, bulk->floor_regions, 0), bulk->packets,
		bulk->packet_bytes);
	printf("  %-44s %8s\n", "ratio, median of the rounds (lowest to highest)", "");
	for (size_t i = 0; i < BULK_COMPARISONS; i++) {
		printf("  %-44s", bulk->comparisons[i].text);
		print_ratio(&bulk->comparisons[i].ratio);
		printf("\n");
	}
}

void report_text(const struct results *results)
{
	print_machine(results);
	print_missing(results);
	print_calls(&results->calls);
	for (size_t i = 0; i < results->n_bulks; i++)
		print_bulk(&results->bulks[i]);
}

/* ---- JSON ---- */

static json_t *number(double value)
{
	return isnan(value) ? json_null() : json_real(value);
}

static json_t *ratio_json(const struct ratio *ratio)
{
	return json_pack("{s:o, s:o, s:o}", "median", number(ratio->median), "lowest",
		number(ratio->low), "highest", number(ratio->high));
}

static json_t *metric_json(const struct metric *metric, double scale)
{
	json_t *json = json_pack("{s:o, s:o, s:i}", "median",
		number(series_median(&metric->series) * scale), "p99",
		number(series_p99(&metric->series) * scale), "samples", (int)metric->series.n);

	if (metric->request) {
		json_object_set_new(
			json, "request_bytes", json_integer((json_int_t)metric->request));
		json_object_set_new(json, "reply_bytes", json_integer((json_int_t)metric->reply));
	}
	return json;
}

static json_t *facts_json(const struct facts *facts)
{
	return json_pack("{s:b, s:b}", "pinned", facts->pinned, "made_up", facts->made_up);
}

static json_t *calls_json(const struct calls_result *calls)
{
	json_t *metrics = json_object();

	for (size_t i = 0; i < CALL_N; i++) {
		json_t *metric = metric_json(&calls->metrics[i], 1e6);

		json_object_set_new(metric, "ratio_to_echo", ratio_json(&calls->to_echo[i]));
		json_object_set_new(metrics, calls->metrics[i].key, metric);
	}
	return json_pack("{s:s, s:i, s:i, s:o, s:o, s:o}", "unit", "µs", "rounds",
		(int)calls->rounds, "calls_per_round", (int)calls->calls, "facts",
		facts_json(&calls->facts), "metrics", metrics, "lend_reclaim_to_rm_lend_reclaim",
		ratio_json(&calls->both_to_rm));
}

static json_t *bulk_json(const struct bulk_result *bulk)
{
	json_t *metrics = json_object(), *ratios = json_object();

	for (size_t i = 0; i < BULK_N; i++)
		json_object_set_new(
			metrics, bulk->metrics[i].key, metric_json(&bulk->metrics[i], 1));
	for (size_t i = 0; i < BULK_COMPARISONS; i++)
		json_object_set_new(
			ratios, bulk->comparisons[i].key, ratio_json(&bulk->comparisons[i].ratio));
	return json_pack("{s:s, s:I, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "unit", "s/GiB",
		"size", (json_int_t)bulk->size, "rounds", (int)bulk->rounds, "facts",
		facts_json(&bulk->facts), "regions", number(bulk->regions), "messages",
		number(bulk->messages), "floor_regions", number(bulk->floor_regions), "packets",
		number(bulk->packets), "packet_bytes", number(bulk->packet_bytes), "metrics",
		metrics, "ratios", ratios);
}

static json_t *machine_json(const struct machine *machine)
{
	json_t *json = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:b, s:b, s:b, s:f, s:f}",
		"kernel", machine->kernel, "cpu", machine->cpu, "cpus", machine->cpus,
		"shmem_huge_pages", machine->shmem_huge, "ghmemd", machine->daemon, "tools",
		machine->tools, "root", machine->root, "sanitized", machine->sanitized, "optimized",
		machine->optimized, "load_before", machine->load_before, "load_after",
		machine->load_after);

	if (json)
		json_object_set_new(json, "pinned_to",
			machine->pinned_to < 0 ? json_null() : json_integer(machine->pinned_to));
	return json;
}

int report_json(const struct results *results)
{
	json_t *bulks = json_array(), *json;
	int r;

	for (size_t i = 0; i < results->n_bulks; i++)
		json_array_append_new(bulks, bulk_json(&results->bulks[i]));
	json = json_pack("{s:o, s:o, s:o, s:o}", "machine", machine_json(&results->machine),
		"calls", calls_json(&results->calls), "lends", bulks, "left_out",
		results->left_out[0] ? json_string(results->left_out) : json_null());
	r = json ? json_dumpf(json, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6)) : -1;
	printf("\n");
	json_decref(json);
	return r;
}
