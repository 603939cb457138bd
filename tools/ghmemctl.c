/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ghmemctl: the administrator's and tester's command for ghmemd. */

#include <locale.h>

#include "tools/ghmemctl.h"

static int command_run(const struct options *options)
{
	switch (options->command) {
	case COMMAND_STATUS: return command_status(options);
	case COMMAND_LIST: return command_list(options);
	case COMMAND_SHOW: return command_show(options);
	case COMMAND_SHARE:
	case COMMAND_LEND:
	case COMMAND_DONATE: return command_give(options);
	case COMMAND_RECLAIM: return command_reclaim(options);
	case COMMAND_MONITOR: return command_monitor(options);
	case COMMAND_CHECK: return command_check(options);
	case COMMAND_RELOAD: return command_reload(options);
	case COMMAND_POLICY: return command_policy(options);
	}
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	_cleanup_(options_done) struct options options;
	int r;

	setlocale(LC_ALL, "");
	r = options_parse(&options, argc, argv);
	return r >= 0 ? r : command_run(&options);
}
