/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The least that the same work could cost on this machine; see README.md. */

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <math.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "ghrm/packet.h"
#include "tests/bench/bench.h"
#include "tests/bench/speak.h"
#include "util/util.h"

/* ---- processes at the other end of a socket ---- */

/* In the child on success with *ret_pid 0. Returns this side's end, or a negative errno. */
static int fork_peer(int type, pid_t *ret_pid)
{
	int fds[2];
	pid_t parent = getpid();

	if (socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	*ret_pid = fork();
	if (*ret_pid < 0) {
		int r = -errno;

		util_close(fds[0]);
		util_close(fds[1]);
		return r;
	}
	if (*ret_pid > 0) {
		util_close(fds[1]);
		return fds[0];
	}
	/* The end of the other process is the end of the socket, unless it is copied here. */
	util_close(fds[0]);
	signal(SIGINT, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	return fds[1];
}

int floor_echo_start(pid_t *ret_pid, size_t message)
{
	char buffer[4096];
	int fd = message <= sizeof(buffer) ? fork_peer(SOCK_STREAM, ret_pid) : -EINVAL;

	if (fd < 0 || *ret_pid > 0)
		return fd;
	while (speak_read(fd, buffer, message) == 0 && speak_write(fd, buffer, message) == 0)
		;
	_exit(0);
}

/* ---- packets ---- */

#define BATCH 36 /* packets of a full APPEND */

struct batch {
	struct mmsghdr headers[BATCH];
	struct iovec pieces[BATCH];
	uint8_t packets[BATCH][GHRM_PACKET_MAX];
};

static struct batch *batch_new(void)
{
	struct batch *batch = calloc(1, sizeof(*batch));

	for (size_t i = 0; batch && i < BATCH; i++) {
		batch->pieces[i] = (struct iovec){ batch->packets[i], GHRM_PACKET_MAX };
		batch->headers[i].msg_hdr.msg_iov = &batch->pieces[i];
		batch->headers[i].msg_hdr.msg_iovlen = 1;
	}
	return batch;
}

/* The first packet of a run says how many there are in all; one byte goes back at the end. */
static void take_packets(int fd)
{
	struct batch *batch = batch_new();
	uint64_t expected = 0, have = 0;

	while (batch) {
		int n = recvmmsg(fd, batch->headers, BATCH, MSG_WAITFORONE, NULL);

		if (n <= 0 || batch->headers[0].msg_len == 0)
			break;
		if (have == 0)
			expected = util_get_le64(batch->packets[0]);
		have += (uint64_t)n;
		if (have == expected) {
			have = 0;
			if (speak_write(fd, "", 1) < 0)
				break;
		}
	}
	_exit(0);
}

int floor_packets_start(pid_t *ret_pid)
{
	int fd = fork_peer(SOCK_SEQPACKET, ret_pid);

	if (fd >= 0 && *ret_pid == 0)
		take_packets(fd);
	return fd;
}

int floor_packets_send(int fd, uint64_t packets)
{
	_cleanup_free_ struct batch *batch = batch_new();
	char end;

	if (!batch)
		return -ENOMEM;
	util_put_le64(batch->packets[0], packets);
	while (packets > 0) {
		int n = sendmmsg(fd, batch->headers, packets < BATCH ? (unsigned)packets : BATCH,
			MSG_NOSIGNAL);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		packets -= (uint64_t)n;
	}
	return speak_read(fd, &end, 1);
}

/* ---- memory ---- */

#define BUFFER_MAX    (1ull << 30) /* of one registered buffer */
#define ENTRIES       65536
#define ENTRY_PRESENT (1ull << 63) /* Documentation/admin-guide/mm/pagemap.rst */
#define ENTRY_FRAME   ((1ull << 55) - 1)

static int pin(char *map, uint64_t size, struct io_uring *ring)
{
	struct iovec buffers[16];
	unsigned n = 0;
	int r;

	for (uint64_t at = 0; at < size && n < ARRAY_SIZE(buffers); at += BUFFER_MAX, n++)
		buffers[n] = (struct iovec){ map + at,
			(size_t)(size - at < BUFFER_MAX ? size - at : BUFFER_MAX) };
	r = io_uring_queue_init(1, ring, 0);
	if (r < 0)
		return r;
	r = io_uring_register_buffers(ring, buffers, n);
	if (r < 0)
		io_uring_queue_exit(ring);
	return r;
}

/* Reads the frame numbers and joins neighbours, as the daemon does for its list. */
static int resolve(
	int pagemap, const char *map, uint64_t size, struct ghrm_region *regions, size_t *ret_n)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	size_t n_regions = 0;
	_cleanup_free_ uint64_t *entries = calloc(ENTRIES, sizeof(*entries));
	uint64_t first = (uintptr_t)map / page, end = first + size / page;

	if (!entries)
		return -ENOMEM;
	while (first < end) {
		uint64_t now = end - first < ENTRIES ? end - first : ENTRIES;
		ssize_t n = pread(pagemap, entries, now * sizeof(*entries),
			(off_t)(first * sizeof(*entries)));

		if (n != (ssize_t)(now * sizeof(*entries)))
			return n < 0 ? -errno : -EIO;
		for (uint64_t i = 0; i < now; i++) {
			uint64_t frame = entries[i] & ENTRY_FRAME;

			if (!(entries[i] & ENTRY_PRESENT) || frame == 0)
				return -ENODATA;
			if (n_regions > 0 &&
				regions[n_regions - 1].address + regions[n_regions - 1].size ==
					frame * page)
				regions[n_regions - 1].size += page;
			else
				regions[n_regions++] = (struct ghrm_region){ frame * page, page };
		}
		first += now;
	}
	*ret_n = n_regions;
	return 0;
}

/* Unmaps in every case, before the pins go, as with a lend. */
static int steps(char *map, uint64_t size, bool pins, int pagemap, struct ghrm_region *regions,
	struct floor_memory *ret, size_t *ret_n)
{
	struct io_uring ring;
	bool pinned = false;
	double start = stats_now();
	int r = madvise(map, size, MADV_POPULATE_WRITE) < 0 ? -errno : 0;

	ret->populate = stats_now() - start;
	start = stats_now();
	if (r == 0 && pins) {
		r = pin(map, size, &ring);
		pinned = r == 0;
		ret->pin = stats_now() - start;
	}
	start = stats_now();
	if (r == 0 && pagemap >= 0) {
		r = resolve(pagemap, map, size, regions, ret_n);
		ret->resolve = stats_now() - start;
	}
	munmap(map, size);
	start = stats_now();
	if (pinned)
		io_uring_queue_exit(&ring);
	ret->back = stats_now() - start;
	return r;
}

int floor_memory(uint64_t size, bool pins, struct ghrm_region *regions, struct floor_memory *ret,
	size_t *ret_regions)
{
	_cleanup_close_ int fd = memfd_create("ghmem-bench", MFD_CLOEXEC), pagemap = -1;
	double start;
	char *map;
	int r;

	*ret = (struct floor_memory){ (double)NAN, (double)NAN, (double)NAN, 0 };
	*ret_regions = 0;
	if (fd < 0 || ftruncate(fd, (off_t)size) < 0)
		return -errno;
	if (regions) {
		pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
		if (pagemap < 0)
			return -errno;
	}
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		return -errno;
	r = steps(map, size, pins, pagemap, regions, ret, ret_regions);
	start = stats_now();
	fd = util_close(fd);
	ret->back += stats_now() - start;
	if (!pins)
		ret->back = (double)NAN;
	return r;
}
