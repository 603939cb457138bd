# SPDX-License-Identifier: LGPL-2.1-or-later
noinst_LTLIBRARIES += libpolicy.la
libpolicy_la_SOURCES = \
	policy/policy.h policy/internal.h policy/check.h \
	policy/arena.h policy/arena.c \
	policy/locate.h policy/locate.c \
	policy/report.h policy/report.c \
	policy/words.c policy/sets.c policy/snapshot.c \
	policy/value.c policy/range.c policy/who.c policy/rule.c policy/check.c policy/load.c \
	policy/index.c policy/match.c policy/explain.c policy/shadow.c
libpolicy_la_LIBADD = libghrm.la libutil.la $(JANSSON_LIBS)

dist_policy_DATA += policy/50-root.json

policyschemadir = $(datadir)/ghmemd
dist_policyschema_DATA = policy/policy.schema.json

policyexamplesdir = $(docdir)/examples
dist_policyexamples_DATA = \
	policy/examples/single-tenant.json \
	policy/examples/two-teams.json \
	policy/examples/mmio-device.json \
	policy/examples/ci-machine.json \
	policy/examples/deny-list.json

# The directory that the daemon takes for the shipped one when it runs from the build tree.
policy/policy.d/50-root.json: policy/50-root.json
	$(AM_V_GEN)mkdir -p policy/policy.d && cp $< $@.tmp && chmod 644 $@.tmp && mv $@.tmp $@
noinst_DATA = policy/policy.d/50-root.json
CLEANFILES += policy/policy.d/50-root.json
