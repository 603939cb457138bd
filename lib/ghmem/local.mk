# SPDX-License-Identifier: LGPL-2.1-or-later
# The client once as a convenience library, for programs of this tree, and once as the library that
# is installed. util.c is taken in alone: a client needs neither libevent nor libsystemd.
noinst_LTLIBRARIES += libghmem-client.la
libghmem_client_la_SOURCES = \
	lib/ghmem/ghmem.h lib/ghmem/ghmem.c \
	lib/ghmem/client.h lib/ghmem/client.c \
	lib/ghmem/wire.h lib/ghmem/wire.c \
	lib/ghmem/outcome.c lib/ghmem/field.c \
	lib/ghmem/parcel.c lib/ghmem/request.c lib/ghmem/event.c \
	lib/util/util.h lib/util/util.c
libghmem_client_la_LIBADD = $(JANSSON_LIBS)

lib_LTLIBRARIES += libghmem.la
libghmem_la_SOURCES =
libghmem_la_LIBADD = libghmem-client.la
libghmem_la_LDFLAGS = $(AM_LDFLAGS) -version-info 0:0:0 -no-undefined \
	-export-symbols-regex '^ghmem_'

include_HEADERS += lib/ghmem/ghmem.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = lib/ghmem/libghmem.pc
