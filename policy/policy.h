/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The policy: who may do what to which virtual machines (contract §6). Files are read once into an
 * immutable snapshot; decisions read the snapshot only. A snapshot is counted, so that a reload
 * lets requests in flight finish with the one that they began with.
 *
 * Thread-safety: a snapshot may be read by any number of threads; policy_ref and policy_unref are
 * atomic. policy_load may run in any thread.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "ghrm/message.h"

struct policy;
struct policy_rule;

/* Bits, so that a set of them fits a word. */
enum policy_operation {
	POLICY_SHARE = 1 << 0,
	POLICY_LEND = 1 << 1,
	POLICY_DONATE = 1 << 2,
	POLICY_RECLAIM = 1 << 3,
	POLICY_ACCEPT = 1 << 4,
	POLICY_RELEASE = 1 << 5,
	POLICY_LIST = 1 << 6,
	POLICY_MONITOR = 1 << 7,
	POLICY_STATUS = 1 << 8,
	POLICY_CHECK = 1 << 9,
	POLICY_DETACH = 1 << 10,
	POLICY_ADMIN = 1 << 11,
};

enum policy_source {
	POLICY_SOURCE_FD = 1 << 0,
	POLICY_SOURCE_COPY = 1 << 1,
	POLICY_SOURCE_ALLOCATE = 1 << 2,
	POLICY_SOURCE_PRIVATE = 1 << 3,
	POLICY_SOURCE_POOL = 1 << 4,
	POLICY_SOURCE_REGIONS = 1 << 5,
};

enum policy_lifetime { POLICY_CONNECTION = 1 << 0, POLICY_DETACHED = 1 << 1 };

/* The contract's word for one operation, source or lifetime ("lend"); 0 when the word is none. */
const char *policy_operation_name(enum policy_operation operation);
unsigned policy_operation_from_name(const char *name);
const char *policy_source_name(enum policy_source source);
const char *policy_lifetime_name(enum policy_lifetime lifetime);

/* ---- loading ---- */

enum policy_severity { POLICY_ERROR, POLICY_WARNING, POLICY_NOTE };

struct policy_fault {
	enum policy_severity severity;
	char *file;            /* path as read */
	unsigned line, column; /* from 1; 0 when the fault is the file as a whole */
	char *message;         /* what is wrong and what would be right */
};

struct policy_report {
	struct policy_fault *faults; /* in order of file, line, column */
	size_t n_faults;
	size_t n_errors;
};

void policy_report_done(struct policy_report *report);

/*
 * Reads all NAME.json of the directories into a snapshot. dirs: in order of precedence, lowest
 * first: a file masks those of the same name in earlier directories. A directory that does not
 * exist is empty. *report (initialised by the callee, freed with policy_report_done) receives all
 * errors and warnings. Returns 0 and a snapshot in *ret (the caller's reference); -EBADMSG when
 * there was any error (then *ret is untouched); another -errno when the environment failed.
 */
int policy_load(
	const char *const *dirs, size_t n_dirs, struct policy **ret, struct policy_report *report);

/* The same for a list of single files, in their order, without masking: `policy verify FILE…`. */
int policy_load_files(const char *const *files, size_t n_files, struct policy **ret,
	struct policy_report *report);

struct policy *policy_ref(struct policy *policy);
struct policy *policy_unref(struct policy *policy); /* accepts and returns NULL */

size_t policy_n_files(const struct policy *policy);
size_t policy_n_rules(const struct policy *policy);
const struct policy_rule *policy_rule_at(const struct policy *policy, size_t i);

/* ---- what a rule says beyond yes and no; strings live as long as the snapshot ---- */

struct policy_limits { /* UINT64_MAX: no limit */
	uint64_t parcels, bytes, regions;
};

const char *policy_rule_name(const struct policy_rule *rule);
const char *policy_rule_file(const struct policy_rule *rule);
unsigned policy_rule_line(const struct policy_rule *rule);
bool policy_rule_allows(const struct policy_rule *rule);
struct policy_limits policy_rule_limits(const struct policy_rule *rule);
bool policy_rule_sanitize(const struct policy_rule *rule);
/* on_client_death: microseconds to wait after MEM_RECALL, and whether a VM may then be reset. */
uint64_t policy_rule_recall_usec(const struct policy_rule *rule);
bool policy_rule_may_reset(const struct policy_rule *rule, uint16_t vmid);

/* ---- deciding ---- */

struct policy_subject {
	uid_t uid;
	const gid_t *groups; /* primary and supplementary */
	size_t n_groups;
	const char *unit;    /* NULL: in no unit */
	bool groups_unknown; /* as for units: allow rules with groups never match, deny rules do */
	bool unit_unknown; /* could not be found out: allow rules with units never match, deny rules do */
};

/* What is asked. Lists are borrowed for the call. Operations without memory leave the rest zero. */
struct policy_request {
	struct policy_subject subject;
	enum policy_operation operation;
	bool has_memory; /* share, lend, donate: the fields below are part of the request */
	/* Grantees; the host's own entry of a share is not one. */
	const struct ghrm_acl_entry *grants;
	size_t n_grants;
	uint8_t mem_type; /* enum ghrm_mem_type */
	/*
	 * enum policy_source, or'ed: all that the request uses. One piece of memory has one source: a
	 * copied descriptor is COPY, broker's memory that is not passed PRIVATE, a piece of a pool
	 * POOL; FD and ALLOCATE beside these are ignored.
	 */
	unsigned sources;
	const struct ghrm_region *regions; /* fixed ranges, for POLICY_SOURCE_REGIONS */
	size_t n_regions;
	uint32_t label;
	bool label_given; /* false: the broker picks one, no rule about labels can refuse it */
	enum policy_lifetime lifetime; /* 0: the operation has none (donate) */
};

struct policy_decision {
	bool allowed;
	const struct policy_rule *rule; /* the one that decided; NULL: none matched */
};

/* The first rule that matches decides; no rule, no access. Never fails, never allocates. */
struct policy_decision policy_decide(
	const struct policy *policy, const struct policy_request *request);

/*
 * The same decision in words ("denied by rule X (FILE:LINE)", "no rule matches: …"), with the first
 * key that did not match for the rules that were passed over. *ret_reason is the caller's to free.
 * Returns 0 or -ENOMEM.
 */
int policy_explain(const struct policy *policy, const struct policy_request *request,
	struct policy_decision *ret, char **ret_reason);
