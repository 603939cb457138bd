/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What goes to the terminal, and what an error means for the exit status. */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <unistd.h>

#include "tools/ghmemctl.h"

char *ctl_printable(char *text)
{
	for (unsigned char *at = (unsigned char *)text; *at; at++) {
		/* U+0080 to U+009F are control characters too; in UTF-8 they begin with 0xc2. */
		bool c1 = at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0;

		if (c1)
			*at++ = '?';
		if (c1 || *at < 0x20 || *at == 0x7f)
			*at = *at == '\n' || *at == '\t' ? ' ' : '?';
	}
	return text;
}

static void _printf_(1, 0) ctl_complain_v(const char *format, va_list arguments)
{
	char *text = NULL;

	ctl_progress_clear();
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	fprintf(stderr, "ghmemctl: %s\n", text ? ctl_printable(text) : "no memory");
	free(text);
}

void ctl_complain(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	ctl_complain_v(format, arguments);
	va_end(arguments);
}

int ctl_usage(const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	if (vasprintf(&text, format, arguments) < 0)
		text = NULL;
	va_end(arguments);
	ctl_complain("%s. See ghmemctl --help", text ? text : "bad usage");
	return EXIT_USAGE;
}

static const char *address_path(const struct options *options)
{
	return strncmp(options->address, "unix:", 5) == 0 ? options->address + 5 : options->address;
}

int broker_connect(const struct options *options, struct ghmem **ret)
{
	const char *hint = "Is it running? systemctl start ghmemd, or give --address=unix:PATH";
	int r = ghmem_connect(options->address, ret);

	if (r == 0)
		return EXIT_DONE;
	if (r == -EINVAL) /* the option was checked; the environment was not */
		return ctl_usage("\"%s\" is no address: it wants unix:PATH", options->address);
	if (r == -EACCES)
		hint = "Its socket does not let you in";
	else if (r == -ENAMETOOLONG)
		hint = "Give a shorter path, 107 bytes at most";
	ctl_complain(
		"cannot reach ghmemd at %s: %s. %s", address_path(options), strerror(-r), hint);
	return EXIT_UNREACHABLE;
}

/* The library's outcomes: exit status, and what to do next. */
static const struct {
	enum ghmem_outcome outcome;
	enum exit_status status;
	const char *next;
} outcomes[] = {
	{ GHMEM_POLICY_DENIED, EXIT_DENIED,
		"ghmemctl check says why; policy is in ghmemd.policy(5)" },
	{ GHMEM_QUOTA_EXCEEDED, EXIT_DENIED,
		"Reclaim parcels (ghmemctl list) or raise the rule's limits" },
	{ GHMEM_PARCEL_NOT_FOUND, EXIT_NO_PARCEL, "ghmemctl list shows yours" },
	{ GHMEM_PARCEL_IN_USE, EXIT_FAILED, "The VM has to release it, or be reset" },
	{ GHMEM_MEMORY_INVALID, EXIT_FAILED, NULL },
	{ GHMEM_MANAGER_ERROR, EXIT_FAILED, NULL },
	{ GHMEM_MANAGER_UNAVAILABLE, EXIT_FAILED,
		"Try again when ghmemctl status shows its link up" },
	{ GHMEM_OUTCOME_UNKNOWN, EXIT_FAILED, "ghmemd settles it by itself; see ghmemctl list" },
	{ GHMEM_INVALID_PARAMETER, EXIT_FAILED, NULL },
	{ GHMEM_NOT_SUPPORTED, EXIT_FAILED, "Do ghmemctl and ghmemd have the same version?" },
	{ GHMEM_PERMISSION_DENIED, EXIT_DENIED, NULL },
	{ GHMEM_NOT_IMPLEMENTED, EXIT_FAILED, NULL },
	{ GHMEM_POLICY_INVALID, EXIT_FAILED, "ghmemctl policy verify checks the files" },
	{ GHMEM_OTHER_ERROR, EXIT_FAILED, NULL },
};

int broker_failed(const struct options *options, const struct ghmem *connection, int r)
{
	const char *text = ghmem_error_text(connection);

	if (r == -ECONNRESET) {
		ctl_complain(
			"ghmemd at %s closed the connection before it answered. Look at its log: "
			"journalctl -u ghmemd",
			address_path(options));
		return EXIT_UNREACHABLE;
	}
	for (size_t i = 0; i < ARRAY_SIZE(outcomes); i++) {
		if ((int)outcomes[i].outcome != r)
			continue;
		if (outcomes[i].next)
			ctl_complain("%s. %s", text, outcomes[i].next);
		else
			ctl_complain("%s", text);
		return outcomes[i].status;
	}
	ctl_complain("%s", *text ? text : strerror(-r));
	return EXIT_FAILED;
}

char *ctl_format_duration(uint64_t usec, char *buffer, size_t size)
{
	uint64_t seconds = usec / 1000000;

	if (seconds < 1)
		snprintf(buffer, size, "%" PRIu64 " ms", usec / 1000);
	else if (seconds < 60)
		snprintf(buffer, size, "%" PRIu64 " s", seconds);
	else if (seconds < 3600)
		snprintf(buffer, size, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
	else if (seconds < 86400)
		snprintf(buffer, size, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600,
			seconds / 60 % 60);
	else
		snprintf(buffer, size, "%" PRIu64 " d %" PRIu64 " h", seconds / 86400,
			seconds / 3600 % 24);
	return buffer;
}

char *ctl_format_handle(const struct ghmem_parcel *parcel, char *buffer, size_t size)
{
	uint32_t handle;

	if (ghmem_parcel_handle(parcel, &handle) < 0)
		snprintf(buffer, size, "-");
	else
		snprintf(buffer, size, "%" PRIu32, handle);
	return buffer;
}

char *ctl_format_holders(const struct ghmem_parcel *parcel)
{
	char *text = NULL;
	size_t size;
	FILE *to = open_memstream(&text, &size);

	if (!to)
		return NULL;
	for (size_t i = 0; i < ghmem_parcel_n_holders(parcel); i++) {
		uint16_t vmid;
		unsigned access;
		bool accepted;

		if (ghmem_parcel_holder(parcel, i, &vmid, &access, &accepted) < 0)
			break;
		fprintf(to, "%s0x%x:r%s%s%s", i ? "," : "", vmid, access & GHMEM_WRITE ? "w" : "",
			access & GHMEM_EXEC ? "x" : "", accepted ? "*" : "");
	}
	if (ghmem_parcel_n_holders(parcel) == 0)
		fputc('-', to);
	if (fclose(to) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static bool has_colour(void)
{
	static int answer = -1;

	if (answer < 0) {
		const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

		answer = isatty(STDOUT_FILENO) && !(no && *no) &&
			 !(term && strcmp(term, "dumb") == 0);
	}
	return answer;
}

const char *ctl_colour_on(enum colour colour)
{
	if (!has_colour())
		return "";
	switch (colour) {
	case COLOUR_NONE: return "";
	case COLOUR_BOLD: return "\033[1m";
	case COLOUR_GREEN: return "\033[32m";
	case COLOUR_YELLOW: return "\033[33m";
	case COLOUR_RED: return "\033[31m";
	}
	return "";
}

const char *ctl_colour_off(enum colour colour)
{
	return has_colour() && colour != COLOUR_NONE ? "\033[0m" : "";
}

enum colour ctl_state_colour(enum ghmem_state state)
{
	switch (state) {
	case GHMEM_STATE_HELD: return COLOUR_GREEN;
	case GHMEM_STATE_BUILDING:
	case GHMEM_STATE_RECLAIMING: return COLOUR_YELLOW;
	case GHMEM_STATE_QUARANTINED: return COLOUR_RED;
	case GHMEM_STATE_OFFERED:
	case GHMEM_STATE_OTHER: return COLOUR_NONE;
	}
	return COLOUR_NONE;
}

int ctl_output_flush(void)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return EXIT_DONE;
	ctl_complain("cannot write the output: %s", strerror(errno));
	return EXIT_FAILED;
}

int ctl_output_json(const json_t *json)
{
	/* A program that reads a held parcel must know its end without the end of the file. */
	size_t layout = isatty(STDOUT_FILENO) ? JSON_INDENT(2) : 0;

	if (!json || json_dumpf(json, stdout, layout | JSON_ENCODE_ANY) < 0) {
		ctl_complain("cannot write the output");
		return EXIT_FAILED;
	}
	putchar('\n');
	return ctl_output_flush();
}

static bool progress_shown;

void ctl_progress(const char *format, ...)
{
	va_list arguments;
	const char *term = getenv("TERM");

	if (!isatty(STDERR_FILENO) || (term && strcmp(term, "dumb") == 0))
		return;
	fputs("\r\033[K", stderr);
	va_start(arguments, format);
	vfprintf(stderr, format, arguments);
	va_end(arguments);
	fflush(stderr);
	progress_shown = true;
}

void ctl_progress_clear(void)
{
	if (!progress_shown)
		return;
	fputs("\r\033[K", stderr);
	fflush(stderr);
	progress_shown = false;
}
