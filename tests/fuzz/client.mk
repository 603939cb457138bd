# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_PROGRAMS += tests/fuzz/fuzz_client
tests_fuzz_fuzz_client_SOURCES = tests/fuzz/fuzz_client.c
tests_fuzz_fuzz_client_LDADD = libghrm.la libutil.la
tests_fuzz_fuzz_client_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
