# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += tests/unit/test_core
TESTS += tests/unit/test_core
tests_unit_test_core_SOURCES = \
	tests/unit/test_core.c tests/unit/core_double.h tests/unit/core_double.c
tests_unit_test_core_LDADD = libcore.la libmemory.la libpolicy.la libghrm.la libutil.la \
	$(CHECK_LIBS) $(LIBEVENT_LIBS)

check_PROGRAMS += tests/unit/test_core_delivery
TESTS += tests/unit/test_core_delivery
tests_unit_test_core_delivery_SOURCES = \
	tests/unit/test_core_delivery.c tests/unit/core_double.h tests/unit/core_double.c
tests_unit_test_core_delivery_LDADD = $(tests_unit_test_core_LDADD)
