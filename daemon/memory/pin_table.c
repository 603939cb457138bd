/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/pin_table.h"

#include "util/util.h"

void pin_table_done(struct pin_table *table)
{
	for (size_t i = 0; i < table->n; i++)
		util_close(table->records[i].ring);
	free(table->records);
	*table = (struct pin_table){ 0 };
}

struct pin_record *pin_table_add(struct pin_table *table, uint64_t name, uint64_t size)
{
	struct pin_record *record;

	if (table->n == table->allocated) {
		size_t more = table->allocated ? table->allocated * 2 : 64;

		record = reallocarray(table->records, more, sizeof(*record));
		if (!record)
			return NULL;
		table->records = record;
		table->allocated = more;
	}
	record = &table->records[table->n++];
	*record = (struct pin_record){ .name = name, .size = size, .ring = -1, .owed = true };
	return record;
}

struct pin_record *pin_table_find(struct pin_table *table, uint64_t name)
{
	/* Hardly more than a Resource Manager's parcels, of which there are 64. */
	for (size_t i = 0; i < table->n; i++)
		if (table->records[i].name == name)
			return &table->records[i];
	return NULL;
}

void pin_table_remove(struct pin_table *table, struct pin_record *record)
{
	size_t i = (size_t)(record - table->records);

	table->n--;
	memmove(record, record + 1, (table->n - i) * sizeof(*record));
}

bool pin_record_is_bare(const struct pin_record *record)
{
	return record->ring >= 0 && !record->held;
}

void pin_record_disown(struct pin_record *record)
{
	record->ring = util_close(record->ring);
	record->owed = true;
}

void pin_table_bury_holder(struct pin_table *table)
{
	for (size_t i = table->n; i-- > 0;) {
		table->records[i].held = false;
		if (table->records[i].owed)
			pin_table_remove(table, &table->records[i]);
	}
}

size_t pin_table_count_owed(const struct pin_table *table)
{
	size_t n = 0;

	for (size_t i = 0; i < table->n; i++)
		n += table->records[i].owed;
	return n;
}

size_t pin_table_count_bare(const struct pin_table *table)
{
	size_t n = 0;

	for (size_t i = 0; i < table->n; i++)
		n += pin_record_is_bare(&table->records[i]);
	return n;
}

size_t pin_table_count_rings(const struct pin_table *table)
{
	size_t n = 0;

	for (size_t i = 0; i < table->n; i++)
		n += table->records[i].ring >= 0;
	return n;
}
