/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/check.h"

/*
 * The keys of a rule and what reads each of them. A key's table says what it is called, who reads it,
 * and which bit of rule->given remembers it; after the keys come the tests that look at several of them.
 */

#define RECALL_DEFAULT_USEC (10 * 1000000ull)
#define NAME_MAX_BYTES      255

#define NEVER_MATCHES       "it can never match; leave it out, or list something"

typedef void field_reader(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule);

static const char *field_at(const void *fields, size_t i)
{
	return ((const struct field *)fields)[i].key;
}

static const struct field *field_of(const struct field *fields, const char *key)
{
	for (; fields->key; fields++)
		if (!strcmp(fields->key, key))
			return fields;
	return NULL;
}

static void complain_unknown(struct checker *checker, const struct path *path, const char *what,
	const struct field *fields)
{
	const char *meant = nearest_name(path->key, field_at, fields);
	char list[256] = "";

	if (meant) {
		policy_complain(checker, POLICY_ERROR, path, true,
			"unknown key \"%s\": did you mean \"%s\"?", path->key, meant);
		return;
	}
	for (const struct field *field = fields; field->key; field++) {
		size_t used = strlen(list);
		const char *before = field == fields ? "" : field[1].key ? ", " : " and ";

		snprintf(list + used, sizeof(list) - used, "%s%s", before, field->key);
	}
	policy_complain(checker, POLICY_ERROR, path, true, "unknown key \"%s\": %s may have %s",
		path->key, what, list);
}

void read_fields(struct checker *checker, const struct path *path, const json_t *object,
	const char *what, const struct field *fields, struct policy_rule *rule)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object)) {
		complain_value(
			checker, path, "%s must be an object { }, not %s", what, type_name(object));
		return;
	}
	json_object_foreach ((json_t *)object, key, value) {
		struct path at = { path, key, 0 };
		const struct field *field = field_of(fields, key);

		if (!field) {
			complain_unknown(checker, &at, what, fields);
			continue;
		}
		if (rule)
			rule->given |= field->given;
		field->read(checker, &at, value, rule);
	}
	for (; fields->key; fields++)
		if (fields->required && !json_object_get(object, fields->key))
			complain_value(checker, path, "%s lacks \"%s\"", what, fields->key);
}

/* ---- subject ---- */

static void read_subject_users(struct checker *checker, const struct path *path,
	const json_t *value, struct policy_rule *rule)
{
	read_users(checker, path, value, &rule->users);
}

static void read_subject_groups(struct checker *checker, const struct path *path,
	const json_t *value, struct policy_rule *rule)
{
	read_groups(checker, path, value, &rule->groups);
}

static void read_subject_units(struct checker *checker, const struct path *path,
	const json_t *value, struct policy_rule *rule)
{
	read_units(checker, path, value, &rule->units, &rule->n_units);
}

static const struct field subject_fields[] = {
	{ "users", read_subject_users, KEY_BIT(KEY_USERS), false },
	{ "groups", read_subject_groups, KEY_BIT(KEY_GROUPS), false },
	{ "units", read_subject_units, KEY_BIT(KEY_UNITS), false },
	{ NULL, NULL, 0, false },
};

static void read_subject(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_fields(checker, path, value, "\"subject\"", subject_fields, rule);
	if (json_is_object(value) && json_object_size(value) == 0)
		policy_complain(checker, POLICY_WARNING, path, false,
			"\"subject\" is empty, so the rule is about everyone: leave it out to say "
			"so, or "
			"give users, groups or units");
}

/* ---- memory ---- */

static void read_types(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_words(checker, path, value, "memory type", words_types, &rule->types);
}

static void read_sources(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_words(checker, path, value, "source", words_sources, &rule->sources);
}

/* An empty list says something in an allow rule ("none of these"), and nothing in a deny rule. */
static const char *if_denying(const struct policy_rule *rule)
{
	return rule->allow ? NULL : NEVER_MATCHES;
}

static void read_memory_regions(struct checker *checker, const struct path *path,
	const json_t *value, struct policy_rule *rule)
{
	read_regions(checker, path, value, if_denying(rule), &rule->regions);
}

static void read_labels(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_ranges(checker, path, value, "a label", UINT32_MAX, if_denying(rule), &rule->labels);
}

static const struct field memory_fields[] = {
	{ "types", read_types, KEY_BIT(KEY_TYPES), false },
	{ "sources", read_sources, KEY_BIT(KEY_SOURCES), false },
	{ "regions", read_memory_regions, KEY_BIT(KEY_REGIONS), false },
	{ "labels", read_labels, KEY_BIT(KEY_LABELS), false },
	{ NULL, NULL, 0, false },
};

static void read_memory(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_fields(checker, path, value, "\"memory\"", memory_fields, rule);
}

/* ---- limits ---- */

static void read_limit(
	struct checker *checker, const struct path *path, const json_t *value, uint64_t *ret)
{
	/* The largest number stands for "no limit". */
	if (!read_number(checker, path, value, path->key, UINT64_MAX - 1, ret))
		return;
	if (*ret == 0)
		policy_complain(checker, POLICY_WARNING, path, false,
			"a limit of 0 refuses every request that the rule allows: a deny rule says "
			"so "
			"more clearly");
}

static void read_limit_parcels(struct checker *checker, const struct path *path,
	const json_t *value, struct policy_rule *rule)
{
	read_limit(checker, path, value, &rule->limits.parcels);
}

static void read_limit_bytes(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_limit(checker, path, value, &rule->limits.bytes);
}

static void read_limit_regions(struct checker *checker, const struct path *path,
	const json_t *value, struct policy_rule *rule)
{
	read_limit(checker, path, value, &rule->limits.regions);
}

static const struct field limits_fields[] = {
	{ "parcels", read_limit_parcels, 0, false },
	{ "bytes", read_limit_bytes, 0, false },
	{ "regions", read_limit_regions, 0, false },
	{ NULL, NULL, 0, false },
};

static void read_limits(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_fields(checker, path, value, "\"limits\"", limits_fields, rule);
}

/* ---- on_client_death ---- */

static void read_recall(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_duration(checker, path, value, &rule->recall_usec);
}

enum { THEN_QUARANTINE = 1, THEN_RESET = 2 };

static const struct word words_then[] = {
	{ "quarantine", THEN_QUARANTINE },
	{ "reset-vm", THEN_RESET },
	{ NULL, 0 },
};

static void read_then(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	unsigned then;

	(void)rule;
	read_word(checker, path, value, "\"then\"", words_then, &then);
}

static void read_resets(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_ranges(checker, path, value, "a VMID", VMID_MAX,
		"\"reset-vm\" needs the VMIDs that may be reset", &rule->resets);
}

static const struct field death_fields[] = {
	{ "recall", read_recall, 0, false },
	{ "then", read_then, 0, false },
	{ "resets", read_resets, 0, false },
	{ NULL, NULL, 0, false },
};

static void read_on_client_death(struct checker *checker, const struct path *path,
	const json_t *value, struct policy_rule *rule)
{
	struct path then_path = { path, "then", 0 }, resets_path = { path, "resets", 0 };
	const json_t *then = json_object_get(value, "then"),
		     *resets = json_object_get(value, "resets");
	bool resetting = json_is_string(then) && !strcmp(json_string_value(then), "reset-vm");

	read_fields(checker, path, value, "\"on_client_death\"", death_fields, rule);
	if (resetting && !resets)
		complain_value(checker, &then_path,
			"\"reset-vm\" needs \"resets\", the list of VMIDs that this rule may "
			"reset");
	if (!resetting && resets)
		policy_complain(checker, POLICY_ERROR, &resets_path, true,
			"\"resets\" is used only together with \"then\": \"reset-vm\"");
}

/* ---- the rule ---- */

static void read_description(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	const char *text;

	(void)rule;
	read_string(checker, path, value, "\"description\"", &text);
}

static void read_name(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	const struct policy *policy = checker->policy;
	const json_t *number;
	const char *name;

	if (!read_string(checker, path, value, "\"name\"", &name))
		return;
	if (*name == '\0' || strlen(name) > NAME_MAX_BYTES) {
		complain_value(checker, path, "a name must have 1 to %d bytes", NAME_MAX_BYTES);
		return;
	}
	for (const char *c = name; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			complain_value(checker, path, "a name must not hold control characters");
			return;
		}
	number = json_object_get(checker->rule_names, name);
	if (number) {
		const struct policy_rule *other = &policy->rules[json_integer_value(number)];

		complain_value(checker, path,
			"the name \"%s\" is taken by the rule at %s:%u: names are unique over all "
			"files",
			name, other->file, other->line);
		return;
	}
	rule->name = arena_strdup(&checker->policy->arena, name);
	if (!rule->name || json_object_set_new(checker->rule_names, name,
				   json_integer((json_int_t)policy->n_rules)) < 0)
		checker->no_memory = true;
}

static const struct word words_effect[] = {
	{ "allow", 1 },
	{ "deny", 2 },
	{ NULL, 0 },
};

static void read_effect(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	unsigned effect;

	(void)rule;
	read_word(checker, path, value, "effect", words_effect, &effect);
}

static void read_operations(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	rule->operations = 0;
	read_words(checker, path, value, "operation", words_operations, &rule->operations);
}

static void read_vms(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_ranges(checker, path, value, "a VMID", VMID_MAX, NEVER_MATCHES, &rule->vms);
}

static void read_access(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_word(checker, path, value, "access", words_access, &rule->access);
}

static void read_lifetimes(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	read_words(checker, path, value, "lifetime", words_lifetimes, &rule->lifetimes);
}

static const struct word words_sanitize[] = { { "required", 1 }, { NULL, 0 } };

static void read_sanitize(struct checker *checker, const struct path *path, const json_t *value,
	struct policy_rule *rule)
{
	unsigned required;

	rule->sanitize = read_word(checker, path, value, "\"sanitize\"", words_sanitize, &required);
}

static const struct field rule_fields[] = {
	{ "name", read_name, 0, true },
	{ "description", read_description, 0, false },
	{ "effect", read_effect, 0, true },
	{ "subject", read_subject, 0, false },
	{ "operations", read_operations, KEY_BIT(KEY_OPERATIONS), false },
	{ "vms", read_vms, KEY_BIT(KEY_VMS), false },
	{ "access", read_access, KEY_BIT(KEY_ACCESS), false },
	{ "memory", read_memory, 0, false },
	{ "lifetimes", read_lifetimes, KEY_BIT(KEY_LIFETIMES), false },
	{ "limits", read_limits, 0, false },
	{ "sanitize", read_sanitize, 0, false },
	{ "on_client_death", read_on_client_death, 0, false },
	{ NULL, NULL, 0, false },
};

/* ---- what several keys say together ---- */

static void warn_about_key(
	struct checker *checker, const struct path *path, const char *key, const char *text)
{
	struct path at = { path, key, 0 };

	policy_complain(checker, POLICY_WARNING, &at, true, "\"%s\" %s", key, text);
}

static void look_at_allow(
	struct checker *checker, const struct path *path, const struct policy_rule *rule)
{
	struct path memory = { path, "memory", 0 };

	if (!rule_gives(rule, KEY_OPERATIONS))
		policy_complain(checker, POLICY_WARNING, path, false,
			"the rule allows nothing: list \"operations\"");
	else if (!(rule->operations & OPERATIONS_MEMORY) && rule->given & KEYS_MEMORY)
		policy_complain(checker, POLICY_WARNING, path, false,
			"the rule speaks of memory, but of none of share, lend and donate: its "
			"other "
			"operations are not restricted by that");
	if (rule->regions.n > 0 && rule_gives(rule, KEY_SOURCES) &&
		!(rule->sources & POLICY_SOURCE_REGIONS))
		warn_about_key(checker, &memory, "regions",
			"has no effect: list \"regions\" in \"sources\" too");
	else if (rule->regions.n > 0 && !rule_gives(rule, KEY_SOURCES) &&
		 rule->operations & OPERATIONS_GIVE_AWAY)
		warn_about_key(checker, &memory, "regions",
			"has no effect on lend and donate: without \"sources\" only copy and "
			"private "
			"may be given away; list \"regions\" in \"sources\"");
	if (rule_gives(rule, KEY_SOURCES) && rule->sources & POLICY_SOURCE_REGIONS &&
		rule->regions.n == 0)
		warn_about_key(checker, &memory, "sources",
			"lists \"regions\", but the rule names no range: list them in \"regions\"");
}

static void look_at_deny(struct checker *checker, const struct path *path, const json_t *value,
	const struct policy_rule *rule)
{
	static const char *const moot[] = { "limits", "sanitize", "on_client_death" };

	for (size_t i = 0; i < ARRAY_SIZE(moot); i++)
		if (json_object_get(value, moot[i]))
			warn_about_key(checker, path, moot[i], "has no effect in a deny rule");
	if (rule_gives(rule, KEY_ACCESS) && rule->access != GHRM_RIGHT_RWX)
		warn_about_key(checker, path, "access",
			"of a deny rule matches only grants within it: a request for more is not "
			"refused by this rule");
	if (rule_gives(rule, KEY_OPERATIONS) && !(rule->operations & OPERATIONS_MEMORY) &&
		rule->given & KEYS_MEMORY)
		policy_complain(checker, POLICY_WARNING, path, false,
			"the rule can never match: it speaks of memory, but of none of share, lend "
			"and "
			"donate");
}

static struct policy_rule *new_rule(struct checker *checker)
{
	struct policy *policy = checker->policy;
	struct policy_rule *rule;

	if (policy->n_rules == policy->allocated_rules) {
		size_t allocated = policy->allocated_rules ? policy->allocated_rules * 2 : 16;
		struct policy_rule *rules =
			reallocarray(policy->rules, allocated, sizeof(*policy->rules));

		if (!rules) {
			checker->no_memory = true;
			return NULL;
		}
		policy->rules = rules;
		policy->allocated_rules = allocated;
	}
	rule = &policy->rules[policy->n_rules];
	*rule = (struct policy_rule){
		.name = "",
		.file = checker->file,
		.file_number = checker->file_number,
		.limits = { UINT64_MAX, UINT64_MAX, UINT64_MAX },
		.recall_usec = RECALL_DEFAULT_USEC,
	};
	return rule;
}

void read_rule(struct checker *checker, const struct path *path, const json_t *value)
{
	struct policy_rule *rule = new_rule(checker);
	const char *effect = json_string_value(json_object_get(value, "effect"));
	size_t errors = checker->report.n_errors;
	struct place place;

	if (!rule)
		return;
	place = locator_find(&checker->locator, path, false);
	rule->line = place.line;
	rule->column = place.column;
	/* Known before the other keys are read: what an empty list means depends on it. */
	rule->allow = !effect || strcmp(effect, "deny") != 0;
	if (rule->allow) {
		rule->access = GHRM_RIGHT_R | GHRM_RIGHT_W;
		rule->lifetimes = POLICY_CONNECTION;
	} else {
		rule->operations = OPERATIONS_ALL;
	}
	read_fields(checker, path, value, "a rule", rule_fields, rule);
	/* Rules with errors are kept: later ones may not take their names. */
	checker->policy->n_rules++;
	if (checker->report.n_errors > errors)
		return;
	if (rule->allow)
		look_at_allow(checker, path, rule);
	else
		look_at_deny(checker, path, value, rule);
}
