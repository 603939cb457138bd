/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/internal.h"

/*
 * Which rules can never decide because one earlier rule matches all that they match. The answer errs on
 * the side of silence: a rule hidden only by several others together is not found, and a pair of which
 * it is not certain is passed over. A request with memory is taken to have a grantee and a source: the
 * broker refuses others before it asks.
 */

/* Pairs looked at before the search is given up: a tenth of a second or so. */
#define PAIRS_MAX 5000000u

static bool ids_inside(const struct id_set *inner, const struct id_set *outer)
{
	for (size_t i = 0; i < inner->n; i++)
		if (!id_set_contains(outer, inner->ids[i]))
			return false;
	return true;
}

static bool ranges_inside(const struct range_set *inner, const struct range_set *outer)
{
	for (size_t i = 0; i < inner->n; i++)
		if (!range_set_contains(outer, inner->ranges[i].first, inner->ranges[i].last))
			return false;
	return true;
}

/* Globs are compared as they are written. */
static bool units_inside(const struct policy_rule *inner, const struct policy_rule *outer)
{
	for (size_t i = 0; i < inner->n_units; i++) {
		bool found = false;

		for (size_t j = 0; j < outer->n_units && !found; j++)
			found = !strcmp(inner->units[i], outer->units[j]);
		if (!found)
			return false;
	}
	return true;
}

static bool subject_inside(const struct policy_rule *inner, const struct policy_rule *outer)
{
	if ((outer->given & KEYS_SUBJECT) & ~inner->given)
		return false;
	/* Where the unit is not known, allow rules about units never match, deny rules do. */
	if (rule_gives(outer, KEY_UNITS) && outer->allow && !inner->allow)
		return false;
	return (!rule_gives(outer, KEY_USERS) || ids_inside(&inner->users, &outer->users)) &&
	       (!rule_gives(outer, KEY_GROUPS) || ids_inside(&inner->groups, &outer->groups)) &&
	       (!rule_gives(outer, KEY_UNITS) || units_inside(inner, outer));
}

static bool vms_all(const struct policy_rule *rule)
{
	return !rule_gives(rule, KEY_VMS) || range_set_contains(&rule->vms, 0, VMID_MAX);
}

/* outer allows: every part of what inner matches must be inside outer's keys. */
static bool memory_inside_allow(const struct policy_rule *inner, const struct policy_rule *outer)
{
	if (!inner->allow)
		/* A deny rule matches whatever the other parts are, so nothing may be restricted. */
		return vms_all(outer) && outer->access == GHRM_RIGHT_RWX &&
		       (!rule_gives(outer, KEY_TYPES) || outer->types == TYPES_ALL) &&
		       rule_sources_for(outer, POLICY_LEND) == SOURCES_ALL &&
		       range_set_contains(&outer->regions, 0, UINT64_MAX) &&
		       !rule_gives(outer, KEY_LABELS) && outer->lifetimes == LIFETIMES_ALL;
	if (rule_gives(outer, KEY_VMS) &&
		!(rule_gives(inner, KEY_VMS) && ranges_inside(&inner->vms, &outer->vms)))
		return false;
	if (inner->access & ~outer->access || inner->lifetimes & ~outer->lifetimes)
		return false;
	if (rule_gives(outer, KEY_TYPES) &&
		!(rule_gives(inner, KEY_TYPES) && !(inner->types & ~outer->types)))
		return false;
	for (unsigned op = POLICY_SHARE; op <= POLICY_DONATE; op <<= 1)
		if (inner->operations & op &&
			rule_sources_for(inner, op) & ~rule_sources_for(outer, op))
			return false;
	if (!ranges_inside(&inner->regions, &outer->regions))
		return false;
	return !rule_gives(outer, KEY_LABELS) ||
	       (rule_gives(inner, KEY_LABELS) && ranges_inside(&inner->labels, &outer->labels));
}

/*
 * outer denies: whatever inner matches must have, for each key of outer, a part inside. What an allow
 * rule matches need not have a label, a range or a lifetime at all.
 */
static bool memory_inside_deny(const struct policy_rule *inner, const struct policy_rule *outer)
{
	if (rule_gives(outer, KEY_VMS) && !vms_all(outer) &&
		!(rule_gives(inner, KEY_VMS) && ranges_inside(&inner->vms, &outer->vms)))
		return false;
	if (rule_gives(outer, KEY_ACCESS) && outer->access != GHRM_RIGHT_RWX &&
		((!inner->allow && !rule_gives(inner, KEY_ACCESS)) ||
			inner->access & ~outer->access))
		return false;
	if (rule_gives(outer, KEY_TYPES) && outer->types != TYPES_ALL &&
		(!rule_gives(inner, KEY_TYPES) || inner->types & ~outer->types))
		return false;
	if (rule_gives(outer, KEY_SOURCES) &&
		(!rule_gives(inner, KEY_SOURCES) || inner->sources & ~outer->sources))
		return false;
	if (!(outer->given & (KEY_BIT(KEY_REGIONS) | KEY_BIT(KEY_LABELS) | KEY_BIT(KEY_LIFETIMES))))
		return true;
	if (inner->allow)
		return false;
	if (rule_gives(outer, KEY_REGIONS) &&
		!(rule_gives(inner, KEY_REGIONS) &&
			ranges_inside(&inner->regions, &outer->regions)))
		return false;
	if (rule_gives(outer, KEY_LABELS) &&
		!(rule_gives(inner, KEY_LABELS) && ranges_inside(&inner->labels, &outer->labels)))
		return false;
	return !rule_gives(outer, KEY_LIFETIMES) ||
	       (rule_gives(inner, KEY_LIFETIMES) && !(inner->lifetimes & ~outer->lifetimes));
}

static bool hides(const struct policy_rule *outer, const struct policy_rule *inner)
{
	unsigned matched = inner->operations;

	/* A deny rule that speaks of memory matches no other operations. */
	if (!inner->allow && inner->given & KEYS_MEMORY)
		matched &= OPERATIONS_MEMORY;
	if (matched == 0 || matched & ~outer->operations || !subject_inside(inner, outer))
		return false;
	if (outer->allow)
		return !(matched & OPERATIONS_MEMORY) || memory_inside_allow(inner, outer);
	if (!(outer->given & KEYS_MEMORY))
		return true;
	return !(matched & ~OPERATIONS_MEMORY) && memory_inside_deny(inner, outer);
}

struct search {
	const struct policy *policy;
	size_t inner;
	size_t best; /* the first rule that hides it */
	size_t pairs;
};

static void search_list(struct search *search, struct index_list list)
{
	const struct policy_rule *rules = search->policy->rules;

	for (size_t i = 0; i < list.n && list.entries[i].rule < search->best; i++) {
		if (++search->pairs > PAIRS_MAX)
			return;
		if (hides(&rules[list.entries[i].rule], &rules[search->inner])) {
			search->best = list.entries[i].rule;
			return;
		}
	}
}

static void search_under(struct search *search, enum index_subject by, uint32_t id)
{
	const struct policy_index *index = &search->policy->index;
	const struct policy_rule *inner = &search->policy->rules[search->inner];

	search_list(search, index_find(index, by, id, INDEX_VM_ANY));
	search_list(search, index_find(index, by, id, INDEX_VM_NONE));
	if (inner->vms.n > 0)
		search_list(
			search, index_find(index, by, id, (uint32_t)inner->vms.ranges[0].first));
}

/*
 * A rule that hides another is filed where the other's requests look: under nobody, or under the first
 * of its users, of its groups or of its units.
 */
static void search_for(struct search *search)
{
	const struct policy_rule *inner = &search->policy->rules[search->inner];

	search_under(search, BY_NOTHING, 0);
	if (inner->users.n > 0)
		search_under(search, BY_UID, inner->users.ids[0]);
	if (inner->groups.n > 0)
		search_under(search, BY_GID, inner->groups.ids[0]);
	if (inner->n_units > 0)
		search_under(search, BY_UNIT, index_unit_id(inner->units[0]));
}

bool shadow_find(const struct policy *policy,
	void (*found)(const struct policy_rule *rule, const struct policy_rule *by, void *userdata),
	void *userdata)
{
	struct search search = { .policy = policy };

	for (search.inner = 0; search.inner < policy->n_rules; search.inner++) {
		search.best = search.inner;
		search_for(&search);
		if (search.best < search.inner)
			found(&policy->rules[search.inner], &policy->rules[search.best], userdata);
		if (search.pairs > PAIRS_MAX)
			return false;
	}
	return true;
}
