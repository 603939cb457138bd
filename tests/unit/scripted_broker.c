/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/unit/scripted_broker.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static bool broker_read_call(struct broker *broker)
{
	size_t n = 0, allocated = 1 << 16;
	char *call = malloc(allocated);

	for (;;) {
		char control[CMSG_SPACE(sizeof(int) * SCRIPTED_FDS_MAX)];
		struct iovec vector = { call + n, 1 };
		struct msghdr message = { .msg_iov = &vector,
			.msg_iovlen = 1,
			.msg_control = control,
			.msg_controllen = sizeof(control) };
		ssize_t got = recvmsg(broker->connection, &message, MSG_CMSG_CLOEXEC);
		struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;

		if (got <= 0) {
			free(call);
			return false;
		}
		if (header) {
			size_t size = header->cmsg_len - CMSG_LEN(0);

			memcpy(broker->fds + broker->n_fds, CMSG_DATA(header), size);
			broker->n_fds += size / sizeof(int);
		}
		if (call[n++] == '\0')
			break;
		if (n == allocated)
			call = realloc(call, allocated *= 2);
	}
	broker->calls[broker->n_calls++] = call;
	return true;
}

static void broker_send_fds(struct broker *broker, const char *byte, size_t n)
{
	int fds[SCRIPTED_FDS_MAX];
	char control[CMSG_SPACE(sizeof(fds))] = { 0 };
	struct iovec vector = { (char *)byte, 1 };
	struct msghdr message = { .msg_iov = &vector,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = CMSG_SPACE(sizeof(int) * n) };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	for (size_t i = 0; i < n; i++)
		fds[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int) * n);
	memcpy(CMSG_DATA(header), fds, sizeof(int) * n);
	sendmsg(broker->connection, &message, MSG_NOSIGNAL);
	for (size_t i = 0; i < n; i++)
		close(fds[i]);
}

static void broker_answer(struct broker *broker, const struct answer *answer)
{
	const char *at = answer->bytes;
	size_t left = (answer->n ? answer->n : strlen(at)) + 1;

	if (answer->n_fds > 0) {
		broker_send_fds(broker, at, answer->n_fds);
		at++;
		left--;
	}
	while (answer->endless && send(broker->connection, at, left - 1, MSG_NOSIGNAL) > 0)
		;
	while (left > 0 && !answer->endless) {
		size_t n = answer->chunk && answer->chunk < left ? answer->chunk : left;
		ssize_t sent = send(broker->connection, at, n, MSG_NOSIGNAL);

		if (sent <= 0)
			return;
		at += sent;
		left -= (size_t)sent;
	}
}

static bool answer_is_end(const struct answer *answer)
{
	return !answer->bytes;
}

static void *broker_run(void *userdata)
{
	struct broker *broker = userdata;

	broker->connection = accept(broker->listener, NULL, NULL);
	for (const struct answer *answer = broker->answers; !answer_is_end(answer); answer++) {
		if (!answer->early && !broker_read_call(broker))
			break;
		broker_answer(broker, answer);
	}
	shutdown(broker->connection, SHUT_WR);
	while (broker_read_call(broker) && broker->n_calls < SCRIPTED_CALLS_MAX)
		;
	return NULL;
}

void broker_listen(struct broker *broker, const struct answer *answers)
{
	*broker = (struct broker){ .answers = answers, .connection = -1 };
	broker->address.sun_family = AF_UNIX;
	snprintf(broker->address.sun_path + 1, sizeof(broker->address.sun_path) - 1,
		"ghmem-test-%d", getpid());
	snprintf(broker->text, sizeof(broker->text), "unix:@%s", broker->address.sun_path + 1);
	broker->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(broker->listener, (struct sockaddr *)&broker->address,
				 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 +
					     strlen(broker->address.sun_path + 1))),
		0);
	ck_assert_int_eq(listen(broker->listener, 1), 0);
}

void broker_start(struct broker *broker, const struct answer *answers)
{
	broker_listen(broker, answers);
	ck_assert_int_eq(pthread_create(&broker->thread, NULL, broker_run, broker), 0);
	ck_assert_int_eq(ghmem_connect(broker->text, &broker->client), 0);
}

void broker_hang_up(struct broker *broker)
{
	broker->client = ghmem_close(broker->client);
	pthread_join(broker->thread, NULL);
}

void broker_done(struct broker *broker)
{
	close(broker->connection);
	close(broker->listener);
	for (size_t i = 0; i < broker->n_calls; i++)
		free(broker->calls[i]);
	for (size_t i = 0; i < broker->n_fds; i++)
		close(broker->fds[i]);
}

void broker_stop(struct broker *broker)
{
	broker_hang_up(broker);
	broker_done(broker);
}
