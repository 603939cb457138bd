/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/varlink/internal.h"

#include <errno.h>
#include <sys/socket.h>

/*
 * Descriptors must reach the method of the very message that they were sent with, and the kernel does
 * not help: one recvmsg may return bytes that were sent without descriptors together with later ones
 * that had some. So each message is read on its own. A look ahead (MSG_PEEK) finds its end, then
 * recvmsg takes exactly the bytes up to there; whatever descriptors come with those are its own.
 *
 * The look ahead is short at first and doubles while the message goes on, so that neither many small
 * messages nor a large one make the work more than linear in the bytes sent.
 */
#define PEEK_MIN 4096u
#define PEEK_MAX (256u * 1024)

/* A buffer above this size is given back after its message. */
#define KEEP_MAX (64u * 1024)

static bool input_reserve(struct varlink_input *input, size_t size)
{
	size_t capacity = input->capacity ? input->capacity : PEEK_MIN;
	char *buffer;

	while (capacity < size)
		capacity *= 2;
	if (capacity == input->capacity)
		return true;
	buffer = realloc(input->buffer, capacity);
	if (!buffer)
		return false;
	input->buffer = buffer;
	input->capacity = capacity;
	return true;
}

/* Takes all descriptors out of the control data. False when they are more than a message may have. */
static bool input_take_fds(struct varlink_input *input, struct msghdr *header)
{
	bool fits = !(header->msg_flags & MSG_CTRUNC);

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		size_t n;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		n = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(fd));
			if (input->n_fds < VARLINK_FDS_MAX) {
				input->fds[input->n_fds++] = fd;
			} else {
				util_close(fd);
				fits = false;
			}
		}
	}
	return fits;
}

static enum varlink_input_result input_receive(struct varlink_input *input, int fd, size_t want)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int) * VARLINK_FDS_MAX)];
	} control;
	struct iovec iovec = { .iov_base = input->buffer + input->used, .iov_len = want };
	struct msghdr header = {
		.msg_iov = &iovec,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	const char *end;
	ssize_t n;

	do
		n = recvmsg(fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN ? VARLINK_INPUT_WAIT : VARLINK_INPUT_ERROR;
	if (!input_take_fds(input, &header))
		return VARLINK_INPUT_FAULT;
	if (n == 0)
		return VARLINK_INPUT_EOF;
	end = memchr(input->buffer + input->used, '\0', (size_t)n);
	input->used += (size_t)n;
	if (!end)
		return input->used > VARLINK_MESSAGE_MAX ? VARLINK_INPUT_FAULT : VARLINK_INPUT_WAIT;
	/* Only out-of-band bytes, which Varlink does not have, move what the look ahead saw. */
	return end + 1 == input->buffer + input->used ? VARLINK_INPUT_MESSAGE : VARLINK_INPUT_FAULT;
}

enum varlink_input_result input_read(struct varlink_input *input, int fd)
{
	enum varlink_input_result result;

	for (;;) {
		size_t before = input->used;
		size_t peek = before < PEEK_MIN ? PEEK_MIN : before;
		const char *start, *end;
		ssize_t n;

		if (peek > PEEK_MAX)
			peek = PEEK_MAX;
		if (peek > VARLINK_MESSAGE_MAX + 1 - before)
			peek = VARLINK_MESSAGE_MAX + 1 - before;
		if (!input_reserve(input, before + peek))
			return VARLINK_INPUT_ERROR;
		start = input->buffer + before;
		n = recv(fd, input->buffer + before, peek, MSG_PEEK | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? VARLINK_INPUT_WAIT : VARLINK_INPUT_ERROR;
		if (n == 0)
			return VARLINK_INPUT_EOF;
		end = memchr(start, '\0', (size_t)n);
		result = input_receive(input, fd, end ? (size_t)(end - start) + 1 : (size_t)n);
		/* Nothing received though the look ahead saw some: out-of-band bytes; no reason to spin. */
		if (result != VARLINK_INPUT_WAIT || input->used == before)
			return result;
	}
}

void input_reset(struct varlink_input *input)
{
	for (size_t i = 0; i < input->n_fds; i++)
		util_close(input->fds[i]);
	input->n_fds = 0;
	input->used = 0;
	if (input->capacity > KEEP_MAX)
		input_done(input);
}

void input_done(struct varlink_input *input)
{
	for (size_t i = 0; i < input->n_fds; i++)
		util_close(input->fds[i]);
	free(input->buffer);
	*input = (struct varlink_input){ 0 };
}
