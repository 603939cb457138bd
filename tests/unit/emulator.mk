# SPDX-License-Identifier: LGPL-2.1-or-later
emulator_tests = test_emulator_parcel test_emulator_accept test_emulator_vm test_emulator_boot \
	test_emulator_link test_emulator_machine test_emulator_server test_emulator_model
check_PROGRAMS += $(emulator_tests)
TESTS += $(emulator_tests)

test_emulator_parcel_SOURCES = tests/unit/test_emulator_parcel.c tests/unit/emulator_bench.h
test_emulator_parcel_LDADD = libemulator.la $(CHECK_LIBS)
test_emulator_accept_SOURCES = tests/unit/test_emulator_accept.c tests/unit/emulator_bench.h
test_emulator_accept_LDADD = libemulator.la $(CHECK_LIBS)
test_emulator_vm_SOURCES = tests/unit/test_emulator_vm.c tests/unit/emulator_bench.h
test_emulator_vm_LDADD = libemulator.la $(CHECK_LIBS)
test_emulator_boot_SOURCES = tests/unit/test_emulator_boot.c tests/unit/emulator_bench.h
test_emulator_boot_LDADD = libemulator.la $(CHECK_LIBS)
test_emulator_link_SOURCES = tests/unit/test_emulator_link.c tests/unit/emulator_bench.h
test_emulator_link_LDADD = libemulator.la $(CHECK_LIBS)
test_emulator_machine_SOURCES = tests/unit/test_emulator_machine.c
test_emulator_machine_LDADD = libemulator.la $(CHECK_LIBS)
test_emulator_server_SOURCES = tests/unit/test_emulator_server.c
test_emulator_server_LDADD = libemulator.la $(CHECK_LIBS)
test_emulator_model_SOURCES = tests/unit/test_emulator_model.c \
	tests/unit/emulator_model.h tests/unit/emulator_model.c tests/unit/emulator_bench.h
test_emulator_model_LDADD = libemulator.la $(CHECK_LIBS)
