/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * How long parcels of many regions take through a socket: LEND with appends of 512 regions, then
 * RECLAIM, against the embedded emulator; and the memory that it takes for them. Usage: emulator-bench [REGIONS]...
 */
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "emulator/embedded.h"
#include "ghrm/error.h"
#include "ghrm/message.h"
#include "ghrm/packet.h"
#include "util/util.h"

#define BASE 0x100000000ull

static uint8_t payload[GHRM_PAYLOAD_MAX];

static void die(const char *what)
{
	fprintf(stderr, "emulator-bench: %s: %m\n", what);
	exit(EXIT_FAILURE);
}

static void wait_for(int fd, short events)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };

	if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
		die("poll");
}

/* Sends a request and waits for its reply, which is one packet; returns the second word or 0. */
static uint32_t call(int fd, uint16_t seq, uint32_t msg_id, size_t size)
{
	struct ghrm_message message = {
		.type = GHRM_REQUEST, .seq = seq, .msg_id = msg_id, .payload = payload, .size = size
	};
	uint8_t packet[GHRM_PACKET_MAX];
	uint32_t error = ~0u, value = 0;
	ssize_t n;

	for (size_t i = 0; i < ghrm_message_packets(size); i++) {
		size_t length = ghrm_packet_encode(&message, i, packet);

		while (send(fd, packet, length, MSG_NOSIGNAL) < 0) {
			if (errno != EAGAIN)
				die("send");
			wait_for(fd, POLLOUT);
		}
	}
	while ((n = recv(fd, packet, sizeof(packet), 0)) < 0) {
		if (errno != EAGAIN)
			die("recv");
		wait_for(fd, POLLIN);
	}
	if (n < GHRM_HEADER_SIZE + 4 ||
		!ghrm_decode_reply(
			packet + GHRM_HEADER_SIZE, (size_t)n - GHRM_HEADER_SIZE, &error) ||
		error != GHRM_OK) {
		fprintf(stderr, "emulator-bench: %s: %s\n", ghrm_msg_name(msg_id),
			ghrm_error_name(error));
		exit(EXIT_FAILURE);
	}
	ghrm_decode_reply_u32(
		packet + GHRM_HEADER_SIZE, (size_t)n - GHRM_HEADER_SIZE, &error, &value);
	return value;
}

static void fill(struct ghrm_region *regions, size_t n, uint64_t first)
{
	for (size_t i = 0; i < n; i++)
		regions[i] = (struct ghrm_region){ BASE + (first + i) * 2 * GHRM_PAGE_SIZE,
			GHRM_PAGE_SIZE };
}

/* Bytes that the allocator has handed out, in all threads. */
static size_t allocated(void)
{
	struct mallinfo2 info = mallinfo2();

	return info.uordblks + info.hblkhd;
}

static void measure(int fd, uint64_t total)
{
	struct ghrm_acl_entry acl = { 0x80, GHRM_RIGHT_R | GHRM_RIGHT_W };
	struct ghrm_region regions[GHRM_LIST_MAX];
	size_t n = total < GHRM_LIST_MAX ? total : GHRM_LIST_MAX;
	uint64_t begin = util_now_usec(), appended, end, done = n;
	size_t before = allocated(), after;
	uint32_t handle;
	uint16_t seq = 0;

	fill(regions, n, 0);
	handle = call(fd, seq++, GHRM_MEM_LEND,
		ghrm_encode_create(payload, sizeof(payload), GHRM_MEM_NORMAL,
			done < total ? GHRM_CREATE_APPEND : 0, 1, &acl, 1, regions, n, NULL, 0));
	while (done < total) {
		n = total - done < GHRM_LIST_MAX ? total - done : GHRM_LIST_MAX;
		fill(regions, n, done);
		done += n;
		call(fd, seq++, GHRM_MEM_APPEND,
			ghrm_encode_append(payload, sizeof(payload), handle,
				done == total ? GHRM_APPEND_END : 0, regions, n));
	}
	appended = util_now_usec();
	after = allocated();
	end = util_now_usec();
	call(fd, seq, GHRM_MEM_RECLAIM, ghrm_encode_back(payload, sizeof(payload), handle, 0));
	end = util_now_usec() - end;
	printf("%8" PRIu64
	       " regions: create %8.1f ms (%.2f us each), reclaim %8.1f ms (%.2f us each), "
	       "%.0f bytes each\n",
		total, (double)(appended - begin) / 1e3, (double)(appended - begin) / (double)total,
		(double)end / 1e3, (double)end / (double)total,
		((double)after - (double)before) / (double)total);
}

int main(int argc, char **argv)
{
	static const uint64_t usual[] = { 1ull << 16, 1ull << 18, 1ull << 20 };
	struct emulator_embedded *embedded;
	uint64_t total;
	int fd;

	if (emulator_embedded_new(&embedded, &fd) < 0)
		die("cannot start the emulator");
	for (size_t i = 0; argc < 2 && i < ARRAY_SIZE(usual); i++)
		measure(fd, usual[i]);
	for (int i = 1; i < argc; i++) {
		if (util_parse_u64(argv[i], true, &total) < 0 || total == 0 ||
			total > GHRM_REGIONS_MAX) {
			fprintf(stderr, "emulator-bench: %s: not a number of regions\n", argv[i]);
			return 2;
		}
		measure(fd, total);
	}
	emulator_embedded_free(embedded);
	close(fd);
	return EXIT_SUCCESS;
}
