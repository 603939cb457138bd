# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += tests/unit/test_memory
TESTS += tests/unit/test_memory
tests_unit_test_memory_SOURCES = tests/unit/test_memory.c tests/unit/state_dir.h tests/unit/state_dir.c
tests_unit_test_memory_CPPFLAGS = $(AM_CPPFLAGS) -DTEST_HOLDER=\"$(abs_top_builddir)/daemon/ghmemd-holder\"
tests_unit_test_memory_LDADD = libmemory.la libutil.la $(CHECK_LIBS)
EXTRA_tests_unit_test_memory_DEPENDENCIES = daemon/ghmemd-holder
