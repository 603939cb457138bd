/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any bytes as a policy file: the loader must refuse or accept them without a fault of its own, each
 * fault must lie inside the text, and what is accepted must decide the same by the index and by the walk
 * over all rules.
 */

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "policy/policy.h"
#include "util/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)          \
	do {                      \
		if (!(condition)) \
			abort();  \
	} while (0)

static void check_report(
	const struct policy_report *report, const uint8_t *data, size_t size, int r)
{
	unsigned lines = 1;

	for (size_t i = 0; i < size; i++)
		lines += data[i] == '\n';
	CHECK((r == -EBADMSG) == (report->n_errors > 0));
	for (size_t i = 0; i < report->n_faults; i++) {
		CHECK(report->faults[i].line <= lines);
		CHECK(report->faults[i].column <= size + 1);
	}
}

static void decide(const struct policy *policy, const uint8_t *data, size_t size)
{
	static const unsigned operations[] = { POLICY_SHARE, POLICY_LEND, POLICY_DONATE,
		POLICY_LIST };
	uint8_t seed[8] = { 0 };

	memcpy(seed, data + (size > 8 ? size - 8 : 0), size > 8 ? 8 : size);
	for (unsigned i = 0; i < 4; i++) {
		struct ghrm_acl_entry grants[] = { { seed[0], seed[1] & 7 },
			{ seed[2], seed[3] & 7 } };
		gid_t group = seed[4];
		struct ghrm_region region = { seed[5] * 4096ull, 4096 };
		struct policy_request request = {
			.subject = { .uid = seed[6],
				.groups = &group,
				.n_groups = 1,
				.unit = "a.service",
				.unit_unknown = seed[7] & 1 },
			.operation = operations[i],
			.has_memory = i < 3,
			.grants = grants,
			.n_grants = seed[7] % 3,
			.sources = 1u << (seed[7] & 7) % 6,
			.regions = &region,
			.n_regions = seed[7] >> 7,
			.label = seed[5],
			.label_given = seed[7] & 2,
			.lifetime = seed[7] & 4 ? POLICY_DETACHED : POLICY_CONNECTION,
		};
		struct policy_decision decision = policy_decide(policy, &request), explained;
		char *reason;

		CHECK(policy_explain(policy, &request, &explained, &reason) == 0);
		CHECK(decision.rule == explained.rule && decision.allowed == explained.allowed);
		free(reason);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	static char path[64];
	const char *const files[] = { path };
	struct policy *policy = NULL;
	struct policy_report report;
	int r;

	if (fd < 0) {
		fd = memfd_create("policy", MFD_CLOEXEC);
		CHECK(fd >= 0);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	}
	CHECK(ftruncate(fd, 0) == 0);
	CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
	r = policy_load_files(files, 1, &policy, &report);
	check_report(&report, data, size, r);
	policy_report_done(&report);
	CHECK((r == 0) == (policy != NULL));
	if (policy)
		decide(policy, data, size);
	policy_unref(policy);
	return 0;
}
