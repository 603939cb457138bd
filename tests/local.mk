# SPDX-License-Identifier: LGPL-2.1-or-later
include tests/unit/local.mk
include tests/conformance/local.mk
include tests/integration/local.mk
include tests/fuzz/local.mk
include tests/bench/local.mk
include tests/varlink/local.mk
include tests/source/local.mk
