/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/report.h"

#include <errno.h>
#include <stdio.h>

struct report_entry {
	struct policy_fault fault;
	size_t file_number;
	size_t number; /* in the order of adding: keeps the sort stable */
};

static void fault_done(struct policy_fault *fault)
{
	free(fault->file);
	free(fault->message);
}

/* Names out of a file end up on terminals and in logs. */
static void blank_controls(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

void report_addv(struct report *report, enum policy_severity severity, size_t file_number,
	const char *file, const struct place *place, const char *format, va_list arguments)
{
	struct report_entry entry = {
		.fault = { .severity = severity,
			.line = place ? place->line : 0,
			.column = place ? place->column : 0 },
		.file_number = file_number,
		.number = report->n,
	};

	if (severity == POLICY_ERROR)
		report->n_errors++;
	if (report->n == report->allocated) {
		size_t allocated = report->allocated ? report->allocated * 2 : 16;
		struct report_entry *entries =
			reallocarray(report->entries, allocated, sizeof(*entries));

		if (!entries)
			goto no_memory;
		report->entries = entries;
		report->allocated = allocated;
	}
	entry.fault.file = strdup(file);
	if (vasprintf(&entry.fault.message, format, arguments) < 0)
		entry.fault.message = NULL;
	if (!entry.fault.file || !entry.fault.message) {
		fault_done(&entry.fault);
		goto no_memory;
	}
	blank_controls(entry.fault.message);
	report->entries[report->n++] = entry;
	return;

no_memory:
	report->no_memory = true;
}

void report_add(struct report *report, enum policy_severity severity, size_t file_number,
	const char *file, const struct place *place, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	report_addv(report, severity, file_number, file, place, format, arguments);
	va_end(arguments);
}

static int compare(size_t a, size_t b)
{
	return a < b ? -1 : a > b;
}

static int entry_compare(const void *a, const void *b)
{
	const struct report_entry *x = a, *y = b;
	int r = compare(x->file_number, y->file_number);

	if (!r)
		r = compare(x->fault.line, y->fault.line);
	if (!r)
		r = compare(x->fault.column, y->fault.column);
	return r ? r : compare(x->number, y->number);
}

int report_finish(struct report *report, struct policy_report *ret)
{
	struct policy_fault *faults = NULL;

	*ret = (struct policy_report){ 0 };
	if (report->no_memory)
		return -ENOMEM;
	if (report->n == 0)
		return 0;
	faults = calloc(report->n, sizeof(*faults));
	if (!faults)
		return -ENOMEM;
	qsort(report->entries, report->n, sizeof(*report->entries), entry_compare);
	for (size_t i = 0; i < report->n; i++)
		faults[i] = report->entries[i].fault;
	*ret = (struct policy_report){ faults, report->n, report->n_errors };
	report->n = 0;
	return 0;
}

void report_done(struct report *report)
{
	for (size_t i = 0; i < report->n; i++)
		fault_done(&report->entries[i].fault);
	free(report->entries);
	*report = (struct report){ 0 };
}

void policy_report_done(struct policy_report *report)
{
	for (size_t i = 0; i < report->n_faults; i++)
		fault_done(&report->faults[i]);
	free(report->faults);
	*report = (struct policy_report){ 0 };
}
