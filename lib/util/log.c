/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "util/log.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#define LOG_TEXT_MAX   2048
#define LOG_FIELDS_MAX 16

static const char *log_program = "ghmemd";
static int log_max_level = LOG_INFO;
static bool log_to_journal;

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long device, inode;
	struct stat st;

	return stream && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

void log_open(const char *program, int level)
{
	log_program = program;
	log_max_level = level;
	log_to_journal = stderr_is_journal();
}

int log_level(void)
{
	return log_max_level;
}

int log_level_from_name(const char *name)
{
	static const struct {
		const char *name;
		int level;
	} levels[] = {
		{ "debug", LOG_DEBUG },
		{ "info", LOG_INFO },
		{ "notice", LOG_NOTICE },
		{ "warning", LOG_WARNING },
		{ "err", LOG_ERR },
	};

	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i].name, name) == 0)
			return levels[i].level;
	return -EINVAL;
}

static void emit_journal(int level, const char *message_id, const struct log_field *fields,
	size_t n_fields, const char *text)
{
	struct iovec iov[LOG_FIELDS_MAX + 3];
	char *owned[LOG_FIELDS_MAX + 3];
	int n = 0;

	if (asprintf(&owned[n], "PRIORITY=%d", level) >= 0)
		n++;
	if (asprintf(&owned[n], "MESSAGE=%s", text) >= 0)
		n++;
	if (message_id && asprintf(&owned[n], "MESSAGE_ID=%s", message_id) >= 0)
		n++;
	for (size_t i = 0; i < n_fields && i < LOG_FIELDS_MAX; i++)
		if (fields[i].value &&
			asprintf(&owned[n], "%s=%s", fields[i].name, fields[i].value) >= 0)
			n++;
	for (int i = 0; i < n; i++)
		iov[i] = (struct iovec){ owned[i], strlen(owned[i]) };
	sd_journal_sendv(iov, n);
	for (int i = 0; i < n; i++)
		free(owned[i]);
}

/* One write per line, so that lines of several threads and processes do not mix. */
static void emit_stderr(const struct log_field *fields, size_t n_fields, const char *text)
{
	char line[LOG_TEXT_MAX * 2];
	size_t room = sizeof(line) - 1, used;
	int n = snprintf(line, room, "%s: %s", log_program, text);

	used = n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	for (size_t i = 0; i < n_fields; i++) {
		if (!fields[i].value)
			continue;
		n = snprintf(line + used, room - used, " [%s=%s]", fields[i].name, fields[i].value);
		if (n < 0 || (size_t)n >= room - used)
			break;
		used += (size_t)n;
	}
	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0)
		return;
}

static void emit(int level, const char *message_id, const struct log_field *fields, size_t n_fields,
	const char *format, va_list args) _printf_(5, 0);

static void emit(int level, const char *message_id, const struct log_field *fields, size_t n_fields,
	const char *format, va_list args)
{
	char text[LOG_TEXT_MAX];

	if (level > log_max_level)
		return;
	vsnprintf(text, sizeof(text), format, args);
	for (char *c = text; *c; c++) /* what a client sent may stand in a line, but not make one */
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	if (log_to_journal)
		emit_journal(level, message_id, fields, n_fields, text);
	else
		emit_stderr(fields, n_fields, text);
}

void log_event(int level, const char *message_id, const struct log_field *fields, size_t n_fields,
	const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit(level, message_id, fields, n_fields, format, args);
	va_end(args);
}

void log_line(int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	emit(level, NULL, NULL, 0, format, args);
	va_end(args);
}

void log_lines(int level, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		log_line(level, "%.*s", (int)n, text);
		text += n + (text[n] == '\n');
	}
}
