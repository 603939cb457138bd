/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/varlink/internal.h"

#include <errno.h>
#include <sys/socket.h>

#define OUTPUT_IOVECS 16

void output_init(struct varlink_output *output)
{
	STAILQ_INIT(&output->packets);
	output->unsent = 0;
	output->n_fds = 0;
}

int output_queue(struct varlink_output *output, char *data, size_t size, int fd)
{
	struct varlink_packet *packet = calloc(1, sizeof(*packet));

	if (!packet) {
		free(data);
		util_close(fd);
		return -ENOMEM;
	}
	packet->data = data;
	packet->size = size;
	packet->fd = fd;
	STAILQ_INSERT_TAIL(&output->packets, packet, link);
	output->unsent += size;
	output->n_fds += fd >= 0;
	return 0;
}

bool output_is_full(const struct varlink_output *output)
{
	return output->unsent > VARLINK_OUTPUT_PAUSE || output->n_fds > 0;
}

static void output_close_fd(struct varlink_output *output, struct varlink_packet *packet)
{
	output->n_fds -= packet->fd >= 0;
	packet->fd = util_close(packet->fd);
}

static void output_drop_first(struct varlink_output *output)
{
	struct varlink_packet *packet = STAILQ_FIRST(&output->packets);

	STAILQ_REMOVE_HEAD(&output->packets, link);
	output->unsent -= packet->size - packet->sent;
	output_close_fd(output, packet);
	free(packet->data);
	free(packet);
}

static void output_advance(struct varlink_output *output, size_t sent)
{
	while (sent > 0) {
		struct varlink_packet *packet = STAILQ_FIRST(&output->packets);
		size_t n = packet->size - packet->sent;

		if (n > sent)
			n = sent;
		output_close_fd(output, packet);
		packet->sent += n;
		output->unsent -= n;
		sent -= n;
		if (packet->sent == packet->size)
			output_drop_first(output);
	}
}

/* Sends the first packets; one that carries a descriptor goes alone, so that nobody can mix it up. */
static ssize_t output_send(struct varlink_output *output, int fd)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	struct varlink_packet *first = STAILQ_FIRST(&output->packets), *packet = first;
	struct iovec iovecs[OUTPUT_IOVECS];
	struct msghdr header = { .msg_iov = iovecs };

	do {
		iovecs[header.msg_iovlen++] = (struct iovec){
			.iov_base = packet->data + packet->sent,
			.iov_len = packet->size - packet->sent,
		};
		packet = STAILQ_NEXT(packet, link);
	} while (packet && first->fd < 0 && packet->fd < 0 && header.msg_iovlen < OUTPUT_IOVECS);
	if (first->fd >= 0) {
		struct cmsghdr *cmsg;

		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &first->fd, sizeof(int));
	}
	return sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
}

int output_flush(struct varlink_output *output, int fd)
{
	while (!STAILQ_EMPTY(&output->packets)) {
		ssize_t n = output_send(output, fd);

		if (n >= 0)
			output_advance(output, (size_t)n);
		else if (errno != EINTR)
			return -errno;
	}
	return 0;
}

void output_done(struct varlink_output *output)
{
	while (!STAILQ_EMPTY(&output->packets))
		output_drop_first(output);
}
