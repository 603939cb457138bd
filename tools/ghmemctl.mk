# SPDX-License-Identifier: LGPL-2.1-or-later
bin_PROGRAMS += tools/ghmemctl
tools_ghmemctl_SOURCES = \
	tools/ghmemctl.h tools/ghmemctl.c \
	tools/ghmemctl-options.c tools/ghmemctl-request.c \
	tools/ghmemctl-output.c tools/ghmemctl-table.c \
	tools/ghmemctl-status.c tools/ghmemctl-query.c tools/ghmemctl-monitor.c \
	tools/ghmemctl-give.c tools/ghmemctl-hold.c
tools_ghmemctl_LDADD = libghmem-client.la $(JANSSON_LIBS)
tools_ghmemctl_LDFLAGS = $(AM_LDFLAGS) $(GHMEM_PROGRAM_LDFLAGS)

# The policy commands, on their own until libpolicy.la has code to link them with.
noinst_LTLIBRARIES += libghmemctl-policy.la
libghmemctl_policy_la_SOURCES = tools/ghmemctl-policy.c
