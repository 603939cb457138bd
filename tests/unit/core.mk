# SPDX-License-Identifier: LGPL-2.1-or-later
core_tests = tests/unit/test_core tests/unit/test_core_faults tests/unit/test_core_delivery
check_PROGRAMS += $(core_tests)
TESTS += $(core_tests)

core_test_sources = tests/unit/core_double.h tests/unit/core_double.c
core_test_libs = libcore.la libmemory.la libpolicy.la libghrm.la libutil.la $(CHECK_LIBS) $(LIBEVENT_LIBS)

tests_unit_test_core_SOURCES = tests/unit/test_core.c $(core_test_sources)
tests_unit_test_core_LDADD = $(core_test_libs)

tests_unit_test_core_faults_SOURCES = tests/unit/test_core_faults.c $(core_test_sources)
tests_unit_test_core_faults_LDADD = $(core_test_libs)

tests_unit_test_core_delivery_SOURCES = tests/unit/test_core_delivery.c $(core_test_sources)
tests_unit_test_core_delivery_LDADD = $(core_test_libs)
