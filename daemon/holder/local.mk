# SPDX-License-Identifier: LGPL-2.1-or-later
libexec_PROGRAMS += daemon/ghmemd-holder
# Flags of its own make objects of its own: it takes util.c without libutil's libraries.
daemon_ghmemd_holder_CFLAGS = $(AM_CFLAGS)
daemon_ghmemd_holder_SOURCES = \
	daemon/holder/protocol.h \
	daemon/holder/keep.h daemon/holder/keep.c \
	daemon/holder/server.h daemon/holder/server.c \
	daemon/holder/main.c \
	lib/util/util.h lib/util/util.c
daemon_ghmemd_holder_LDADD = $(URING_LIBS)
daemon_ghmemd_holder_LDFLAGS = $(AM_LDFLAGS) $(GHMEM_PROGRAM_LDFLAGS)
