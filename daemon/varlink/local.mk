# SPDX-License-Identifier: LGPL-2.1-or-later
# The server part on its own, so that tests serve other interfaces with the very same code.
noinst_LTLIBRARIES += libvarlink.la
libvarlink_la_SOURCES = \
	daemon/varlink/server.h daemon/varlink/server.c \
	daemon/varlink/internal.h \
	daemon/varlink/bounds.c \
	daemon/varlink/connection.c \
	daemon/varlink/input.c \
	daemon/varlink/output.c \
	daemon/varlink/call.c \
	daemon/varlink/service.c \
	daemon/varlink/peer.c
libvarlink_la_LIBADD = libutil.la $(LIBEVENT_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS)
