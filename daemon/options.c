/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/options.h"

#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#include "util/log.h"

#define DEFAULT_STATE_DIR "/run/ghmemd"

static const char help[] =
	"Usage: ghmemd [OPTION]...\n"
	"Lends memory of this host to virtual machines of the Gunyah hypervisor.\n"
	"\n"
	"  --rm=ENDPOINT      how to reach the Resource Manager (default emulator):\n"
	"                       emulator    the built-in one, nothing is really lent\n"
	"                       unix:PATH   a socket, such as that of ghrm-emulator\n"
	"                       dev:PATH    a character device\n"
	"  --varlink=PATH     socket to serve org.ghmem.Broker on\n"
	"                       (default " DEFAULT_STATE_DIR "/org.ghmem.Broker)\n"
	"  --bus=BUS          system, session, an address, or none; this version has no\n"
	"                       D-Bus service yet and takes none of them\n"
	"  --state-dir=DIR    lock and holder's socket (default " DEFAULT_STATE_DIR ");\n"
	"                       one daemon per state directory\n"
	"  --policy-dir=DIR   read policy from here instead of the three default\n"
	"                       directories; may be repeated, later ones take precedence\n"
	"  --jobs=N           worker threads (default 4 for each CPU, at least 8)\n"
	"  --log-level=LEVEL  debug, info (default), notice, warning or err\n"
	"  --version          print the version\n"
	"  --help             print this\n"
	"\n"
	"The same keys may stand in /etc/ghmemd/ghmemd.json. SIGHUP reads the policy\n"
	"again; SIGTERM reclaims what can be reclaimed and ends.\n"
	"See ghmemd(8), ghmemd.policy(5), ghmemctl(1).\n";

static bool set_text(char **to, const char *value)
{
	free(*to);
	*to = strdup(value);
	return *to != NULL;
}

static void clear_policy_dirs(struct options *options)
{
	for (size_t i = 0; i < options->n_policy_dirs; i++)
		free(options->policy_dirs[i]);
	free(options->policy_dirs);
	options->policy_dirs = NULL;
	options->n_policy_dirs = 0;
}

static bool add_policy_dir(struct options *options, const char *dir)
{
	char **grown = realloc(options->policy_dirs, (options->n_policy_dirs + 1) * sizeof(char *));

	if (!grown)
		return false;
	options->policy_dirs = grown;
	grown[options->n_policy_dirs] = strdup(dir);
	return grown[options->n_policy_dirs++] != NULL;
}

/* One option from either place. where: "--jobs" or "FILE: key \"jobs\"", for the message. */
static bool set_option(
	struct options *options, const char *name, const char *value, const char *where)
{
	uint64_t number;

	if (strcmp(name, "rm") == 0) {
		if (strcmp(value, "emulator") != 0 && strncmp(value, "unix:", 5) != 0 &&
			strncmp(value, "dev:", 4) != 0) {
			fprintf(stderr,
				"ghmemd: %s: \"%s\" is not emulator, unix:PATH or dev:PATH\n",
				where, value);
			return false;
		}
		return set_text(&options->rm, value);
	}
	if (strcmp(name, "varlink") == 0)
		return set_text(&options->varlink, value);
	if (strcmp(name, "bus") == 0)
		return set_text(&options->bus, value);
	if (strcmp(name, "state-dir") == 0)
		return set_text(&options->state_dir, value);
	if (strcmp(name, "policy-dir") == 0)
		return add_policy_dir(options, value);
	if (strcmp(name, "jobs") == 0) {
		if (util_parse_u64(value, false, &number) < 0 || number < 1 || number > 1024) {
			fprintf(stderr, "ghmemd: %s: \"%s\" is not a number from 1 to 1024\n",
				where, value);
			return false;
		}
		options->jobs = (unsigned)number;
		return true;
	}
	options->log_level = log_level_from_name(value);
	if (options->log_level < 0)
		fprintf(stderr, "ghmemd: %s: \"%s\" is not debug, info, notice, warning or err\n",
			where, value);
	return options->log_level >= 0;
}

/* ---- configuration file ---- */

static bool config_value(struct options *options, const char *file, const char *key, json_t *value)
{
	char where[512], number[24];
	bool is_jobs = strcmp(key, "jobs") == 0;

	snprintf(where, sizeof(where), "%s: key \"%s\"", file, key);
	if (is_jobs && json_is_integer(value)) {
		snprintf(
			number, sizeof(number), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return set_option(options, key, number, where);
	}
	if (strcmp(key, "policy-dir") == 0 && json_is_array(value)) {
		json_t *entry;
		size_t i;

		json_array_foreach (value, i, entry)
			if (!json_is_string(entry) ||
				!add_policy_dir(options, json_string_value(entry))) {
				fprintf(stderr, "ghmemd: %s must be a list of strings\n", where);
				return false;
			}
		return true;
	}
	if (!json_is_string(value)) {
		fprintf(stderr, "ghmemd: %s must be a %s\n", where, is_jobs ? "number" : "string");
		return false;
	}
	return set_option(options, key, json_string_value(value), where);
}

static bool read_config(struct options *options, const char *file)
{
	static const char *const keys[] = { "rm", "varlink", "bus", "state-dir", "policy-dir",
		"jobs", "log-level" };
	json_error_t error;
	json_t *config, *value;
	const char *key;
	bool ok = true;

	if (access(file, F_OK) < 0 && errno == ENOENT)
		return true;
	config = json_load_file(file, JSON_REJECT_DUPLICATES, &error);
	if (!json_is_object(config)) {
		if (config)
			fprintf(stderr, "ghmemd: %s: not a JSON object\n", file);
		else
			fprintf(stderr, "ghmemd: %s:%d:%d: %s\n", file, error.line, error.column,
				error.text);
		json_decref(config);
		return false;
	}
	json_object_foreach (config, key, value) {
		size_t i = 0;

		while (i < ARRAY_SIZE(keys) && strcmp(keys[i], key) != 0)
			i++;
		if (i == ARRAY_SIZE(keys)) {
			fprintf(stderr, "ghmemd: %s: unknown key \"%s\"\n", file, key);
			ok = false;
		} else {
			ok = config_value(options, file, key, value) && ok;
		}
	}
	json_decref(config);
	return ok;
}

/* ---- command line ---- */

static bool set_defaults(struct options *options)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	options->log_level = LOG_INFO;
	options->jobs = cpus > 2 ? (unsigned)cpus * 4 : 8;
	return set_text(&options->rm, "emulator") && set_text(&options->bus, "system") &&
	       set_text(&options->state_dir, DEFAULT_STATE_DIR) &&
	       set_text(&options->varlink, DEFAULT_STATE_DIR "/org.ghmem.Broker");
}

enum options_outcome options_parse(
	int argc, char **argv, const char *config_file, struct options *ret)
{
	static const struct option known[] = {
		{ "rm", required_argument, NULL, 'o' },
		{ "varlink", required_argument, NULL, 'o' },
		{ "bus", required_argument, NULL, 'o' },
		{ "state-dir", required_argument, NULL, 'o' },
		{ "policy-dir", required_argument, NULL, 'p' },
		{ "jobs", required_argument, NULL, 'o' },
		{ "log-level", required_argument, NULL, 'o' },
		{ "version", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{},
	};
	bool own_policy_dirs = false;
	char where[64];
	int c, index;

	*ret = (struct options){};
	while ((c = getopt_long(argc, argv, "h", known, &index)) >= 0) {
		switch (c) {
		case 'h': fputs(help, stdout); return OPTIONS_EXIT;
		case 'v': printf("ghmemd %s\n", VERSION); return OPTIONS_EXIT;
		case '?': fputs("Try ghmemd --help.\n", stderr); return OPTIONS_USAGE;
		default: break;
		}
	}
	if (!set_defaults(ret) || !read_config(ret, config_file))
		return OPTIONS_FAILED;
	optind = 1;
	while ((c = getopt_long(argc, argv, "h", known, &index)) >= 0) {
		switch (c) {
		case 'p':
			if (!own_policy_dirs)
				clear_policy_dirs(ret); /* the command line wins over the file */
			own_policy_dirs = true;
			/* fall through */
		case 'o':
			snprintf(where, sizeof(where), "--%s", known[index].name);
			if (!set_option(ret, known[index].name, optarg, where))
				return OPTIONS_USAGE;
			break;
		default: break; /* done above */
		}
	}
	if (optind < argc) {
		fprintf(stderr, "ghmemd: unexpected argument \"%s\"; try ghmemd --help\n",
			argv[optind]);
		return OPTIONS_USAGE;
	}
	return OPTIONS_RUN;
}

void options_done(struct options *options)
{
	clear_policy_dirs(options);
	free(options->rm);
	free(options->varlink);
	free(options->bus);
	free(options->state_dir);
}
