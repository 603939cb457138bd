# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += test_lane test_lane_faults test_link
TESTS += test_lane test_lane_faults test_link

test_lane_SOURCES = tests/unit/test_lane.c \
	tests/unit/lane_bench.h tests/unit/lane_bench.c
test_lane_LDADD = librm.la $(CHECK_LIBS)

test_link_SOURCES = tests/unit/test_link.c
test_link_LDADD = librm.la $(CHECK_LIBS)

test_lane_faults_SOURCES = tests/unit/test_lane_faults.c \
	tests/unit/lane_bench.h tests/unit/lane_bench.c
test_lane_faults_LDADD = librm.la $(CHECK_LIBS)
