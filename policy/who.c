/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/check.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <unistd.h>

/*
 * Users, groups and units. Names become numbers when the policy is loaded, so that a decision never
 * waits for a name service; each name is asked for once.
 */

#define LOOKUP_BUFFER_MAX (16u * 1024 * 1024)

/* 0 with the id; -ENOENT: there is no such name; another -errno: the name service failed. */
static int look_up_with(const char *name, bool is_group, char *buffer, size_t size, uint32_t *ret)
{
	struct passwd passwd, *user = NULL;
	struct group entry, *group = NULL;
	int r = is_group ? getgrnam_r(name, &entry, buffer, size, &group)
			 : getpwnam_r(name, &passwd, buffer, size, &user);

	if (user)
		*ret = user->pw_uid;
	else if (group)
		*ret = group->gr_gid;
	else
		/* getpwnam(3): several error numbers stand for "not found". */
		return r == 0 || r == ENOENT || r == ESRCH || r == EBADF || r == EPERM ? -ENOENT
										       : -r;
	return 0;
}

static int look_up(const char *name, bool is_group, uint32_t *ret)
{
	for (size_t size = 1024; size <= LOOKUP_BUFFER_MAX; size *= 4) {
		_cleanup_free_ char *buffer = malloc(size);
		int r;

		if (!buffer)
			return -ENOMEM;
		r = look_up_with(name, is_group, buffer, size, ret);
		if (r != -ERANGE)
			return r;
	}
	return -ERANGE;
}

/* The answer for a name, kept from the first time on: its number, or a negative errno. */
static int64_t look_up_once(struct checker *checker, const char *name, bool is_group)
{
	json_t *cache = is_group ? checker->groups : checker->users;
	const json_t *known = json_object_get(cache, name);
	uint32_t id = 0;
	int64_t answer;
	int r;

	if (known)
		return json_integer_value(known);
	r = look_up(name, is_group, &id);
	answer = r < 0 ? r : (int64_t)id;
	if (json_object_set_new(cache, name, json_integer(answer)) < 0)
		checker->no_memory = true;
	return answer;
}

static bool read_id(struct checker *checker, const struct path *path, const json_t *value,
	bool is_group, uint32_t *ret)
{
	const char *what = is_group ? "group" : "user", *name = json_string_value(value);
	uint64_t number;
	int64_t answer;

	if (!name && !json_is_integer(value)) {
		complain_value(checker, path, "a %s must be a name or a number, not %s", what,
			type_name(value));
		return false;
	}
	if (name) {
		answer = *name ? look_up_once(checker, name, is_group) : -ENOENT;
		if (answer >= 0) {
			*ret = (uint32_t)answer;
			return true;
		}
		if (answer != -ENOENT) {
			complain_value(checker, path, "%s \"%s\" could not be looked up: %s", what,
				name, strerror((int)-answer));
			return false;
		}
		if (util_parse_u64(name, false, &number) == -EINVAL) {
			complain_value(checker, path,
				"unknown %s \"%s\": no such name on this machine; create it, or "
				"give "
				"its number",
				what, name);
			return false;
		}
	}
	/* The last number stands for "no change" in the kernel's interfaces and is nobody's. */
	if (!read_number(checker, path, value, what, UINT32_MAX - 1, &number))
		return false;
	*ret = (uint32_t)number;
	return true;
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static bool read_ids(struct checker *checker, const struct path *path, const json_t *value,
	bool is_group, struct id_set *ret)
{
	const char *what = is_group ? "groups" : "users";
	size_t i, n = 0, kept = 0;
	bool good = true;
	uint32_t *ids;
	json_t *entry;

	if (!read_list(checker, path, value, what,
		    "it can never match; leave it out, or list somebody"))
		return false;
	ids = arena_alloc(&checker->policy->arena, json_array_size(value) * sizeof(*ids));
	if (!ids) {
		checker->no_memory = true;
		return false;
	}
	json_array_foreach (value, i, entry) {
		struct path at = { path, NULL, i };

		if (read_id(checker, &at, entry, is_group, &ids[n]))
			n++;
		else
			good = false;
	}
	qsort(ids, n, sizeof(*ids), compare_ids);
	for (i = 0; i < n; i++)
		if (i == 0 || ids[i] != ids[i - 1])
			ids[kept++] = ids[i];
	if (kept < n)
		policy_complain(checker, POLICY_WARNING, path, false,
			"\"%s\" names the same %s more than once", what,
			is_group ? "group" : "user");
	*ret = (struct id_set){ ids, kept };
	return good;
}

bool read_users(
	struct checker *checker, const struct path *path, const json_t *value, struct id_set *ret)
{
	return read_ids(checker, path, value, false, ret);
}

bool read_groups(
	struct checker *checker, const struct path *path, const json_t *value, struct id_set *ret)
{
	return read_ids(checker, path, value, true, ret);
}

static bool read_unit(
	struct checker *checker, const struct path *path, const json_t *value, const char **ret)
{
	const char *glob;

	if (!read_string(checker, path, value, "a unit", &glob))
		return false;
	if (*glob == '\0' || strchr(glob, '/')) {
		complain_value(checker, path,
			"unit \"%s\" can never match: give the unit's name, without a path", glob);
		return false;
	}
	if (!strpbrk(glob, ".*?[\\"))
		policy_complain(checker, POLICY_WARNING, path, false,
			"unit \"%s\" has no suffix and can match no unit: did you mean "
			"\"%s.service\"?",
			glob, glob);
	*ret = arena_strdup(&checker->policy->arena, glob);
	if (!*ret)
		checker->no_memory = true;
	return *ret;
}

bool read_units(struct checker *checker, const struct path *path, const json_t *value,
	const char *const **ret, size_t *ret_n)
{
	const char **units;
	bool good = true;
	json_t *entry;
	size_t i;

	if (!read_list(checker, path, value, "units",
		    "it can never match; leave it out, or list a unit"))
		return false;
	units = arena_alloc(&checker->policy->arena, json_array_size(value) * sizeof(*units));
	if (!units) {
		checker->no_memory = true;
		return false;
	}
	json_array_foreach (value, i, entry) {
		struct path at = { path, NULL, i };

		if (!read_unit(checker, &at, entry, &units[i]))
			good = false;
	}
	*ret = units;
	*ret_n = json_array_size(value);
	return good;
}
