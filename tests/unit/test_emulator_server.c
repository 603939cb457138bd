/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The server on its sockets, and the emulator inside a program. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "emulator/embedded.h"
#include "emulator/server.h"
#include "ghrm/error.h"
#include "ghrm/message.h"
#include "ghrm/packet.h"
#include "util/util.h"

#define GUEST       0x80
#define CONTROL     0xffff
#define PAGE        GHRM_PAGE_SIZE
#define BASE        0x80000000ull
#define PATIENCE_MS 10000

/* A server in a thread of its own, ended by the control command. */
struct fixture {
	char folder[64], path[96];
	struct event_base *base;
	struct machine *machine;
	struct server *server;
	pthread_t thread;
	int control;
};

static void *serve(void *userdata)
{
	struct fixture *fixture = userdata;

	event_base_dispatch(fixture->base);
	return NULL;
}

static int dial(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int dial_as(const char *path, uint16_t vmid)
{
	uint8_t hello[2];
	int fd = dial(path);

	util_put_le16(hello, vmid);
	ck_assert_int_eq(send(fd, hello, 2, MSG_NOSIGNAL), 2);
	return fd;
}

static ssize_t receive(int fd, void *buffer, size_t size)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };

	ck_assert_int_eq(poll(&poll_fd, 1, PATIENCE_MS), 1);
	return recv(fd, buffer, size, 0);
}

static const char *command(struct fixture *fixture, const char *text)
{
	static char answer[65536];
	ssize_t n;

	ck_assert_int_eq(
		send(fixture->control, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
	n = receive(fixture->control, answer, sizeof(answer) - 1);
	ck_assert_int_gt(n, 0);
	answer[n] = '\0';
	return answer;
}

static void fixture_start(struct fixture *fixture, const struct server_options *options)
{
	memset(fixture, 0, sizeof(*fixture));
	snprintf(fixture->folder, sizeof(fixture->folder), "/tmp/test-emulator-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(fixture->folder));
	snprintf(fixture->path, sizeof(fixture->path), "%s/rm", fixture->folder);
	fixture->base = event_base_new();
	ck_assert_ptr_nonnull(fixture->base);
	ck_assert_int_eq(machine_new_default(&fixture->machine), 0);
	ck_assert_int_eq(server_new(&fixture->server, fixture->base, fixture->machine, options), 0);
	ck_assert_int_eq(server_listen(fixture->server, fixture->path), 0);
	ck_assert_int_eq(pthread_create(&fixture->thread, NULL, serve, fixture), 0);
	fixture->control = dial_as(fixture->path, CONTROL);
	ck_assert_str_eq(command(fixture, "ping"), "ok");
}

static void fixture_clean(struct fixture *fixture)
{
	close(fixture->control);
	server_free(fixture->server);
	event_base_free(fixture->base);
	machine_free(fixture->machine);
	ck_assert_int_eq(access(fixture->path, F_OK), -1);
	ck_assert_int_eq(rmdir(fixture->folder), 0);
}

static void fixture_stop(struct fixture *fixture)
{
	ck_assert_str_eq(command(fixture, "exit"), "ok");
	pthread_join(fixture->thread, NULL);
	fixture_clean(fixture);
}

static void send_request(int fd, uint16_t seq, uint32_t msg_id, const void *payload, size_t size)
{
	struct ghrm_message message = {
		.type = GHRM_REQUEST, .seq = seq, .msg_id = msg_id, .payload = payload, .size = size
	};
	uint8_t packet[GHRM_PACKET_MAX];

	for (size_t i = 0; i < ghrm_message_packets(size); i++) {
		size_t n = ghrm_packet_encode(&message, i, packet);

		ck_assert_int_eq(send(fd, packet, n, MSG_NOSIGNAL), (ssize_t)n);
	}
}

static void send_lend(int fd, uint16_t seq, uint64_t address)
{
	struct ghrm_acl_entry acl = { GUEST, GHRM_RIGHT_R | GHRM_RIGHT_W };
	struct ghrm_region region = { address, PAGE };
	uint8_t payload[64];

	send_request(fd, seq, GHRM_MEM_LEND, payload,
		ghrm_encode_create(
			payload, sizeof(payload), 0, 0, 1, &acl, 1, &region, 1, NULL, 0));
}

static void send_reclaim(int fd, uint16_t seq, uint32_t handle)
{
	uint8_t payload[16];

	send_request(fd, seq, GHRM_MEM_RECLAIM, payload,
		ghrm_encode_back(payload, sizeof(payload), handle, 0));
}

/* The next single-packet message. */
static struct ghrm_header receive_message(int fd, uint8_t *payload, size_t *ret_size)
{
	uint8_t packet[512];
	struct ghrm_header header;
	ssize_t n = receive(fd, packet, sizeof(packet));

	ck_assert_int_ge(n, GHRM_HEADER_SIZE);
	ck_assert(ghrm_packet_decode(packet, (size_t)n, &header));
	*ret_size = (size_t)n - GHRM_HEADER_SIZE;
	memcpy(payload, packet + GHRM_HEADER_SIZE, *ret_size);
	return header;
}

static uint32_t receive_error(int fd, uint16_t seq)
{
	uint8_t payload[GHRM_PACKET_MAX];
	size_t size;
	struct ghrm_header header = receive_message(fd, payload, &size);
	uint32_t error = ~0u;

	ck_assert_int_eq(header.type, GHRM_REPLY);
	ck_assert_int_eq(header.seq, seq);
	ck_assert(ghrm_decode_reply(payload, size, &error));
	return error;
}

static bool is_closed(int fd)
{
	uint8_t byte;

	return receive(fd, &byte, 1) <= 0;
}

START_TEST(a_vm_speaks_over_its_socket)
{
	struct fixture fixture;
	int host;

	fixture_start(&fixture, &(struct server_options){ .quiet = true });
	host = dial_as(fixture.path, 3);
	send_lend(host, 1, BASE);
	ck_assert_uint_eq(receive_error(host, 1), GHRM_OK);
	ck_assert_str_eq(command(&fixture, "probe 3 0x80000000 0x1000"), "ok unmapped size=0x1000");
	ck_assert_str_eq(command(&fixture, "parcels"),
		"ok\nhandle=0 owner=3 state=complete regions=1 bytes=4096 holders=0");
	send_reclaim(host, 2, 0);
	ck_assert_uint_eq(receive_error(host, 2), GHRM_OK);
	close(host);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(unknown_and_busy_vmids_are_closed_at_once)
{
	struct fixture fixture;
	int first, second;

	fixture_start(&fixture, &(struct server_options){ .quiet = true });
	first = dial_as(fixture.path, 3);
	ck_assert_str_eq(command(&fixture, "ping"), "ok");
	second = dial_as(fixture.path, 3);
	ck_assert(is_closed(second));
	close(second);
	second = dial_as(fixture.path, 0x84);
	ck_assert(is_closed(second));
	close(second);
	second = dial_as(fixture.path, 0xff);
	ck_assert(is_closed(second));
	close(second);
	second = dial(fixture.path);
	ck_assert_int_eq(send(second, "abc", 3, 0), 3);
	ck_assert(is_closed(second));
	close(second);
	send_lend(first, 1, BASE);
	ck_assert_uint_eq(receive_error(first, 1), GHRM_OK);
	close(first);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(parcels_outlive_the_client)
{
	struct fixture fixture;
	int host;

	fixture_start(&fixture, &(struct server_options){ .quiet = true });
	host = dial_as(fixture.path, 3);
	send_lend(host, 1, BASE); /* the reply is never read */
	ck_assert_str_eq(command(&fixture, "ping"), "ok");
	close(host);
	ck_assert_str_eq(command(&fixture, "ping"), "ok");
	host = dial_as(fixture.path, 3);
	send_reclaim(host, 2, 0);
	ck_assert_uint_eq(receive_error(host, 2), GHRM_OK);
	close(host);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(half_written_and_malformed_packets_do_no_harm)
{
	struct fixture fixture;
	uint8_t first[] = { 0x21, 0x05, 9, 0, 0x12, 0, 0, 0x51, 0, 0 }, big[300] = { 0x21 };
	int host;

	fixture_start(&fixture, &(struct server_options){ .quiet = true });
	host = dial_as(fixture.path, 3);
	ck_assert_int_eq(send(host, first, sizeof(first), 0), sizeof(first)); /* never continued */
	ck_assert_int_eq(send(host, big, sizeof(big), 0), sizeof(big));
	ck_assert_int_eq(send(host, big, 3, 0), 3);
	ck_assert_int_eq(send(host, big, 0, 0), 0);
	send_lend(host, 1, BASE);
	ck_assert_uint_eq(receive_error(host, 1), GHRM_OK);
	close(host);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(a_client_that_never_reads_hurts_nobody)
{
	struct fixture fixture;
	struct pollfd poll_fd;
	int deaf, host;

	fixture_start(&fixture, &(struct server_options){ .quiet = true });
	deaf = dial_as(fixture.path, GUEST);
	host = dial_as(fixture.path, 3);
	for (unsigned i = 0; i < 5000; i++)
		send_reclaim(deaf, (uint16_t)i, 77);
	send_lend(host, 1, BASE);
	ck_assert_uint_eq(receive_error(host, 1), GHRM_OK);
	ck_assert_str_eq(command(&fixture, "ping"), "ok");
	/* What it finds when it reads at last is in order. */
	ck_assert_uint_eq(receive_error(deaf, 0), GHRM_HANDLE_INVALID);
	ck_assert_uint_eq(receive_error(deaf, 1), GHRM_HANDLE_INVALID);
	poll_fd = (struct pollfd){ .fd = host, .events = POLLIN };
	ck_assert_int_eq(poll(&poll_fd, 1, 0), 0);
	close(deaf);
	close(host);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(held_vm_gets_the_queue_and_the_latest_reply)
{
	struct fixture fixture;
	int host;

	fixture_start(&fixture, &(struct server_options){ .quiet = true });
	host = dial_as(fixture.path, 3);
	ck_assert_str_eq(command(&fixture, "hold 3"), "ok");
	for (uint16_t i = 0; i < 14; i++)
		send_reclaim(host, i, 77);
	ck_assert_str_eq(command(&fixture, "drain 3 2"), "ok moved=2");
	ck_assert_str_eq(command(&fixture, "resume 3"), "ok");
	for (uint16_t i = 0; i < 9; i++)
		ck_assert_uint_eq(receive_error(host, i), GHRM_HANDLE_INVALID);
	ck_assert_uint_eq(receive_error(host, 13), GHRM_HANDLE_INVALID);
	close(host);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(faults_come_as_ordered)
{
	struct fixture fixture;
	uint64_t begin;
	int host;

	fixture_start(&fixture, &(struct server_options){ .quiet = true });
	host = dial_as(fixture.path, 3);
	ck_assert_str_eq(command(&fixture, "fail 0x51000012 1 1"), "ok");
	send_lend(host, 1, BASE);
	ck_assert_uint_eq(receive_error(host, 1), GHRM_NOMEM);
	ck_assert_str_eq(command(&fixture, "drop 1"), "ok");
	send_lend(host, 2, BASE); /* executed, not answered */
	send_lend(host, 3, BASE);
	ck_assert_uint_eq(receive_error(host, 3), GHRM_MEM_INVALID);
	ck_assert_str_eq(command(&fixture, "delay 200"), "ok");
	begin = util_now_usec();
	send_reclaim(host, 4, 0);
	ck_assert_uint_eq(receive_error(host, 4), GHRM_OK);
	ck_assert_uint_ge(util_now_usec() - begin, 190000);
	ck_assert_str_eq(command(&fixture, "delay 0"), "ok");
	ck_assert_str_eq(command(&fixture, "foreign 0x80 0x80000000 0x1000"), "ok handle=2");
	ck_assert_str_eq(command(&fixture, "foreign 0x80 0x80000000 0x1000"), "err MEM_INVALID");
	close(host);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(restart_closes_links_and_forgets_everything)
{
	struct fixture fixture;
	int host;

	fixture_start(&fixture, &(struct server_options){ .quiet = true });
	host = dial_as(fixture.path, 3);
	send_lend(host, 1, BASE);
	ck_assert_uint_eq(receive_error(host, 1), GHRM_OK);
	ck_assert_str_eq(command(&fixture, "restart"), "ok");
	ck_assert(is_closed(host));
	close(host);
	ck_assert_str_eq(command(&fixture, "parcels"), "ok");
	host = dial_as(fixture.path, 3);
	send_lend(host, 1, BASE);
	ck_assert_uint_eq(receive_error(host, 1), GHRM_OK);
	ck_assert_str_eq(command(&fixture, "parcels"),
		"ok\nhandle=0 owner=3 state=complete regions=1 bytes=4096 holders=0");
	close(host);
	fixture_stop(&fixture);
}
END_TEST

/* { command, answer } */
static const char *const refused_commands[][2] = {
	{ "", "err unknown command" },
	{ "pong", "err unknown command" },
	{ "ping 1", "err ping takes 0 numbers" },
	{ "hold", "err hold takes 1 numbers" },
	{ "hold x", "err hold takes 1 numbers" },
	{ "hold 0x84", "err no VM 0x84" },
	{ "stat 70000", "err no VM 0x11170" },
	{ "state 3 99", "err no such state" },
	{ "probe 3 0 0", "err no such range" },
	{ "delay 99999999999", "err at most 3600000 ms" },
	{ "fail 0x51000012 0x100000000 1", "err ID and CODE are 32-bit numbers" },
};

START_TEST(bad_commands_are_answered_with_err)
{
	struct fixture fixture;
	int second;

	fixture_start(&fixture, &(struct server_options){ .quiet = true });
	second = dial_as(fixture.path, CONTROL);
	ck_assert_str_eq(command(&fixture, "ping"), "ok");
	for (size_t i = 1; i < ARRAY_SIZE(refused_commands); i++)
		ck_assert_str_eq(command(&fixture, refused_commands[i][0]), refused_commands[i][1]);
	close(second);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(guests_accept_and_release_by_themselves)
{
	struct fixture fixture;
	uint16_t target = GUEST;
	uint8_t payload[GHRM_PACKET_MAX];
	struct ghrm_participant participant;
	struct ghrm_header header;
	size_t size;
	int host;

	fixture_start(&fixture, &(struct server_options){ .quiet = true, .auto_accept = true });
	host = dial_as(fixture.path, 3);
	send_lend(host, 1, BASE);
	ck_assert_uint_eq(receive_error(host, 1), GHRM_OK);
	send_request(host, 2, GHRM_MEM_NOTIFY, payload,
		ghrm_encode_notify(payload, sizeof(payload), 0, GHRM_NOTIFY_SHARED, 5, &target, 1));
	ck_assert_uint_eq(receive_error(host, 2), GHRM_OK);
	header = receive_message(host, payload, &size);
	ck_assert_uint_eq(header.msg_id, GHRM_NOTIF_MEM_ACCEPTED);
	ck_assert(ghrm_decode_participant(payload, size, &participant));
	ck_assert_uint_eq(participant.vmid, GUEST);
	ck_assert_uint_eq(participant.tag, 5);
	send_reclaim(host, 3, 0);
	ck_assert_uint_eq(receive_error(host, 3), GHRM_MEM_INUSE);
	send_request(host, 4, GHRM_MEM_NOTIFY, payload,
		ghrm_encode_notify(payload, sizeof(payload), 0, GHRM_NOTIFY_RECALL, 5, &target, 1));
	ck_assert_uint_eq(receive_error(host, 4), GHRM_OK);
	header = receive_message(host, payload, &size);
	ck_assert_uint_eq(header.msg_id, GHRM_NOTIF_MEM_RELEASED);
	send_reclaim(host, 5, 0);
	ck_assert_uint_eq(receive_error(host, 5), GHRM_OK);
	close(host);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(strict_server_ends_where_the_original_crashes)
{
	struct fixture fixture;
	uint16_t target = GHRM_VMID_RM;
	struct ghrm_acl_entry acl = { GHRM_VMID_RM, GHRM_RIGHT_R };
	struct ghrm_region region = { BASE, PAGE };
	uint8_t payload[64];
	int host;

	fixture_start(&fixture, &(struct server_options){ .quiet = true, .strict = true });
	host = dial_as(fixture.path, 3);
	send_request(host, 1, GHRM_MEM_LEND, payload,
		ghrm_encode_create(
			payload, sizeof(payload), 0, 0, 1, &acl, 1, &region, 1, NULL, 0));
	ck_assert_uint_eq(receive_error(host, 1), GHRM_OK);
	send_request(host, 2, GHRM_MEM_NOTIFY, payload,
		ghrm_encode_notify(payload, sizeof(payload), 0, GHRM_NOTIFY_SHARED, 0, &target, 1));
	pthread_join(fixture.thread, NULL);
	ck_assert(server_died(fixture.server));
	fixture_clean(&fixture);
	close(host);
}
END_TEST

START_TEST(stale_socket_is_replaced_and_a_live_one_is_not)
{
	struct fixture fixture;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct server_options options = { .quiet = true };
	struct server *second;
	char stale[104];
	int fd;

	fixture_start(&fixture, &options);
	ck_assert_int_eq(server_new(&second, fixture.base, fixture.machine, &options), 0);
	ck_assert_int_eq(server_listen(second, fixture.path), -EADDRINUSE);
	ck_assert_ptr_null(server_free(second));
	ck_assert_int_eq(access(fixture.path, F_OK), 0);

	snprintf(stale, sizeof(stale), "%s/stale", fixture.folder);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", stale);
	fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	ck_assert_int_eq(server_new(&second, fixture.base, fixture.machine, &options), 0);
	ck_assert_int_eq(server_listen(second, stale), 0);
	server_free(second);
	ck_assert_int_eq(access(stale, F_OK), -1);

	fd = open(stale, O_CREAT | O_WRONLY, 0600);
	close(fd);
	ck_assert_int_eq(server_new(&second, fixture.base, fixture.machine, &options), 0);
	ck_assert_int_eq(server_listen(second, stale), -EEXIST);
	server_free(second);
	ck_assert_int_eq(unlink(stale), 0);
	fixture_stop(&fixture);
}
END_TEST

START_TEST(embedded_emulator_is_the_primary_vms_link)
{
	struct emulator_embedded *embedded;
	uint8_t payload[GHRM_PACKET_MAX];
	struct ghrm_header header;
	uint32_t error, vmid;
	size_t size;
	int fd;

	ck_assert_int_eq(emulator_embedded_new(&embedded, &fd), 0);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	send_request(fd, 1, GHRM_VM_GET_VMID, NULL, 0);
	header = receive_message(fd, payload, &size);
	ck_assert_int_eq(header.seq, 1);
	ck_assert(ghrm_decode_reply_u32(payload, size, &error, &vmid));
	ck_assert_uint_eq(vmid, 3);
	send_lend(fd, 2, 0x1000);
	ck_assert_uint_eq(receive_error(fd, 2), GHRM_OK);
	if (_i) {
		close(fd);
		ck_assert_ptr_null(emulator_embedded_free(embedded));
	} else {
		ck_assert_ptr_null(emulator_embedded_free(embedded));
		ck_assert(is_closed(fd));
		close(fd);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("emulator: server");
	TCase *tc = tcase_create("server");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, a_vm_speaks_over_its_socket);
	tcase_add_test(tc, unknown_and_busy_vmids_are_closed_at_once);
	tcase_add_test(tc, parcels_outlive_the_client);
	tcase_add_test(tc, half_written_and_malformed_packets_do_no_harm);
	tcase_add_test(tc, a_client_that_never_reads_hurts_nobody);
	tcase_add_test(tc, held_vm_gets_the_queue_and_the_latest_reply);
	tcase_add_test(tc, faults_come_as_ordered);
	tcase_add_test(tc, restart_closes_links_and_forgets_everything);
	tcase_add_test(tc, bad_commands_are_answered_with_err);
	tcase_add_test(tc, guests_accept_and_release_by_themselves);
	tcase_add_test(tc, strict_server_ends_where_the_original_crashes);
	tcase_add_test(tc, stale_socket_is_replaced_and_a_live_one_is_not);
	tcase_add_loop_test(tc, embedded_emulator_is_the_primary_vms_link, 0, 2);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
