/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghmem/client.h"

#include <errno.h>

struct holder {
	uint16_t vmid;
	unsigned access;
	bool accepted;
};

/* Strings belong to json. */
struct ghmem_parcel {
	json_t *json;
	char *text;
	const char *id, *operation, *state, *unit, *rule;
	bool has_handle, has_offset;
	uint64_t handle, offset;
	enum ghmem_memory_type memory_type;
	bool detached;
	uint64_t label, size, regions, messages, uid, pid, age;
	struct holder *holders;
	size_t n_holders;
};

static bool parse_access(const char *word, unsigned *ret)
{
	static const struct {
		const char *word;
		unsigned access;
	} accesses[] = {
		{ "r", GHMEM_READ },
		{ "rw", GHMEM_READ | GHMEM_WRITE },
		{ "rx", GHMEM_READ | GHMEM_EXEC },
		{ "rwx", GHMEM_READ | GHMEM_WRITE | GHMEM_EXEC },
	};

	for (size_t i = 0; i < ARRAY_SIZE(accesses); i++) {
		if (strcmp(accesses[i].word, word) == 0) {
			*ret = accesses[i].access;
			return true;
		}
	}
	return false;
}

static int parse_holders(struct ghmem_parcel *parcel)
{
	const json_t *array = json_object_get(parcel->json, "holders");
	size_t n = json_array_size(array);

	if (!json_is_array(array))
		return -EBADMSG;
	parcel->holders = calloc(n ? n : 1, sizeof(*parcel->holders));
	if (!parcel->holders)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *object = json_array_get(array, i);
		struct holder *holder = &parcel->holders[i];
		const char *access;
		uint64_t vmid;

		if (!field_number(object, "vm", UINT16_MAX, &vmid) ||
			!field_text(object, "access", &access) ||
			!parse_access(access, &holder->access) ||
			!field_bool(object, "accepted", &holder->accepted))
			return -EBADMSG;
		holder->vmid = (uint16_t)vmid;
	}
	parcel->n_holders = n;
	return 0;
}

static bool parse_words(struct ghmem_parcel *parcel)
{
	const json_t *json = parcel->json;
	const char *memory_type, *lifetime;

	if (!field_text(json, "id", &parcel->id) || !field_text(json, "rule", &parcel->rule) ||
		!field_text(json, "operation", &parcel->operation) ||
		!field_text(json, "state", &parcel->state) ||
		!field_text(json, "memory_type", &memory_type) ||
		!field_text(json, "lifetime", &lifetime))
		return false;
	if (!field_absent(json, "unit") && !field_text(json, "unit", &parcel->unit))
		return false;
	parcel->memory_type = strcmp(memory_type, "io") == 0 ? GHMEM_IO : GHMEM_NORMAL;
	parcel->detached = strcmp(lifetime, "detached") == 0;
	return true;
}

static bool parse_numbers(struct ghmem_parcel *parcel)
{
	const struct {
		const char *name;
		uint64_t maximum;
		uint64_t *to;
	} numbers[] = {
		{ "label", UINT32_MAX, &parcel->label },
		{ "size", INT64_MAX, &parcel->size },
		{ "regions", INT64_MAX, &parcel->regions },
		{ "messages", INT64_MAX, &parcel->messages },
		{ "uid", UINT32_MAX, &parcel->uid },
		{ "pid", INT32_MAX, &parcel->pid },
		{ "age", INT64_MAX, &parcel->age },
	};

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		if (!field_number(parcel->json, numbers[i].name, numbers[i].maximum, numbers[i].to))
			return false;
	parcel->has_handle = !field_absent(parcel->json, "handle");
	return !parcel->has_handle ||
	       field_number(parcel->json, "handle", UINT32_MAX, &parcel->handle);
}

int parcel_parse(json_t *json, struct ghmem_parcel **ret)
{
	struct ghmem_parcel *parcel;
	int r;

	if (!json_is_object(json))
		return -EBADMSG;
	parcel = calloc(1, sizeof(*parcel));
	if (!parcel)
		return -ENOMEM;
	parcel->json = json_incref(json);
	parcel->text = json_dumps(json, JSON_COMPACT);
	r = !parcel->text                                    ? -ENOMEM
	    : !parse_words(parcel) || !parse_numbers(parcel) ? -EBADMSG
							     : parse_holders(parcel);
	if (r < 0) {
		ghmem_parcel_free(parcel);
		return r;
	}
	*ret = parcel;
	return 0;
}

void parcel_set_offset(struct ghmem_parcel *parcel, uint64_t offset)
{
	parcel->has_offset = true;
	parcel->offset = offset;
}

struct ghmem_parcel *ghmem_parcel_free(struct ghmem_parcel *parcel)
{
	if (!parcel)
		return NULL;
	json_decref(parcel->json);
	free(parcel->text);
	free(parcel->holders);
	free(parcel);
	return NULL;
}

const char *ghmem_parcel_id(const struct ghmem_parcel *parcel)
{
	return parcel->id;
}

int ghmem_parcel_handle(const struct ghmem_parcel *parcel, uint32_t *ret)
{
	if (!parcel->has_handle)
		return -ENODATA;
	*ret = (uint32_t)parcel->handle;
	return 0;
}

/* Where in words a word stands, counted from 1: the order of the public enumerations. 0: nowhere. */
static int word_position(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0)
			return (int)i + 1;
	return 0;
}

enum ghmem_operation ghmem_parcel_operation(const struct ghmem_parcel *parcel)
{
	static const char *const words[] = { "share", "lend", "donate" };

	return (enum ghmem_operation)word_position(words, ARRAY_SIZE(words), parcel->operation);
}

enum ghmem_state ghmem_parcel_state(const struct ghmem_parcel *parcel)
{
	static const char *const words[] = { "building", "offered", "held", "reclaiming",
		"quarantined" };

	return (enum ghmem_state)word_position(words, ARRAY_SIZE(words), parcel->state);
}

enum ghmem_memory_type ghmem_parcel_memory_type(const struct ghmem_parcel *parcel)
{
	return parcel->memory_type;
}

const char *ghmem_parcel_operation_name(const struct ghmem_parcel *parcel)
{
	return parcel->operation;
}

const char *ghmem_parcel_state_name(const struct ghmem_parcel *parcel)
{
	return parcel->state;
}

uint32_t ghmem_parcel_label(const struct ghmem_parcel *parcel)
{
	return (uint32_t)parcel->label;
}

uint64_t ghmem_parcel_size(const struct ghmem_parcel *parcel)
{
	return parcel->size;
}

uint64_t ghmem_parcel_regions(const struct ghmem_parcel *parcel)
{
	return parcel->regions;
}

uint64_t ghmem_parcel_messages(const struct ghmem_parcel *parcel)
{
	return parcel->messages;
}

int ghmem_parcel_offset(const struct ghmem_parcel *parcel, uint64_t *ret)
{
	if (!parcel->has_offset)
		return -ENODATA;
	*ret = parcel->offset;
	return 0;
}

size_t ghmem_parcel_n_holders(const struct ghmem_parcel *parcel)
{
	return parcel->n_holders;
}

int ghmem_parcel_holder(const struct ghmem_parcel *parcel, size_t i, uint16_t *ret_vmid,
	unsigned *ret_access, bool *ret_accepted)
{
	if (i >= parcel->n_holders)
		return -ERANGE;
	if (ret_vmid)
		*ret_vmid = parcel->holders[i].vmid;
	if (ret_access)
		*ret_access = parcel->holders[i].access;
	if (ret_accepted)
		*ret_accepted = parcel->holders[i].accepted;
	return 0;
}

bool ghmem_parcel_detached(const struct ghmem_parcel *parcel)
{
	return parcel->detached;
}

uid_t ghmem_parcel_uid(const struct ghmem_parcel *parcel)
{
	return (uid_t)parcel->uid;
}

pid_t ghmem_parcel_pid(const struct ghmem_parcel *parcel)
{
	return (pid_t)parcel->pid;
}

const char *ghmem_parcel_unit(const struct ghmem_parcel *parcel)
{
	return parcel->unit;
}

const char *ghmem_parcel_rule(const struct ghmem_parcel *parcel)
{
	return parcel->rule;
}

uint64_t ghmem_parcel_age(const struct ghmem_parcel *parcel)
{
	return parcel->age;
}

const char *ghmem_parcel_json(const struct ghmem_parcel *parcel)
{
	return parcel->text;
}
