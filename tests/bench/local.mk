# SPDX-License-Identifier: LGPL-2.1-or-later
include tests/bench/policy.mk
include tests/bench/emulator.mk
include tests/bench/ghmem-bench.mk
