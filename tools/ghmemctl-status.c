/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The daemon at a glance: whatever its Status says, a line per field. Nothing is expected of the
 * fields but that names with "bytes" hold bytes and names with "uptime" or "usec" microseconds, so
 * that a newer daemon's are shown too.
 */

#include <ctype.h>
#include <inttypes.h>

#include "tools/ghmemctl.h"

#define STATUS_DEPTH_MAX 4

enum unit { UNIT_NONE, UNIT_BYTES, UNIT_USEC };

static enum unit unit_of(const char *key, enum unit outer)
{
	if (strstr(key, "bytes"))
		return UNIT_BYTES;
	if (strstr(key, "uptime") || strstr(key, "usec"))
		return UNIT_USEC;
	return outer;
}

/* The name for people: "slots_used" is "Slots used". */
static void print_title(const char *key, int width)
{
	char title[64];

	snprintf(title, sizeof(title), "%s:", key);
	for (char *at = title; *at; at++)
		if (*at == '_')
			*at = ' ';
	title[0] = (char)toupper((unsigned char)title[0]);
	printf("%s%-*s%s ", ctl_colour_on(COLOUR_BOLD), width + 1, ctl_printable(title),
		ctl_colour_off(COLOUR_BOLD));
}

static void print_number(uint64_t number, enum unit unit)
{
	char bytes[UTIL_BYTES_MAX], duration[DURATION_MAX];

	switch (unit) {
	case UNIT_NONE: printf("%" PRIu64, number); break;
	case UNIT_BYTES: fputs(util_format_bytes(number, bytes, sizeof(bytes)), stdout); break;
	case UNIT_USEC:
		fputs(ctl_format_duration(number, duration, sizeof(duration)), stdout);
		break;
	}
}

static void print_word(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);

	fputs(copy ? ctl_printable(copy) : "?", stdout);
}

static void print_value(json_t *value, enum unit unit, unsigned depth)
{
	const char *separator = "", *key;
	json_t *inner;
	size_t i;

	if (json_is_string(value)) {
		print_word(json_string_value(value));
	} else if (json_is_integer(value) && json_integer_value(value) >= 0) {
		print_number((uint64_t)json_integer_value(value), unit);
	} else if (json_is_number(value)) {
		printf("%g", json_number_value(value));
	} else if (json_is_boolean(value)) {
		fputs(json_is_true(value) ? "yes" : "no", stdout);
	} else if (json_is_null(value) || depth == STATUS_DEPTH_MAX) {
		fputs(json_is_null(value) ? "-" : "…", stdout);
	} else if (json_is_array(value)) {
		json_array_foreach (value, i, inner) {
			fputs(separator, stdout);
			print_value(inner, unit, depth + 1);
			separator = ", ";
		}
		if (json_array_size(value) == 0)
			fputs("none", stdout);
	} else {
		json_object_foreach (value, key, inner) {
			fputs(separator, stdout);
			print_word(key);
			fputs(json_is_object(inner) ? ": " : " ", stdout);
			print_value(inner, unit_of(key, unit), depth + 1);
			separator = json_is_object(inner) ? "; " : ", ";
		}
	}
}

int command_status(const struct options *options)
{
	_cleanup_(broker_closep) struct ghmem *connection = NULL;
	_cleanup_(json_unrefp) json_t *status = NULL;
	_cleanup_free_ char *text = NULL;
	const char *key;
	json_t *value;
	int width = 0;
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
	json_object_foreach (status, key, value)
		if ((int)strlen(key) > width && strlen(key) < 32)
			width = (int)strlen(key);
	json_object_foreach (status, key, value) {
		print_title(key, width);
		print_value(value, unit_of(key, UNIT_NONE), 0);
		putchar('\n');
	}
	return ctl_output_flush();
}
