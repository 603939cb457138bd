# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libcore.la
libcore_la_SOURCES = \
	daemon/core/outcome.h daemon/core/outcome.c \
	daemon/core/request.h daemon/core/request.c \
	daemon/core/quota.h daemon/core/quota.c \
	daemon/core/parcel.h daemon/core/parcel.c \
	daemon/core/broker.h daemon/core/broker.c \
	daemon/core/internal.h \
	daemon/core/operation.c \
	daemon/core/access.c \
	daemon/core/create.c \
	daemon/core/notify.c \
	daemon/core/slot.c \
	daemon/core/reclaim.c \
	daemon/core/query.c
