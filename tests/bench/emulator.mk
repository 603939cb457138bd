# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_PROGRAMS += tests/bench/emulator-bench
tests_bench_emulator_bench_SOURCES = tests/bench/emulator-bench.c
tests_bench_emulator_bench_LDADD = libemulator.la
