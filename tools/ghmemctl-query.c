/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* list, show, reclaim, check and reload: one call, one answer. */

#include <errno.h>
#include <inttypes.h>

#include "tools/ghmemctl.h"

struct listing {
	struct ctl_table *table; /* one of the two */
	json_t *array;
};

static int list_parcel(const struct ghmem_parcel *parcel, void *userdata)
{
	const struct listing *listing = userdata;

	if (listing->table)
		return ctl_table_add(listing->table, parcel);
	return json_array_append_new(
		       listing->array, json_loads(ghmem_parcel_json(parcel), 0, NULL)) < 0
		       ? -ENOMEM
		       : 0;
}

int command_list(const struct options *options)
{
	_cleanup_(broker_closep) struct ghmem *connection = NULL;
	_cleanup_(ctl_table_freep) struct ctl_table *table = NULL;
	_cleanup_(json_unrefp) json_t *document = NULL;
	struct listing listing = { 0 };
	int r = options_no_operands(options);

	if (r == EXIT_DONE)
		r = broker_connect(options, &connection);
	if (r != EXIT_DONE)
		return r;
	if (option_given(options, OPTION_JSON)) {
		document = json_pack("{s:[]}", "parcels");
		listing.array = json_object_get(document, "parcels");
	} else if (ctl_table_new(&table) == 0) {
		listing.table = table;
	}
	r = listing.array || listing.table ? ghmem_list(connection, list_parcel, &listing)
					   : -ENOMEM;
	if (r != 0)
		return broker_failed(options, connection, r);
	if (document)
		return ctl_output_json(document);
	if (ctl_table_rows(table) == 0)
		puts("no parcels");
	else
		ctl_table_print(table);
	return ctl_output_flush();
}

static void show_line(const char *key, const char *value)
{
	_cleanup_free_ char *text = strdup(value);

	printf("%-10s %s\n", key, text ? ctl_printable(text) : "?");
}

static void show_holders(const struct ghmem_parcel *parcel)
{
	for (size_t i = 0; i < ghmem_parcel_n_holders(parcel); i++) {
		uint16_t vmid;
		unsigned access;
		bool accepted;

		if (ghmem_parcel_holder(parcel, i, &vmid, &access, &accepted) < 0)
			return;
		printf("%-10s 0x%x, r%s%s, %s\n", "vm:", vmid, access & GHMEM_WRITE ? "w" : "",
			access & GHMEM_EXEC ? "x" : "", accepted ? "accepted" : "not accepted");
	}
}

static double milliseconds(const json_t *cost, const char *key)
{
	return (double)json_integer_value(json_object_get(cost, key)) / 1e3;
}

/* What this daemon tells beyond the parcel itself; a field that is not there is left out. */
static void show_more(const struct ghmem_parcel *parcel)
{
	_cleanup_(json_unrefp) json_t *more = json_loads(ghmem_parcel_json(parcel), 0, NULL);
	const json_t *cost = json_object_get(more, "cost");
	const char *reason = json_string_value(json_object_get(more, "reason"));

	if (json_is_false(json_object_get(more, "pinned")))
		show_line("pinned:", "no, this daemon may not pin that much (see ghmemctl status)");
	if (json_is_true(json_object_get(more, "made_up")))
		show_line("addresses:",
			"made up, this daemon sees no frame numbers (see ghmemctl status)");
	if (json_is_object(cost))
		printf("%-10s %.1f ms to populate, %.1f ms to pin, %.1f ms to resolve, %.1f ms "
		       "with "
		       "the Resource Manager\n",
			"time:", milliseconds(cost, "populate"), milliseconds(cost, "pin"),
			milliseconds(cost, "resolve"), milliseconds(cost, "manager"));
	if (reason)
		show_line("waits:", reason);
}

static void show_parcel(const struct ghmem_parcel *parcel)
{
	const char *unit = ghmem_parcel_unit(parcel);
	char handle[HANDLE_MAX], bytes[UTIL_BYTES_MAX], age[DURATION_MAX];
	enum colour colour = ctl_state_colour(ghmem_parcel_state(parcel));
	_cleanup_free_ char *state = strdup(ghmem_parcel_state_name(parcel));

	show_line("handle:", ctl_format_handle(parcel, handle, sizeof(handle)));
	show_line("id:", ghmem_parcel_id(parcel));
	show_line("operation:", ghmem_parcel_operation_name(parcel));
	printf("%-10s %s%s%s\n", "state:", ctl_colour_on(colour),
		state ? ctl_printable(state) : "?", ctl_colour_off(colour));
	show_holders(parcel);
	printf("%-10s %s (%" PRIu64 " bytes)\n",
		"size:", util_format_bytes(ghmem_parcel_size(parcel), bytes, sizeof(bytes)),
		ghmem_parcel_size(parcel));
	printf("%-10s %" PRIu64 "\n", "regions:", ghmem_parcel_regions(parcel));
	printf("%-10s %" PRIu64 "\n", "messages:", ghmem_parcel_messages(parcel));
	show_line("type:", ghmem_parcel_memory_type(parcel) == GHMEM_IO ? "io" : "normal");
	printf("%-10s 0x%" PRIx32 "\n", "label:", ghmem_parcel_label(parcel));
	show_line("lifetime:", ghmem_parcel_detached(parcel) ? "detached" : "connection");
	printf("%-10s %u\n", "uid:", ghmem_parcel_uid(parcel));
	printf("%-10s %d\n", "pid:", (int)ghmem_parcel_pid(parcel));
	show_line("unit:", unit ? unit : "-");
	show_line("rule:", ghmem_parcel_rule(parcel));
	show_line("age:", ctl_format_duration(ghmem_parcel_age(parcel), age, sizeof(age)));
	show_more(parcel);
}

int command_show(const struct options *options)
{
	_cleanup_(broker_closep) struct ghmem *connection = NULL;
	_cleanup_(parcel_freep) struct ghmem_parcel *parcel = NULL;
	_cleanup_(json_unrefp) json_t *json = NULL;
	uint32_t handle;
	int r = options_handle(options, &handle);

	if (r == EXIT_DONE)
		r = broker_connect(options, &connection);
	if (r != EXIT_DONE)
		return r;
	r = ghmem_describe(connection, handle, &parcel);
	if (r != 0)
		return broker_failed(options, connection, r);
	if (option_given(options, OPTION_JSON)) {
		json = json_loads(ghmem_parcel_json(parcel), 0, NULL);
		return ctl_output_json(json);
	}
	show_parcel(parcel);
	return ctl_output_flush();
}

int command_reclaim(const struct options *options)
{
	_cleanup_(broker_closep) struct ghmem *connection = NULL;
	unsigned flags = (option_given(options, OPTION_SANITIZE) ? GHMEM_SANITIZE : 0) |
			 (option_given(options, OPTION_FORCE) ? GHMEM_FORCE : 0);
	uint32_t handle;
	int r = options_handle(options, &handle);

	if (r == EXIT_DONE)
		r = broker_connect(options, &connection);
	if (r != EXIT_DONE)
		return r;
	ctl_progress("reclaiming parcel %" PRIu32 " …", handle);
	if (option_given(options, OPTION_OFFSET))
		r = ghmem_reclaim_piece(connection, handle, options->offset, flags);
	else
		r = ghmem_reclaim(connection, handle, flags);
	ctl_progress_clear();
	if (r != 0)
		return broker_failed(options, connection, r);
	if (option_given(options, OPTION_JSON))
		printf("{\"handle\": %" PRIu32 "}\n", handle);
	else
		printf("parcel %" PRIu32 " is reclaimed\n", handle);
	return ctl_output_flush();
}

/* `check --operation=lend` and `check lend` are the same. */
static int check_operation(const struct options *options, const char **ret)
{
	if (options->n_operands > 1)
		return options_no_operands(options);
	if (options->n_operands == 1 && options->operation)
		return ctl_usage("say the operation once, not \"%s\" and --operation=%s",
			options->operands[0], options->operation);
	*ret = options->n_operands == 1 ? options->operands[0] : options->operation;
	if (!*ret)
		return ctl_usage("which operation? Give --operation=share, lend, donate, …");
	return EXIT_DONE;
}

static void print_decision(bool allowed, char *rule, char *reason)
{
	enum colour colour = allowed ? COLOUR_GREEN : COLOUR_RED;

	printf("%s%s%s\n", ctl_colour_on(colour), allowed ? "allowed" : "denied",
		ctl_colour_off(colour));
	printf("rule: %s\n", rule ? ctl_printable(rule) : "-");
	printf("reason: %s\n", ctl_printable(reason));
}

int command_check(const struct options *options)
{
	_cleanup_(broker_closep) struct ghmem *connection = NULL;
	_cleanup_(request_freep) struct ghmem_request *request = NULL;
	_cleanup_(json_unrefp) json_t *json = NULL;
	_cleanup_free_ char *rule = NULL, *reason = NULL;
	_cleanup_close_ int own = -1;
	const char *operation = NULL;
	uid_t uid = option_given(options, OPTION_UID) ? (uid_t)options->uid : (uid_t)-1;
	bool allowed;
	int fd;
	int r = check_operation(options, &operation);

	if (r == EXIT_DONE)
		r = request_from_options(options, &request, &fd, &own);
	if (r == EXIT_DONE)
		r = broker_connect(options, &connection);
	if (r != EXIT_DONE)
		return r;
	r = ghmem_check(connection, operation, request, uid, &allowed, &rule, &reason);
	if (r != 0)
		return broker_failed(options, connection, r);
	if (option_given(options, OPTION_JSON)) {
		json = json_pack(
			"{s:b, s:s?, s:s}", "allowed", allowed, "rule", rule, "reason", reason);
		r = ctl_output_json(json);
	} else {
		print_decision(allowed, rule, reason);
		r = ctl_output_flush();
	}
	return r == EXIT_DONE && !allowed ? EXIT_DENIED : r;
}

int command_reload(const struct options *options)
{
	_cleanup_(broker_closep) struct ghmem *connection = NULL;
	uint64_t files, rules;
	int r = options_no_operands(options);

	if (r == EXIT_DONE)
		r = broker_connect(options, &connection);
	if (r != EXIT_DONE)
		return r;
	r = ghmem_reload(connection, &files, &rules);
	if (r != 0)
		return broker_failed(options, connection, r);
	if (option_given(options, OPTION_JSON))
		printf("{\"files\": %" PRIu64 ", \"rules\": %" PRIu64 "}\n", files, rules);
	else
		printf("policy in force: %" PRIu64 " %s, %" PRIu64 " %s\n", files,
			files == 1 ? "file" : "files", rules, rules == 1 ? "rule" : "rules");
	return ctl_output_flush();
}
