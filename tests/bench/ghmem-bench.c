/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * What ghmemd costs, in relation to the least that the same work could cost on the same machine at the
 * same time. How to run and read it: README.md beside this file.
 */

#include <errno.h>
#include <getopt.h>
#include <inttypes.h>
#include <jansson.h>
#include <sched.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/bench.h"
#include "tests/bench/speak.h"
#include "util/util.h"

enum { EXIT_USAGE = 2, EXIT_INTERRUPTED = 130 };

static void print_help(void)
{
	puts("Usage: ghmem-bench [OPTION]...\n"
	     "Starts ghmemd and two ghrm-emulators of the build tree in a temporary directory and\n"
	     "measures calls, and lends of 64 MiB and 1 GiB, each beside its floor in the same "
	     "run.\n"
	     "As root, or else pins and frame numbers are left out.\n"
	     "\n"
	     "  --cpu N         run all on this CPU (default: the last one that is allowed)\n"
	     "  --unpinned      run on any CPU, for comparison\n"
	     "  --rounds N      rounds of the calls and of 64 MiB (default 20)\n"
	     "  --calls N       calls of each candidate in a round (default 100)\n"
	     "  --gib-rounds N  rounds of 1 GiB (default 3; 0: none)\n"
	     "  --calls-only    no lends of much memory\n"
	     "  --build DIR     top of the build tree (default: from where this program is)\n"
	     "  --json          one JSON document instead of the tables\n"
	     "  --help          show this text");
}

static int usage(const char *reason, const char *what)
{
	fprintf(stderr, "ghmem-bench: %s%s\nTry ghmem-bench --help.\n", reason, what);
	return EXIT_USAGE;
}

static bool parse_number(const char *text, uint64_t from, uint64_t to, unsigned *ret)
{
	uint64_t value;

	if (util_parse_u64(text, false, &value) < 0 || value < from || value > to)
		return false;
	*ret = (unsigned)value;
	return true;
}

/* Returns -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct bench_options *ret)
{
	enum { CPU = 1, UNPINNED, ROUNDS, CALLS, GIB_ROUNDS, CALLS_ONLY, BUILD, JSON, HELP };
	static const struct option options[] = {
		{ "cpu", required_argument, NULL, CPU },
		{ "unpinned", no_argument, NULL, UNPINNED },
		{ "rounds", required_argument, NULL, ROUNDS },
		{ "calls", required_argument, NULL, CALLS },
		{ "gib-rounds", required_argument, NULL, GIB_ROUNDS },
		{ "calls-only", no_argument, NULL, CALLS_ONLY },
		{ "build", required_argument, NULL, BUILD },
		{ "json", no_argument, NULL, JSON },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	unsigned cpu;
	int option;
	bool ok = true;

	while (ok && (option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case CPU:
			ok = parse_number(optarg, 0, CPU_SETSIZE - 1, &cpu);
			ret->cpu = ok ? (int)cpu : -1;
			break;
		case UNPINNED: ret->unpinned = true; break;
		case ROUNDS: ok = parse_number(optarg, 1, 10000, &ret->rounds); break;
		case CALLS: ok = parse_number(optarg, 1, 100000, &ret->calls); break;
		case GIB_ROUNDS: ok = parse_number(optarg, 0, 1000, &ret->gib_rounds); break;
		case CALLS_ONLY: ret->calls_only = true; break;
		case BUILD: ret->build = optarg; break;
		case JSON: ret->json = true; break;
		case 'h':
		case HELP: print_help(); return EXIT_SUCCESS;
		default: return usage("see above", "");
		}
	}
	if (!ok)
		return usage("not a number that can be taken: ", optarg);
	if (optind < argc)
		return usage("unexpected argument ", argv[optind]);
	return -1;
}

/* ---- before ---- */

/* tests/bench/ghmem-bench, or tests/bench/.libs/ghmem-bench where libtool wraps it. */
static int find_build(const struct bench_options *options, char *build, size_t size)
{
	static const char *const ends[] = { "/ghmem-bench", "/.libs", "/bench", "/tests" };
	char self[PATH_MAX];
	ssize_t n;

	if (options->build)
		return (size_t)snprintf(build, size, "%s", options->build) < size ? 0
										  : -ENAMETOOLONG;
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n < 0)
		return -errno;
	self[n] = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		char *slash = strrchr(self, '/');

		if (slash && strcmp(slash, ends[i]) == 0)
			*slash = '\0';
		else if (strcmp(ends[i], "/.libs") != 0)
			return -ENOENT;
	}
	return (size_t)snprintf(build, size, "%s", self) < size ? 0 : -ENAMETOOLONG;
}

/* Children inherit it. Returns the CPU, -1 for none, or -2 after a message. */
static int pin_to_cpu(const struct bench_options *options)
{
	int cpu = options->cpu;
	cpu_set_t set;

	if (options->unpinned)
		return -1;
	if (cpu < 0 && sched_getaffinity(0, sizeof(set), &set) == 0)
		for (int i = 0; i < CPU_SETSIZE; i++)
			if (CPU_ISSET(i, &set))
				cpu = i;
	CPU_ZERO(&set);
	if (cpu >= 0)
		CPU_SET(cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set) == 0)
		return cpu;
	fprintf(stderr, "ghmem-bench: cannot run on CPU %d: %s\n", cpu, strerror(errno));
	return -2;
}

/* ---- measuring ---- */

static void ask_version(const struct place *place, struct machine *machine)
{
	static const char ask[] = "{\"method\":\"org.varlink.service.GetInfo\"}";
	struct reply *reply = calloc(1, sizeof(*reply));
	int fd = speak_connect(place->varlink, SOCK_STREAM);
	const char *version = NULL;
	json_t *json = NULL;

	if (reply && fd >= 0 && speak_call(fd, ask, sizeof(ask), false, reply) == 0)
		json = json_loadb(reply->text, reply->size - 1, 0, NULL);
	json_unpack(json, "{s:{s:s}}", "parameters", "version", &version);
	snprintf(machine->daemon, sizeof(machine->daemon), "%s", version ? version : "unknown");
	json_decref(json);
	util_close(fd);
	free(reply);
}

/* The daemon refuses what the machine has not available; asked for twice that, nothing is swapped. */
static bool has_room(uint64_t size)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long long kib = 0;
	char line[128];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "MemAvailable: %llu kB", &kib) == 1;
	if (file)
		fclose(file);
	return found && kib * 1024 / 2 >= size;
}

static int measure_bulks(
	const struct place *place, const struct bench_options *options, struct results *results)
{
	const struct {
		uint64_t size;
		unsigned rounds;
	} plan[] = { { 64ull << 20, options->rounds }, { 1ull << 30, options->gib_rounds } };
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(plan); i++) {
		if (plan[i].rounds == 0)
			continue;
		if (!has_room(plan[i].size)) {
			snprintf(results->left_out, sizeof(results->left_out),
				"lends of %" PRIu64 " MiB and more: less than twice that is "
				"available (/proc/meminfo)",
				plan[i].size >> 20);
			break;
		}
		r = bulk_run(
			place, plan[i].size, plan[i].rounds, &results->bulks[results->n_bulks++]);
	}
	return r;
}

static int measure(const struct bench_options *options, const char *build, struct results *results)
{
	struct place place = { 0 };
	int r = place_open(&place, build);

	if (r == 0) {
		ask_version(&place, &results->machine);
		r = calls_run(&place, options, &results->calls);
	}
	if (r == 0 && !options->calls_only)
		r = measure_bulks(&place, options, results);
	results->machine.load_after = machine_load();
	place_close(&place);
	if (place_interrupted())
		return -EINTR;
	if (r < 0)
		fprintf(stderr, "ghmem-bench: %s\n", strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	struct bench_options options = { .cpu = -1, .rounds = 20, .calls = 100, .gib_rounds = 3 };
	static struct results results;
	char build[PATH_MAX];
	int status = parse(argc, argv, &options), r;

	if (status >= 0)
		return status;
	r = find_build(&options, build, sizeof(build));
	if (r < 0)
		return usage("this program is not in a build tree: name one with --build", "");
	machine_examine(&results.machine);
	results.machine.pinned_to = pin_to_cpu(&options);
	if (results.machine.pinned_to < -1)
		return EXIT_FAILURE;
	place_catch_signals();
	r = measure(&options, build, &results);
	if (r == 0 && options.json)
		r = report_json(&results);
	else if (r == 0)
		report_text(&results);
	else if (r == -EINTR)
		fprintf(stderr, "ghmem-bench: interrupted, nothing is told\n");
	calls_done(&results.calls);
	for (size_t i = 0; i < results.n_bulks; i++)
		bulk_done(&results.bulks[i]);
	return r == 0 ? EXIT_SUCCESS : r == -EINTR ? EXIT_INTERRUPTED : EXIT_FAILURE;
}
