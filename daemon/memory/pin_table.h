/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What this process has put to the holder or found there, until it is certain that the holder has
 * let go of it. The rings are this table's and nobody else's: a pin ends only by way of
 * pin_record_disown(), whatever becomes of the objects that speak of it.
 */

#include <stdbool.h>
#include <stddef.h>

#include "daemon/holder/protocol.h"

struct pin_record {
	uint64_t name;
	uint64_t size, pages;
	int ring;     /* -1: no pin, or none that is to be kept */
	bool owed;    /* to be dropped, or put with an unknown outcome, which is to be undone */
	bool held;    /* the present holder has it */
	bool guarded; /* the keeper has it */
	char tag[HOLDER_TAG_MAX];
};

struct pin_table {
	struct pin_record *records; /* ascending names */
	size_t n, allocated;
};

/* Closes the rings. */
void pin_table_done(struct pin_table *table);

/* Adds an owed record. name must be above all others. NULL: no memory. Valid until the next change. */
struct pin_record *pin_table_add(struct pin_table *table, uint64_t name, uint64_t size);

struct pin_record *pin_table_find(struct pin_table *table, uint64_t name);

/* Of an owed record. */
void pin_table_remove(struct pin_table *table, struct pin_record *record);

/* A ring that is to stay although the holder does not have it. */
bool pin_record_is_bare(const struct pin_record *record);

/* The ring is closed, and the holder's entry is owed. */
void pin_record_disown(struct pin_record *record);

/* The holder has died, and with it everything that was owed. */
void pin_table_bury_holder(struct pin_table *table);

size_t pin_table_count_owed(const struct pin_table *table);
size_t pin_table_count_bare(const struct pin_table *table);
size_t pin_table_count_rings(const struct pin_table *table);
