/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What ghmemd and ghmemd-holder say to each other over STATE_DIR/holder.sock (SOCK_SEQPACKET).
 * One request packet, one reply packet, in turn; both of fixed size, in the machine's own byte
 * order, since both ends run on it. Fields that a command does not use must be zero.
 *
 * The peer must have the holder's uid, and its first request is HELLO with the descriptor of
 * STATE_DIR/lock, on whose open file description the lock (flock or an OFD write lock) is held.
 * A request that is no request (wrong size, more than one descriptor, a field out of its range)
 * is answered with -EPROTO and ends the connection; nothing else a peer does ends it.
 */

#include <assert.h>
#include <stdint.h>

#define HOLDER_VERSION 2u
#define HOLDER_SOCKET  "holder.sock"
#define HOLDER_LOCK    "lock"
#define HOLDER_TAG_MAX 32 /* with the NUL */

enum holder_command {
	HOLDER_HELLO =
		1, /* + lock's descriptor → epoch, highest name, entries, pages; + holder's pidfd */
	HOLDER_PUT = 2,  /* name, class, offset, size, tag + descriptor → pages, ring_fd */
	HOLDER_GET = 3,  /* name → the entry + its descriptor; -ENODATA: adopted, it has none */
	HOLDER_LIST = 4, /* name → the entry with the lowest name above it; -ENOENT: no more */
	HOLDER_DROP = 5, /* name → the entry as it was */
	/*
	 * name, class memory, size, tag, ring_fd + pidfd of a process that lets the holder copy
	 * descriptor ring_fd, a ring with pinned buffers, out of it → the entry, without a memfd.
	 * A ring can be passed in no other way: the kernel refuses it in SCM_RIGHTS.
	 */
	HOLDER_ADOPT = 6,
};

enum holder_class {
	HOLDER_MEMORY = 1, /* a memfd, pinned from offset for size bytes */
	HOLDER_CLIENT =
		2, /* a client's connection or pidfd: closed when no daemon comes back in time */
	HOLDER_OTHER = 3, /* kept; offset and size mean nothing to the holder */
};

enum holder_ability {
	HOLDER_PINS_ANY = 1, /* CAP_IPC_LOCK: RLIMIT_MEMLOCK does not bind */
};

struct holder_request {
	uint32_t command; /* enum holder_command */
	uint32_t class;   /* enum holder_class */
	uint64_t name;    /* not 0; PUT's must be above every name the holder has seen, ADOPT's
			     one that it does not keep */
	uint64_t offset;  /* bytes */
	uint64_t size;    /* bytes */
	int32_t ring_fd;
	uint32_t reserved; /* 0 */
	char tag[HOLDER_TAG_MAX];
};
static_assert(sizeof(struct holder_request) == 72, "the size is the protocol's");

struct holder_reply {
	int32_t result; /* 0 or -errno */
	uint32_t class;
	uint64_t name; /* HELLO: the highest name seen */
	uint64_t offset;
	uint64_t size;
	uint64_t pages;     /* pinned by this entry; HELLO: by all */
	uint64_t epoch;     /* random, one per holder process */
	uint32_t entries;   /* kept now */
	int32_t ring_fd;    /* number in the holder's process, for pidfd_getfd; -1: no pin */
	uint32_t version;   /* HOLDER_VERSION */
	uint32_t abilities; /* enum holder_ability, or'ed */
	int32_t pid;        /* of the holder, as it sees itself */
	uint32_t reserved;
	char tag[HOLDER_TAG_MAX];
};
static_assert(sizeof(struct holder_reply) == 104, "the size is the protocol's");
