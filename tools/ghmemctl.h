/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What the files of ghmemctl share. One thread. Commands return an exit status (contract §5) and
 * have said on stderr why when it is not EXIT_DONE.
 */

#include <jansson.h>
#include <stdio.h>

#include "ghmem/ghmem.h"
#include "util/util.h"

enum exit_status {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_DENIED = 3,      /* by policy or quota */
	EXIT_UNREACHABLE = 4, /* no daemon */
	EXIT_NO_PARCEL = 5,
};

/* Bits, so that an option can say which commands take it. */
enum command {
	COMMAND_STATUS = 1 << 0,
	COMMAND_LIST = 1 << 1,
	COMMAND_SHOW = 1 << 2,
	COMMAND_SHARE = 1 << 3,
	COMMAND_LEND = 1 << 4,
	COMMAND_DONATE = 1 << 5,
	COMMAND_RECLAIM = 1 << 6,
	COMMAND_MONITOR = 1 << 7,
	COMMAND_CHECK = 1 << 8,
	COMMAND_POLICY = 1 << 9,
	COMMAND_RELOAD = 1 << 10,
};
#define COMMANDS_KEEP (COMMAND_SHARE | COMMAND_LEND)
#define COMMANDS_GIVE (COMMANDS_KEEP | COMMAND_DONATE)
#define COMMANDS_ALL  ((COMMAND_RELOAD << 1) - 1)

/* In the order of the table in ghmemctl-options.c. */
enum option_id {
	OPTION_ADDRESS,
	OPTION_JSON,
	OPTION_HELP,
	OPTION_VERSION,
	OPTION_VM,
	OPTION_SIZE,
	OPTION_FILE,
	OPTION_FD,
	OPTION_REGION,
	OPTION_COPY,
	OPTION_PRIVATE,
	OPTION_POOL,
	OPTION_OFFSET,
	OPTION_LENGTH,
	OPTION_TYPE,
	OPTION_LABEL,
	OPTION_HOST_ACCESS,
	OPTION_SANITIZE,
	OPTION_NOTIFY,
	OPTION_DETACH,
	OPTION_WAIT,
	OPTION_FORCE,
	OPTION_OPERATION,
	OPTION_UID,
	OPTION_POLICY_DIR,
	N_OPTIONS,
};

struct grant {
	uint16_t vmid;
	unsigned access; /* 0: not given */
};

/* The command line. Strings belong to argv. */
struct options {
	enum command command;
	unsigned given; /* bits 1 << enum option_id */
	const char *address;
	const char *file, *operation;
	struct grant *grants;
	size_t n_grants;
	struct ghmem_region *regions;
	size_t n_regions;
	const char **policy_dirs;
	size_t n_policy_dirs;
	uint64_t size, offset, length, label, wait, uid;
	int fd;
	unsigned host_access;
	bool io;
	char **operands; /* without the command */
	int n_operands;
	char **argv; /* what stands after `--`, ends with NULL; NULL when there is no `--` */
};

static inline bool option_given(const struct options *options, enum option_id id)
{
	return options->given & (1u << id);
}

/* ---- ghmemctl-options.c ---- */

/*
 * Reads the command line. Returns -1 when there is a command to run, else the exit status to end
 * with. options: initialised by the callee, freed with options_done.
 */
int options_parse(struct options *options, int argc, char **argv);
void options_done(struct options *options);

/* The one operand, a handle. Returns EXIT_DONE or EXIT_USAGE. */
int options_handle(const struct options *options, uint32_t *ret);

/* Complains about operands that the command does not take. Returns EXIT_DONE or EXIT_USAGE. */
int options_no_operands(const struct options *options);

/* ---- ghmemctl-request.c ---- */

/*
 * Makes the request that the options describe. *ret_fd: the memory's descriptor when this side has
 * it (--fd, --file without --copy), else -1; *ret_own: the descriptor to close afterwards, or -1.
 * Returns an exit status.
 */
int request_from_options(
	const struct options *options, struct ghmem_request **ret, int *ret_fd, int *ret_own);

/* Bytes that the options ask for, 0 when that is not known. */
uint64_t request_bytes(const struct options *options);

/* ---- ghmemctl-output.c ---- */

/* One line on stderr, after the program's name. Control characters are made harmless. */
void ctl_complain(const char *format, ...) _printf_(1, 2);

/* The same for bad usage; points to --help and returns EXIT_USAGE. */
int ctl_usage(const char *format, ...) _printf_(1, 2);

/* Connects, or says why not and what to do. Returns EXIT_DONE or EXIT_UNREACHABLE. */
int broker_connect(const struct options *options, struct ghmem **ret);

/* Says why a call failed (r as the library returned it). Returns its exit status. */
int broker_failed(const struct options *options, const struct ghmem *connection, int r);

static inline void broker_closep(struct ghmem **connection)
{
	ghmem_close(*connection);
}

static inline void parcel_freep(struct ghmem_parcel **parcel)
{
	ghmem_parcel_free(*parcel);
}

static inline void request_freep(struct ghmem_request **request)
{
	ghmem_request_free(*request);
}

static inline void json_unrefp(json_t **json)
{
	json_decref(*json);
}

/* Replaces control characters in place; returns text. */
char *ctl_printable(char *text);

/* "3 s", "5 min", "2 h 3 min"; returns buffer. */
char *ctl_format_duration(uint64_t usec, char *buffer, size_t size);
#define DURATION_MAX 48

/* The virtual machines of a parcel, "0x80:rw,0x81:r", in new memory; NULL without memory. */
char *ctl_format_holders(const struct ghmem_parcel *parcel);

/* A handle or "-"; returns buffer. */
char *ctl_format_handle(const struct ghmem_parcel *parcel, char *buffer, size_t size);
#define HANDLE_MAX 16

enum colour { COLOUR_NONE, COLOUR_BOLD, COLOUR_GREEN, COLOUR_YELLOW, COLOUR_RED };
const char *ctl_colour_on(enum colour colour);
const char *ctl_colour_off(enum colour colour);
enum colour ctl_state_colour(enum ghmem_state state);

/* Flushes stdout. Returns EXIT_DONE, or EXIT_FAILED after complaining (full disk). */
int ctl_output_flush(void);

/* Prints a JSON document and a newline: one line, but on a terminal. */
int ctl_output_json(const json_t *json);

/* A note on stderr about long work, when that is a terminal. ctl_complain() clears it too. */
void ctl_progress(const char *format, ...) _printf_(1, 2);
void ctl_progress_clear(void);

/* ---- ghmemctl-table.c ---- */

/* A table of parcels, filled line by line. */
struct ctl_table;
int ctl_table_new(struct ctl_table **ret);
struct ctl_table *ctl_table_free(struct ctl_table *table);
int ctl_table_add(struct ctl_table *table, const struct ghmem_parcel *parcel);
size_t ctl_table_rows(const struct ctl_table *table);
void ctl_table_print(const struct ctl_table *table);

static inline void ctl_table_freep(struct ctl_table **table)
{
	ctl_table_free(*table);
}

/* ---- commands ---- */

int command_status(const struct options *options);
int command_list(const struct options *options);
int command_show(const struct options *options);
int command_give(const struct options *options); /* share, lend, donate */
int command_reclaim(const struct options *options);
int command_monitor(const struct options *options);
int command_check(const struct options *options);
int command_reload(const struct options *options);
int command_policy(const struct options *options);

/* ---- ghmemctl-hold.c ---- */

/*
 * A descriptor that becomes readable with SIGINT, SIGTERM and SIGHUP, which are blocked from then on
 * unless they are ignored. Returns it or -errno.
 */
int signals_new(void);

struct hold {
	const struct options *options;
	struct ghmem *connection;
	const struct ghmem_parcel *parcel;
	int signals;
	int memory; /* for the command; -1: none */
};

/*
 * Keeps a parcel until a signal comes, the command ends or the broker closes the connection, then
 * reclaims it. Returns the exit status, the command's own when there is one.
 */
int hold_parcel(struct hold *hold);
