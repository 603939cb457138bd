# SPDX-License-Identifier: LGPL-2.1-or-later
include tests/unit/ghrm.mk
include tests/unit/core.mk
include tests/unit/varlink.mk
include tests/unit/memory.mk
include tests/unit/policy.mk
include tests/unit/rm.mk
include tests/unit/emulator.mk
include tests/unit/ghmem.mk
include tests/unit/bench.mk
