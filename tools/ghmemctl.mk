# SPDX-License-Identifier: LGPL-2.1-or-later
bin_PROGRAMS += tools/ghmemctl
tools_ghmemctl_SOURCES = \
	tools/ghmemctl.h tools/ghmemctl.c \
	tools/ghmemctl-options.c tools/ghmemctl-request.c \
	tools/ghmemctl-output.c tools/ghmemctl-table.c \
	tools/ghmemctl-status.c tools/ghmemctl-query.c tools/ghmemctl-monitor.c \
	tools/ghmemctl-give.c tools/ghmemctl-hold.c tools/ghmemctl-policy.c
tools_ghmemctl_LDADD = libghmem-client.la libpolicy.la libghrm.la libutil.la $(JANSSON_LIBS)
tools_ghmemctl_LDFLAGS = $(AM_LDFLAGS) $(GHMEM_PROGRAM_LDFLAGS)
