/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/internal.h"

#include <errno.h>

/*
 * Every rule is filed under the narrowest thing that its subject names (users, else groups, else units
 * without wildcards, else nothing) and, where that makes few entries, under each of its VMIDs. A
 * request asks for the few lists that can hold rules for it; each list is in the order of the rules,
 * and each entry carries the rule's operations, so that most rules are passed over unseen. A list may
 * hold rules that do not match, never lack one that does: the matcher has the last word.
 */

#define VMS_FILED_MAX 32  /* VMIDs of a rule that is filed by VMID */
#define FILED_MAX     128 /* entries that one rule makes that way */

struct filing {
	uint64_t key;
	struct index_entry entry;
};

struct filings {
	struct filing *all;
	size_t n, allocated;
};

/* Kind, id and VMID side by side; never 0. */
static uint64_t make_key(enum index_subject by, uint32_t id, uint32_t vm)
{
	return (uint64_t)by << 56 | (uint64_t)id << 20 | vm;
}

static size_t hash(uint64_t key)
{
	key ^= key >> 32;
	key *= 0x9e3779b97f4a7c15ull;
	return (size_t)(key ^ key >> 29);
}

/* FNV-1a. Two units with one number only share a list. */
uint32_t index_unit_id(const char *unit)
{
	uint32_t id = 2166136261u;

	for (; *unit; unit++)
		id = (id ^ (unsigned char)*unit) * 16777619u;
	return id;
}

static int file_one(
	struct filings *filings, uint64_t key, uint32_t number, const struct policy_rule *rule)
{
	if (filings->n == filings->allocated) {
		size_t allocated = filings->allocated ? filings->allocated * 2 : 256;
		struct filing *all = reallocarray(filings->all, allocated, sizeof(*all));

		if (!all)
			return -ENOMEM;
		filings->all = all;
		filings->allocated = allocated;
	}
	filings->all[filings->n++] = (struct filing){ key, { number, rule->operations } };
	return 0;
}

static size_t count_vms(const struct policy_rule *rule)
{
	size_t n = 0;

	for (size_t i = 0; i < rule->vms.n; i++)
		n += (size_t)(rule->vms.ranges[i].last - rule->vms.ranges[i].first + 1);
	return n;
}

static int file_vms(struct filings *filings, enum index_subject by, uint32_t id, bool by_vm,
	uint32_t number, const struct policy_rule *rule)
{
	if (!by_vm)
		return file_one(filings, make_key(by, id, INDEX_VM_ANY), number, rule);
	for (size_t i = 0; i < rule->vms.n; i++)
		for (uint64_t vm = rule->vms.ranges[i].first; vm <= rule->vms.ranges[i].last;
			vm++) {
			int r = file_one(filings, make_key(by, id, (uint32_t)vm), number, rule);

			if (r < 0)
				return r;
		}
	/* A deny rule about VMs does not speak of requests without one. */
	return rule->allow ? file_one(filings, make_key(by, id, INDEX_VM_NONE), number, rule) : 0;
}

static bool units_are_names(const struct policy_rule *rule)
{
	for (size_t i = 0; i < rule->n_units; i++)
		if (strpbrk(rule->units[i], "*?[\\"))
			return false;
	return rule_gives(rule, KEY_UNITS);
}

static int file_rule(struct filings *filings, uint32_t number, const struct policy_rule *rule)
{
	enum index_subject by = rule_gives(rule, KEY_USERS)    ? BY_UID
				: rule_gives(rule, KEY_GROUPS) ? BY_GID
				: units_are_names(rule)        ? BY_UNIT
							       : BY_NOTHING;
	size_t n = by == BY_UID    ? rule->users.n
		   : by == BY_GID  ? rule->groups.n
		   : by == BY_UNIT ? rule->n_units
				   : 1;
	size_t n_vms = count_vms(rule);
	bool by_vm = rule_gives(rule, KEY_VMS) && n_vms <= VMS_FILED_MAX && n_vms * n <= FILED_MAX;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		uint32_t id = by == BY_UID    ? rule->users.ids[i]
			      : by == BY_GID  ? rule->groups.ids[i]
			      : by == BY_UNIT ? index_unit_id(rule->units[i])
					      : 0;

		r = file_vms(filings, by, id, by_vm, number, rule);
	}
	/* Where the unit could not be found out, deny rules about units match all the same. */
	if (r == 0 && by == BY_GID && !rule->allow)
		r = file_vms(filings, BY_UNKNOWN_GROUP, 0, by_vm, number, rule);
	if (r == 0 && by == BY_UNIT && !rule->allow)
		r = file_vms(filings, BY_UNKNOWN_UNIT, 0, by_vm, number, rule);
	return r;
}

static struct index_slot *slot_for(struct index_slot *slots, size_t n_slots, uint64_t key)
{
	size_t i = hash(key) & (n_slots - 1);

	while (slots[i].key && slots[i].key != key)
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

int index_build(struct policy_index *index, const struct policy_rule *rules, size_t n_rules)
{
	struct filings filings = { 0 };
	uint32_t first = 0;
	int r = 0;

	for (size_t i = 0; i < n_rules && r == 0; i++)
		r = file_rule(&filings, (uint32_t)i, &rules[i]);
	if (r < 0)
		goto out;
	r = -ENOMEM;
	/* At most half full, so that a search ends soon. */
	index->n_slots = 16;
	while (index->n_slots < filings.n * 2)
		index->n_slots *= 2;
	index->slots = calloc(index->n_slots, sizeof(*index->slots));
	index->entries = calloc(filings.n + 1, sizeof(*index->entries));
	if (!index->slots || !index->entries)
		goto out;

	for (size_t i = 0; i < filings.n; i++) {
		struct index_slot *slot =
			slot_for(index->slots, index->n_slots, filings.all[i].key);

		slot->key = filings.all[i].key;
		slot->count++;
	}
	for (size_t i = 0; i < index->n_slots; i++) {
		index->slots[i].first = first;
		first += index->slots[i].count;
		index->slots[i].count = 0;
	}
	for (size_t i = 0; i < filings.n; i++) {
		struct index_slot *slot =
			slot_for(index->slots, index->n_slots, filings.all[i].key);

		index->entries[slot->first + slot->count++] = filings.all[i].entry;
	}
	r = 0;
out:
	free(filings.all);
	if (r < 0)
		index_done(index);
	return r;
}

void index_done(struct policy_index *index)
{
	free(index->slots);
	free(index->entries);
	*index = (struct policy_index){ 0 };
}

struct index_list index_find(
	const struct policy_index *index, enum index_subject by, uint32_t id, uint32_t vm)
{
	const struct index_slot *slot =
		slot_for(index->slots, index->n_slots, make_key(by, id, vm));

	return (struct index_list){ index->entries + slot->first, slot->count };
}
