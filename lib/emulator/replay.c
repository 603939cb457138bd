/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Recordings (JSON lines) as readable lines; see trace.h. */
#include "emulator/trace.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

#include "util/util.h"

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

/* false for anything but an even number of hexadecimal digits that fit. */
static bool from_hex(const char *text, uint8_t *to, size_t room, size_t *ret_size)
{
	size_t length = text ? strlen(text) : 1;

	if (length % 2 || length / 2 > room)
		return false;
	for (size_t i = 0; i < length / 2; i++) {
		int high = nibble(text[2 * i]), low = nibble(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return false;
		to[i] = (uint8_t)(high << 4 | low);
	}
	*ret_size = length / 2;
	return true;
}

static const char *text_of(json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text ? text : "";
}

static bool replay_message(FILE *stream, json_t *line, enum emulator_event event)
{
	static const char *const types[] = { "continuation", "request", "reply", "notification" };
	uint8_t payload[GHRM_PAYLOAD_MAX];
	struct ghrm_message message = { .payload = payload };
	uint64_t msg_id;
	size_t type = 1;

	while (type < ARRAY_SIZE(types) && strcmp(types[type], text_of(line, "type")) != 0)
		type++;
	if (type == ARRAY_SIZE(types) ||
		util_parse_u64(text_of(line, "msg_id"), false, &msg_id) < 0 ||
		msg_id > UINT32_MAX ||
		!from_hex(text_of(line, "payload_hex"), payload, sizeof(payload), &message.size))
		return false;
	message.type = (enum ghrm_packet_type)type;
	message.msg_id = (uint32_t)msg_id;
	message.seq = (uint16_t)json_integer_value(json_object_get(line, "seq"));
	trace_message(stream, event, (uint16_t)json_integer_value(json_object_get(line, "vmid")),
		&message);
	return true;
}

static bool replay_packet(FILE *stream, json_t *line, const char *arrow)
{
	uint8_t packet[GHRM_PACKET_MAX * 2];
	size_t size;

	if (!from_hex(text_of(line, "raw_hex"), packet, sizeof(packet), &size))
		return false;
	fprintf(stream, "VM 0x%02" JSON_INTEGER_FORMAT " %s packet of %zu bytes\n",
		json_integer_value(json_object_get(line, "vmid")), arrow, size);
	return true;
}

static bool replay_line(FILE *stream, json_t *line)
{
	const char *t = text_of(line, "t");

	if (strcmp(t, "send") == 0)
		return replay_message(stream, line, EMULATOR_RECEIVED);
	if (strcmp(t, "recv") == 0)
		return replay_message(stream, line, EMULATOR_SENT);
	if (strcmp(t, "send_frag") == 0)
		return replay_packet(stream, line, "->");
	if (strcmp(t, "recv_frag") == 0)
		return replay_packet(stream, line, "<-");
	if (strcmp(t, "quiet") == 0)
		fprintf(stream, "nothing sent\n");
	else if (strcmp(t, "ctl") == 0)
		fprintf(stream, "bench    %s: %s\n", text_of(line, "cmd"), text_of(line, "result"));
	else if (strcmp(t, "probe") == 0)
		fprintf(stream, "bench    probe 0x%" JSON_INTEGER_FORMAT " %s %s: %s\n",
			json_integer_value(json_object_get(line, "vmid")), text_of(line, "ipa"),
			text_of(line, "size"), text_of(line, "result"));
	else if (strcmp(t, "bulk_append") == 0)
		fprintf(stream,
			"VM 0x%02" JSON_INTEGER_FORMAT " -> %" JSON_INTEGER_FORMAT
			" MEM_APPEND requests of %" JSON_INTEGER_FORMAT " regions from %s\n",
			json_integer_value(json_object_get(line, "vmid")),
			json_integer_value(json_object_get(line, "messages")),
			json_integer_value(json_object_get(line, "entries_per_message")),
			text_of(line, "base"));
	else if (strcmp(t, "server_exit") == 0)
		fprintf(stream, "the Resource Manager ended\n");
	else
		return false;
	return true;
}

int trace_replay(FILE *stream, const char *path)
{
	_cleanup_free_ char *text = NULL;
	size_t room = 0, number = 0;
	FILE *file = fopen(path, "re");
	int r = 0;

	if (!file) {
		r = -errno;
		fprintf(stderr, "ghrm-emulator: %s: %m\n", path);
		return r;
	}
	while (r == 0 && getline(&text, &room, file) >= 0) {
		json_error_t error;
		json_t *line = json_loads(text, 0, &error);

		number++;
		if (!line || !replay_line(stream, line)) {
			fprintf(stderr, "ghrm-emulator: %s:%zu: not a line of a recording%s%s\n",
				path, number, line ? "" : ": ", line ? "" : error.text);
			r = -EINVAL;
		}
		json_decref(line);
	}
	fclose(file);
	return r;
}
