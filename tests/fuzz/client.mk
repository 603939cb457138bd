# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_PROGRAMS += fuzz_client
fuzz_client_SOURCES = tests/fuzz/fuzz_client.c
fuzz_client_LDADD = libghrm.la libutil.la
fuzz_client_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
