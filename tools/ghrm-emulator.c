/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* ghrm-emulator: a Resource Manager on a socket; see ghrm-emulator(1). */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>

#include "emulator/server.h"
#include "emulator/trace.h"
#include "util/util.h"

enum { EXIT_USAGE = 2 };

struct arguments {
	const char *listen, *machine;
	struct server_options options;
};

static void print_help(void)
{
	puts("Usage: ghrm-emulator --listen PATH [OPTION]...\n"
	     "       ghrm-emulator replay TRACE\n"
	     "\n"
	     "Emulates the Gunyah hypervisor's Resource Manager on a SOCK_SEQPACKET socket.\n"
	     "\n"
	     "  --listen PATH    where clients connect\n"
	     "  --machine FILE   VMs and memory; default: VM 3 owns all memory, VMs 0x80 to 0x83 "
	     "run\n"
	     "  --auto-accept    VMs without a client accept what is announced and release on "
	     "recall\n"
	     "  --trace          one line per message on stderr\n"
	     "  --strict         end where the published Resource Manager would crash\n"
	     "  --version        show the version\n"
	     "  --help           show this text\n"
	     "\n"
	     "replay shows a recorded conversation in the form of --trace.");
}

static int usage(const char *reason, const char *what)
{
	fprintf(stderr, "ghrm-emulator: %s%s\nTry ghrm-emulator --help.\n", reason, what);
	return EXIT_USAGE;
}

/* Returns -1 to go on, or the exit status. */
static int parse(int argc, char **argv, struct arguments *ret)
{
	enum { LISTEN = 1, MACHINE, AUTO_ACCEPT, TRACE, STRICT, VERSION_, HELP };
	static const struct option options[] = {
		{ "listen", required_argument, NULL, LISTEN },
		{ "machine", required_argument, NULL, MACHINE },
		{ "auto-accept", no_argument, NULL, AUTO_ACCEPT },
		{ "trace", no_argument, NULL, TRACE },
		{ "strict", no_argument, NULL, STRICT },
		{ "version", no_argument, NULL, VERSION_ },
		{ "help", no_argument, NULL, HELP },
		{ NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		switch (option) {
		case LISTEN: ret->listen = optarg; break;
		case MACHINE: ret->machine = optarg; break;
		case AUTO_ACCEPT: ret->options.auto_accept = true; break;
		case TRACE: ret->options.trace = true; break;
		case STRICT: ret->options.strict = true; break;
		case VERSION_: puts("ghrm-emulator " PACKAGE_VERSION); return EXIT_SUCCESS;
		case 'h':
		case HELP: print_help(); return EXIT_SUCCESS;
		default: return usage("see above", "");
		}
	}
	return -1;
}

static void on_signal(evutil_socket_t signal _unused_, short events _unused_, void *userdata)
{
	event_base_loopbreak(userdata);
}

static void say_ready(const char *path, const struct machine *machine)
{
	fprintf(stderr, "ghrm-emulator: listening on %s (VMs", path);
	for (size_t i = 0; i < machine->n_vms; i++)
		fprintf(stderr, "%s%s%x", i ? ", " : " ", machine->vms[i].vmid > 9 ? "0x" : "",
			machine->vms[i].vmid);
	fputs(")\n", stderr);
}

static int serve(
	const struct arguments *arguments, const struct machine *machine, struct event_base *base)
{
	struct event *interrupted = evsignal_new(base, SIGINT, on_signal, base);
	struct event *terminated = evsignal_new(base, SIGTERM, on_signal, base);
	struct server *server = NULL;
	int status = EXIT_FAILURE, r;

	if (!interrupted || !terminated || event_add(interrupted, NULL) < 0 ||
		event_add(terminated, NULL) < 0) {
		fprintf(stderr, "ghrm-emulator: cannot watch signals\n");
		goto out;
	}
	r = server_new(&server, base, machine, &arguments->options);
	if (r == 0)
		r = server_listen(server, arguments->listen);
	if (r < 0) {
		fprintf(stderr, "ghrm-emulator: cannot listen on %s: %s\n", arguments->listen,
			strerror(-r));
		goto out;
	}
	say_ready(arguments->listen, machine);
	event_base_dispatch(base);
	status = server_died(server) ? EXIT_FAILURE : EXIT_SUCCESS;
out:
	server_free(server);
	if (interrupted)
		event_free(interrupted);
	if (terminated)
		event_free(terminated);
	return status;
}

static int run(const struct arguments *arguments)
{
	struct machine *machine = NULL;
	struct event_base *base;
	char *error = NULL;
	int status, r;

	r = arguments->machine ? machine_load(arguments->machine, &machine, &error)
			       : machine_new_default(&machine);
	if (r < 0) {
		fprintf(stderr, "ghrm-emulator: %s\n", error ? error : strerror(-r));
		free(error);
		return EXIT_FAILURE;
	}
	base = event_base_new();
	if (!base) {
		fprintf(stderr, "ghrm-emulator: cannot make an event loop\n");
		machine_free(machine);
		return EXIT_FAILURE;
	}
	status = serve(arguments, machine, base);
	event_base_free(base);
	machine_free(machine);
	return status;
}

int main(int argc, char **argv)
{
	struct arguments arguments = { 0 };
	int status = parse(argc, argv, &arguments);

	if (status >= 0)
		return status;
	if (optind < argc && strcmp(argv[optind], "replay") == 0) {
		if (optind + 2 != argc)
			return usage("replay takes one recording", "");
		return trace_replay(stdout, argv[optind + 1]) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	if (optind < argc)
		return usage("unexpected argument ", argv[optind]);
	if (!arguments.listen)
		return usage("--listen is missing", "");
	return run(&arguments);
}
