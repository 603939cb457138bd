/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The command line: one table of options, each with the commands that take it. */

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>

#include "tools/ghmemctl.h"

#define GIVE  (COMMANDS_GIVE | COMMAND_CHECK)
#define KEEP  (COMMANDS_KEEP | COMMAND_CHECK)
#define SHARE (COMMAND_SHARE | COMMAND_CHECK)

static const struct {
	const char *name;
	const char *value; /* NULL: takes none */
	unsigned commands;
	const char *help;
} option_rules[N_OPTIONS] = {
	[OPTION_ADDRESS] = { "address", "unix:PATH", COMMANDS_ALL, "where ghmemd listens" },
	[OPTION_JSON] = { "json", NULL, COMMANDS_ALL, "JSON instead of text for people" },
	[OPTION_HELP] = { "help", NULL, COMMANDS_ALL, "this help" },
	[OPTION_VERSION] = { "version", NULL, COMMANDS_ALL, "the version" },
	[OPTION_VM] = { "vm", "VMID:ACCESS", GIVE,
		"who may accept it and how: r, rw, rx or rwx; repeatable" },
	[OPTION_SIZE] = { "size", "BYTES", GIVE, "memory that the broker allocates" },
	[OPTION_FILE] = { "file", "PATH", GIVE, "memory filled from a file" },
	[OPTION_FD] = { "fd", "N", GIVE, "an inherited memfd" },
	[OPTION_REGION] = { "region", "ADDR+SIZE", GIVE, "a fixed physical range; repeatable" },
	[OPTION_COPY] = { "copy", NULL, GIVE,
		"with --file, --fd: give a copy that nobody has mapped" },
	[OPTION_PRIVATE] = { "private", NULL, GIVE, "with --size: only the broker has the memory" },
	[OPTION_POOL] = { "pool", NULL, SHARE, "with --size: a piece of a parcel that is kept" },
	[OPTION_OFFSET] = { "offset", "BYTES", GIVE | COMMAND_RECLAIM,
		"with --fd: begin there; reclaim: that piece of a pool" },
	[OPTION_LENGTH] = { "length", "BYTES", GIVE, "with --fd: so much of it" },
	[OPTION_TYPE] = { "type", "normal|io", GIVE, "kind of memory" },
	[OPTION_LABEL] = { "label", "N", GIVE, "label (default: a fresh one)" },
	[OPTION_HOST_ACCESS] = { "host-access", "ACCESS", SHARE,
		"what the host keeps (default rw)" },
	[OPTION_SANITIZE] = { "sanitize", NULL, GIVE | COMMAND_RECLAIM, "have the memory zeroed" },
	[OPTION_NOTIFY] = { "notify", NULL, GIVE, "tell the virtual machines" },
	[OPTION_DETACH] = { "detach", NULL, GIVE, "return at once; it lives until reclaimed" },
	[OPTION_WAIT] = { "wait", "MS", KEEP, "queue so long for a free slot" },
	[OPTION_FORCE] = { "force", NULL, COMMAND_RECLAIM, "also when it is still held" },
	[OPTION_OPERATION] = { "operation", "NAME", COMMAND_CHECK,
		"what to ask about: share, lend, reclaim, …" },
	[OPTION_UID] = { "uid", "UID", COMMAND_CHECK, "whom to ask for (default: you)" },
	[OPTION_POLICY_DIR] = { "policy-dir", "DIR", COMMAND_POLICY,
		"instead of the usual three; repeatable, later ones win" },
};

static const struct {
	const char *name;
	enum command command;
	const char *help;
} command_rules[] = {
	{ "status", COMMAND_STATUS, "the daemon at a glance" },
	{ "list", COMMAND_LIST, "your parcels" },
	{ "show", COMMAND_SHOW, "HANDLE: all about one parcel" },
	{ "share", COMMAND_SHARE, "[-- COMMAND…]: give access and keep it too" },
	{ "lend", COMMAND_LEND, "[-- COMMAND…]: give access until reclaimed" },
	{ "donate", COMMAND_DONATE, "give memory away for good" },
	{ "reclaim", COMMAND_RECLAIM, "HANDLE: take a parcel back" },
	{ "monitor", COMMAND_MONITOR, "print events until interrupted" },
	{ "check", COMMAND_CHECK, "would this be allowed, by which rule, why" },
	{ "policy", COMMAND_POLICY, "verify [PATH…] | show: the policy files, offline" },
	{ "reload", COMMAND_RELOAD, "have the daemon read its policy again" },
};

static void print_help(void)
{
	puts("Usage: ghmemctl [OPTIONS] COMMAND [OPTIONS] [OPERANDS] [-- COMMAND ARGUMENTS…]\n\n"
	     "Shares, lends and donates memory to virtual machines through ghmemd.\n\nCommands:");
	for (size_t i = 0; i < ARRAY_SIZE(command_rules); i++)
		printf("  %-9s %s\n", command_rules[i].name, command_rules[i].help);
	puts("\nOptions:");
	for (size_t i = 0; i < N_OPTIONS; i++) {
		const char *value = option_rules[i].value;
		char name[40];

		snprintf(name, sizeof(name), "--%s%s%s", option_rules[i].name, value ? "=" : "",
			value ? value : "");
		printf("  %-24s %s\n", name, option_rules[i].help);
	}
	puts("\nBYTES take the suffixes K, M, G, T; VMIDs and addresses may be 0x-hexadecimal.\n"
	     "{fd} in the ARGUMENTS stands for the memory's descriptor.\n\n"
	     "Exit status: 0 done, 1 failed, 2 usage, 3 denied by policy or quota, 4 ghmemd "
	     "cannot\n"
	     "be reached, 5 no such parcel. With -- COMMAND: the command's.");
}

static bool parse_number(const char *text, bool suffixes, uint64_t maximum, uint64_t *ret)
{
	return util_parse_u64(text, suffixes, ret) == 0 && *ret <= maximum;
}

static bool parse_access(const char *word, unsigned *ret)
{
	unsigned access = GHMEM_READ;

	if (*word++ != 'r')
		return false;
	if (*word == 'w') {
		access |= GHMEM_WRITE;
		word++;
	}
	if (*word == 'x') {
		access |= GHMEM_EXEC;
		word++;
	}
	*ret = access;
	return *word == '\0';
}

static bool take_vm(struct options *options, const char *value)
{
	_cleanup_free_ char *number = strdup(value);
	char *access = number ? strchr(number, ':') : NULL;
	struct grant *grants =
		reallocarray(options->grants, options->n_grants + 1, sizeof(*options->grants));
	struct grant grant = { 0 };
	uint64_t vmid;

	if (grants)
		options->grants = grants;
	if (!number || !grants)
		return false;
	if (access)
		*access++ = '\0';
	if (!parse_number(number, false, UINT16_MAX, &vmid))
		return false;
	if (access && !parse_access(access, &grant.access))
		return false;
	grant.vmid = (uint16_t)vmid;
	grants[options->n_grants++] = grant;
	return true;
}

static bool take_region(struct options *options, const char *value)
{
	_cleanup_free_ char *address = strdup(value);
	char *size = address ? strchr(address, '+') : NULL;
	struct ghmem_region *regions =
		reallocarray(options->regions, options->n_regions + 1, sizeof(*options->regions));
	struct ghmem_region region;

	if (regions)
		options->regions = regions;
	if (!size || !regions)
		return false;
	*size++ = '\0';
	if (!parse_number(address, true, INT64_MAX, &region.address) ||
		!parse_number(size, true, INT64_MAX, &region.size))
		return false;
	regions[options->n_regions++] = region;
	return true;
}

static bool take_policy_dir(struct options *options, const char *value)
{
	const char **dirs = reallocarray(
		options->policy_dirs, options->n_policy_dirs + 1, sizeof(*options->policy_dirs));

	if (!dirs)
		return false;
	options->policy_dirs = dirs;
	dirs[options->n_policy_dirs++] = value;
	return true;
}

static bool take_fd(struct options *options, const char *value)
{
	uint64_t fd;

	if (!parse_number(value, false, INT32_MAX, &fd))
		return false;
	options->fd = (int)fd;
	return true;
}

static bool take_type(struct options *options, const char *value)
{
	options->io = strcmp(value, "io") == 0;
	return options->io || strcmp(value, "normal") == 0;
}

/* Takes in one option; false: its value is not understood. */
static bool take_option(struct options *options, enum option_id id, const char *value)
{
	switch (id) {
	case OPTION_ADDRESS: options->address = value; return strncmp(value, "unix:", 5) == 0;
	case OPTION_VM: return take_vm(options, value);
	case OPTION_SIZE: return parse_number(value, true, INT64_MAX, &options->size);
	case OPTION_FILE: options->file = value; return *value;
	case OPTION_FD: return take_fd(options, value);
	case OPTION_REGION: return take_region(options, value);
	case OPTION_OFFSET: return parse_number(value, true, INT64_MAX, &options->offset);
	case OPTION_LENGTH: return parse_number(value, true, INT64_MAX, &options->length);
	case OPTION_TYPE: return take_type(options, value);
	case OPTION_LABEL: return parse_number(value, false, UINT32_MAX, &options->label);
	case OPTION_HOST_ACCESS: return parse_access(value, &options->host_access);
	case OPTION_WAIT: return parse_number(value, false, UINT32_MAX, &options->wait);
	case OPTION_OPERATION: options->operation = value; return *value;
	case OPTION_UID: return parse_number(value, false, UINT32_MAX - 1, &options->uid);
	case OPTION_POLICY_DIR: return take_policy_dir(options, value);
	case OPTION_JSON:
	case OPTION_HELP:
	case OPTION_VERSION:
	case OPTION_COPY:
	case OPTION_PRIVATE:
	case OPTION_POOL:
	case OPTION_SANITIZE:
	case OPTION_NOTIFY:
	case OPTION_DETACH:
	case OPTION_FORCE:
	case N_OPTIONS: return true;
	}
	return false;
}

static int parse_command(struct options *options, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(command_rules); i++) {
		if (strcmp(command_rules[i].name, word) == 0) {
			options->command = command_rules[i].command;
			return -1;
		}
	}
	return ctl_usage("there is no command \"%s\"", word);
}

static const char *command_name(enum command command)
{
	for (size_t i = 0; i < ARRAY_SIZE(command_rules); i++)
		if (command_rules[i].command == command)
			return command_rules[i].name;
	return "";
}

/* Does every option belong to the command? */
static int check_options(const struct options *options)
{
	for (size_t i = 0; i < N_OPTIONS; i++) {
		if (option_given(options, (enum option_id)i) &&
			!(option_rules[i].commands & options->command))
			return ctl_usage("%s does not take --%s", command_name(options->command),
				option_rules[i].name);
	}
	if (options->argv && !(options->command & COMMANDS_KEEP))
		return ctl_usage("%s runs no command after --", command_name(options->command));
	if (options->argv && !options->argv[0])
		return ctl_usage("a command is missing after --");
	if (options->argv && option_given(options, OPTION_DETACH))
		return ctl_usage("--detach returns at once and runs no command");
	return -1;
}

static int read_options(struct options *options, int argc, char **argv)
{
	struct option longs[N_OPTIONS + 1] = { 0 };
	bool ended;
	int r;

	for (size_t i = 0; i < N_OPTIONS; i++) {
		longs[i].name = option_rules[i].name;
		longs[i].has_arg = option_rules[i].value ? required_argument : no_argument;
		longs[i].val = 256 + (int)i;
	}
	/* "-": operands come in their place, so that those after `--` can be told apart. */
	while ((r = getopt_long(argc, argv, "-h", longs, NULL)) != -1) {
		enum option_id id = r == 'h' ? OPTION_HELP : (enum option_id)(r - 256);

		if (r == '?')
			return ctl_usage("the command line is not understood");
		if (r == 1) {
			options->operands[options->n_operands++] = optarg;
			continue;
		}
		options->given |= 1u << id;
		if (!take_option(options, id, optarg))
			return ctl_usage("--%s=%s is not understood: it wants %s",
				option_rules[id].name, optarg, option_rules[id].value);
	}
	ended = optind > 1 && strcmp(argv[optind - 1], "--") == 0;
	options->argv = ended ? argv + optind : NULL;
	return -1;
}

int options_parse(struct options *options, int argc, char **argv)
{
	int r;

	*options = (struct options){ .fd = -1 };
	options->operands = calloc((size_t)argc + 1, sizeof(*options->operands));
	if (!options->operands) {
		ctl_complain("no memory");
		return EXIT_FAILED;
	}
	r = read_options(options, argc, argv);
	if (r >= 0)
		return r;
	if (option_given(options, OPTION_HELP)) {
		print_help();
		return ctl_output_flush();
	}
	if (option_given(options, OPTION_VERSION)) {
		puts("ghmemctl " PACKAGE_VERSION);
		return ctl_output_flush();
	}
	if (options->n_operands == 0)
		return ctl_usage("a command is missing");
	r = parse_command(options, options->operands[0]);
	if (r >= 0)
		return r;
	options->n_operands--;
	memmove(options->operands, options->operands + 1,
		((size_t)options->n_operands + 1) * sizeof(*options->operands));
	if (!options->address)
		options->address = ghmem_default_address();
	return check_options(options);
}

void options_done(struct options *options)
{
	free(options->grants);
	free(options->regions);
	free(options->policy_dirs);
	free(options->operands);
}

int options_handle(const struct options *options, uint32_t *ret)
{
	uint64_t handle;

	if (options->n_operands != 1)
		return ctl_usage("%s takes one handle; ghmemctl list shows them",
			command_name(options->command));
	if (!parse_number(options->operands[0], false, UINT32_MAX, &handle))
		return ctl_usage(
			"\"%s\" is no handle; ghmemctl list shows them", options->operands[0]);
	*ret = (uint32_t)handle;
	return EXIT_DONE;
}

int options_no_operands(const struct options *options)
{
	if (options->n_operands > 0)
		return ctl_usage("%s takes no operand \"%s\"", command_name(options->command),
			options->operands[0]);
	return EXIT_DONE;
}
