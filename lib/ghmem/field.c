/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghmem/client.h"

bool field_number(const json_t *object, const char *name, uint64_t maximum, uint64_t *ret)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0 ||
		(uint64_t)json_integer_value(value) > maximum)
		return false;
	*ret = (uint64_t)json_integer_value(value);
	return true;
}

bool field_text(const json_t *object, const char *name, const char **ret)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_string(value))
		return false;
	*ret = json_string_value(value);
	return true;
}

bool field_bool(const json_t *object, const char *name, bool *ret)
{
	const json_t *value = json_object_get(object, name);

	if (!json_is_boolean(value))
		return false;
	*ret = json_is_true(value);
	return true;
}

bool field_absent(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return !value || json_is_null(value);
}
