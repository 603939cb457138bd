# SPDX-License-Identifier: LGPL-2.1-or-later
# fuzz_policy -dict=$(top_srcdir)/tests/fuzz/policy.dict CORPUS $(top_srcdir)/tests/policy-corpus/accept
noinst_PROGRAMS += tests/fuzz/fuzz_policy
tests_fuzz_fuzz_policy_SOURCES = tests/fuzz/fuzz_policy.c
tests_fuzz_fuzz_policy_CFLAGS = $(AM_CFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_policy_LDFLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer
tests_fuzz_fuzz_policy_LDADD = libpolicy.la
