/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/internal.h"

/* The life of a snapshot, and what a rule says beyond yes and no. */

struct policy *policy_ref(struct policy *policy)
{
	atomic_fetch_add_explicit(&policy->references, 1, memory_order_relaxed);
	return policy;
}

struct policy *policy_unref(struct policy *policy)
{
	if (!policy || atomic_fetch_sub_explicit(&policy->references, 1, memory_order_acq_rel) != 1)
		return NULL;
	index_done(&policy->index);
	arena_done(&policy->arena);
	free(policy->rules);
	free(policy);
	return NULL;
}

size_t policy_n_files(const struct policy *policy)
{
	return policy->n_files;
}

size_t policy_n_rules(const struct policy *policy)
{
	return policy->n_rules;
}

const struct policy_rule *policy_rule_at(const struct policy *policy, size_t i)
{
	return i < policy->n_rules ? &policy->rules[i] : NULL;
}

const char *policy_rule_name(const struct policy_rule *rule)
{
	return rule->name;
}

const char *policy_rule_file(const struct policy_rule *rule)
{
	return rule->file;
}

unsigned policy_rule_line(const struct policy_rule *rule)
{
	return rule->line;
}

bool policy_rule_allows(const struct policy_rule *rule)
{
	return rule->allow;
}

struct policy_limits policy_rule_limits(const struct policy_rule *rule)
{
	return rule->limits;
}

bool policy_rule_sanitize(const struct policy_rule *rule)
{
	return rule->sanitize;
}

uint64_t policy_rule_recall_usec(const struct policy_rule *rule)
{
	return rule->recall_usec;
}

bool policy_rule_may_reset(const struct policy_rule *rule, uint16_t vmid)
{
	/* Wide ranges hold the host and the Resource Manager too; neither is a guest to be reset. */
	return vmid != GHRM_VMID_HOST && vmid != GHRM_VMID_RM &&
	       range_set_contains(&rule->resets, vmid, vmid);
}
