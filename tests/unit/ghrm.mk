# SPDX-License-Identifier: LGPL-2.1-or-later
check_PROGRAMS += test_ghrm_examples test_ghrm_packet test_ghrm_message
TESTS += test_ghrm_examples test_ghrm_packet test_ghrm_message

test_ghrm_examples_SOURCES = tests/unit/test_ghrm_examples.c \
	tests/unit/ghrm_examples.h tests/unit/ghrm_hex.h
test_ghrm_examples_LDADD = libghrm.la libutil.la $(CHECK_LIBS)

test_ghrm_packet_SOURCES = tests/unit/test_ghrm_packet.c tests/unit/ghrm_hex.h
test_ghrm_packet_LDADD = libghrm.la libutil.la $(CHECK_LIBS)

test_ghrm_message_SOURCES = tests/unit/test_ghrm_message.c
test_ghrm_message_LDADD = libghrm.la libutil.la $(CHECK_LIBS)
