/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Collects faults in any order and hands them out in the order of file, line and column. */

#include <stdarg.h>

#include "policy/locate.h"
#include "policy/policy.h"
#include "util/util.h"

struct report_entry;

struct report {
	struct report_entry *entries;
	size_t n, allocated;
	size_t n_errors;
	bool no_memory; /* sticky: one test at the end instead of one at each fault */
};

/* place NULL: the file as a whole. file_number orders the files; file is copied. */
void report_addv(struct report *report, enum policy_severity severity, size_t file_number,
	const char *file, const struct place *place, const char *format, va_list arguments)
	__attribute__((format(printf, 6, 0)));
void report_add(struct report *report, enum policy_severity severity, size_t file_number,
	const char *file, const struct place *place, const char *format, ...) _printf_(6, 7);

/* Hands everything over to *ret. Returns 0 or -ENOMEM (then *ret is empty). */
int report_finish(struct report *report, struct policy_report *ret);
void report_done(struct report *report);
