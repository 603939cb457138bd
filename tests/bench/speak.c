/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/bench/speak.h"

#include <errno.h>
#include <jansson.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "util/util.h"

#define BORROWER     0x80
#define HANG_SECONDS 120 /* an answer that takes longer does not come at all */

int speak_connect(const char *path, int type)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval patience = { .tv_sec = HANG_SECONDS };
	_cleanup_close_ int fd = -1;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0)
		return -errno;
	return TAKE_FD(fd);
}

int speak_write(int fd, const void *data, size_t size)
{
	ssize_t n = write(fd, data, size);

	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

int speak_read(int fd, void *data, size_t size)
{
	for (size_t have = 0; have < size;) {
		ssize_t n = read(fd, (char *)data + have, size - have);

		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		have += (size_t)n;
	}
	return 0;
}

/* ---- Varlink ---- */

static ssize_t receive_with_fd(int fd, struct reply *reply)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec piece = { reply->text + reply->size, sizeof(reply->text) - reply->size };
	struct msghdr message = {
		.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	struct cmsghdr *header = n > 0 ? CMSG_FIRSTHDR(&message) : NULL;

	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
		header->cmsg_len == CMSG_LEN(sizeof(int))) {
		util_close(reply->fd);
		memcpy(&reply->fd, CMSG_DATA(header), sizeof(int));
	}
	return n;
}

int speak_call(int fd, const char *message, size_t size, bool with_fd, struct reply *reply)
{
	int r = speak_write(fd, message, size);

	reply->size = 0;
	reply->fd = -1;
	while (r == 0) {
		ssize_t n = with_fd ? receive_with_fd(fd, reply)
				    : read(fd, reply->text + reply->size,
					      sizeof(reply->text) - reply->size);

		if (n <= 0) {
			r = n < 0 ? -errno : -ECONNRESET;
			break;
		}
		reply->size += (size_t)n;
		if (reply->text[reply->size - 1] == '\0')
			return 0;
		if (reply->size == sizeof(reply->text))
			r = -EMSGSIZE;
	}
	reply->fd = util_close(reply->fd);
	return r;
}

int speak_parse_lent(const struct reply *reply, struct lent *ret)
{
	json_t *json = json_loadb(reply->text, reply->size - 1, 0, NULL);
	json_int_t handle, regions, messages, populate, pin, resolve, manager;
	int pinned, made_up, r;

	r = json_unpack(json, "{s:{s:{s:I, s:I, s:I, s:b, s:b, s:{s:I, s:I, s:I, s:I}}}}",
		"parameters", "parcel", "handle", &handle, "regions", &regions, "messages",
		&messages, "pinned", &pinned, "made_up", &made_up, "cost", "populate", &populate,
		"pin", &pin, "resolve", &resolve, "manager", &manager);
	json_decref(json);
	if (r < 0)
		return -EPROTO;
	*ret = (struct lent){
		.handle = (uint32_t)handle,
		.regions = (uint64_t)regions,
		.messages = (uint64_t)messages,
		.pinned = pinned,
		.made_up = made_up,
		.populate = (double)populate / 1e6,
		.pin = (double)pin / 1e6,
		.resolve = (double)resolve / 1e6,
		.manager = (double)manager / 1e6,
	};
	return 0;
}

/* ---- the Resource Manager ---- */

int rm_client_open(struct rm_client *client, const char *path)
{
	uint8_t hello[2];
	int r;

	*client = (struct rm_client){ .fd = speak_connect(path, SOCK_SEQPACKET) };
	if (client->fd < 0)
		return client->fd;
	util_put_le16(hello, GHRM_VMID_HOST);
	r = speak_write(client->fd, hello, sizeof(hello));
	if (r < 0)
		rm_client_close(client);
	return r;
}

void rm_client_close(struct rm_client *client)
{
	client->fd = util_close(client->fd);
}

static int send_message(const struct rm_client *client, const struct ghrm_message *message)
{
	static uint8_t packets[GHRM_PACKETS_MAX][GHRM_PACKET_MAX];
	struct mmsghdr headers[GHRM_PACKETS_MAX];
	struct iovec pieces[GHRM_PACKETS_MAX];
	size_t n = ghrm_message_packets(message->size);

	for (size_t i = 0; i < n; i++) {
		pieces[i].iov_base = packets[i];
		pieces[i].iov_len = ghrm_packet_encode(message, i, packets[i]);
		headers[i] =
			(struct mmsghdr){ .msg_hdr = { .msg_iov = &pieces[i], .msg_iovlen = 1 } };
	}
	for (size_t sent = 0; sent < n;) {
		int r = sendmmsg(client->fd, headers + sent, (unsigned)(n - sent), MSG_NOSIGNAL);

		if (r < 0)
			return -errno;
		sent += (size_t)r;
	}
	return 0;
}

/* One request and its reply; what is announced meanwhile is not looked at. */
static int exchange(struct rm_client *client, uint32_t msg_id, const void *payload, size_t size,
	struct ghrm_message *ret)
{
	const struct ghrm_message request = {
		.type = GHRM_REQUEST,
		.seq = ++client->seq,
		.msg_id = msg_id,
		.payload = payload,
		.size = size,
	};
	const struct ghrm_expected expected = { true, request.seq, msg_id };
	uint8_t packet[GHRM_PACKET_MAX];
	int r = send_message(client, &request);

	while (r == 0) {
		ssize_t n = recv(client->fd, packet, sizeof(packet), 0);

		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		if (ghrm_client_feed(&client->reassembly, &expected, packet, (size_t)n, ret,
			    NULL) == GHRM_FEED_MESSAGE &&
			ret->type == GHRM_REPLY)
			return 0;
	}
	return r;
}

static int expect_ok(const struct ghrm_message *reply)
{
	uint32_t error;

	return ghrm_decode_reply(reply->payload, reply->size, &error) && error == GHRM_OK ? 0
											  : -EPROTO;
}

static size_t encode_first(uint8_t *payload, const struct ghrm_region *regions, size_t n)
{
	const struct ghrm_acl_entry grant = { BORROWER, GHRM_RIGHT_R | GHRM_RIGHT_W };

	return ghrm_encode_create(payload, GHRM_SEND_MAX, GHRM_MEM_NORMAL,
		n > GHRM_LIST_MAX ? GHRM_CREATE_APPEND : 0, 1, &grant, 1, regions,
		n > GHRM_LIST_MAX ? GHRM_LIST_MAX : n, NULL, 0);
}

int rm_client_lend(
	struct rm_client *client, const struct ghrm_region *regions, size_t n, uint32_t *ret_handle)
{
	uint8_t payload[GHRM_SEND_MAX];
	struct ghrm_message reply;
	uint32_t error;
	int r = exchange(client, GHRM_MEM_LEND, payload, encode_first(payload, regions, n), &reply);

	if (r < 0)
		return r;
	if (!ghrm_decode_reply_u32(reply.payload, reply.size, &error, ret_handle) ||
		error != GHRM_OK)
		return -EPROTO;
	for (size_t at = GHRM_LIST_MAX; r == 0 && at < n; at += GHRM_LIST_MAX) {
		size_t now = n - at < GHRM_LIST_MAX ? n - at : GHRM_LIST_MAX;
		size_t size = ghrm_encode_append(payload, sizeof(payload), *ret_handle,
			at + now == n ? GHRM_APPEND_END : 0, regions + at, now);

		r = exchange(client, GHRM_MEM_APPEND, payload, size, &reply);
		if (r == 0)
			r = expect_ok(&reply);
	}
	return r;
}

int rm_client_reclaim(struct rm_client *client, uint32_t handle)
{
	uint8_t payload[64];
	struct ghrm_message reply;
	size_t size = ghrm_encode_back(payload, sizeof(payload), handle, 0);
	int r = exchange(client, GHRM_MEM_RECLAIM, payload, size, &reply);

	return r < 0 ? r : expect_ok(&reply);
}

struct rm_volume rm_volume(size_t regions)
{
	static const struct ghrm_region list[GHRM_LIST_MAX];
	uint8_t payload[GHRM_SEND_MAX];
	struct rm_volume volume = { 0 };

	for (size_t at = 0; at < regions; at += GHRM_LIST_MAX) {
		size_t now = regions - at < GHRM_LIST_MAX ? regions - at : GHRM_LIST_MAX;
		size_t size =
			at == 0 ? encode_first(payload, list, now)
				: ghrm_encode_append(payload, sizeof(payload), 0, 0, list, now);
		size_t packets = ghrm_message_packets(size);

		volume.packets += packets;
		volume.bytes += size + packets * GHRM_HEADER_SIZE;
	}
	return volume;
}
