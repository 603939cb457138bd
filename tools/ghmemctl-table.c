/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Parcels, a line each, in columns as wide as they need. */

#include <errno.h>
#include <inttypes.h>

#include "tools/ghmemctl.h"

enum column { HANDLE, OPERATION, STATE, VMS, SIZE, REGIONS, AGE, UID, RULE, N_COLUMNS };

static const struct {
	const char *title;
	bool right;
} columns[N_COLUMNS] = {
	[HANDLE] = { "HANDLE", true },
	[OPERATION] = { "OPERATION", false },
	[STATE] = { "STATE", false },
	[VMS] = { "VMS", false },
	[SIZE] = { "SIZE", true },
	[REGIONS] = { "REGIONS", true },
	[AGE] = { "AGE", true },
	[UID] = { "UID", true },
	[RULE] = { "RULE", false },
};

struct row {
	char *cells[N_COLUMNS];
	enum colour colour; /* of the state */
};

struct ctl_table {
	struct row *rows;
	size_t n, allocated;
};

int ctl_table_new(struct ctl_table **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? 0 : -ENOMEM;
}

static void row_done(struct row *row)
{
	for (size_t i = 0; i < N_COLUMNS; i++)
		free(row->cells[i]);
}

struct ctl_table *ctl_table_free(struct ctl_table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->n; i++)
		row_done(&table->rows[i]);
	free(table->rows);
	free(table);
	return NULL;
}

static char *number_text(uint64_t number)
{
	char *text;

	return asprintf(&text, "%" PRIu64, number) < 0 ? NULL : text;
}

int ctl_table_add(struct ctl_table *table, const struct ghmem_parcel *parcel)
{
	char handle[HANDLE_MAX], bytes[UTIL_BYTES_MAX], age[DURATION_MAX];
	struct row row = { .colour = ctl_state_colour(ghmem_parcel_state(parcel)) };

	if (table->n == table->allocated) {
		size_t n = table->allocated ? table->allocated * 2 : 16;
		struct row *rows = reallocarray(table->rows, n, sizeof(*rows));

		if (!rows)
			return -ENOMEM;
		table->rows = rows;
		table->allocated = n;
	}
	row.cells[HANDLE] = strdup(ctl_format_handle(parcel, handle, sizeof(handle)));
	row.cells[OPERATION] = strdup(ghmem_parcel_operation_name(parcel));
	row.cells[STATE] = strdup(ghmem_parcel_state_name(parcel));
	row.cells[VMS] = ctl_format_holders(parcel);
	row.cells[SIZE] =
		strdup(util_format_bytes(ghmem_parcel_size(parcel), bytes, sizeof(bytes)));
	row.cells[REGIONS] = number_text(ghmem_parcel_regions(parcel));
	row.cells[AGE] = strdup(ctl_format_duration(ghmem_parcel_age(parcel), age, sizeof(age)));
	row.cells[UID] = number_text(ghmem_parcel_uid(parcel));
	row.cells[RULE] = strdup(ghmem_parcel_rule(parcel));
	for (size_t i = 0; i < N_COLUMNS; i++) {
		if (!row.cells[i]) {
			row_done(&row);
			return -ENOMEM;
		}
		ctl_printable(row.cells[i]);
	}
	table->rows[table->n++] = row;
	return 0;
}

size_t ctl_table_rows(const struct ctl_table *table)
{
	return table->n;
}

static void print_cell(size_t column, const char *text, size_t width, enum colour colour)
{
	int before = columns[column].right ? (int)(width - strlen(text)) : 0;
	bool last = column == N_COLUMNS - 1;
	int after = columns[column].right || last ? 0 : (int)(width - strlen(text));

	printf("%*s%s%s%s%*s%s", before, "", ctl_colour_on(colour), text, ctl_colour_off(colour),
		after, "", last ? "\n" : "  ");
}

void ctl_table_print(const struct ctl_table *table)
{
	size_t widths[N_COLUMNS];

	for (size_t c = 0; c < N_COLUMNS; c++) {
		widths[c] = strlen(columns[c].title);
		for (size_t i = 0; i < table->n; i++)
			if (strlen(table->rows[i].cells[c]) > widths[c])
				widths[c] = strlen(table->rows[i].cells[c]);
	}
	for (size_t c = 0; c < N_COLUMNS; c++)
		print_cell(c, columns[c].title, widths[c], COLOUR_BOLD);
	for (size_t i = 0; i < table->n; i++)
		for (size_t c = 0; c < N_COLUMNS; c++)
			print_cell(c, table->rows[i].cells[c], widths[c],
				c == STATE ? table->rows[i].colour : COLOUR_NONE);
}
