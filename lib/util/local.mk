# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libutil.la
libutil_la_SOURCES = \
	lib/util/util.h lib/util/util.c \
	lib/util/log.h lib/util/log.c \
	lib/util/mailbox.h lib/util/mailbox.c
libutil_la_LIBADD = $(LIBEVENT_LIBS) $(SYSTEMD_LIBS)
