/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/internal.h"

#include <fnmatch.h>

/*
 * What a policy means
 * ===================
 *
 * The rules of all files form one list: files in the order of their names, rules in the order of the
 * file. The first rule that matches a request decides it by its effect. If none matches, the request is
 * refused.
 *
 * Who. `subject` has up to three keys; all that are given must match, each by any one of its entries:
 * the client's uid is one of `users`, one of its groups (primary or supplementary) is one of `groups`,
 * its systemd unit fits one of the globs of `units`. This is the same for both effects. A rule without
 * `subject` is about everyone. A client in no unit fits no glob. Where the unit could not be found out,
 * the doubt never helps the client: `units` of an allow rule does not match, `units` of a deny rule does.
 *
 * What. `operations` is the same for both effects too: the request's operation is in the list. Left out,
 * an allow rule allows no operation, a deny rule refuses every one.
 *
 * Memory. A request to share, lend or donate has parts: grantees (a VM and its access, each), the
 * memory's type, the sources that it comes from, the fixed ranges that it names, a label if the client
 * chose one, a lifetime where the operation has one. Every other key is about one kind of part.
 *
 * An allow rule matches if all parts of the request are inside: every grantee's VM in `vms`, every
 * grantee's access within `access` (no right that `access` lacks), the type in `memory.types`, every
 * source in `memory.sources`, every fixed range wholly in the union of `memory.regions`, the label in
 * `memory.labels`, the lifetime in `lifetimes`. A kind of part that the request does not have is inside
 * anything: a label that the broker picks is never refused. A key that is left out holds everything,
 * except: `access` holds "rw", `lifetimes` holds connection, `memory.regions` holds nothing, and for
 * lend and donate `memory.sources` holds copy and private.
 *
 * A deny rule matches if, for each key that is given, at least one part of that kind is inside: any one
 * grantee's VM in `vms`, any one grantee's access within `access`, any one source in `memory.sources`,
 * any fixed range that touches `memory.regions`, and so on. The keys are looked at one by one, so the
 * grantee in `vms` need not be the grantee whose access is within `access`. A kind of part that the
 * request does not have is inside nothing: a deny rule about labels leaves labels alone that the broker
 * picks. A key that is left out matches every request.
 *
 * Operations without memory (reclaim, accept, release, list, monitor, status, check, detach, admin) have
 * none of these parts. By the above, the keys about parts do not restrict an allow rule for them, and a
 * deny rule that has any such key never matches them: "deny vms 128" forbids giving memory to VM 128, it
 * does not forbid to list or to take back.
 *
 * One piece of memory has one source. `copy` of a descriptor is copy, not fd; memory that the broker
 * allocates is private when its descriptor stays with the broker, pool when it is a piece of a kept
 * parcel, allocate otherwise.
 */

static bool match_units(const struct policy_rule *rule, const struct policy_subject *subject)
{
	if (subject->unit_unknown)
		return !rule->allow;
	if (!subject->unit)
		return false;
	for (size_t i = 0; i < rule->n_units; i++)
		if (fnmatch(rule->units[i], subject->unit, 0) == 0)
			return true;
	return false;
}

static bool match_groups(const struct policy_rule *rule, const struct policy_subject *subject)
{
	if (subject->groups_unknown)
		return !rule->allow;
	for (size_t i = 0; i < subject->n_groups; i++)
		if (id_set_contains(&rule->groups, subject->groups[i]))
			return true;
	return false;
}

unsigned rule_sources_for(const struct policy_rule *rule, enum policy_operation operation)
{
	if (rule_gives(rule, KEY_SOURCES))
		return rule->sources;
	return operation & OPERATIONS_GIVE_AWAY ? SOURCES_UNMAPPED : SOURCES_ALL;
}

/* The same for a caller that also sets the bits of the more general kind. */
unsigned request_sources(const struct policy_request *request)
{
	unsigned sources = request->sources;

	if (sources & (POLICY_SOURCE_PRIVATE | POLICY_SOURCE_POOL))
		sources &= ~(unsigned)POLICY_SOURCE_ALLOCATE;
	if (sources & POLICY_SOURCE_COPY)
		sources &= ~(unsigned)POLICY_SOURCE_FD;
	if (request->n_regions > 0)
		sources |= POLICY_SOURCE_REGIONS;
	return sources;
}

static unsigned type_bit(const struct policy_request *request)
{
	return request->mem_type <= GHRM_MEM_IO ? 1u << request->mem_type : 0;
}

/* The last byte of a range. One that wraps or is empty is taken as reaching the end of everything. */
static uint64_t region_last(const struct ghrm_region *region)
{
	uint64_t last = region->address + region->size - 1;

	return last < region->address ? UINT64_MAX : last;
}

static bool regions_inside(const struct policy_rule *rule, const struct policy_request *request)
{
	for (size_t i = 0; i < request->n_regions; i++)
		if (!range_set_contains(&rule->regions, request->regions[i].address,
			    region_last(&request->regions[i])))
			return false;
	return rule->regions.n > 0 || !(request_sources(request) & POLICY_SOURCE_REGIONS);
}

static enum rule_key match_memory_allow(
	const struct policy_rule *rule, const struct policy_request *request)
{
	unsigned sources = request_sources(request);

	if (rule_gives(rule, KEY_VMS))
		for (size_t i = 0; i < request->n_grants; i++)
			if (!range_set_contains(
				    &rule->vms, request->grants[i].vmid, request->grants[i].vmid))
				return KEY_VMS;
	for (size_t i = 0; i < request->n_grants; i++)
		if (request->grants[i].rights & ~rule->access)
			return KEY_ACCESS;
	if (rule_gives(rule, KEY_TYPES) && !(type_bit(request) & rule->types))
		return KEY_TYPES;
	if (sources & ~rule_sources_for(rule, request->operation))
		return KEY_SOURCES;
	if (!regions_inside(rule, request))
		return KEY_REGIONS;
	if (rule_gives(rule, KEY_LABELS) && request->label_given &&
		!range_set_contains(&rule->labels, request->label, request->label))
		return KEY_LABELS;
	if (request->lifetime & ~rule->lifetimes)
		return KEY_LIFETIMES;
	return KEY_NONE;
}

static bool any_vm(const struct policy_rule *rule, const struct policy_request *request)
{
	for (size_t i = 0; i < request->n_grants; i++)
		if (range_set_contains(
			    &rule->vms, request->grants[i].vmid, request->grants[i].vmid))
			return true;
	return false;
}

static bool any_access(const struct policy_rule *rule, const struct policy_request *request)
{
	for (size_t i = 0; i < request->n_grants; i++)
		if (!(request->grants[i].rights & ~rule->access))
			return true;
	return false;
}

static bool any_region(const struct policy_rule *rule, const struct policy_request *request)
{
	for (size_t i = 0; i < request->n_regions; i++)
		if (range_set_overlaps(&rule->regions, request->regions[i].address,
			    region_last(&request->regions[i])))
			return true;
	return false;
}

static enum rule_key match_memory_deny(
	const struct policy_rule *rule, const struct policy_request *request)
{
	if (rule_gives(rule, KEY_VMS) && !any_vm(rule, request))
		return KEY_VMS;
	if (rule_gives(rule, KEY_ACCESS) && !any_access(rule, request))
		return KEY_ACCESS;
	if (rule_gives(rule, KEY_TYPES) && !(type_bit(request) & rule->types))
		return KEY_TYPES;
	if (rule_gives(rule, KEY_SOURCES) && !(request_sources(request) & rule->sources))
		return KEY_SOURCES;
	if (rule_gives(rule, KEY_REGIONS) && !any_region(rule, request))
		return KEY_REGIONS;
	if (rule_gives(rule, KEY_LABELS) &&
		!(request->label_given &&
			range_set_contains(&rule->labels, request->label, request->label)))
		return KEY_LABELS;
	if (rule_gives(rule, KEY_LIFETIMES) && !(request->lifetime & rule->lifetimes))
		return KEY_LIFETIMES;
	return KEY_NONE;
}

static enum rule_key first_memory_key(const struct policy_rule *rule)
{
	for (enum rule_key key = KEY_VMS; key < KEY_NONE; key++)
		if (rule_gives(rule, key))
			return key;
	return KEY_NONE;
}

enum rule_key rule_match(const struct policy_rule *rule, const struct policy_request *request)
{
	const struct policy_subject *subject = &request->subject;

	if (rule_gives(rule, KEY_USERS) && !id_set_contains(&rule->users, subject->uid))
		return KEY_USERS;
	if (rule_gives(rule, KEY_GROUPS) && !match_groups(rule, subject))
		return KEY_GROUPS;
	if (rule_gives(rule, KEY_UNITS) && !match_units(rule, subject))
		return KEY_UNITS;
	if (!(rule->operations & request->operation))
		return KEY_OPERATIONS;
	if (!request->has_memory)
		return rule->allow ? KEY_NONE : first_memory_key(rule);
	return rule->allow ? match_memory_allow(rule, request) : match_memory_deny(rule, request);
}

/* Takes the first match of a list if it comes before the best one so far. */
static void look_through(const struct policy *policy, const struct policy_request *request,
	struct index_list list, size_t *best)
{
	for (size_t i = 0; i < list.n && list.entries[i].rule < *best; i++) {
		if (!(list.entries[i].operations & request->operation))
			continue;
		if (rule_match(&policy->rules[list.entries[i].rule], request) == KEY_NONE) {
			*best = list.entries[i].rule;
			return;
		}
	}
}

static void look_under(const struct policy *policy, const struct policy_request *request,
	enum index_subject by, uint32_t id, size_t *best)
{
	const struct policy_index *index = &policy->index;

	look_through(policy, request, index_find(index, by, id, INDEX_VM_ANY), best);
	if (!request->has_memory || request->n_grants == 0)
		look_through(policy, request, index_find(index, by, id, INDEX_VM_NONE), best);
	for (size_t i = 0; request->has_memory && i < request->n_grants; i++)
		look_through(
			policy, request, index_find(index, by, id, request->grants[i].vmid), best);
}

struct policy_decision policy_decide(
	const struct policy *policy, const struct policy_request *request)
{
	const struct policy_subject *subject = &request->subject;
	const struct policy_rule *rule;
	size_t best = policy->n_rules;

	look_under(policy, request, BY_NOTHING, 0, &best);
	look_under(policy, request, BY_UID, subject->uid, &best);
	for (size_t i = 0; i < subject->n_groups; i++)
		look_under(policy, request, BY_GID, subject->groups[i], &best);
	if (subject->groups_unknown)
		look_under(policy, request, BY_UNKNOWN_GROUP, 0, &best);
	if (subject->unit_unknown)
		look_under(policy, request, BY_UNKNOWN_UNIT, 0, &best);
	else if (subject->unit)
		look_under(policy, request, BY_UNIT, index_unit_id(subject->unit), &best);

	if (best == policy->n_rules)
		return (struct policy_decision){ 0 };
	rule = &policy->rules[best];
	return (struct policy_decision){ rule->allow, rule };
}
