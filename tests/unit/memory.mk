# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libmemorytest.la
libmemorytest_la_SOURCES = \
	tests/unit/state_dir.h tests/unit/state_dir.c \
	tests/unit/holder_bench.h tests/unit/holder_bench.c \
	tests/unit/memory_bench.h tests/unit/memory_bench.c
libmemorytest_la_CPPFLAGS = $(AM_CPPFLAGS) -DTEST_HOLDER=\"$(abs_top_builddir)/daemon/ghmemd-holder\"
libmemorytest_la_LIBADD = libmemory.la $(CHECK_LIBS)

memory_tests = \
	tests/unit/test_memory \
	tests/unit/test_memory_life \
	tests/unit/test_memory_holders \
	tests/unit/test_holder \
	tests/unit/test_holder_life
check_PROGRAMS += $(memory_tests)
TESTS += $(memory_tests)
tests_unit_test_memory_SOURCES = tests/unit/test_memory.c
tests_unit_test_memory_LDADD = libmemorytest.la
EXTRA_tests_unit_test_memory_DEPENDENCIES = daemon/ghmemd-holder
tests_unit_test_memory_life_SOURCES = tests/unit/test_memory_life.c
tests_unit_test_memory_life_LDADD = libmemorytest.la
EXTRA_tests_unit_test_memory_life_DEPENDENCIES = daemon/ghmemd-holder
tests_unit_test_memory_holders_SOURCES = tests/unit/test_memory_holders.c
tests_unit_test_memory_holders_LDADD = libmemorytest.la
EXTRA_tests_unit_test_memory_holders_DEPENDENCIES = daemon/ghmemd-holder
tests_unit_test_holder_SOURCES = tests/unit/test_holder.c
tests_unit_test_holder_LDADD = libmemorytest.la
EXTRA_tests_unit_test_holder_DEPENDENCIES = daemon/ghmemd-holder
tests_unit_test_holder_life_SOURCES = tests/unit/test_holder_life.c
tests_unit_test_holder_life_LDADD = libmemorytest.la
EXTRA_tests_unit_test_holder_life_DEPENDENCIES = daemon/ghmemd-holder
