# SPDX-License-Identifier: LGPL-2.1-or-later
# bash-completion finds COMMAND.bash as well as COMMAND.
bashcompletiondir = $(datadir)/bash-completion/completions
dist_bashcompletion_DATA = contrib/completions/ghmemctl.bash
zshcompletiondir = $(datadir)/zsh/site-functions
dist_zshcompletion_DATA = contrib/completions/_ghmemctl

# The example is compiled as a stranger would: against the public header and the shared library.
check_PROGRAMS += contrib/examples/lend
contrib_examples_lend_SOURCES = contrib/examples/lend.c
contrib_examples_lend_CPPFLAGS = -I$(top_srcdir)/lib/ghmem
contrib_examples_lend_LDADD = libghmem.la
