/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How long a policy takes to load and to decide: 10, 1,000 and 100,000 rules. Prints a line for each
 * shape of policy: milliseconds for the load, median and 99th percentile of single decisions.
 *
 * Shapes: "users" has one rule per uid; "vms" one per VMID and group of operations, for everyone;
 * "mixed" cycles through users, groups, units and VMs. The requests are spread over the rules; half of
 * them match none.
 */

#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "policy/policy.h"
#include "util/util.h"

#define DECISIONS 20001
#define BATCH     16 /* decisions between two looks at the clock, which costs as much as one */

static void write_subject(FILE *out, const char *shape, size_t i)
{
	if (!strcmp(shape, "vms"))
		return;
	if (!strcmp(shape, "users") || i % 4 == 0)
		fprintf(out, "\"subject\":{\"users\":[%zu]},", 1000 + i);
	else if (i % 4 == 1)
		fprintf(out, "\"subject\":{\"groups\":[%zu]},", 1000 + i);
	else if (i % 4 == 2)
		fprintf(out, "\"subject\":{\"units\":[\"vm@%zu.service\"]},", 1000 + i);
}

static void write_rule(FILE *out, const char *shape, size_t i)
{
	fprintf(out, "%s\n{\"name\":\"rule-%zu\",\"effect\":\"%s\",", i ? "," : "", i,
		i % 10 == 9 ? "deny" : "allow");
	write_subject(out, shape, i);
	fprintf(out,
		"\"operations\":[\"share\",\"lend\",\"reclaim\"],\"vms\":[\"%zu-%zu\"],"
		"\"access\":\"rw\",\"memory\":{\"types\":[\"normal\"],\"sources\":[\"fd\",\"copy\"]"
		","
		"\"labels\":[\"1-0xffff\"]},\"limits\":{\"parcels\":8,\"bytes\":\"2G\"}}",
		i * 2 % 65536, i * 2 % 65536 + 1);
}

static int write_policy(const char *shape, size_t n)
{
	FILE *out = tmpfile();
	int fd;

	if (!out)
		return -1;
	fprintf(out, "{\"rules\":[");
	for (size_t i = 0; i < n; i++)
		write_rule(out, shape, i);
	fprintf(out, "]}\n");
	fflush(out);
	fd = dup(fileno(out));
	fclose(out);
	return fd;
}

static double now_nsec(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Median and 99th percentile of DECISIONS / BATCH batches, in nanoseconds for one decision. */
static size_t decide_many(
	const struct policy *policy, size_t n, double *ret_median, double *ret_p99)
{
	static double times[DECISIONS / BATCH];
	size_t allowed = 0, number = 0;
	uint64_t random = 88172645463325252ull;

	for (size_t t = 0; t < ARRAY_SIZE(times); t++) {
		double start = now_nsec();

		for (size_t b = 0; b < BATCH; b++, number++) {
			size_t i;
			gid_t groups[] = { 100, 0, 27, 44 };
			struct ghrm_acl_entry grant = { .rights = GHRM_RIGHT_R };
			struct policy_request request = { .operation = POLICY_LEND,
				.has_memory = true,
				.grants = &grant,
				.n_grants = 1,
				.sources = POLICY_SOURCE_FD,
				.lifetime = POLICY_CONNECTION };

			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			i = random % n;
			grant.vmid = (uint16_t)(i * 2 + (number % 2 ? 0 : 5));
			groups[1] = (gid_t)(1000 + i);
			request.subject = (struct policy_subject){ .uid = (uid_t)(1000 + i),
				.groups = groups,
				.n_groups = ARRAY_SIZE(groups),
				.unit = "vm@1002.service" };
			allowed += policy_decide(policy, &request).allowed;
		}
		times[t] = (now_nsec() - start) / BATCH;
	}
	qsort(times, ARRAY_SIZE(times), sizeof(*times), compare);
	*ret_median = times[ARRAY_SIZE(times) / 2];
	*ret_p99 = times[ARRAY_SIZE(times) * 99 / 100];
	return allowed;
}

static int run(const char *shape, size_t n)
{
	_cleanup_close_ int fd = write_policy(shape, n);
	struct policy *policy = NULL;
	struct policy_report report;
	double start, loaded, median, p99;
	const char *files[1];
	char path[64];
	size_t allowed;
	int r;

	if (fd < 0)
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	files[0] = path;
	start = now_nsec();
	r = policy_load_files(files, 1, &policy, &report);
	loaded = (now_nsec() - start) / 1e6;
	if (r < 0)
		fprintf(stderr, "policy-bench: %s\n",
			report.n_faults ? report.faults[0].message : strerror(-r));
	policy_report_done(&report);
	if (r < 0)
		return r;
	allowed = decide_many(policy, n, &median, &p99);
	printf("%-6s %7zu rules: load %8.2f ms, decision median %6.0f ns, p99 %6.0f ns (%zu%% "
	       "allowed)\n",
		shape, n, loaded, median, p99, allowed * 100 / DECISIONS);
	policy_unref(policy);
	return 0;
}

int main(void)
{
	static const char *const shapes[] = { "users", "vms", "mixed" };
	static const size_t sizes[] = { 10, 1000, 100000 };

	for (size_t s = 0; s < ARRAY_SIZE(shapes); s++)
		for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
			if (run(shapes[s], sizes[i]) < 0)
				return EXIT_FAILURE;
	return EXIT_SUCCESS;
}
