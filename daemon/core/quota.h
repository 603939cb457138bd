/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What each uid has out under each policy rule, in parcels, bytes and list entries (contract §6,
 * `limits`). A charge is embedded in what it pays for, so that giving back is exact.
 *
 * Belongs to the core thread.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "policy/policy.h"

struct quota;
struct account;

struct charge {
	struct account *account;
	uint64_t parcels, bytes, regions;
};

/* Which limit stood in the way. name: "parcels", "bytes" or "regions". */
struct quota_refusal {
	const char *name;
	uint64_t used, maximum;
};

int quota_new(struct quota **ret); /* 0 or -ENOMEM */
struct quota *quota_free(
	struct quota *quota); /* all charges must have been given back; returns NULL */

/*
 * Adds to a charge (zero-initialised the first time; always the same uid and rule). Returns 0; 1
 * when a limit stands in the way, told in *refusal, and nothing was charged; -ENOMEM.
 */
int quota_charge(struct quota *quota, struct charge *charge, uid_t uid, const char *rule,
	const struct policy_limits *limits, const struct charge *more,
	struct quota_refusal *refusal);

/* Gives back all of a charge; harmless for an empty one. */
void quota_give_back(struct quota *quota, struct charge *charge);

/* Number of accounts with something out; zero when the books balance. */
size_t quota_accounts(const struct quota *quota);
