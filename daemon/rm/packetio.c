/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/rm/packetio.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

void outbox_fill(struct outbox *outbox, const struct ghrm_message *message)
{
	outbox->sent = 0;
	outbox->n = ghrm_message_packets(message->size);
	for (size_t i = 0; i < outbox->n; i++)
		outbox->sizes[i] = (uint16_t)ghrm_packet_encode(message, i, outbox->packets[i]);
}

static int outbox_send_socket(struct outbox *outbox, int fd)
{
	struct mmsghdr messages[GHRM_PACKETS_MAX];
	struct iovec pieces[GHRM_PACKETS_MAX];
	size_t left = outbox->n - outbox->sent;
	int sent;

	for (size_t i = 0; i < left; i++) {
		pieces[i] = (struct iovec){
			.iov_base = outbox->packets[outbox->sent + i],
			.iov_len = outbox->sizes[outbox->sent + i],
		};
		messages[i] = (struct mmsghdr){
			.msg_hdr = { .msg_iov = &pieces[i], .msg_iovlen = 1 },
		};
	}
	sent = sendmmsg(fd, messages, (unsigned)left, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (sent < 0)
		return -errno;
	outbox->sent += (size_t)sent;
	return 0;
}

static int outbox_send_device(struct outbox *outbox, int fd)
{
	uint16_t size = outbox->sizes[outbox->sent];
	ssize_t written = write(fd, outbox->packets[outbox->sent], size);

	if (written < 0)
		return -errno;
	if (written != size)
		return -EIO; /* half a packet cannot be taken back */
	outbox->sent++;
	return 0;
}

int outbox_send(struct outbox *outbox, const struct link *link)
{
	while (outbox->sent < outbox->n) {
		int r = link_is_socket(link) ? outbox_send_socket(outbox, link_fd(link))
					     : outbox_send_device(outbox, link_fd(link));

		if (r < 0 && r != -EINTR)
			return r == -EWOULDBLOCK ? -EAGAIN : r;
	}
	return 0;
}

bool outbox_error_is_temporary(int error)
{
	return error == -ENOBUFS || error == -ENOMEM;
}

static bool hung_up(int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN | POLLRDHUP };

	return poll(&poll_fd, 1, 0) > 0 && (poll_fd.revents & (POLLHUP | POLLRDHUP | POLLERR));
}

static int inbox_receive_socket(struct inbox *inbox, int fd)
{
	struct mmsghdr messages[INBOX_PACKETS];
	struct iovec pieces[INBOX_PACKETS];
	int received;

	for (size_t i = 0; i < INBOX_PACKETS; i++) {
		pieces[i] = (struct iovec){ .iov_base = inbox->packets[i], .iov_len = INBOX_ROOM };
		messages[i] = (struct mmsghdr){
			.msg_hdr = { .msg_iov = &pieces[i], .msg_iovlen = 1 },
		};
	}
	received = recvmmsg(fd, messages, INBOX_PACKETS, MSG_DONTWAIT, NULL);
	if (received < 0)
		return -errno;
	inbox->n = (size_t)received;
	for (size_t i = 0; i < inbox->n; i++)
		inbox->sizes[i] = messages[i].msg_len;
	/* The end looks like an empty packet, which may be sent as well. */
	if (inbox->n == 0 || inbox->sizes[inbox->n - 1] == 0)
		inbox->closed = hung_up(fd);
	return 0;
}

static int inbox_receive_device(struct inbox *inbox, int fd)
{
	while (inbox->n < INBOX_PACKETS) {
		ssize_t size = read(fd, inbox->packets[inbox->n], INBOX_ROOM);

		if (size < 0)
			/* What came before an error is delivered first; the error comes back. */
			return inbox->n ? 0 : -errno;
		if (size == 0) {
			inbox->closed = true;
			return 0;
		}
		inbox->sizes[inbox->n++] = (size_t)size;
	}
	return 0;
}

int inbox_receive(struct inbox *inbox, const struct link *link)
{
	int r;

	inbox->n = 0;
	inbox->closed = false;
	r = link_is_socket(link) ? inbox_receive_socket(inbox, link_fd(link))
				 : inbox_receive_device(inbox, link_fd(link));
	return r == -EWOULDBLOCK || r == -EINTR ? -EAGAIN : r;
}
