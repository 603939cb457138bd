# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libemulator.la
libemulator_la_SOURCES = \
	lib/emulator/interval.h lib/emulator/interval.c \
	lib/emulator/space.h lib/emulator/space.c \
	lib/emulator/machine.h lib/emulator/machine.c lib/emulator/machine-default.c \
	lib/emulator/emulator.h lib/emulator/internal.h lib/emulator/core.c \
	lib/emulator/link.c lib/emulator/view.c lib/emulator/regions.c \
	lib/emulator/parcel.c lib/emulator/accept.c lib/emulator/notify.c \
	lib/emulator/vm.c lib/emulator/lifecycle.c lib/emulator/boot.c \
	lib/emulator/server.h lib/emulator/server-internal.h lib/emulator/server.c \
	lib/emulator/control.c lib/emulator/faults.c lib/emulator/guest.c \
	lib/emulator/trace.h lib/emulator/trace.c lib/emulator/replay.c \
	lib/emulator/embedded.h lib/emulator/embedded.c
libemulator_la_LIBADD = libghrm.la libutil.la $(LIBEVENT_LIBS) $(JANSSON_LIBS)
