# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += tests/unit/test_bench_stats
TESTS += tests/unit/test_bench_stats
tests_unit_test_bench_stats_SOURCES = \
	tests/unit/test_bench_stats.c tests/bench/stats.h tests/bench/stats.c
tests_unit_test_bench_stats_LDADD = $(CHECK_LIBS) -lm
