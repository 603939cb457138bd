/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The daemon at a glance. Fields that a daemon does not send are left out; --json shows all of them. */

#include <inttypes.h>

#include "tools/ghmemctl.h"

static uint64_t number_of(const json_t *object, const char *key)
{
	json_int_t number = json_integer_value(json_object_get(object, key));

	return number > 0 ? (uint64_t)number : 0;
}

static void title(const char *name)
{
	printf("%s%-17s%s ", ctl_colour_on(COLOUR_BOLD), name, ctl_colour_off(COLOUR_BOLD));
}

/* Strings of the daemon, made harmless; "-" for what is none. */
static void print_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	_cleanup_free_ char *copy = text ? strdup(text) : NULL;

	fputs(copy ? ctl_printable(copy) : "-", stdout);
}

static void print_bytes(uint64_t bytes)
{
	char text[UTIL_BYTES_MAX];

	fputs(util_format_bytes(bytes, text, sizeof(text)), stdout);
}

static void print_count(uint64_t count, const char *noun)
{
	printf("%" PRIu64 " %s%s", count, noun, count == 1 ? "" : "s");
}

static void print_daemon(const json_t *status)
{
	char duration[DURATION_MAX];

	title("ghmemd");
	print_text(status, "version");
	if (json_object_get(status, "uptime"))
		printf(", up %s", ctl_format_duration(
					  number_of(status, "uptime"), duration, sizeof(duration)));
	putchar('\n');
}

static void print_manager(const json_t *status)
{
	const char *state = json_string_value(json_object_get(status, "manager_state"));
	enum colour colour = state && strcmp(state, "up") == 0 ? COLOUR_GREEN : COLOUR_RED;

	title("Resource Manager");
	print_text(status, "manager");
	fputs(", link ", stdout);
	fputs(ctl_colour_on(colour), stdout);
	print_text(status, "manager_state");
	fputs(ctl_colour_off(colour), stdout);
	if (json_is_true(json_object_get(status, "emulated")))
		fputs(" (an emulator: no VM really gets the memory)", stdout);
	putchar('\n');
}

static void print_parcels(const json_t *status)
{
	const json_t *amount;
	size_t i;

	title("Parcels");
	printf("%" PRIu64 ", ", number_of(status, "parcels"));
	print_bytes(number_of(status, "bytes"));
	printf("; %" PRIu64 " of %" PRIu64 " slots used\n", number_of(status, "slots_used"),
		number_of(status, "slots_maximum"));
	json_array_foreach (json_object_get(status, "amounts"), i, amount) {
		if (number_of(amount, "parcels") == 0)
			continue;
		title("");
		printf("%" PRIu64 " ", number_of(amount, "parcels"));
		print_text(amount, "state");
		fputs(", ", stdout);
		print_bytes(number_of(amount, "bytes"));
		putchar('\n');
	}
	title("Pinned");
	printf("%" PRIu64 " pages\n", number_of(status, "pinned_pages"));
}

static void print_machine(const json_t *status)
{
	const json_t *limitation = json_object_get(status, "limitation");

	title("Machine");
	if (json_is_string(limitation)) {
		fputs(ctl_colour_on(COLOUR_YELLOW), stdout);
		print_text(status, "limitation");
		fputs(ctl_colour_off(COLOUR_YELLOW), stdout);
	} else {
		fputs("real frame numbers, any amount can be pinned", stdout);
	}
	putchar('\n');
	if (number_of(status, "left_over") == 0)
		return;
	title("Left over");
	fputs(ctl_colour_on(COLOUR_YELLOW), stdout);
	print_count(number_of(status, "left_over"), "parcel");
	printf(" (%" PRIu64 " pages) of a daemon before this one, kept pinned%s\n",
		number_of(status, "left_over_pages"), ctl_colour_off(COLOUR_YELLOW));
}

static void print_status(const json_t *status)
{
	print_daemon(status);
	print_manager(status);
	print_parcels(status);
	title("Clients");
	printf("%" PRIu64 "\n", number_of(status, "clients"));
	title("Policy");
	print_count(number_of(status, "policy_rules"), "rule");
	fputs(" in ", stdout);
	print_count(number_of(status, "policy_files"), "file");
	putchar('\n');
	print_machine(status);
}

int command_status(const struct options *options)
{
	_cleanup_(broker_closep) struct ghmem *connection = NULL;
	_cleanup_(json_unrefp) json_t *status = NULL;
	_cleanup_free_ char *text = NULL;
	int r = options_no_operands(options);

	if (r == EXIT_DONE)
		r = broker_connect(options, &connection);
	if (r != EXIT_DONE)
		return r;
	r = ghmem_status(connection, &text);
	if (r != 0)
		return broker_failed(options, connection, r);
	status = json_loads(text, 0, NULL);
	if (option_given(options, OPTION_JSON))
		return ctl_output_json(status);
	print_status(status);
	return ctl_output_flush();
}
