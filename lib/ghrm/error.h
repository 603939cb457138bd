/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The Resource Manager's error numbers, their names and a sentence that explains each.
 * Numbers: shared/design/rm-protocol.md §4.1. Pure and thread-safe.
 */

#include <stdint.h>

enum ghrm_error {
	GHRM_OK = 0,
	GHRM_NOMEM = 0x1,
	GHRM_NORESOURCE = 0x2,
	GHRM_DENIED = 0x3,
	GHRM_MSG_INVALID = 0x4,
	GHRM_BUSY = 0x5,
	GHRM_ARGUMENT_INVALID = 0x6,
	GHRM_HANDLE_INVALID = 0x7,
	GHRM_VALIDATE_FAILED = 0x8,
	GHRM_MAP_FAILED = 0x9,
	GHRM_MEM_INVALID = 0xa,
	GHRM_MEM_INUSE = 0xb,
	GHRM_MEM_RELEASED = 0xc,
	GHRM_VMID_INVALID = 0xd,
	GHRM_LOOKUP_FAILED = 0xe,
	GHRM_IRQ_INVALID = 0xf,
	GHRM_IRQ_INUSE = 0x10,
	GHRM_IRQ_RELEASED = 0x11,
	GHRM_IN_USE = 0x12,
	GHRM_IRQ_NOT_MAPPED = 0x13,
	GHRM_VM_STATE = 0x14,
};
#define GHRM_UNIMPLEMENTED 0xffffffffu /* does not fit an int enum; same number space */

/* "MEM_INUSE"; "UNKNOWN" for a number that no source names. Static string. */
const char *ghrm_error_name(uint32_t error);

/* One sentence for an administrator, without a full stop; never NULL. Static string. */
const char *ghrm_error_text(uint32_t error);
