# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libmemory.la
libmemory_la_SOURCES = \
	daemon/memory/memory.h daemon/memory/memory.c \
	daemon/memory/region.c \
	daemon/memory/source.h daemon/memory/source.c \
	daemon/memory/frames.h daemon/memory/frames.c \
	daemon/memory/pin.h daemon/memory/pin.c \
	daemon/memory/pin_table.h daemon/memory/pin_table.c \
	daemon/memory/keeper.h daemon/memory/keeper.c \
	daemon/memory/holder_session.h daemon/memory/holder_session.c \
	daemon/memory/holder_peer.h daemon/memory/holder_peer.c \
	daemon/memory/holder_link.h daemon/memory/holder_link.c \
	daemon/holder/protocol.h
libmemory_la_LIBADD = libutil.la
