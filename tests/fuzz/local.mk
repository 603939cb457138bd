# SPDX-License-Identifier: LGPL-2.1-or-later
if FUZZERS
include tests/fuzz/client.mk
include tests/fuzz/emulator.mk
include tests/fuzz/policy.mk
endif
EXTRA_DIST += tests/fuzz/make-corpus.py tests/fuzz/policy.dict
