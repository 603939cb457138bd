/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Structured logging: to the journal when the process's stderr is a journal stream (systemd sets
 * $JOURNAL_STREAM), to stderr as plain lines otherwise. Thread-safe.
 */

#include <stdarg.h>
#include <syslog.h>

#include "util/util.h"

/* Name printed before each line, highest level shown (LOG_ERR … LOG_DEBUG). Call once, first. */
void log_open(const char *program, int level);

/* Highest level shown. */
int log_level(void);

/* "debug", "info", "notice", "warning", "err" to the syslog number; -EINVAL for anything else. */
int log_level_from_name(const char *name);

/* One journal field of an audit or event line, "GHMEM_HANDLE=7". A NULL value is left out. */
struct log_field {
	const char *name;
	const char *value;
};

/*
 * One line with structured fields. message_id: 32 hexadecimal digits that name the kind of event,
 * or NULL. On stderr the fields follow the text in brackets.
 */
void log_event(int level, const char *message_id, const struct log_field *fields, size_t n_fields,
	const char *format, ...) _printf_(5, 6);

void log_line(int level, const char *format, ...) _printf_(2, 3);

/* A text of several lines, one log line each. */
void log_lines(int level, const char *text);

#define log_err(...)     log_line(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_WARNING, __VA_ARGS__)
#define log_notice(...)  log_line(LOG_NOTICE, __VA_ARGS__)
#define log_info(...)    log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...)   log_line(LOG_DEBUG, __VA_ARGS__)
