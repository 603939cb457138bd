# SPDX-License-Identifier: LGPL-2.1-or-later
TESTS += tests/source/includes.py
EXTRA_DIST += tests/source/includes.py
