# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libpolicy.la
libpolicy_la_SOURCES = policy/policy.h
libpolicy_la_LIBADD = libghrm.la libutil.la $(JANSSON_LIBS)
