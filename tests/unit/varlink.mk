# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += test_varlink
test_varlink_SOURCES = tests/unit/test_varlink.c \
	tests/unit/varlink_fixture.c tests/unit/varlink_fixture.h
test_varlink_LDADD = libvarlink.la $(LIBEVENT_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
TESTS += test_varlink
