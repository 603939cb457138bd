# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += test_lane test_link
TESTS += test_lane test_link

test_lane_SOURCES = tests/unit/test_lane.c
test_lane_LDADD = librm.la $(CHECK_LIBS)

test_link_SOURCES = tests/unit/test_link.c
test_link_LDADD = librm.la $(CHECK_LIBS)
