/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* monitor: a line per event. */

#include <errno.h>
#include <inttypes.h>
#include <time.h>

#include "tools/ghmemctl.h"

/* Later than this, in microseconds, a time stamp can only be one of the wall clock (the year 2001). */
#define WALL_CLOCK_MIN 1000000000000000ull

static void print_time(uint64_t usec)
{
	time_t seconds = (time_t)(usec / 1000000);
	char text[32] = "";
	struct tm tm;

	if (usec >= WALL_CLOCK_MIN && localtime_r(&seconds, &tm))
		strftime(text, sizeof(text), "%H:%M:%S", &tm);
	else
		snprintf(text, sizeof(text), "%" PRIu64, usec / 1000000);
	printf("%s.%03u  ", text, (unsigned)(usec / 1000 % 1000));
}

static enum colour kind_colour(const char *kind)
{
	if (strcmp(kind, "denied") == 0 || strcmp(kind, "quarantined") == 0)
		return COLOUR_RED;
	return strcmp(kind, "held") == 0 ? COLOUR_GREEN : COLOUR_NONE;
}

static void print_parcel(const struct ghmem_parcel *parcel)
{
	char handle[HANDLE_MAX], bytes[UTIL_BYTES_MAX];
	_cleanup_free_ char *holders = ctl_format_holders(parcel);

	printf("  parcel %s, %s of %s, %s", ctl_format_handle(parcel, handle, sizeof(handle)),
		ghmem_parcel_operation(parcel) == GHMEM_OPERATION_OTHER
			? "?"
			: ghmem_parcel_operation_name(parcel),
		util_format_bytes(ghmem_parcel_size(parcel), bytes, sizeof(bytes)),
		holders ? holders : "?");
}

static int print_event(const struct ghmem_event *event, void *userdata)
{
	const struct options *options = userdata;
	const struct ghmem_parcel *parcel = ghmem_event_parcel(event);
	const char *detail = ghmem_event_detail(event);
	_cleanup_free_ char *kind = strdup(ghmem_event_kind(event));
	_cleanup_free_ char *words = detail ? strdup(detail) : NULL;
	enum colour colour = kind_colour(ghmem_event_kind(event));

	if (!kind || (detail && !words))
		return -ENOMEM;
	if (option_given(options, OPTION_JSON)) {
		puts(ghmem_event_json(event));
		return ctl_output_flush() == EXIT_DONE ? 0 : -EIO;
	}
	print_time(ghmem_event_time(event));
	printf("%s%-15s%s", ctl_colour_on(colour), ctl_printable(kind), ctl_colour_off(colour));
	if (parcel)
		print_parcel(parcel);
	if (ghmem_event_vm(event) >= 0)
		printf("  VM 0x%x", (unsigned)ghmem_event_vm(event));
	if (words)
		printf("  %s", ctl_printable(words));
	putchar('\n');
	return ctl_output_flush() == EXIT_DONE ? 0 : -EIO;
}

int command_monitor(const struct options *options)
{
	_cleanup_(broker_closep) struct ghmem *connection = NULL;
	_cleanup_close_ int signals = -1;
	int r = options_no_operands(options);

	if (r == EXIT_DONE)
		r = broker_connect(options, &connection);
	if (r != EXIT_DONE)
		return r;
	signals = signals_new();
	if (signals < 0) {
		ctl_complain("cannot watch for signals: %s", strerror(-signals));
		return EXIT_FAILED;
	}
	ghmem_set_cancel_fd(connection, signals);
	r = ghmem_monitor(connection, print_event, (void *)options);
	if (r == 0 || r == -ECANCELED)
		return EXIT_DONE;
	if (r == -EIO) /* print_event has complained */
		return EXIT_FAILED;
	return broker_failed(options, connection, r);
}
