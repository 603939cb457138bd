/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of this room share: the compiled form of a policy. */

#include <stdatomic.h>

#include "policy/arena.h"
#include "policy/policy.h"
#include "util/util.h"

/* The keys that can keep a rule from matching, in the order in which they are looked at. */
enum rule_key {
	KEY_USERS,
	KEY_GROUPS,
	KEY_UNITS,
	KEY_OPERATIONS,
	KEY_VMS,
	KEY_ACCESS,
	KEY_TYPES,
	KEY_SOURCES,
	KEY_REGIONS,
	KEY_LABELS,
	KEY_LIFETIMES,
	KEY_NONE, /* nothing keeps it: it matches */
};

#define KEY_BIT(key) (1u << (key))
#define KEYS_SUBJECT (KEY_BIT(KEY_USERS) | KEY_BIT(KEY_GROUPS) | KEY_BIT(KEY_UNITS))
/* Keys about parts that only a request with memory has. */
#define KEYS_MEMORY                                                                           \
	(KEY_BIT(KEY_VMS) | KEY_BIT(KEY_ACCESS) | KEY_BIT(KEY_TYPES) | KEY_BIT(KEY_SOURCES) | \
		KEY_BIT(KEY_REGIONS) | KEY_BIT(KEY_LABELS) | KEY_BIT(KEY_LIFETIMES))

#define OPERATIONS_ALL       ((POLICY_ADMIN << 1) - 1)
#define OPERATIONS_MEMORY    (POLICY_SHARE | POLICY_LEND | POLICY_DONATE)
#define OPERATIONS_GIVE_AWAY (POLICY_LEND | POLICY_DONATE)
#define SOURCES_ALL          ((POLICY_SOURCE_REGIONS << 1) - 1)
/* Memory that no client has mapped: all that may be lent where a rule does not speak of sources. */
#define SOURCES_UNMAPPED (POLICY_SOURCE_COPY | POLICY_SOURCE_PRIVATE)
#define LIFETIMES_ALL    (POLICY_CONNECTION | POLICY_DETACHED)
#define TYPES_ALL        ((1u << GHRM_MEM_NORMAL) | (1u << GHRM_MEM_IO))
#define VMID_MAX         UINT16_MAX
#define ACCESS_TEXT_MAX  4

struct range {
	uint64_t first, last;
};

struct range_set { /* sorted, disjoint, neighbours joined */
	const struct range *ranges;
	size_t n;
};

struct id_set { /* sorted, each once */
	const uint32_t *ids;
	size_t n;
};

struct policy_rule {
	const char *name;
	const char *file;
	size_t file_number; /* in the order of reading */
	unsigned line, column;
	bool allow;
	bool sanitize;
	unsigned given; /* KEY_BIT()s of the keys that the rule has */
	/* Defaults are filled in; for a deny rule only what is given is ever looked at. */
	unsigned operations;
	unsigned access; /* enum ghrm_right */
	unsigned types;  /* bits 1 << enum ghrm_mem_type */
	unsigned sources;
	unsigned lifetimes;
	struct id_set users, groups;
	const char *const *units; /* globs */
	size_t n_units;
	struct range_set vms, regions, labels, resets;
	struct policy_limits limits;
	uint64_t recall_usec;
};

static inline bool rule_gives(const struct policy_rule *rule, enum rule_key key)
{
	return rule->given & KEY_BIT(key);
}

bool range_set_contains(const struct range_set *set, uint64_t first, uint64_t last);
bool range_set_overlaps(const struct range_set *set, uint64_t first, uint64_t last);
bool id_set_contains(const struct id_set *set, uint32_t id);

/* ---- the words of the language (words.c) ---- */

struct word {
	const char *name;
	unsigned bit;
};

extern const struct word words_operations[], words_sources[], words_lifetimes[], words_types[],
	words_access[];
const char *word_name(const struct word *words, unsigned bit); /* NULL: none */
unsigned word_bit(const struct word *words, const char *name); /* 0: none */
const char *access_name(unsigned rights, char buffer[ACCESS_TEXT_MAX]);

/* ---- the index (index.c) ---- */

struct index_entry {
	uint32_t rule;
	uint32_t operations;
};

struct index_slot {
	uint64_t key; /* 0: free */
	uint32_t first, count;
};

struct policy_index {
	struct index_slot *slots;
	size_t n_slots; /* a power of two */
	struct index_entry *entries;
};

/* One list of rules, in their order. */
struct index_list {
	const struct index_entry *entries;
	size_t n;
};

/* What a request, or a rule, is looked up by. */
enum index_subject { BY_NOTHING = 1, BY_UID, BY_GID, BY_UNIT, BY_UNKNOWN_GROUP, BY_UNKNOWN_UNIT };

#define INDEX_VM_ANY  0x10000u /* rules that are not filed by VMID */
#define INDEX_VM_NONE 0x10001u /* rules that are, for requests that name no VM */

struct policy;

int index_build(struct policy_index *index, const struct policy_rule *rules, size_t n_rules);
void index_done(struct policy_index *index);
struct index_list index_find(
	const struct policy_index *index, enum index_subject by, uint32_t id, uint32_t vm);
uint32_t index_unit_id(const char *unit);

struct policy {
	atomic_uint references;
	struct arena arena;
	struct policy_rule *rules;
	size_t n_rules, allocated_rules;
	size_t n_files;
	struct policy_index index;
};

/* ---- the matcher (match.c) ---- */

/* The first key that keeps the rule from matching the request, KEY_NONE when it matches. */
enum rule_key rule_match(const struct policy_rule *rule, const struct policy_request *request);
unsigned rule_sources_for(const struct policy_rule *rule, enum policy_operation operation);
unsigned request_sources(const struct policy_request *request);

/* ---- rules that can never decide (shadow.c) ---- */

/* Calls found() for each rule that an earlier one hides, in order. Returns false if it gave up early. */
bool shadow_find(const struct policy *policy,
	void (*found)(const struct policy_rule *rule, const struct policy_rule *by, void *userdata),
	void *userdata);
