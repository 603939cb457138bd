# SPDX-License-Identifier: LGPL-2.1-or-later
# link.c starts the built-in emulator: whatever links librm.la links libemulator.la too.
noinst_LTLIBRARIES += librm.la
librm_la_SOURCES = \
	daemon/rm/link.h daemon/rm/link.c \
	daemon/rm/packetio.h daemon/rm/packetio.c \
	daemon/rm/queue.h daemon/rm/queue.c \
	daemon/rm/job.h daemon/rm/job.c \
	daemon/rm/exchange.h daemon/rm/exchange.c \
	daemon/rm/lane.h daemon/rm/lane.c
librm_la_LIBADD = libghrm.la libutil.la $(LIBEVENT_LIBS)
