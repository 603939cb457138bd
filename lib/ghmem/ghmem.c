/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The methods of org.ghmem.Broker, one function each. */

#include "ghmem/client.h"

#include <errno.h>

static int call_request(struct ghmem *connection, const char *method, enum request_method kind,
	const struct ghmem_request *request, const char *operation, uid_t uid, json_t **ret)
{
	_cleanup_(request_fds_done) struct request_fds fds = { .own = -1 };
	json_t *parameters = NULL;
	const char *fault = NULL;
	int r = request_build(request, kind, &parameters, &fds, &fault);

	if (r < 0)
		return client_fail(connection, r, "%s",
			fault ? fault : "the request could not be put together");
	if ((operation &&
		    json_object_set_new(parameters, "operation", json_string(operation)) < 0) ||
		(uid != (uid_t)-1 &&
			json_object_set_new(parameters, "uid", json_integer(uid)) < 0)) {
		json_decref(parameters);
		return client_fail(connection, -ENOMEM, "no memory, or a word that is not UTF-8");
	}
	return client_call(connection, method, parameters, fds.fds, fds.n, ret);
}

static int take_parcel(struct ghmem *connection, const json_t *reply, struct ghmem_parcel **ret)
{
	int r = parcel_parse(json_object_get(reply, "parcel"), ret);

	if (r == -EBADMSG)
		return client_bad_reply(connection, "no proper parcel in it");
	return r < 0 ? client_fail(connection, r, "no memory") : 0;
}

/* A descriptor that the reply names must have come with it. */
static int take_memory(struct ghmem *connection, const json_t *reply, int *ret)
{
	uint64_t i;

	*ret = -1;
	if (field_absent(reply, "fd"))
		return 0;
	if (field_number(reply, "fd", WIRE_FDS_MAX, &i))
		*ret = wire_take_fd(&connection->wire, (size_t)i);
	return *ret < 0 ? client_bad_reply(connection, "it names a descriptor that did not come")
			: 0;
}

static int give(struct ghmem *connection, const char *method, enum request_method kind,
	const struct ghmem_request *request, struct ghmem_parcel **ret, int *ret_fd)
{
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_close_ int fd = -1;
	struct ghmem_parcel *parcel;
	uint64_t offset = 0;
	int r = call_request(connection, method, kind, request, NULL, (uid_t)-1, &reply);

	if (r != 0)
		return r;
	if (!field_absent(reply, "offset") && !field_number(reply, "offset", INT64_MAX, &offset))
		return client_bad_reply(connection, "its offset is no number of bytes");
	r = take_memory(connection, reply, &fd);
	if (r == 0)
		r = take_parcel(connection, reply, &parcel);
	if (r < 0)
		return r;
	if (!field_absent(reply, "offset"))
		parcel_set_offset(parcel, offset);
	*ret = parcel;
	if (ret_fd)
		*ret_fd = TAKE_FD(fd);
	return 0;
}

int ghmem_share(struct ghmem *connection, const struct ghmem_request *request,
	struct ghmem_parcel **ret, int *ret_fd)
{
	return give(connection, BROKER "Share", REQUEST_SHARE, request, ret, ret_fd);
}

int ghmem_lend(struct ghmem *connection, const struct ghmem_request *request,
	struct ghmem_parcel **ret, int *ret_fd)
{
	return give(connection, BROKER "Lend", REQUEST_LEND, request, ret, ret_fd);
}

int ghmem_donate(
	struct ghmem *connection, const struct ghmem_request *request, struct ghmem_parcel **ret)
{
	return give(connection, BROKER "Donate", REQUEST_DONATE, request, ret, NULL);
}

static json_t *handle_json(uint32_t handle, const uint64_t *offset, unsigned flags)
{
	json_t *parameters = json_pack("{s:I}", "handle", (json_int_t)handle);

	if ((offset && json_object_set_new(
			       parameters, "offset", json_integer((json_int_t)*offset)) < 0) ||
		((flags & GHMEM_SANITIZE) &&
			json_object_set_new(parameters, "sanitize", json_true()) < 0) ||
		((flags & GHMEM_FORCE) &&
			json_object_set_new(parameters, "force", json_true()) < 0)) {
		json_decref(parameters);
		return NULL;
	}
	return parameters;
}

int ghmem_reclaim(struct ghmem *connection, uint32_t handle, unsigned flags)
{
	_cleanup_json_ json_t *reply = NULL;

	return client_call(
		connection, BROKER "Reclaim", handle_json(handle, NULL, flags), NULL, 0, &reply);
}

int ghmem_reclaim_piece(struct ghmem *connection, uint32_t handle, uint64_t offset, unsigned flags)
{
	_cleanup_json_ json_t *reply = NULL;

	if (offset > INT64_MAX)
		return client_fail(connection, -EINVAL, "the offset is too large");
	return client_call(
		connection, BROKER "Reclaim", handle_json(handle, &offset, flags), NULL, 0, &reply);
}

int ghmem_check(struct ghmem *connection, const char *operation,
	const struct ghmem_request *request, uid_t uid, bool *ret_allowed, char **ret_rule,
	char **ret_reason)
{
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_free_ char *rule_copy = NULL, *reason_copy = NULL;
	const char *rule = NULL, *reason;
	bool allowed;
	int r = call_request(
		connection, BROKER "Check", REQUEST_CHECK, request, operation, uid, &reply);

	if (r != 0)
		return r;
	if (!field_bool(reply, "allowed", &allowed) || !field_text(reply, "reason", &reason) ||
		(!field_absent(reply, "rule") && !field_text(reply, "rule", &rule)))
		return client_bad_reply(connection, "no proper decision in it");
	rule_copy = rule ? strdup(rule) : NULL;
	reason_copy = strdup(reason);
	if (!reason_copy || (rule && !rule_copy))
		return client_fail(connection, -ENOMEM, "no memory");
	*ret_allowed = allowed;
	if (ret_rule)
		*ret_rule = TAKE_PTR(rule_copy);
	if (ret_reason)
		*ret_reason = TAKE_PTR(reason_copy);
	return 0;
}

int ghmem_describe(struct ghmem *connection, uint32_t handle, struct ghmem_parcel **ret)
{
	_cleanup_json_ json_t *reply = NULL;
	int r = client_call(
		connection, BROKER "Describe", handle_json(handle, NULL, 0), NULL, 0, &reply);

	return r != 0 ? r : take_parcel(connection, reply, ret);
}

struct listing {
	ghmem_parcel_fn function;
	void *userdata;
	int result; /* the first that was not 0; the replies after it are read and dropped */
};

static int list_reply(struct ghmem *connection, json_t *reply, void *userdata)
{
	struct listing *listing = userdata;
	struct ghmem_parcel *parcel;
	int r;

	/* The reply that only says "these were all" names no parcel. */
	if (listing->result != 0 || field_absent(reply, "parcel"))
		return 0;
	r = take_parcel(connection, reply, &parcel);
	if (r < 0)
		return r;
	listing->result = listing->function(parcel, listing->userdata);
	ghmem_parcel_free(parcel);
	return 0;
}

int ghmem_list(struct ghmem *connection, ghmem_parcel_fn function, void *userdata)
{
	struct listing listing = { .function = function, .userdata = userdata };
	int r = client_call_more(connection, BROKER "List", json_object(), list_reply, &listing);

	return r != 0 ? r : listing.result;
}

int ghmem_status(struct ghmem *connection, char **ret_json)
{
	_cleanup_json_ json_t *reply = NULL;
	const json_t *status;
	char *text;
	int r = client_call(connection, BROKER "Status", json_object(), NULL, 0, &reply);

	if (r != 0)
		return r;
	status = json_object_get(reply, "status");
	if (!json_is_object(status))
		return client_bad_reply(connection, "no status in it");
	text = json_dumps(status, JSON_COMPACT);
	if (!text)
		return client_fail(connection, -ENOMEM, "no memory");
	*ret_json = text;
	return 0;
}

int ghmem_reload(struct ghmem *connection, uint64_t *ret_files, uint64_t *ret_rules)
{
	_cleanup_json_ json_t *reply = NULL;
	uint64_t files, rules;
	int r = client_call(connection, BROKER "Reload", json_object(), NULL, 0, &reply);

	if (r != 0)
		return r;
	if (!field_number(reply, "files", INT64_MAX, &files) ||
		!field_number(reply, "rules", INT64_MAX, &rules))
		return client_bad_reply(connection, "no numbers of files and rules in it");
	if (ret_files)
		*ret_files = files;
	if (ret_rules)
		*ret_rules = rules;
	return 0;
}

int ghmem_accept(
	struct ghmem *connection, uint32_t handle, struct ghmem_region **ret_regions, size_t *ret_n)
{
	_cleanup_json_ json_t *reply = NULL;
	_cleanup_free_ struct ghmem_region *regions = NULL;
	const json_t *array;
	size_t n;
	int r = client_call(
		connection, BROKER "Accept", handle_json(handle, NULL, 0), NULL, 0, &reply);

	if (r != 0)
		return r;
	array = json_object_get(reply, "regions");
	n = json_array_size(array);
	if (!json_is_array(array))
		return client_bad_reply(connection, "no regions in it");
	regions = calloc(n ? n : 1, sizeof(*regions));
	if (!regions)
		return client_fail(connection, -ENOMEM, "no memory");
	for (size_t i = 0; i < n; i++) {
		const json_t *region = json_array_get(array, i);

		if (!field_number(region, "address", INT64_MAX, &regions[i].address) ||
			!field_number(region, "size", INT64_MAX, &regions[i].size))
			return client_bad_reply(connection, "a region in it is none");
	}
	*ret_regions = TAKE_PTR(regions);
	*ret_n = n;
	return 0;
}

int ghmem_release(struct ghmem *connection, uint32_t handle, unsigned flags)
{
	_cleanup_json_ json_t *reply = NULL;

	return client_call(connection, BROKER "Release",
		handle_json(handle, NULL, flags & GHMEM_SANITIZE), NULL, 0, &reply);
}
