/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The broker's errors: name, number of the public enumeration, and words. An error's parameters are
 * as hostile as everything else: what is missing or of the wrong type is left out of the sentence.
 */

#include "ghmem/client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

struct outcome_text {
	FILE *to;
	json_t *parameters;
};

static const char *text_of(const struct outcome_text *text, const char *name, const char *otherwise)
{
	const char *value;

	return field_text(text->parameters, name, &value) ? value : otherwise;
}

static void say_reason(const struct outcome_text *text, const char *what)
{
	const char *reason = text_of(text, "reason", NULL);

	fputs(what, text->to);
	if (reason)
		fprintf(text->to, ": %s", reason);
}

static void say_denied(const struct outcome_text *text)
{
	const char *rule = text_of(text, "rule", NULL);

	fputs("denied by policy", text->to);
	if (rule)
		fprintf(text->to, ", rule \"%s\"", rule);
	say_reason(text, "");
}

static void say_quota(const struct outcome_text *text)
{
	uint64_t used, maximum;

	fprintf(text->to, "quota exceeded: %s", text_of(text, "limit", "a limit of the policy"));
	if (field_number(text->parameters, "used", INT64_MAX, &used) &&
		field_number(text->parameters, "maximum", INT64_MAX, &maximum))
		fprintf(text->to, ", %" PRIu64 " of %" PRIu64 " used", used, maximum);
	say_reason(text, "");
}

static void say_handle(const struct outcome_text *text)
{
	uint64_t handle;

	if (field_number(text->parameters, "handle", UINT32_MAX, &handle))
		fprintf(text->to, " %" PRIu64, handle);
}

static void say_not_found(const struct outcome_text *text)
{
	fputs("no such parcel", text->to);
	if (!field_absent(text->parameters, "handle"))
		fputs(":", text->to);
	say_handle(text);
}

static void say_in_use(const struct outcome_text *text)
{
	const json_t *vms = json_object_get(text->parameters, "vms");
	const char *before = " by VM ";

	fputs("parcel", text->to);
	say_handle(text);
	fputs(" is still held", text->to);
	for (size_t i = 0; i < json_array_size(vms); i++) {
		const json_t *vm = json_array_get(vms, i);

		if (!json_is_integer(vm))
			continue;
		fprintf(text->to, "%s0x%" PRIx64, before, (uint64_t)json_integer_value(vm));
		before = ", ";
	}
}

static void say_memory(const struct outcome_text *text)
{
	uint64_t i;

	say_reason(text, "the memory cannot be used");
	if (field_number(text->parameters, "index", INT64_MAX, &i))
		fprintf(text->to, " (region %" PRIu64 ", counted from 0)", i);
}

static void say_manager(const struct outcome_text *text)
{
	const char *message = text_of(text, "message", NULL);
	uint64_t code;

	fprintf(text->to, "the Resource Manager refused: %s",
		text_of(text, "name", "unknown error"));
	if (field_number(text->parameters, "code", UINT32_MAX, &code))
		fprintf(text->to, " (%" PRIu64 ")", code);
	if (message)
		fprintf(text->to, ": %s", message);
}

static void say_unavailable(const struct outcome_text *text)
{
	say_reason(text, "the Resource Manager is not available");
}

static void say_unknown(const struct outcome_text *text)
{
	say_reason(text, "the outcome is not known and the memory stays withheld");
}

static void say_parameter(const struct outcome_text *text)
{
	fprintf(text->to, "the broker does not accept the parameter \"%s\"",
		text_of(text, "parameter", "?"));
}

static void say_unsupported(const struct outcome_text *text)
{
	fprintf(text->to, "the broker does not know \"%s\"",
		text_of(text, "method", text_of(text, "interface", "?")));
}

static void say_not_implemented(const struct outcome_text *text)
{
	fprintf(text->to, "this version of the broker cannot do \"%s\" yet",
		text_of(text, "method", "?"));
}

static void say_policy_invalid(const struct outcome_text *text)
{
	say_reason(text, "the policy was not read again");
}

static void say_permission(const struct outcome_text *text)
{
	fputs("permission denied by the broker", text->to);
}

static const struct {
	const char *name;
	enum ghmem_outcome outcome;
	void (*say)(const struct outcome_text *text);
} outcomes[] = {
	{ BROKER "PolicyDenied", GHMEM_POLICY_DENIED, say_denied },
	{ BROKER "QuotaExceeded", GHMEM_QUOTA_EXCEEDED, say_quota },
	{ BROKER "ParcelNotFound", GHMEM_PARCEL_NOT_FOUND, say_not_found },
	{ BROKER "ParcelInUse", GHMEM_PARCEL_IN_USE, say_in_use },
	{ BROKER "MemoryInvalid", GHMEM_MEMORY_INVALID, say_memory },
	{ BROKER "ManagerError", GHMEM_MANAGER_ERROR, say_manager },
	{ BROKER "ManagerUnavailable", GHMEM_MANAGER_UNAVAILABLE, say_unavailable },
	{ BROKER "OutcomeUnknown", GHMEM_OUTCOME_UNKNOWN, say_unknown },
	{ "org.varlink.service.InvalidParameter", GHMEM_INVALID_PARAMETER, say_parameter },
	{ "org.varlink.service.MethodNotFound", GHMEM_NOT_SUPPORTED, say_unsupported },
	{ "org.varlink.service.MethodNotImplemented", GHMEM_NOT_IMPLEMENTED, say_not_implemented },
	{ BROKER "PolicyInvalid", GHMEM_POLICY_INVALID, say_policy_invalid },
	{ "org.varlink.service.InterfaceNotFound", GHMEM_NOT_SUPPORTED, say_unsupported },
	{ "org.varlink.service.PermissionDenied", GHMEM_PERMISSION_DENIED, say_permission },
};

int client_refused(struct ghmem *connection, const char *name, json_t *parameters)
{
	struct outcome_text text = { .parameters = parameters };
	enum ghmem_outcome outcome = GHMEM_OTHER_ERROR;
	size_t size;
	char *words = NULL;

	connection->error_name = strdup(name);
	connection->error_parameters =
		json_is_object(parameters) ? json_dumps(parameters, JSON_COMPACT) : strdup("{}");
	text.to = open_memstream(&words, &size);
	if (!connection->error_name || !connection->error_parameters || !text.to) {
		if (text.to)
			fclose(text.to);
		free(words);
		return -ENOMEM;
	}
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
		if (strcmp(outcomes[i].name, name) != 0)
			continue;
		outcome = outcomes[i].outcome;
		outcomes[i].say(&text);
		break;
	}
	if (outcome == GHMEM_OTHER_ERROR)
		fprintf(text.to, "the broker answered with the error %s %s", name,
			connection->error_parameters);
	if (fclose(text.to) != 0) {
		free(words);
		return -ENOMEM;
	}
	free(connection->error_text);
	connection->error_text = words;
	return outcome;
}
