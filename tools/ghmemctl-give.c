/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* share, lend and donate. */

#include <errno.h>

#include "tools/ghmemctl.h"

/* From here on a request is worth a note that it is being worked on. */
#define PROGRESS_MIN (16ull << 20)

static bool wants_fd(const struct options *options)
{
	for (char **argument = options->argv; argument && *argument; argument++)
		if (strstr(*argument, "{fd}"))
			return true;
	return false;
}

/* Can the command have the descriptor that its arguments ask for? */
static int check_fd(const struct options *options)
{
	if (!wants_fd(options))
		return EXIT_DONE;
	if (option_given(options, OPTION_COPY) || option_given(options, OPTION_PRIVATE))
		return ctl_usage("with --copy and --private nobody gets a descriptor for {fd}");
	if (option_given(options, OPTION_REGION))
		return ctl_usage("with --region there is no descriptor for {fd}");
	return EXIT_DONE;
}

static int print_parcel(const struct options *options, const struct ghmem_parcel *parcel)
{
	_cleanup_(ctl_table_freep) struct ctl_table *table = NULL;
	_cleanup_(json_unrefp) json_t *json = NULL;
	uint64_t offset;
	bool piece = ghmem_parcel_offset(parcel, &offset) == 0;

	if (option_given(options, OPTION_JSON)) {
		json = json_loads(ghmem_parcel_json(parcel), 0, NULL);
		if (piece)
			json_object_set_new(json, "offset", json_integer((json_int_t)offset));
		return ctl_output_json(json);
	}
	if (ctl_table_new(&table) < 0 || ctl_table_add(table, parcel) < 0) {
		ctl_complain("no memory");
		return EXIT_FAILED;
	}
	ctl_table_print(table);
	if (piece)
		printf("the piece begins at offset 0x%llx\n", (unsigned long long)offset);
	return ctl_output_flush();
}

static void print_progress(const struct options *options)
{
	uint64_t bytes = request_bytes(options);
	const char *word = options->command == COMMAND_SHARE  ? "sharing"
			   : options->command == COMMAND_LEND ? "lending"
							      : "donating";
	char text[UTIL_BYTES_MAX];

	if (bytes >= PROGRESS_MIN)
		ctl_progress("%s %s …", word, util_format_bytes(bytes, text, sizeof(text)));
}

static int give(const struct options *options, struct ghmem *connection,
	const struct ghmem_request *request, struct ghmem_parcel **ret, int *ret_fd)
{
	int r;

	print_progress(options);
	if (options->command == COMMAND_SHARE)
		r = ghmem_share(connection, request, ret, ret_fd);
	else if (options->command == COMMAND_LEND)
		r = ghmem_lend(connection, request, ret, ret_fd);
	else
		r = ghmem_donate(connection, request, ret);
	ctl_progress_clear();
	if (r == -ECANCELED) {
		ctl_complain("interrupted before ghmemd answered: it takes back what it had begun");
		return EXIT_FAILED;
	}
	return r == 0 ? EXIT_DONE : broker_failed(options, connection, r);
}

int command_give(const struct options *options)
{
	_cleanup_(broker_closep) struct ghmem *connection = NULL;
	_cleanup_(request_freep) struct ghmem_request *request = NULL;
	_cleanup_(parcel_freep) struct ghmem_parcel *parcel = NULL;
	_cleanup_close_ int own = -1, allocated = -1, signals = -1;
	struct hold hold = { .options = options };
	int fd = -1;
	int r = options_no_operands(options);

	if (r == EXIT_DONE)
		r = check_fd(options);
	if (r == EXIT_DONE)
		r = request_from_options(options, &request, &fd, &own);
	if (r == EXIT_DONE)
		r = broker_connect(options, &connection);
	if (r != EXIT_DONE)
		return r;
	/* Before the request: a signal must find either no parcel or somebody who reclaims it. */
	signals = signals_new();
	if (signals < 0) {
		ctl_complain("cannot watch for signals: %s", strerror(-signals));
		return EXIT_FAILED;
	}
	ghmem_set_cancel_fd(connection, signals);
	r = give(options, connection, request, &parcel, &allocated);
	if (r != EXIT_DONE)
		return r;
	r = print_parcel(options, parcel);
	if (options->command == COMMAND_DONATE || option_given(options, OPTION_DETACH))
		return r;
	hold.connection = connection;
	hold.parcel = parcel;
	hold.signals = signals;
	hold.memory = allocated >= 0 ? allocated : fd;
	if (r != EXIT_DONE)
		return r; /* nobody learnt of the parcel: closing the connection gives it back */
	return hold_parcel(&hold);
}
