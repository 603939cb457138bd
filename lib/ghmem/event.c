/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghmem/client.h"

#include <errno.h>

/* Strings belong to the reply. */
struct ghmem_event {
	const char *kind, *detail;
	struct ghmem_parcel *parcel;
	int vm;
	uint64_t time;
	char *text;
};

struct monitor {
	ghmem_event_fn function;
	void *userdata;
};

static void event_done(struct ghmem_event *event)
{
	ghmem_parcel_free(event->parcel);
	free(event->text);
}

static int event_parse(json_t *json, struct ghmem_event *event)
{
	uint64_t vm = 0;

	if (!field_text(json, "kind", &event->kind) ||
		!field_number(json, "time", INT64_MAX, &event->time))
		return -EBADMSG;
	if (!field_absent(json, "detail") && !field_text(json, "detail", &event->detail))
		return -EBADMSG;
	event->vm = -1;
	if (!field_absent(json, "vm")) {
		if (!field_number(json, "vm", UINT16_MAX, &vm))
			return -EBADMSG;
		event->vm = (int)vm;
	}
	event->text = json_dumps(json, JSON_COMPACT);
	if (!event->text)
		return -ENOMEM;
	return field_absent(json, "parcel")
		       ? 0
		       : parcel_parse(json_object_get(json, "parcel"), &event->parcel);
}

static int monitor_reply(struct ghmem *connection, json_t *reply, void *userdata)
{
	const struct monitor *monitor = userdata;
	_cleanup_(event_done) struct ghmem_event event = { 0 };
	int r;

	/* A first or last reply without an event says that the monitor is set up or ends. */
	if (field_absent(reply, "event"))
		return 0;
	r = event_parse(json_object_get(reply, "event"), &event);
	if (r == -EBADMSG)
		return client_bad_reply(connection, "no proper event in it");
	if (r < 0)
		return client_fail(connection, r, "no memory");
	return monitor->function(&event, monitor->userdata);
}

int ghmem_monitor(struct ghmem *connection, ghmem_event_fn function, void *userdata)
{
	struct monitor monitor = { function, userdata };

	return client_call_more(
		connection, BROKER "Monitor", json_object(), monitor_reply, &monitor);
}

const char *ghmem_event_kind(const struct ghmem_event *event)
{
	return event->kind;
}

const struct ghmem_parcel *ghmem_event_parcel(const struct ghmem_event *event)
{
	return event->parcel;
}

int ghmem_event_vm(const struct ghmem_event *event)
{
	return event->vm;
}

const char *ghmem_event_detail(const struct ghmem_event *event)
{
	return event->detail;
}

uint64_t ghmem_event_time(const struct ghmem_event *event)
{
	return event->time;
}

const char *ghmem_event_json(const struct ghmem_event *event)
{
	return event->text;
}
