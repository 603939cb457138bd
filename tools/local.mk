# SPDX-License-Identifier: LGPL-2.1-or-later
include tools/ghmemctl.mk
include tools/ghrm-emulator.mk
