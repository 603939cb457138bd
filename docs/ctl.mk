# SPDX-License-Identifier: LGPL-2.1-or-later
dist_man_MANS += docs/ghmemctl.1 docs/libghmem.3
