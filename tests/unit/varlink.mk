# SPDX-License-Identifier: LGPL-2.1-or-later
VARLINK_FIXTURE = tests/unit/varlink_fixture.c tests/unit/varlink_fixture.h

check_PROGRAMS += test_varlink
test_varlink_SOURCES = tests/unit/test_varlink.c $(VARLINK_FIXTURE)
test_varlink_LDADD = libvarlink.la $(LIBEVENT_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
TESTS += test_varlink

check_PROGRAMS += test_varlink_connections
test_varlink_connections_SOURCES = tests/unit/test_varlink_connections.c $(VARLINK_FIXTURE)
test_varlink_connections_LDADD = libvarlink.la $(LIBEVENT_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)
TESTS += test_varlink_connections
