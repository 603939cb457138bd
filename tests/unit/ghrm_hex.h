/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Reads "21 01 …"; returns the number of bytes. */
static inline size_t hex_bytes(const char *text, uint8_t *bytes, size_t room)
{
	size_t n = 0;

	for (;;) {
		char *end;
		unsigned long value = strtoul(text, &end, 16);

		if (end == text)
			return n;
		ck_assert_uint_lt(n, room);
		bytes[n++] = (uint8_t)value;
		text = end;
	}
}

static inline void assert_bytes(
	const uint8_t *got, size_t n_got, const uint8_t *want, size_t n_want, const char *what)
{
	for (size_t i = 0; i < n_got && i < n_want; i++)
		ck_assert_msg(got[i] == want[i], "%s: byte 0x%zx is %02x, not %02x", what, i,
			got[i], want[i]);
	ck_assert_msg(n_got == n_want, "%s: %zu bytes, not %zu", what, n_got, n_want);
}
