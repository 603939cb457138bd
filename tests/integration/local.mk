# SPDX-License-Identifier: LGPL-2.1-or-later
include tests/integration/ctl.mk
TEST_EXTENSIONS = .py .sh
PY_LOG_COMPILER = $(PYTHON3)
SH_LOG_COMPILER = bash
AM_TESTS_ENVIRONMENT = GHMEM_BUILD='$(abs_top_builddir)'; export GHMEM_BUILD; \
	GHMEM_SOURCE='$(abs_top_srcdir)'; export GHMEM_SOURCE; \
	PYTHONDONTWRITEBYTECODE=1; export PYTHONDONTWRITEBYTECODE;

integration_tests = \
	tests/integration/main_job.py \
	tests/integration/bad_input.py \
	tests/integration/policy.py \
	tests/integration/storm.py
TESTS += $(integration_tests)
EXTRA_DIST += $(integration_tests) tests/integration/ghmemtest.py
