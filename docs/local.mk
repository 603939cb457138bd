# SPDX-License-Identifier: LGPL-2.1-or-later
include docs/ctl.mk
include docs/policy.mk
include docs/ghrm-emulator.mk
include docs/daemon.mk
