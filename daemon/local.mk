# SPDX-License-Identifier: LGPL-2.1-or-later
include daemon/memory/local.mk
include daemon/rm/local.mk
include daemon/holder/local.mk
include daemon/core/local.mk
include daemon/varlink/local.mk
