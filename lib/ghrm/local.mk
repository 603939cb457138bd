# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libghrm.la
libghrm_la_SOURCES = \
	lib/ghrm/packet.h lib/ghrm/packet.c \
	lib/ghrm/error.h lib/ghrm/error.c \
	lib/ghrm/message.h lib/ghrm/message.c \
	lib/ghrm/vm.c lib/ghrm/wire.h
