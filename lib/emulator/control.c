/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The commands of the control connection (ghrm-emulator(1)). */
#include "emulator/server-internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "ghrm/error.h"
#include "util/util.h"

#define ARGUMENTS_MAX    3
#define PARCELS_TEXT_MAX 60000 /* one datagram */
#define DELAY_MS_MAX     3600000

struct call {
	struct server *server;
	uint64_t argument[ARGUMENTS_MAX];
	char *answer;
	size_t room; /* of a long answer */
	bool exit;
};

static void _printf_(2, 3) answer(struct call *call, const char *format, ...)
{
	va_list args;

	free(call->answer);
	va_start(args, format);
	if (vasprintf(&call->answer, format, args) < 0)
		call->answer = NULL;
	va_end(args);
}

/* Answers for an unknown VM; true when the first argument is a VM. */
static bool known_vm(struct call *call, uint16_t *ret)
{
	uint64_t vmid = call->argument[0];

	if (vmid >= MACHINE_VMIDS || !emulator_vm_exists(call->server->emulator, (uint16_t)vmid)) {
		answer(call, "err no VM 0x%" PRIx64, vmid);
		return false;
	}
	*ret = (uint16_t)vmid;
	return true;
}

static void command_ping(struct call *call)
{
	answer(call, "ok");
}

static void command_exit(struct call *call)
{
	call->exit = true;
	answer(call, "ok");
}

static void command_reset(struct call *call)
{
	uint16_t vmid;

	if (known_vm(call, &vmid))
		answer(call, "ok steps=%zu", emulator_reset_borrower(call->server->emulator, vmid));
}

static void command_hold(struct call *call)
{
	uint16_t vmid;

	if (!known_vm(call, &vmid))
		return;
	call->server->held[vmid] = true;
	answer(call, "ok");
}

static void command_resume(struct call *call)
{
	uint16_t vmid;

	if (!known_vm(call, &vmid))
		return;
	call->server->held[vmid] = false;
	emulator_drain(call->server->emulator, vmid, SIZE_MAX);
	answer(call, "ok");
}

static void command_drain(struct call *call)
{
	uint16_t vmid;
	size_t moved;

	if (!known_vm(call, &vmid))
		return;
	call->server->drain_left = call->argument[1];
	moved = emulator_drain(call->server->emulator, vmid, call->argument[1]);
	call->server->drain_left = 0;
	answer(call, "ok moved=%zu", moved);
}

static void command_state(struct call *call)
{
	uint16_t vmid;

	if (!known_vm(call, &vmid))
		return;
	if (call->argument[1] <= UINT8_MAX &&
		emulator_set_state(call->server->emulator, vmid, (unsigned)call->argument[1]))
		answer(call, "ok");
	else
		answer(call, "err no such state");
}

static void command_stat(struct call *call)
{
	struct emulator_stat stat;
	uint16_t vmid;

	if (known_vm(call, &vmid) && emulator_stat(call->server->emulator, vmid, &stat))
		answer(call, "ok owned_parcels=%zu accepted=%zu zeroed_pages=%" PRIu64,
			stat.owned_parcels, stat.accepted, stat.zeroed_pages);
}

static void command_probe(struct call *call)
{
	struct emulator_view view;
	const char *kind = "";
	uint16_t vmid;

	if (!known_vm(call, &vmid))
		return;
	if (!emulator_probe(
		    call->server->emulator, vmid, call->argument[1], call->argument[2], &view)) {
		answer(call, "err no such range");
		return;
	}
	if (!view.mapped) {
		answer(call, "ok unmapped size=0x%" PRIx64, view.size);
		return;
	}
	if (strcmp(view.owner, "parcel") != 0)
		kind = view.io ? "-dev" : "-ddr";
	answer(call,
		"ok mapped phys=0x%" PRIx64 " size=0x%" PRIx64
		" access=%c%c%c memtype=%u owner=%s%s",
		view.physical, view.size, view.rights & GHRM_RIGHT_R ? 'R' : '-',
		view.rights & GHRM_RIGHT_W ? 'W' : '-', view.rights & GHRM_RIGHT_X ? 'X' : '-',
		view.memtype, view.owner, kind);
}

static void command_delay(struct call *call)
{
	if (call->argument[0] > DELAY_MS_MAX) {
		answer(call, "err at most %d ms", DELAY_MS_MAX);
		return;
	}
	call->server->faults.delay_usec = call->argument[0] * 1000;
	answer(call, "ok");
}

static void command_drop(struct call *call)
{
	call->server->faults.drop = call->argument[0];
	answer(call, "ok");
}

static void command_fail(struct call *call)
{
	if (call->argument[0] > UINT32_MAX || call->argument[1] > UINT32_MAX)
		answer(call, "err ID and CODE are 32-bit numbers");
	else if (faults_add_failure(call->server, (uint32_t)call->argument[0],
			 (uint32_t)call->argument[1], call->argument[2]) < 0)
		answer(call, "err no memory");
	else
		answer(call, "ok");
}

static void command_restart(struct call *call)
{
	int r = server_restart(call->server);

	/* Without an emulator there is nothing left to serve. */
	call->exit = r < 0;
	answer(call, r < 0 ? "err no memory" : "ok");
}

static void command_foreign(struct call *call)
{
	uint32_t handle = 0, error;

	if (call->argument[0] > UINT16_MAX) {
		answer(call, "err no VM 0x%" PRIx64, call->argument[0]);
		return;
	}
	error = emulator_foreign_lend(call->server->emulator, (uint16_t)call->argument[0],
		call->argument[1], call->argument[2], &handle);
	if (error == GHRM_OK)
		answer(call, "ok handle=%" PRIu32, handle);
	else
		answer(call, "err %s", ghrm_error_name(error));
}

static void append_parcel(void *userdata, const struct emulator_parcel *parcel)
{
	struct call *call = userdata;
	size_t length = call->answer ? strlen(call->answer) : 0;
	char line[160];

	snprintf(line, sizeof(line),
		"\nhandle=%" PRIu32 " owner=%u state=%s regions=%zu bytes=%" PRIu64 " holders=%zu",
		parcel->handle, parcel->owner, parcel->state, parcel->regions, parcel->bytes,
		parcel->holders);
	if (call->answer && length + strlen(line) < call->room)
		strcpy(call->answer + length, line);
}

static void command_parcels(struct call *call)
{
	free(call->answer);
	call->room = PARCELS_TEXT_MAX;
	call->answer = malloc(call->room);
	if (!call->answer)
		return;
	strcpy(call->answer, "ok");
	emulator_parcels(call->server->emulator, append_parcel, call);
}

static const struct {
	const char *name;
	unsigned arguments;
	void (*execute)(struct call *call);
} commands[] = {
	{ "ping", 0, command_ping },
	{ "reset", 1, command_reset },
	{ "hold", 1, command_hold },
	{ "resume", 1, command_resume },
	{ "drain", 2, command_drain },
	{ "state", 2, command_state },
	{ "stat", 1, command_stat },
	{ "probe", 3, command_probe },
	{ "exit", 0, command_exit },
	{ "delay", 1, command_delay },
	{ "drop", 1, command_drop },
	{ "fail", 3, command_fail },
	{ "restart", 0, command_restart },
	{ "foreign", 3, command_foreign },
	{ "parcels", 0, command_parcels },
};

static bool read_arguments(struct call *call, char *text, unsigned wanted)
{
	char *save = NULL, *word;
	unsigned n = 0;

	for (word = strtok_r(text, " ", &save); word; word = strtok_r(NULL, " ", &save))
		if (n == wanted || util_parse_u64(word, true, &call->argument[n++]) < 0)
			return false;
	return n == wanted;
}

char *control_execute(struct server *server, const char *command, bool *ret_exit)
{
	_cleanup_free_ char *text = strdup(command);
	struct call call = { .server = server };
	char *rest;

	if (!text)
		return NULL;
	rest = strchrnul(text, ' ');
	if (*rest)
		*rest++ = '\0';
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		if (strcmp(commands[i].name, text) != 0)
			continue;
		if (read_arguments(&call, rest, commands[i].arguments)) {
			commands[i].execute(&call);
			if (!call.exit)
				server_settle(server);
		} else {
			answer(&call, "err %s takes %u numbers", text, commands[i].arguments);
		}
		*ret_exit = call.exit;
		return call.answer;
	}
	answer(&call, "err unknown command");
	return call.answer;
}
