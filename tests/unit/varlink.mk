# SPDX-License-Identifier: LGPL-2.1-or-later
VARLINK_FIXTURE = tests/unit/varlink_fixture.c tests/unit/varlink_fixture.h
VARLINK_TEST_LIBS = libvarlink.la $(LIBEVENT_LIBS) $(JANSSON_LIBS) $(CHECK_LIBS)

check_PROGRAMS += test_varlink test_varlink_connections test_varlink_descriptors test_varlink_bounds
TESTS += test_varlink test_varlink_connections test_varlink_descriptors test_varlink_bounds
test_varlink_SOURCES = tests/unit/test_varlink.c $(VARLINK_FIXTURE)
test_varlink_LDADD = $(VARLINK_TEST_LIBS)
test_varlink_connections_SOURCES = tests/unit/test_varlink_connections.c $(VARLINK_FIXTURE)
test_varlink_connections_LDADD = $(VARLINK_TEST_LIBS)
test_varlink_descriptors_SOURCES = tests/unit/test_varlink_descriptors.c $(VARLINK_FIXTURE)
test_varlink_descriptors_LDADD = $(VARLINK_TEST_LIBS)
test_varlink_bounds_SOURCES = tests/unit/test_varlink_bounds.c $(VARLINK_FIXTURE)
test_varlink_bounds_LDADD = $(VARLINK_TEST_LIBS)

check_PROGRAMS += test_varlink_encode
TESTS += test_varlink_encode
test_varlink_encode_SOURCES = tests/unit/test_varlink_encode.c
test_varlink_encode_LDADD = libdaemon.la $(JANSSON_LIBS) $(CHECK_LIBS)
