/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * The daemon's options: the configuration file first, the command line over it (contract §2).
 */

#include <stddef.h>

struct options {
	char *rm, *varlink, *bus, *state_dir;
	char **policy_dirs;
	size_t n_policy_dirs;
	unsigned jobs;
	int log_level;
};

enum options_outcome {
	OPTIONS_RUN,
	OPTIONS_EXIT,   /* --help or --version: printed */
	OPTIONS_USAGE,  /* a clear line is on stderr */
	OPTIONS_FAILED, /* the same; it is the configuration file's fault */
};

/*
 * Reads config_file (one that does not exist is an empty one), then the command line. *ret is filled
 * and must be freed with options_done whatever the outcome.
 */
enum options_outcome options_parse(
	int argc, char **argv, const char *config_file, struct options *ret);
void options_done(struct options *options);
