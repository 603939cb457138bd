# SPDX-License-Identifier: LGPL-2.1-or-later
include tests/unit/ghrm.mk
include tests/unit/emulator.mk
