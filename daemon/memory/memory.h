/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * From a memfd to pinned, joined, page-aligned physical regions, and back (architecture.md, "Memory").
 * The work is done by worker threads that keep nothing: a job goes in, the job comes back through the
 * submitter's mailbox. Pins are made and kept by ghmemd-holder; the memory
 * room is their second owner, and sees to it that there are always two.
 *
 * Threads: memory_submit may be called by any thread.
 */

#include <sys/types.h>

#include "ghrm/message.h"
#include "util/mailbox.h"

struct memory;

/* Joined neighbours in the client's order. */
struct region_list {
	struct ghrm_region *regions;
	size_t n, allocated;
	uint64_t bytes;
};

void region_list_done(struct region_list *list);

/* Adds a range; joins it with the last one when it continues it. Returns 0 or -ENOMEM. */
int region_list_add(struct region_list *list, uint64_t address, uint64_t size);

enum memory_outcome {
	MEMORY_OK,
	MEMORY_INVALID,   /* the client's descriptor or numbers; reason says which */
	MEMORY_EXHAUSTED, /* out of memory, RLIMIT_MEMLOCK, no descriptors left; reason says which */
	MEMORY_UNAVAILABLE, /* the holder cannot be reached or refused; reason says why */
};

#define MEMORY_REASON_MAX 256

/*
 * Checks a client's descriptor and numbers as far as that goes without ever blocking, and tells how
 * many bytes it is about. fd -1: an allocation of size bytes. The pin job checks all of it again,
 * seals the memfd against shrinking, and takes the size for what it was said to be. reason is filled unless MEMORY_OK is returned. Pure; any thread.
 */
enum memory_outcome memory_measure(int fd, uint64_t offset, uint64_t size, bool size_given,
	uint64_t *ret_bytes, char reason[static MEMORY_REASON_MAX]);

/* What a successful pin job leaves behind; given back with an unpin job. */
struct pinned {
	uint64_t name;  /* the holder's name for it, which alone ends the pin; never repeats */
	int memfd;      /* allocate: the memory's descriptor, to pass to the client; else -1 */
	bool is_pinned; /* false: only without the privilege, and only with an emulator */
	bool made_up;   /* region addresses are not real frame numbers; the same condition */
	uint64_t pages; /* pages pinned */
	struct region_list regions;
	uint64_t populate_usec, pin_usec, resolve_usec; /* time spent, microseconds */
};

enum memory_job_kind { MEMORY_PIN, MEMORY_UNPIN };

struct memory_job {
	struct letter letter;     /* the submitter sets deliver; posted back when done */
	struct mailbox *reply_to; /* NULL: nobody waits, the worker frees the job */
	enum memory_job_kind kind;
	uid_t uid; /* pins of one uid never take all workers */

	/* MEMORY_PIN */
	int fd; /* the client's descriptor, owned by the job and closed by it; -1: allocate */
	uint64_t offset, size; /* bytes; allocate: offset 0, size is always meant */
	bool size_given;       /* false for a descriptor: to the end of the file */
	uint64_t made_up_base; /* where to invent addresses when they have to be invented */

	/* results of MEMORY_PIN; argument of MEMORY_UNPIN (owned by the job from submission on) */
	enum memory_outcome outcome;
	char reason[MEMORY_REASON_MAX]; /* for the client, when the outcome is not MEMORY_OK */
	struct pinned *pinned;

	struct memory_job *next; /* the workers' own */
};

/* Bytes of addresses that memory of this size needs when they are made up (there are gaps in it). */
uint64_t memory_made_up_span(uint64_t size);

/* Closes and frees; the memory stays pinned, for nothing but MEMORY_UNPIN ends a pin. Returns NULL. */
struct pinned *pinned_free(struct pinned *pinned);

struct memory_options {
	unsigned workers;
	const char *state_dir;   /* the holder's socket and lock are here */
	const char *holder_path; /* program to start when no holder answers */
	int lock_fd;             /* the locked lock file of the state directory */
	bool may_invent; /* the RM is an emulator: made-up addresses and unpinned memory are allowed */
	const char *epoch; /* stands in the names of the holder's entries */
};

/* What the machine allows, found out at start. */
struct memory_abilities {
	bool frame_numbers; /* pagemap shows them */
	bool pins;          /* any amount can be pinned (CAP_IPC_LOCK, io_uring allowed) */
	char text[256];     /* what is missing, for status and log; empty when nothing is */
};

/*
 * Finds out what the machine allows, connects to the holder or starts it, starts the workers.
 * *ret_error (the caller's to free) says in one line why it failed. Returns 0 or -errno.
 */
int memory_new(struct memory **ret, const struct memory_options *options, char **ret_error);

/*
 * Finishes what is queued and ends the workers. Pins stay with the holder; when none can be had, a
 * copy of this process is left behind that keeps them and does nothing else. Returns NULL.
 */
struct memory *memory_free(struct memory *memory);

const struct memory_abilities *memory_abilities(const struct memory *memory);

/* Pages and parcels that the holder kept from a daemon before this one. */
void memory_left_over(const struct memory *memory, uint64_t *ret_entries, uint64_t *ret_pages);

/* Entries that are to be unpinned, or may have been pinned, when the holder answers again. Any thread. */
uint64_t memory_owed(const struct memory *memory);

void memory_submit(struct memory *memory, struct memory_job *job);
