# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += varlink-certification
varlink_certification_SOURCES = tests/varlink/certification.c
varlink_certification_LDADD = libvarlink.la $(LIBEVENT_LIBS) $(JANSSON_LIBS)

TESTS += tests/varlink/certification.sh tests/varlink/varlinkctl-daemon.sh
EXTRA_DIST += tests/varlink/certification.sh tests/varlink/varlinkctl-daemon.sh tests/varlink/varlinkctl.sh
