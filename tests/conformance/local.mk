# SPDX-License-Identifier: LGPL-2.1-or-later
TESTS += tests/conformance/run.sh
EXTRA_DIST += tests/conformance/run.sh
