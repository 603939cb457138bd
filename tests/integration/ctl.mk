# SPDX-License-Identifier: LGPL-2.1-or-later
TESTS += tests/integration/ctl.py
EXTRA_DIST += tests/integration/ctl.py
