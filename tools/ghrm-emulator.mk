# SPDX-License-Identifier: LGPL-2.1-or-later
bin_PROGRAMS += tools/ghrm-emulator
tools_ghrm_emulator_SOURCES = tools/ghrm-emulator.c
tools_ghrm_emulator_LDADD = libemulator.la
tools_ghrm_emulator_LDFLAGS = $(AM_LDFLAGS) $(GHMEM_PROGRAM_LDFLAGS)
