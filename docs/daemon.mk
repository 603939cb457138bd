# SPDX-License-Identifier: LGPL-2.1-or-later
dist_man_MANS += docs/ghmemd.8 docs/ghmemd-holder.8 docs/org.ghmem.Broker.5
