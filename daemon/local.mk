# SPDX-License-Identifier: LGPL-2.1-or-later
include daemon/memory/local.mk
include daemon/rm/local.mk
include daemon/holder/local.mk
include daemon/core/local.mk
include daemon/varlink/local.mk

# The interface definition is served from the very file that is installed.
daemon/varlink/idl.h: daemon/varlink/org.ghmem.Broker.varlink
	$(AM_V_GEN)mkdir -p daemon/varlink && { \
		echo 'static const char org_ghmem_Broker_varlink[] ='; \
		$(SED) -e 's/\\/\\\\/g; s/"/\\"/g; s/^/	"/; s/$$/\\n"/' $<; \
		echo '	;'; } > $@.tmp && mv $@.tmp $@
BUILT_SOURCES += daemon/varlink/idl.h
daemon/varlink/face.lo: daemon/varlink/idl.h
CLEANFILES += daemon/varlink/idl.h
varlinkdir = $(datadir)/varlink
dist_varlink_DATA = daemon/varlink/org.ghmem.Broker.varlink

# All of the daemon but main, so that tests and benchmarks can link what they need.
noinst_LTLIBRARIES += libdaemon.la
libdaemon_la_SOURCES = \
	daemon/options.h daemon/options.c \
	daemon/startup.h daemon/startup.c \
	daemon/varlink/decode.h daemon/varlink/decode.c \
	daemon/varlink/face.h daemon/varlink/face.c
nodist_libdaemon_la_SOURCES = daemon/varlink/idl.h
libdaemon_la_LIBADD = libcore.la libvarlink.la librm.la libmemory.la libpolicy.la libemulator.la \
	libghrm.la libutil.la $(LIBEVENT_LIBS) $(JANSSON_LIBS) $(SYSTEMD_LIBS)

libexec_PROGRAMS += daemon/ghmemd
daemon_ghmemd_SOURCES = daemon/main.c
daemon_ghmemd_LDADD = libdaemon.la
daemon_ghmemd_LDFLAGS = $(AM_LDFLAGS) $(GHMEM_PROGRAM_LDFLAGS)
