# SPDX-License-Identifier: LGPL-2.1-or-later
# Nothing runs it by itself: no test asserts on time.
noinst_PROGRAMS += tests/bench/ghmem-bench
tests_bench_ghmem_bench_SOURCES = \
	tests/bench/bench.h tests/bench/ghmem-bench.c \
	tests/bench/stats.h tests/bench/stats.c \
	tests/bench/place.h tests/bench/place.c \
	tests/bench/speak.h tests/bench/speak.c \
	tests/bench/floors.c tests/bench/calls.c tests/bench/bulk.c \
	tests/bench/machine.c tests/bench/report.c
tests_bench_ghmem_bench_LDADD = libghrm.la libutil.la $(JANSSON_LIBS) $(URING_LIBS) -lm
EXTRA_DIST += tests/bench/README.md
