/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/locate.h"

#include <stdint.h>
#include <string.h>

#include "util/util.h"

void locator_init(struct locator *locator, const char *text, size_t size)
{
	*locator = (struct locator){ .text = text, .size = size };
}

/* The byte at a place; NUL, which no JSON text contains, stands for the end. */
static char at(const struct locator *l, const struct place *place)
{
	return place->offset < l->size ? l->text[place->offset] : '\0';
}

static void advance(const struct locator *l, struct place *place)
{
	char c = at(l, place);

	if (place->offset >= l->size)
		return;
	place->offset++;
	if (c == '\n') {
		place->line++;
		place->column = 1;
	} else if (place->offset >= l->size || ((unsigned char)at(l, place) & 0xc0) != 0x80) {
		/* The next byte begins a character; continuation bytes belong to this one. */
		place->column++;
	}
}

static void skip_space(const struct locator *l, struct place *place)
{
	while (at(l, place) && strchr(" \t\r\n", at(l, place)))
		advance(l, place);
}

static void skip_string(const struct locator *l, struct place *place)
{
	advance(l, place);
	while (place->offset < l->size && at(l, place) != '"') {
		if (at(l, place) == '\\')
			advance(l, place);
		advance(l, place);
	}
	advance(l, place);
}

static void skip_value(const struct locator *l, struct place *place)
{
	size_t depth = 0;

	do {
		char c = at(l, place);

		if (c == '"') {
			skip_string(l, place);
			continue;
		}
		if (c == '{' || c == '[')
			depth++;
		else if (c == '}' || c == ']')
			depth--;
		advance(l, place);
	} while (place->offset < l->size && (depth > 0 || !strchr(",]}", at(l, place))));
}

static unsigned hex4(const struct locator *l, size_t offset)
{
	unsigned value = 0;

	for (size_t i = 0; i < 4; i++) {
		char c = offset + i < l->size ? l->text[offset + i] : '0';

		value = value << 4 | (unsigned)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

static size_t put_utf8(char *to, unsigned c)
{
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | c >> 18);
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* Decodes one character of a string literal as it stands in the text; returns the bytes written. */
static size_t read_character(const struct locator *l, size_t *offset, char to[4])
{
	static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
	const char *letter;
	unsigned c;

	if (l->text[*offset] != '\\' || *offset + 1 >= l->size) {
		to[0] = l->text[(*offset)++];
		return 1;
	}
	(*offset)++;
	if (l->text[*offset] != 'u') {
		letter = strchr(letters, l->text[*offset]);
		to[0] = letter ? meanings[letter - letters] : l->text[*offset];
		(*offset)++;
		return 1;
	}
	c = hex4(l, *offset + 1);
	*offset += 5;
	if (c >= 0xd800 && c < 0xdc00 && *offset + 6 <= l->size) {
		c = 0x10000 + ((c & 0x3ff) << 10) + (hex4(l, *offset + 2) & 0x3ff);
		*offset += 6;
	}
	return put_utf8(to, c);
}

/* Whether the string literal that starts here is this key, whichever escapes it is written with. */
static bool string_is(const struct locator *l, const struct place *place, const char *key)
{
	size_t offset = place->offset + 1;

	while (offset < l->size && l->text[offset] != '"') {
		char character[4];
		size_t n = read_character(l, &offset, character);

		if (*key == '\0' || strncmp(key, character, n) != 0)
			return false;
		key += n;
	}
	return *key == '\0';
}

/* From an object to the value of one of its keys, or to the key itself. */
static bool enter_key(const struct locator *l, struct place *place, const char *key, bool at_key)
{
	struct place here = *place;

	if (at(l, &here) != '{')
		return false;
	do {
		struct place start;

		advance(l, &here);
		skip_space(l, &here);
		if (at(l, &here) != '"')
			return false;
		start = here;
		skip_string(l, &here);
		skip_space(l, &here);
		advance(l, &here);
		skip_space(l, &here);
		if (string_is(l, &start, key)) {
			*place = at_key ? start : here;
			return true;
		}
		skip_value(l, &here);
		skip_space(l, &here);
	} while (at(l, &here) == ',');
	return false;
}

/* From an array's entry to one that comes later, by_n entries on. */
static bool next_entries(const struct locator *l, struct place *place, size_t by_n)
{
	struct place here = *place;

	for (; by_n > 0; by_n--) {
		skip_value(l, &here);
		skip_space(l, &here);
		if (at(l, &here) != ',')
			return false;
		advance(l, &here);
		skip_space(l, &here);
	}
	*place = here;
	return true;
}

static bool enter_index(const struct locator *l, struct place *place, size_t index)
{
	struct place here = *place;

	if (at(l, &here) != '[')
		return false;
	advance(l, &here);
	skip_space(l, &here);
	if (at(l, &here) == ']' || !next_entries(l, &here, index))
		return false;
	*place = here;
	return true;
}

static struct place start_of(const struct locator *l)
{
	struct place place = { .line = 1, .column = 1 };

	skip_space(l, &place);
	return place;
}

struct place locator_find(struct locator *locator, const struct path *path, bool at_key)
{
	struct place place;
	bool is_entry, from_memory;

	if (!path)
		return start_of(locator);

	is_entry = !path->key && path->parent && !path->parent->parent;
	from_memory = is_entry && locator->has_entry && locator->entry <= path->index;
	if (from_memory) {
		place = locator->entry_place;
		next_entries(locator, &place, path->index - locator->entry);
	} else {
		place = locator_find(locator, path->parent, false);
		if (path->key)
			enter_key(locator, &place, path->key, at_key);
		else
			enter_index(locator, &place, path->index);
	}
	if (is_entry) {
		locator->has_entry = true;
		locator->entry = path->index;
		locator->entry_place = place;
	}
	return place;
}
