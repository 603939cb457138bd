# SPDX-License-Identifier: LGPL-2.1-or-later
policy_tests = tests/unit/test_policy_decide tests/unit/test_policy_corpus \
	tests/unit/test_policy_load tests/unit/test_policy_rule tests/unit/test_policy_random
check_PROGRAMS += $(policy_tests)
TESTS += $(policy_tests) tests/unit/check-policy-schema
EXTRA_DIST += tests/unit/check-policy-schema

policy_test_sources = tests/unit/policy_testing.h tests/unit/policy_testing.c
policy_test_libs = libpolicy.la $(CHECK_LIBS)

tests_unit_test_policy_decide_SOURCES = tests/unit/test_policy_decide.c $(policy_test_sources)
tests_unit_test_policy_decide_LDADD = $(policy_test_libs)

tests_unit_test_policy_corpus_SOURCES = tests/unit/test_policy_corpus.c
tests_unit_test_policy_corpus_CPPFLAGS = $(AM_CPPFLAGS) \
	-DPOLICY_CORPUS=\"$(abs_top_srcdir)/tests/policy-corpus\" \
	-DPOLICY_SHIPPED=\"$(abs_top_srcdir)/policy\"
tests_unit_test_policy_corpus_LDADD = $(policy_test_libs)

tests_unit_test_policy_load_SOURCES = tests/unit/test_policy_load.c $(policy_test_sources)
tests_unit_test_policy_load_LDADD = $(policy_test_libs)

tests_unit_test_policy_rule_SOURCES = tests/unit/test_policy_rule.c $(policy_test_sources)
tests_unit_test_policy_rule_LDADD = $(policy_test_libs)

tests_unit_test_policy_random_SOURCES = tests/unit/test_policy_random.c $(policy_test_sources)
tests_unit_test_policy_random_LDADD = $(policy_test_libs)

EXTRA_DIST += tests/policy-corpus
