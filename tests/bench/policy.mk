# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_PROGRAMS += tests/bench/policy-bench
tests_bench_policy_bench_SOURCES = tests/bench/policy-bench.c
tests_bench_policy_bench_LDADD = libpolicy.la
