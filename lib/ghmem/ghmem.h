/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef GHMEM_H
#define GHMEM_H

/*
 * libghmem: share, lend and donate memory to Gunyah virtual machines through ghmemd.
 *
 * A program connects, fills a request, and gets a parcel: the memory as the Resource Manager knows
 * it, named by a handle that the guest needs to accept it. By default a parcel belongs to the
 * connection: when that is closed, however it is closed, the broker takes the memory back. A closed
 * connection does not say when: after a lend the host may touch the memory again only when
 * ghmem_reclaim() has returned 0. Touching it earlier can take the host down.
 *
 * Results. Functions that return int return 0, a negative errno (the environment failed: no
 * connection, no memory, a reply that makes no sense) or a positive enum ghmem_outcome (the broker
 * refused). ghmem_error_text() says it in words. What is returned through a ret parameter is set
 * on success only.
 *
 * Threads. The library has no state of its own. One connection, request or parcel must be used by
 * one thread at a time; different ones are independent. "Thread-safety: per connection" below
 * means just that. The library installs no signal handlers, raises no SIGPIPE, and all descriptors
 * that it makes are close-on-exec.
 *
 * ABI. All structures are opaque, but for struct ghmem_region, which will not change. Enumerations
 * may grow: treat a value that you do not know as "other".
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ghmem;         /* a connection to the broker */
struct ghmem_request; /* what is asked for */
struct ghmem_parcel;  /* what the broker says of one parcel */
struct ghmem_event;   /* what happened, for ghmem_monitor() */

/* A range of physical addresses, both in bytes. */
struct ghmem_region {
	uint64_t address;
	uint64_t size;
};

/* The broker's refusals. The numbers do not change; new ones are added at the end. */
enum ghmem_outcome {
	GHMEM_OK = 0,
	GHMEM_POLICY_DENIED = 1,       /* no policy rule allows it; parameters rule, reason */
	GHMEM_QUOTA_EXCEEDED = 2,      /* parameters limit, used, maximum */
	GHMEM_PARCEL_NOT_FOUND = 3,    /* or it belongs to somebody else; parameter handle */
	GHMEM_PARCEL_IN_USE = 4,       /* virtual machines still hold it; parameters handle, vms */
	GHMEM_MEMORY_INVALID = 5,      /* parameters reason, index (position in the regions) */
	GHMEM_MANAGER_ERROR = 6,       /* the Resource Manager refused; code, name, message */
	GHMEM_MANAGER_UNAVAILABLE = 7, /* the Resource Manager cannot be reached; reason */
	GHMEM_OUTCOME_UNKNOWN = 8,     /* its answer was lost, the memory is withheld; reason */
	GHMEM_INVALID_PARAMETER = 9,   /* the request is malformed; parameter parameter */
	GHMEM_NOT_SUPPORTED = 10,      /* the broker does not know the method or interface */
	GHMEM_PERMISSION_DENIED = 11,  /* the service refused the caller as such */
	GHMEM_OTHER_ERROR = 12,        /* an error that this library does not know by name */
	GHMEM_NOT_IMPLEMENTED = 13,    /* the method is known, but not in this version */
	GHMEM_POLICY_INVALID = 14 /* Reload: the files are faulty, the old policy stays; reason */
};

/* What a virtual machine may do with memory; or'ed. Reading is part of every access. */
enum ghmem_access { GHMEM_READ = 4, GHMEM_WRITE = 2, GHMEM_EXEC = 1 };

enum ghmem_memory_type { GHMEM_NORMAL = 0, GHMEM_IO = 1 };

enum ghmem_operation {
	GHMEM_OPERATION_OTHER = 0, /* a word that this library does not know */
	GHMEM_SHARE = 1,
	GHMEM_LEND = 2,
	GHMEM_DONATE = 3
};

enum ghmem_state {
	GHMEM_STATE_OTHER = 0,      /* a word that this library does not know */
	GHMEM_STATE_BUILDING = 1,   /* being described to the Resource Manager */
	GHMEM_STATE_OFFERED = 2,    /* complete, accepted by nobody */
	GHMEM_STATE_HELD = 3,       /* accepted by a virtual machine */
	GHMEM_STATE_RECLAIMING = 4, /* being taken back */
	GHMEM_STATE_QUARANTINED = 5 /* cannot be taken back, or its fate is not known */
};

/* ---- connections ---- */

/*
 * The address that ghmem_connect(NULL, …) uses: $GHMEM_ADDRESS if it is set and the program is not
 * set-user-ID, else "unix:/run/ghmemd/org.ghmem.Broker". Owned by the library or the environment.
 * Thread-safety: as getenv(3).
 */
const char *ghmem_default_address(void);

/*
 * Connects to the broker. address: "unix:PATH" or "unix:@NAME" (abstract), NULL for the default.
 * *ret is the caller's, to be closed with ghmem_close(). Errors: -EINVAL (not such an address),
 * -ENAMETOOLONG (PATH does not fit a socket address), -ENOENT, -ECONNREFUSED, -EACCES and what else
 * socket(2) and connect(2) say, -ENOMEM. Thread-safety: thread-safe.
 */
int ghmem_connect(const char *address, struct ghmem **ret);

/*
 * Closes the connection and frees it. The broker then takes back all parcels that were made on it,
 * but for detached and donated ones. Accepts NULL, returns NULL. Thread-safety: per connection.
 */
struct ghmem *ghmem_close(struct ghmem *connection);

/*
 * The connection's descriptor, for poll(2) only: between calls, POLLIN or POLLHUP means that the
 * broker closed the connection (the broker sends nothing unasked). It stays the connection's.
 * Thread-safety: per connection.
 */
int ghmem_get_fd(const struct ghmem *connection);

/*
 * Makes calls interruptible: while a call waits and fd is readable (an eventfd, a signalfd, a pipe),
 * the call ends with -ECANCELED and the connection can only be closed. fd is borrowed and never
 * read; -1 ends the arrangement. Thread-safety: per connection; making fd readable is how another
 * thread stops a call.
 */
void ghmem_set_cancel_fd(struct ghmem *connection, int fd);

/* ---- the last failure of a connection ---- */

/*
 * The last failed call in words, one line without a full stop, for a person; "" after a success.
 * It may contain what the broker sent: escape it where that matters. Owned by the connection, valid
 * until its next call. Thread-safety: per connection.
 */
const char *ghmem_error_text(const struct ghmem *connection);

/*
 * The Varlink name of the broker's error, "org.ghmem.Broker.PolicyDenied"; NULL when the last call
 * did not end with a positive outcome. Owned by the connection, valid until its next call.
 * Thread-safety: per connection.
 */
const char *ghmem_error_name(const struct ghmem *connection);

/*
 * The parameters of that error as the text of a JSON object; NULL as above. Owned by the
 * connection, valid until its next call. Thread-safety: per connection.
 */
const char *ghmem_error_parameters(const struct ghmem *connection);

/* ---- requests ---- */

/*
 * An empty request, to be freed with ghmem_request_free(). It may be used for any number of calls.
 * Errors: -ENOMEM. Thread-safety: thread-safe.
 */
int ghmem_request_new(struct ghmem_request **ret);

/* Frees a request. Accepts NULL, returns NULL. Thread-safety: per request. */
struct ghmem_request *ghmem_request_free(struct ghmem_request *request);

/*
 * The memory: exactly one of the next four kinds. A second kind is -EEXIST. All sizes, offsets and
 * addresses are bytes and multiples of 4096; -EINVAL for 0 where that makes no sense and for
 * numbers over INT64_MAX. Thread-safety of all setters: per request.
 */

/*
 * A memfd of the caller's, sealed against shrinking (F_SEAL_SHRINK), from offset on, size bytes; 0:
 * to the end of the file. fd is borrowed: it must be open during the calls and stays the caller's.
 * Errors: -EBADF (negative), -EINVAL, -EEXIST.
 */
int ghmem_request_set_fd(struct ghmem_request *request, int fd, uint64_t offset, uint64_t size);

/*
 * With set_fd: the broker copies the bytes into memory of its own and gives that away, so that no
 * client has it mapped. Default false.
 */
void ghmem_request_set_copy(struct ghmem_request *request, bool copy);

/*
 * The broker allocates size bytes, zeroed, and passes their memfd with the reply. Errors: -EINVAL,
 * -EEXIST.
 */
int ghmem_request_set_allocate(struct ghmem_request *request, uint64_t size);

/* With set_allocate: the memfd is not passed, nobody but the broker ever has it. Default false. */
void ghmem_request_set_private(struct ghmem_request *request, bool is_private);

/*
 * With set_allocate, for shares: a piece of a parcel that the broker keeps for the same virtual
 * machines; ghmem_parcel_offset() says where in it. Default false.
 */
void ghmem_request_set_pool(struct ghmem_request *request, bool pool);

/*
 * Adds a fixed physical range; may be called any number of times. Many ranges travel in a sealed
 * memfd. Errors: -EINVAL, -EEXIST, -ENOMEM.
 */
int ghmem_request_add_region(struct ghmem_request *request, uint64_t address, uint64_t size);

/*
 * The same as a sealed memfd of little-endian pairs of 64-bit address and size. fd is borrowed as
 * in set_fd. Errors: -EBADF, -EEXIST.
 */
int ghmem_request_set_regions_fd(struct ghmem_request *request, int fd);

/*
 * Adds a virtual machine that may accept the memory. access: enum ghmem_access, or'ed, with
 * GHMEM_READ; for ghmem_donate(), which takes exactly one virtual machine, it is not looked at.
 * Errors: -EINVAL, -ENOMEM.
 */
int ghmem_request_add_vm(struct ghmem_request *request, uint16_t vmid, unsigned access);

/* Normal memory (default) or device memory. */
void ghmem_request_set_memory_type(struct ghmem_request *request, enum ghmem_memory_type type);

/* The label that the guest finds the parcel by. Default: a fresh one that is not 0. */
void ghmem_request_set_label(struct ghmem_request *request, uint32_t label);

/*
 * ghmem_share() only: what the host keeps. access as in add_vm; default read and write. Errors:
 * -EINVAL.
 */
int ghmem_request_set_host_access(struct ghmem_request *request, unsigned access);

/* The Resource Manager zeroes the memory before it changes hands. Default false. */
void ghmem_request_set_sanitize(struct ghmem_request *request, bool sanitize);

/* Running grantees are told of the parcel by MEM_NOTIFY(SHARED). Default false. */
void ghmem_request_set_notify(struct ghmem_request *request, bool notify);

/*
 * Not for ghmem_donate(): the parcel lives until it is reclaimed, not until the connection closes.
 * Policy must allow it. Default false.
 */
void ghmem_request_set_detached(struct ghmem_request *request, bool detached);

/*
 * Not for ghmem_donate(): how many milliseconds the request may queue for a free slot of the
 * Resource Manager. Default 0.
 */
void ghmem_request_set_wait(struct ghmem_request *request, uint32_t milliseconds);

/* ---- giving memory and taking it back ---- */

/*
 * Shares memory (the host keeps access), lends it (the host loses access until it is reclaimed).
 * The call ends when the parcel is complete or no trace of it is left.
 *
 * ret: the parcel, the caller's to free with ghmem_parcel_free(). ret_fd: the memfd of memory that
 * the broker allocated, the caller's to close; -1 for other kinds. It may be NULL: then the
 * descriptor is closed.
 *
 * Errors: a positive outcome; -EINVAL (request without memory or virtual machine), -EBADF,
 * -EMSGSIZE (request over 16 MiB), -ECONNRESET (the broker closed the connection; it takes back
 * what it had begun), -EBADMSG (the reply makes no sense), -ECANCELED, -ENOTCONN (an earlier call
 * lost the connection), -ENOMEM, -EMFILE. Thread-safety: per connection.
 */
int ghmem_share(struct ghmem *connection, const struct ghmem_request *request,
	struct ghmem_parcel **ret, int *ret_fd);
int ghmem_lend(struct ghmem *connection, const struct ghmem_request *request,
	struct ghmem_parcel **ret, int *ret_fd);

/*
 * Gives memory away to one virtual machine, for good once that accepts it. ret, errors and
 * thread-safety as above.
 */
int ghmem_donate(
	struct ghmem *connection, const struct ghmem_request *request, struct ghmem_parcel **ret);

/* For ghmem_reclaim() and ghmem_release(), or'ed. */
enum ghmem_flags {
	GHMEM_SANITIZE = 1, /* the Resource Manager zeroes the memory first */
	GHMEM_FORCE = 2     /* reclaim: also from a virtual machine that does not let go */
};

/*
 * Takes a parcel back. Only a return of 0 says that the host may touch the memory again.
 * handle: ghmem_parcel_handle(). flags: enum ghmem_flags. Errors: GHMEM_PARCEL_IN_USE while a
 * virtual machine holds it, GHMEM_PARCEL_NOT_FOUND and the other outcomes; negative ones as
 * above. Thread-safety: per connection.
 */
int ghmem_reclaim(struct ghmem *connection, uint32_t handle, unsigned flags);

/* The same for one piece of a pool; offset: ghmem_parcel_offset(), bytes. */
int ghmem_reclaim_piece(struct ghmem *connection, uint32_t handle, uint64_t offset, unsigned flags);

/*
 * Asks whether the broker would allow a request, without making it. operation: the policy's word
 * ("lend", "reclaim"); request may be NULL for operations without memory; uid: whom to ask for,
 * (uid_t)-1 for the caller.
 *
 * ret_rule (may be NULL): the name of the rule that decides, NULL when none matches; ret_reason
 * (may be NULL): why, for a person. Both are the caller's to free(3). Errors as ghmem_share().
 * Thread-safety: per connection.
 */
int ghmem_check(struct ghmem *connection, const char *operation,
	const struct ghmem_request *request, uid_t uid, bool *ret_allowed, char **ret_rule,
	char **ret_reason);

/* ---- asking about parcels ---- */

/*
 * Describes one parcel of the caller's. *ret is the caller's to free. Errors: GHMEM_PARCEL_NOT_FOUND
 * and as ghmem_share(). Thread-safety: per connection.
 */
int ghmem_describe(struct ghmem *connection, uint32_t handle, struct ghmem_parcel **ret);

/*
 * A function that is given one parcel, which it may use until it returns. A return other than 0
 * ends the calls and is what the caller gets. It must not use the connection.
 */
typedef int (*ghmem_parcel_fn)(const struct ghmem_parcel *parcel, void *userdata);

/*
 * Calls function for each parcel that the caller may see. The connection can be used afterwards,
 * also when function ended it. Returns function's value, or errors as ghmem_share().
 * Thread-safety: per connection.
 */
int ghmem_list(struct ghmem *connection, ghmem_parcel_fn function, void *userdata);

/* As ghmem_parcel_fn, for events. */
typedef int (*ghmem_event_fn)(const struct ghmem_event *event, void *userdata);

/*
 * Calls function for each event, until it returns other than 0, the broker closes the connection
 * (-ECONNRESET) or the call is cancelled (-ECANCELED). The connection can only be closed then: use
 * one of its own for this, parcels made on it are taken back. Thread-safety: per connection.
 */
int ghmem_monitor(struct ghmem *connection, ghmem_event_fn function, void *userdata);

/*
 * The kind of event, "created", "held", "released", …; of which parcel, NULL when of none; of which
 * virtual machine, -1 when of none; details, NULL when there are none; the broker's time stamp in
 * microseconds; the whole as the text of a JSON object. All live as long as the event.
 * Thread-safety: per event.
 */
const char *ghmem_event_kind(const struct ghmem_event *event);
const struct ghmem_parcel *ghmem_event_parcel(const struct ghmem_event *event);
int ghmem_event_vm(const struct ghmem_event *event);
const char *ghmem_event_detail(const struct ghmem_event *event);
uint64_t ghmem_event_time(const struct ghmem_event *event);
const char *ghmem_event_json(const struct ghmem_event *event);

/* ---- parcels; thread-safety of all: per parcel; what is returned lives as long as the parcel ---- */

/* Frees what the library knows of the parcel; the parcel itself lives on. Accepts, returns NULL. */
struct ghmem_parcel *ghmem_parcel_free(struct ghmem_parcel *parcel);

/* The broker's own name for it, never used again. */
const char *ghmem_parcel_id(const struct ghmem_parcel *parcel);

/*
 * The Resource Manager's handle, which the guest accepts it by and ghmem_reclaim() takes. 0 is a
 * valid handle. Returns 0, or -ENODATA while it is not known.
 */
int ghmem_parcel_handle(const struct ghmem_parcel *parcel, uint32_t *ret);

enum ghmem_operation ghmem_parcel_operation(const struct ghmem_parcel *parcel);
enum ghmem_state ghmem_parcel_state(const struct ghmem_parcel *parcel);
enum ghmem_memory_type ghmem_parcel_memory_type(const struct ghmem_parcel *parcel);

/* The broker's words for operation and state, also those that this library does not know. */
const char *ghmem_parcel_operation_name(const struct ghmem_parcel *parcel);
const char *ghmem_parcel_state_name(const struct ghmem_parcel *parcel);

uint32_t ghmem_parcel_label(const struct ghmem_parcel *parcel);

/* Bytes. */
uint64_t ghmem_parcel_size(const struct ghmem_parcel *parcel);

/* Entries of the Resource Manager's list, and messages that it took to describe them. */
uint64_t ghmem_parcel_regions(const struct ghmem_parcel *parcel);
uint64_t ghmem_parcel_messages(const struct ghmem_parcel *parcel);

/* Where a piece of a pool begins in the memfd and the parcel, bytes. 0, or -ENODATA for no piece. */
int ghmem_parcel_offset(const struct ghmem_parcel *parcel, uint64_t *ret);

/*
 * The virtual machines that may accept it, 0 ≤ i < n. Each ret may be NULL; access: enum
 * ghmem_access; accepted: it has it now. Returns 0, or -ERANGE when there is no such i.
 */
size_t ghmem_parcel_n_holders(const struct ghmem_parcel *parcel);
int ghmem_parcel_holder(const struct ghmem_parcel *parcel, size_t i, uint16_t *ret_vmid,
	unsigned *ret_access, bool *ret_accepted);

/* Does it outlive the connection that made it? */
bool ghmem_parcel_detached(const struct ghmem_parcel *parcel);

/* Who made it; unit is NULL for a process in no systemd unit. */
uid_t ghmem_parcel_uid(const struct ghmem_parcel *parcel);
pid_t ghmem_parcel_pid(const struct ghmem_parcel *parcel);
const char *ghmem_parcel_unit(const struct ghmem_parcel *parcel);

/* The policy rule that allowed it. */
const char *ghmem_parcel_rule(const struct ghmem_parcel *parcel);

/* Microseconds between its creation and the reply. */
uint64_t ghmem_parcel_age(const struct ghmem_parcel *parcel);

/* All of it as the text of a JSON object, with the keys of org.ghmem.Broker(5). */
const char *ghmem_parcel_json(const struct ghmem_parcel *parcel);

/* ---- the broker ---- */

/*
 * The broker's Status as the text of a JSON object, the caller's to free(3). Errors as
 * ghmem_share(). Thread-safety: per connection.
 */
int ghmem_status(struct ghmem *connection, char **ret_json);

/*
 * Makes the broker read its policy files again. ret_files, ret_rules (may be NULL): what is in
 * force now. Errors as ghmem_share(). Thread-safety: per connection.
 */
int ghmem_reload(struct ghmem *connection, uint64_t *ret_files, uint64_t *ret_rules);

/* ---- memory that other virtual machines offer to this host ---- */

/*
 * Accepts a parcel. *ret_regions: where it is, the caller's to free(3), *ret_n entries. Errors as
 * ghmem_share(). Thread-safety: per connection.
 */
int ghmem_accept(struct ghmem *connection, uint32_t handle, struct ghmem_region **ret_regions,
	size_t *ret_n);

/* Lets go of it. flags: 0 or GHMEM_SANITIZE. Errors as ghmem_share(). */
int ghmem_release(struct ghmem *connection, uint32_t handle, unsigned flags);

/* ---- any method of any interface that the broker serves ---- */

/*
 * Calls a method. method: fully qualified, "org.ghmem.Broker.Status". parameters: the text of a JSON
 * object, NULL for none. fds: n_fds descriptors (16 at most) that travel with the call, borrowed; a
 * parameter names one by its position.
 *
 * ret_reply (may be NULL): the reply's parameters as the text of a JSON object, the caller's to
 * free(3). ret_fd (may be NULL): the first descriptor that came with the reply, the caller's to
 * close, or -1. Errors as ghmem_share(); -EINVAL also for parameters that are no JSON object.
 * Thread-safety: per connection.
 */
int ghmem_call(struct ghmem *connection, const char *method, const char *parameters, const int *fds,
	size_t n_fds, char **ret_reply, int *ret_fd);

/* A function that is given the parameters of one reply; as ghmem_parcel_fn otherwise. */
typedef int (*ghmem_reply_fn)(const char *reply, void *userdata);

/*
 * Calls a method with `more` and function for each reply. When function ends it before the last
 * reply, the connection can only be closed. Returns function's value, or errors as ghmem_call().
 * Thread-safety: per connection.
 */
int ghmem_call_more(struct ghmem *connection, const char *method, const char *parameters,
	ghmem_reply_fn function, void *userdata);

#ifdef __cplusplus
}
#endif

#endif
