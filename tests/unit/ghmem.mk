# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += tests/unit/test_ghmem
TESTS += tests/unit/test_ghmem
tests_unit_test_ghmem_SOURCES = \
	tests/unit/test_ghmem.c \
	tests/unit/scripted_broker.h tests/unit/scripted_broker.c
tests_unit_test_ghmem_LDADD = libghmem-client.la $(JANSSON_LIBS) $(CHECK_LIBS)
