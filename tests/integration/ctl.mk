# SPDX-License-Identifier: LGPL-2.1-or-later
TESTS += tests/integration/ctl.py tests/integration/ctl_output.py
EXTRA_DIST += tests/integration/ctl_server.py tests/integration/ctl.py tests/integration/ctl_output.py
