# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_PROGRAMS += tests/fuzz/fuzz_emulator
tests_fuzz_fuzz_emulator_SOURCES = tests/fuzz/fuzz_emulator.c
tests_fuzz_fuzz_emulator_LDADD = libemulator.la
tests_fuzz_fuzz_emulator_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
