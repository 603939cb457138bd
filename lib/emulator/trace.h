/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Messages as readable lines, for --trace and for looking at recordings. */

#include <stdio.h>

#include "emulator/emulator.h"

/*
 * One line per message: direction, VM, name, sequence number, what is in it; long lists shortened.
 */
void trace_message(
	FILE *stream, enum emulator_event event, uint16_t vmid, const struct ghrm_message *message);

/*
 * Shows a recording (JSON lines, as in the conformance traces) in the same form. Returns 0 or
 * -errno (-EINVAL: not a recording) after a line on stderr.
 */
int trace_replay(FILE *stream, const char *path);
