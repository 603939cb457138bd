/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Bounded cursors over payloads, for this room only. A reader or writer that has run out of bytes
 * stays failed, so a sequence of fields needs one check at its end. Little-endian: §0.
 */

#include "ghrm/message.h"
#include "util/util.h"

struct wire_reader {
	const uint8_t *at;
	size_t left;
	bool failed;
};

static inline struct wire_reader wire_reader(const void *payload, size_t size)
{
	return (struct wire_reader){ .at = payload, .left = size };
}

/* NULL when fewer bytes are left. */
static inline const uint8_t *wire_take(struct wire_reader *reader, size_t size)
{
	const uint8_t *at = reader->at;

	if (reader->failed || size > reader->left) {
		reader->failed = true;
		return NULL;
	}
	if (size) /* an empty payload may be NULL */
		reader->at += size;
	reader->left -= size;
	return at;
}

static inline void wire_skip(struct wire_reader *reader, size_t size)
{
	wire_take(reader, size);
}

static inline uint8_t wire_u8(struct wire_reader *reader)
{
	const uint8_t *at = wire_take(reader, sizeof(uint8_t));

	return at ? *at : 0;
}

static inline uint16_t wire_u16(struct wire_reader *reader)
{
	const uint8_t *at = wire_take(reader, sizeof(uint16_t));

	return at ? util_get_le16(at) : 0;
}

static inline uint32_t wire_u32(struct wire_reader *reader)
{
	const uint8_t *at = wire_take(reader, sizeof(uint32_t));

	return at ? util_get_le32(at) : 0;
}

static inline uint64_t wire_u64(struct wire_reader *reader)
{
	const uint8_t *at = wire_take(reader, sizeof(uint64_t));

	return at ? util_get_le64(at) : 0;
}

/* All bytes were there and all are read. */
static inline bool wire_finished(const struct wire_reader *reader)
{
	return !reader->failed && reader->left == 0;
}

struct wire_writer {
	uint8_t *at;
	size_t size, room;
	bool failed;
};

static inline struct wire_writer wire_writer(void *buffer, size_t room)
{
	return (struct wire_writer){ .at = buffer, .room = room };
}

/* NULL when the buffer has less room. */
static inline uint8_t *wire_make(struct wire_writer *writer, size_t size)
{
	uint8_t *at = writer->at;

	if (writer->failed || size > writer->room - writer->size) {
		writer->failed = true;
		return NULL;
	}
	if (size)
		writer->at += size;
	writer->size += size;
	return at;
}

static inline void wire_put_u8(struct wire_writer *writer, uint8_t value)
{
	uint8_t *at = wire_make(writer, sizeof(value));

	if (at)
		*at = value;
}

static inline void wire_put_u16(struct wire_writer *writer, uint16_t value)
{
	uint8_t *at = wire_make(writer, sizeof(value));

	if (at)
		util_put_le16(at, value);
}

static inline void wire_put_u32(struct wire_writer *writer, uint32_t value)
{
	uint8_t *at = wire_make(writer, sizeof(value));

	if (at)
		util_put_le32(at, value);
}

static inline void wire_put_u64(struct wire_writer *writer, uint64_t value)
{
	uint8_t *at = wire_make(writer, sizeof(value));

	if (at)
		util_put_le64(at, value);
}

static inline void wire_put_zero(struct wire_writer *writer, size_t size)
{
	uint8_t *at = wire_make(writer, size);

	if (at && size)
		memset(at, 0, size);
}

/* What an encoder returns. */
static inline size_t wire_written(const struct wire_writer *writer)
{
	return writer->failed ? 0 : writer->size;
}
