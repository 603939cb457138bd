/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/internal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/*
 * A decision in words. Every rule goes through the very matcher that decides; the index is left out,
 * because it passes over the rules whose reasons are wanted here.
 */

#define PASSED_OVER_MAX 8

static const char *const key_names[] = {
	[KEY_USERS] = "subject.users",
	[KEY_GROUPS] = "subject.groups",
	[KEY_UNITS] = "subject.units",
	[KEY_OPERATIONS] = "operations",
	[KEY_VMS] = "vms",
	[KEY_ACCESS] = "access",
	[KEY_TYPES] = "memory.types",
	[KEY_SOURCES] = "memory.sources",
	[KEY_REGIONS] = "memory.regions",
	[KEY_LABELS] = "memory.labels",
	[KEY_LIFETIMES] = "lifetimes",
	[KEY_NONE] = "",
};

static void print_vms(
	FILE *out, const struct policy_rule *rule, const struct policy_request *request)
{
	for (size_t i = 0; i < request->n_grants; i++) {
		unsigned vmid = request->grants[i].vmid;

		if (!range_set_contains(&rule->vms, vmid, vmid)) {
			fprintf(out, "VM %u is not in vms", vmid);
			return;
		}
	}
}

static void print_access(
	FILE *out, const struct policy_rule *rule, const struct policy_request *request)
{
	char most[ACCESS_TEXT_MAX], wanted[ACCESS_TEXT_MAX];

	for (size_t i = 0; i < request->n_grants; i++)
		if (request->grants[i].rights & ~rule->access) {
			fprintf(out, "VM %u would get \"%s\", access is at most \"%s\"%s",
				(unsigned)request->grants[i].vmid,
				access_name(request->grants[i].rights, wanted),
				access_name(rule->access, most),
				rule_gives(rule, KEY_ACCESS) ? "" : " when left out");
			return;
		}
}

static void print_sources(
	FILE *out, const struct policy_rule *rule, const struct policy_request *request)
{
	unsigned missing = request_sources(request) & ~rule_sources_for(rule, request->operation);
	const char *name = word_name(words_sources, missing & -missing);

	fprintf(out,
		rule_gives(rule, KEY_SOURCES) ? "source \"%s\" is not in memory.sources"
					      : "source \"%s\" needs memory.sources: left out, "
						"only copy and private may be given away",
		name ? name : "?");
}

static void print_regions(
	FILE *out, const struct policy_rule *rule, const struct policy_request *request)
{
	for (size_t i = 0; i < request->n_regions; i++) {
		const struct ghrm_region *region = &request->regions[i];

		if (range_set_contains(
			    &rule->regions, region->address, region->address + region->size - 1) &&
			region->size > 0)
			continue;
		fprintf(out, "the range 0x%" PRIx64 "+0x%" PRIx64 " is not in memory.regions",
			region->address, region->size);
		return;
	}
	fprintf(out, "memory.regions lists no fixed range");
}

/* Why an allow rule does not match: the part that is outside. */
static void print_outside(FILE *out, const struct policy_rule *rule,
	const struct policy_request *request, enum rule_key key)
{
	const char *name;

	switch (key) {
	case KEY_OPERATIONS:
		name = policy_operation_name(request->operation);
		fprintf(out, "\"%s\" is not in operations", name ? name : "?");
		break;
	case KEY_VMS: print_vms(out, rule, request); break;
	case KEY_ACCESS: print_access(out, rule, request); break;
	case KEY_TYPES:
		fprintf(out, "\"%s\" is not in memory.types",
			request->mem_type == GHRM_MEM_NORMAL ? "normal"
			: request->mem_type == GHRM_MEM_IO   ? "io"
							     : "?");
		break;
	case KEY_SOURCES: print_sources(out, rule, request); break;
	case KEY_REGIONS: print_regions(out, rule, request); break;
	case KEY_LABELS:
		fprintf(out, "label %" PRIu32 " is not in memory.labels", request->label);
		break;
	case KEY_LIFETIMES:
		name = policy_lifetime_name(request->lifetime);
		fprintf(out, "\"%s\" is not in lifetimes%s", name ? name : "?",
			rule_gives(rule, KEY_LIFETIMES) ? "" : " (connection only, when left out)");
		break;
	case KEY_USERS:
	case KEY_GROUPS:
	case KEY_UNITS:
	case KEY_NONE: break;
	}
}

static void print_passed_over(FILE *out, const struct policy_rule *rule,
	const struct policy_request *request, enum rule_key key)
{
	fprintf(out, "; rule \"%s\" (%s:%u): ", rule->name, rule->file, rule->line);
	if (rule->allow || key == KEY_OPERATIONS)
		print_outside(out, rule, request, key);
	else
		fprintf(out, "nothing of the request is in its %s", key_names[key]);
}

static struct policy_decision explain(
	FILE *out, const struct policy *policy, const struct policy_request *request)
{
	size_t passed[PASSED_OVER_MAX], n_passed = 0, i;
	const struct policy_rule *rule = NULL;

	for (i = 0; i < policy->n_rules; i++) {
		enum rule_key key = rule_match(&policy->rules[i], request);

		if (key == KEY_NONE) {
			rule = &policy->rules[i];
			break;
		}
		if (key > KEY_UNITS && n_passed++ < PASSED_OVER_MAX)
			passed[n_passed - 1] = i;
	}
	if (rule)
		fprintf(out, "%s by rule \"%s\" (%s:%u)", rule->allow ? "allowed" : "denied",
			rule->name, rule->file, rule->line);
	else if (n_passed == 0)
		fprintf(out, "no rule matches: none is about this client (uid %u)",
			(unsigned)request->subject.uid);
	else
		fprintf(out, "no rule matches");
	for (i = 0; i < n_passed && i < PASSED_OVER_MAX; i++)
		print_passed_over(out, &policy->rules[passed[i]], request,
			rule_match(&policy->rules[passed[i]], request));
	if (n_passed > PASSED_OVER_MAX)
		fprintf(out, "; and %zu more", n_passed - PASSED_OVER_MAX);
	return (struct policy_decision){ rule && rule->allow, rule };
}

int policy_explain(const struct policy *policy, const struct policy_request *request,
	struct policy_decision *ret, char **ret_reason)
{
	struct policy_decision decision;
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	bool failed;

	if (!out)
		return -ENOMEM;
	decision = explain(out, policy, request);
	failed = ferror(out);
	if (fclose(out) != 0 || failed) {
		free(text);
		return -ENOMEM;
	}
	*ret = decision;
	*ret_reason = text;
	return 0;
}
