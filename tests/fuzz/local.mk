# SPDX-License-Identifier: LGPL-2.1-or-later
EXTRA_DIST += tests/fuzz/make-corpus.py
if FUZZERS
include tests/fuzz/client.mk
endif
include tests/fuzz/policy.mk
include tests/fuzz/emulator.mk
