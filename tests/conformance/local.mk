# SPDX-License-Identifier: LGPL-2.1-or-later
TESTS += tests/conformance/run.sh tests/conformance/emulator-cli.sh
EXTRA_DIST += tests/conformance/run.sh tests/conformance/emulator-cli.sh
