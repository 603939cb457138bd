/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Every field is checked: a wrong type, a missing or an unknown one, a word that is none. What a value
 * means for memory (misaligned, past the end, zero) is core's to say, so that every face says the same.
 */

#include "daemon/varlink/decode.h"

#include <stdarg.h>
#include <stdio.h>

static bool fault(char **ret_field, const char *format, ...) _printf_(2, 3);

static bool fault(char **ret_field, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_field, format, args) < 0)
		*ret_field = NULL;
	va_end(args);
	return false;
}

/* A field that is left out and one that is null are the same. */
static json_t *field(json_t *object, const char *name)
{
	json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

/* Typos must not be taken for wishes that were granted. */
static bool only(json_t *object, const char *prefix, const char *const *known, char **ret_field)
{
	const char *key;
	json_t *value;

	json_object_foreach (object, key, value) {
		size_t i = 0;

		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			return fault(ret_field, "%s%s", prefix, key);
	}
	return true;
}

static bool get_bool(
	json_t *object, const char *prefix, const char *name, bool *ret, char **ret_field)
{
	json_t *value = field(object, name);

	if (!value)
		return true;
	if (!json_is_boolean(value))
		return fault(ret_field, "%s%s", prefix, name);
	*ret = json_is_true(value);
	return true;
}

static bool get_u64(json_t *object, const char *prefix, const char *name, uint64_t maximum,
	uint64_t *ret, bool *ret_given, char **ret_field)
{
	json_t *value = field(object, name);

	*ret_given = value != NULL;
	if (!value)
		return true;
	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		(uint64_t)json_integer_value(value) > maximum)
		return fault(ret_field, "%s%s", prefix, name);
	*ret = (uint64_t)json_integer_value(value);
	return true;
}

static bool get_choice(json_t *object, const char *name, const char *const choices[2],
	unsigned *ret, char **ret_field)
{
	json_t *value = field(object, name);
	const char *text;

	if (!value)
		return true;
	text = json_string_value(value);
	for (unsigned i = 0; text && i < 2; i++) {
		if (strcmp(text, choices[i]) == 0) {
			*ret = i;
			return true;
		}
	}
	return fault(ret_field, "%s", name);
}

static bool rights_from_text(const char *text, uint8_t *ret)
{
	static const struct {
		const char *text;
		uint8_t rights;
	} words[] = {
		{ "r", GHRM_RIGHT_R },
		{ "rw", GHRM_RIGHT_R | GHRM_RIGHT_W },
		{ "rx", GHRM_RIGHT_R | GHRM_RIGHT_X },
		{ "rwx", GHRM_RIGHT_RWX },
	};

	for (size_t i = 0; text && i < ARRAY_SIZE(words); i++) {
		if (strcmp(words[i].text, text) == 0) {
			*ret = words[i].rights;
			return true;
		}
	}
	return false;
}

static const char *rights_to_text(uint8_t rights)
{
	switch (rights) {
	case GHRM_RIGHT_R: return "r";
	case GHRM_RIGHT_R | GHRM_RIGHT_W: return "rw";
	case GHRM_RIGHT_R | GHRM_RIGHT_X: return "rx";
	default: return "rwx";
	}
}

static bool decode_grants(json_t *parameters, struct request *request, char **ret_field)
{
	static const char *const known[] = { "vm", "access", NULL };
	json_t *list = field(parameters, "grants"), *entry;
	char prefix[32];
	size_t i;

	if (!json_is_array(list))
		return fault(ret_field, "grants");
	request->grants = calloc(json_array_size(list) + 1, sizeof(*request->grants));
	if (!request->grants)
		return fault(ret_field, "grants");
	json_array_foreach (list, i, entry) {
		uint64_t vm = 0;
		bool given;

		snprintf(prefix, sizeof(prefix), "grants[%zu].", i);
		if (!json_is_object(entry))
			return fault(ret_field, "grants[%zu]", i);
		if (!only(entry, prefix, known, ret_field) ||
			!get_u64(entry, prefix, "vm", UINT16_MAX, &vm, &given, ret_field))
			return false;
		if (!given)
			return fault(ret_field, "%svm", prefix);
		if (!rights_from_text(
			    json_string_value(field(entry, "access")), &request->grants[i].rights))
			return fault(ret_field, "%saccess", prefix);
		request->grants[i].vmid = (uint16_t)vm;
		request->n_grants++;
	}
	return true;
}

/* Takes the descriptor that a field names. */
static bool take_fd(
	json_t *object, const char *name, struct varlink_call *call, int *ret, char **ret_field)
{
	uint64_t index = 0;
	bool given;

	if (!get_u64(object, "memory.", name, VARLINK_FDS_MAX - 1, &index, &given, ret_field))
		return false;
	if (!call)
		return true; /* a question about memory that is not there */
	*ret = varlink_call_take_fd(call, index);
	return *ret >= 0 ? true : fault(ret_field, "memory.%s", name);
}

static bool decode_regions(json_t *list, struct request *request, char **ret_field)
{
	static const char *const known[] = { "address", "size", NULL };
	json_t *entry;
	char prefix[40];
	size_t i;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return fault(ret_field, "memory.regions");
	request->regions = calloc(json_array_size(list), sizeof(*request->regions));
	if (!request->regions)
		return fault(ret_field, "memory.regions");
	json_array_foreach (list, i, entry) {
		struct ghrm_region *region = &request->regions[i];
		bool given;

		snprintf(prefix, sizeof(prefix), "memory.regions[%zu].", i);
		if (!json_is_object(entry))
			return fault(ret_field, "memory.regions[%zu]", i);
		if (!only(entry, prefix, known, ret_field) ||
			!get_u64(entry, prefix, "address", INT64_MAX, &region->address, &given,
				ret_field))
			return false;
		if (!given)
			return fault(ret_field, "%saddress", prefix);
		if (!get_u64(entry, prefix, "size", INT64_MAX, &region->size, &given, ret_field))
			return false;
		if (!given)
			return fault(ret_field, "%ssize", prefix);
		request->n_regions++;
	}
	return true;
}

static bool decode_memory(
	json_t *memory, struct varlink_call *call, struct request *request, char **ret_field)
{
	static const char *const known[] = { "fd", "offset", "size", "copy", "allocate", "private",
		"pool", "regions", "regions_fd", NULL };
	bool fd = field(memory, "fd") != NULL, allocate = field(memory, "allocate") != NULL;
	bool regions = field(memory, "regions") != NULL;
	bool regions_fd = field(memory, "regions_fd") != NULL;
	bool offset_given, copy = false, pool = false;

	if (!json_is_object(memory))
		return fault(ret_field, "memory");
	if (!only(memory, "memory.", known, ret_field))
		return false;
	if (fd + allocate + regions + regions_fd != 1)
		return fault(ret_field, "memory");
	if (!get_bool(memory, "memory.", "copy", &copy, ret_field) ||
		!get_bool(memory, "memory.", "private", &request->hidden, ret_field) ||
		!get_bool(memory, "memory.", "pool", &pool, ret_field))
		return false;
	/* Options of another source are a misunderstanding, not a wish that may be ignored. */
	if (copy && !fd)
		return fault(ret_field, "memory.copy");
	if ((request->hidden || pool) && !allocate)
		return fault(ret_field, pool ? "memory.pool" : "memory.private");
	if (!fd && (field(memory, "offset") || field(memory, "size")))
		return fault(ret_field, field(memory, "offset") ? "memory.offset" : "memory.size");

	request->has_memory = true;
	if (fd) {
		request->sources = copy ? POLICY_SOURCE_COPY : POLICY_SOURCE_FD;
		return take_fd(memory, "fd", call, &request->fd, ret_field) &&
		       get_u64(memory, "memory.", "offset", INT64_MAX, &request->offset,
			       &offset_given, ret_field) &&
		       get_u64(memory, "memory.", "size", INT64_MAX, &request->size,
			       &request->size_given, ret_field);
	}
	if (allocate) {
		request->sources = pool              ? POLICY_SOURCE_POOL
				   : request->hidden ? POLICY_SOURCE_PRIVATE
						     : POLICY_SOURCE_ALLOCATE;
		return get_u64(memory, "memory.", "allocate", INT64_MAX, &request->size,
			&request->size_given, ret_field);
	}
	request->sources = POLICY_SOURCE_REGIONS;
	if (field(memory, "regions_fd")) /* not in this version: core says so */
		return true;
	return decode_regions(field(memory, "regions"), request, ret_field);
}

static const char *const memory_types[] = { "normal", "io" };
static const char *const lifetimes[] = { "connection", "detached" };

static bool decode_common(json_t *parameters, struct request *request, char **ret_field)
{
	unsigned type = 0, lifetime = 0;
	uint64_t label = 0;

	if (!get_choice(parameters, "memory_type", memory_types, &type, ret_field) ||
		!get_choice(parameters, "lifetime", lifetimes, &lifetime, ret_field) ||
		!get_u64(parameters, "", "label", UINT32_MAX, &label, &request->label_given,
			ret_field))
		return false;
	request->mem_type = type ? GHRM_MEM_IO : GHRM_MEM_NORMAL;
	request->lifetime = lifetime ? POLICY_DETACHED : POLICY_CONNECTION;
	request->label = (uint32_t)label;
	return true;
}

bool decode_share_or_lend(
	json_t *parameters, struct varlink_call *call, struct request *request, char **ret_field)
{
	static const char *const known_share[] = { "memory", "grants", "memory_type", "label",
		"host_access", "sanitize", "notify", "lifetime", "wait", NULL };
	static const char *const known_lend[] = { "memory", "grants", "memory_type", "label",
		"sanitize", "notify", "lifetime", "wait", NULL };
	bool share = request->verb == VERB_SHARE, wait_given;
	json_t *host = share ? field(parameters, "host_access") : NULL;
	uint64_t wait = 0;

	request->host_rights = GHRM_RIGHT_R | GHRM_RIGHT_W;
	if (!only(parameters, "", share ? known_share : known_lend, ret_field) ||
		!decode_grants(parameters, request, ret_field) ||
		!decode_common(parameters, request, ret_field) ||
		!get_bool(parameters, "", "sanitize", &request->sanitize, ret_field) ||
		!get_bool(parameters, "", "notify", &request->notify, ret_field) ||
		!get_u64(parameters, "", "wait", INT32_MAX, &wait, &wait_given, ret_field))
		return false;
	request->wait_usec = wait * 1000;
	if (host && !rights_from_text(json_string_value(host), &request->host_rights))
		return fault(ret_field, "host_access");
	if (!field(parameters, "memory"))
		return fault(ret_field, "memory");
	return decode_memory(field(parameters, "memory"), call, request, ret_field);
}

static bool decode_handle(json_t *parameters, struct request *request, char **ret_field)
{
	uint64_t handle = 0;
	bool given;

	if (!get_u64(parameters, "", "handle", UINT32_MAX, &handle, &given, ret_field))
		return false;
	request->handle = (uint32_t)handle;
	return given ? true : fault(ret_field, "handle");
}

bool decode_reclaim(json_t *parameters, struct request *request, char **ret_field)
{
	static const char *const known[] = { "handle", "offset", "sanitize", "force", NULL };
	bool force = false;

	if (!only(parameters, "", known, ret_field) ||
		!decode_handle(parameters, request, ret_field) ||
		!get_bool(parameters, "", "sanitize", &request->sanitize, ret_field) ||
		!get_bool(parameters, "", "force", &force, ret_field))
		return false;
	/* Not in this version; a wish that is not granted must not look like one that is. */
	if (force)
		return fault(ret_field, "force");
	return field(parameters, "offset") ? fault(ret_field, "offset") : true;
}

bool decode_describe(json_t *parameters, struct request *request, char **ret_field)
{
	static const char *const known[] = { "handle", NULL };

	return only(parameters, "", known, ret_field) &&
	       decode_handle(parameters, request, ret_field);
}

bool decode_nothing(json_t *parameters, char **ret_field)
{
	static const char *const known[] = { NULL };

	return only(parameters, "", known, ret_field);
}

bool decode_check(json_t *parameters, struct request *request, char **ret_field)
{
	static const char *const known[] = { "operation", "memory", "grants", "memory_type",
		"label", "lifetime", "uid", NULL };
	const char *operation = json_string_value(field(parameters, "operation"));
	uint64_t uid = 0;

	request->check_operation = operation ? policy_operation_from_name(operation) : 0;
	if (!request->check_operation)
		return fault(ret_field, "operation");
	if (!only(parameters, "", known, ret_field) ||
		!decode_grants(parameters, request, ret_field) ||
		!decode_common(parameters, request, ret_field) ||
		!get_u64(parameters, "", "uid", UINT32_MAX - 1, &uid, &request->check_uid_given,
			ret_field))
		return false;
	request->check_uid = (uid_t)uid;
	if (field(parameters, "memory"))
		return decode_memory(field(parameters, "memory"), NULL, request, ret_field);
	request->has_memory = request->n_grants > 0;
	return true;
}

/* ---- replies ---- */

/*
 * Paths and what is made of them may hold any byte, JSON only UTF-8: then every byte that is not ASCII
 * becomes a question mark. NULL becomes null. Returns NULL when out of memory.
 */
static json_t *encode_text(const char *text)
{
	_cleanup_free_ char *copy = NULL;
	json_t *string;

	if (!text)
		return json_null();
	string = json_string(text);
	if (string)
		return string;
	copy = strdup(text);
	for (char *c = copy; c && *c; c++)
		if ((unsigned char)*c >= 0x80)
			*c = '?';
	return copy ? json_string(copy) : NULL;
}

/* Appends a value, stolen, or frees the array: half a list must not pass for the whole. */
static json_t *append(json_t *array, json_t *value)
{
	if (array && json_array_append_new(array, value) == 0)
		return array;
	if (!array)
		json_decref(value);
	json_decref(array);
	return NULL;
}

static json_t *encode_holders(const struct parcel_view *view)
{
	json_t *holders = json_array();

	for (size_t i = 0; holders && i < view->n_holders; i++)
		holders = append(
			holders, json_pack("{s:i, s:s, s:b}", "vm", (int)view->holders[i].vmid,
					 "access", rights_to_text(view->holders[i].rights),
					 "accepted", (int)view->holders[i].accepted));
	return holders;
}

json_t *encode_parcel(const struct parcel_view *view)
{
	json_t *cost = json_pack("{s:I, s:I, s:I, s:I}", "populate",
		(json_int_t)view->populate_usec, "pin", (json_int_t)view->pin_usec, "resolve",
		(json_int_t)view->resolve_usec, "manager", (json_int_t)view->rm_usec);

	return json_pack(
		"{s:o, s:o, s:s, s:s, s:I, s:s, s:I, s:I, s:I, s:o, s:s, s:I, s:I, s:o, s:o, s:I, "
		"s:o, s:b, s:b, s:o}",
		"id", encode_text(view->id), "handle",
		view->handle_known ? json_integer((json_int_t)view->handle) : json_null(),
		"operation", view->verb == VERB_SHARE ? "share" : "lend", "memory_type",
		memory_types[view->mem_type == GHRM_MEM_IO], "label", (json_int_t)view->label,
		"state", parcel_state_name(view->state), "size", (json_int_t)view->size, "regions",
		(json_int_t)view->regions, "messages", (json_int_t)view->messages, "holders",
		encode_holders(view), "lifetime", lifetimes[view->lifetime == POLICY_DETACHED],
		"uid", (json_int_t)view->uid, "pid", (json_int_t)view->pid, "unit",
		encode_text(view->unit), "rule", encode_text(view->rule), "age",
		(json_int_t)view->age_usec, "reason", encode_text(view->reason), "pinned",
		(int)view->pinned, "made_up", (int)view->made_up, "cost", cost);
}

static json_t *encode_amounts(const struct broker_status *status)
{
	json_t *amounts = json_array();

	for (int state = 0; amounts && state < PARCEL_N_STATES; state++)
		amounts = append(amounts, json_pack("{s:s, s:I, s:I}", "state",
						  parcel_state_name((enum parcel_state)state),
						  "parcels", (json_int_t)status->parcels[state],
						  "bytes", (json_int_t)status->bytes[state]));
	return amounts;
}

json_t *encode_status(const struct broker_status *status)
{
	size_t parcels = 0;
	uint64_t bytes = 0;

	for (int state = 0; state < PARCEL_N_STATES; state++) {
		parcels += status->parcels[state];
		bytes += status->bytes[state];
	}
	return json_pack(
		"{s:s, s:o, s:s, s:b, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:b, s:b, "
		"s:o, s:I, s:I}",
		"version", VERSION, "manager", encode_text(status->endpoint), "manager_state",
		status->link_up ? "up" : "lost", "emulated", (int)status->emulated, "amounts",
		encode_amounts(status), "parcels", (json_int_t)parcels, "bytes", (json_int_t)bytes,
		"slots_used", (json_int_t)status->slots_used, "slots_maximum",
		(json_int_t)status->slots_maximum, "pinned_pages", (json_int_t)status->pages_pinned,
		"clients", (json_int_t)status->clients, "policy_files",
		(json_int_t)status->policy_files, "policy_rules", (json_int_t)status->policy_rules,
		"uptime", (json_int_t)status->uptime_usec, "frame_numbers",
		(int)status->frame_numbers, "pins", (int)status->pins, "limitation",
		encode_text(status->limitation), "left_over", (json_int_t)status->left_over_entries,
		"left_over_pages", (json_int_t)status->left_over_pages);
}

json_t *encode_check(const struct reply *reply)
{
	return json_pack("{s:b, s:o, s:o}", "allowed", (int)reply->allowed, "rule",
		encode_text(reply->rule), "reason",
		encode_text(reply->reason ? reply->reason : ""));
}

static json_t *encode_vms(const struct reply *reply)
{
	json_t *vms = json_array();

	for (size_t i = 0; vms && i < reply->n_vms; i++)
		vms = append(vms, json_integer(reply->vms[i]));
	return vms;
}

json_t *encode_error(const struct request *request)
{
	const struct reply *reply = &request->reply;
	const char *reason = reply->reason ? reply->reason : "";

	switch (reply->outcome) {
	case OUTCOME_OK: return json_object();
	case OUTCOME_POLICY_DENIED:
		return json_pack("{s:o, s:o}", "rule", encode_text(reply->rule), "reason",
			encode_text(reason));
	case OUTCOME_QUOTA_EXCEEDED:
		return json_pack("{s:s, s:I, s:I, s:o}", "limit", reply->limit ? reply->limit : "",
			"used", (json_int_t)reply->used, "maximum", (json_int_t)reply->maximum,
			"reason", encode_text(reason));
	case OUTCOME_PARCEL_NOT_FOUND:
		return json_pack("{s:I}", "handle", (json_int_t)request->handle);
	case OUTCOME_PARCEL_IN_USE:
		return json_pack("{s:I, s:o}", "handle", (json_int_t)request->handle, "vms",
			encode_vms(reply));
	case OUTCOME_MEMORY_INVALID: {
		json_t *index = reply->index >= 0 ? json_integer(reply->index) : json_null();

		return json_pack("{s:o, s:o}", "reason", encode_text(reason), "index", index);
	}
	case OUTCOME_MANAGER_ERROR:
		return json_pack("{s:I, s:s, s:o}", "code", (json_int_t)reply->code, "name",
			ghrm_error_name(reply->code), "message", encode_text(reason));
	case OUTCOME_MANAGER_UNAVAILABLE:
	case OUTCOME_POLICY_INVALID:
	case OUTCOME_UNKNOWN: return json_pack("{s:o}", "reason", encode_text(reason));
	case OUTCOME_INVALID_PARAMETER:
		return json_pack("{s:o}", "parameter",
			encode_text(reply->parameter ? reply->parameter : ""));
	}
	return json_object();
}
