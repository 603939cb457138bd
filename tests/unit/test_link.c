/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Endpoints. */
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

#include "daemon/rm/link.h"
#include "emulator/embedded.h"
#include "util/util.h"

/* In place of the emulator: only the socket pair, so that its life cycle can be watched. */
static int embedded_fd = -1;
static bool embedded_fails, embedded_alive;

int emulator_embedded_new(struct emulator_embedded **ret, int *ret_fd)
{
	int ends[2];

	if (embedded_fails)
		return -EMFILE;
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	embedded_fd = ends[0];
	embedded_alive = true;
	*ret = (struct emulator_embedded *)&embedded_alive;
	*ret_fd = ends[1];
	return 0;
}

struct emulator_embedded *emulator_embedded_free(struct emulator_embedded *embedded)
{
	ck_assert_ptr_eq(embedded, &embedded_alive);
	embedded_alive = false;
	embedded_fd = util_close(embedded_fd);
	return NULL;
}

/* What listens on the socket. */
static struct {
	int listening, host;
	const char *pong; /* answer to ping; NULL: closes */
	bool pinged;
} server;

static char directory[32];
static char path[64], endpoint[80];

static void setup(void)
{
	snprintf(directory, sizeof(directory), "/tmp/test_link.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	snprintf(path, sizeof(path), "%s/rm", directory);
	snprintf(endpoint, sizeof(endpoint), "unix:%s", path);
}

static void teardown(void)
{
	unlink(path);
	rmdir(directory);
	embedded_fails = false;
	server.pinged = false;
}

static void assert_non_blocking(const struct link *link)
{
	ck_assert_int_ne(fcntl(link_fd(link), F_GETFL) & O_NONBLOCK, 0);
}

static void assert_refused(const char *what, int error, const char *text)
{
	_cleanup_free_ char *message = NULL;
	struct link *link = NULL;

	ck_assert_int_eq(link_open(what, &link, &message), error);
	ck_assert_ptr_null(link);
	ck_assert_ptr_nonnull(message);
	ck_assert_msg(strstr(message, text), "%s", message);
}

static const char *const nonsense[] = { "", "unix", "unix:", "dev:", "emulator:", "tcp:/x",
	"Emulator" };

START_TEST(other_endpoints_are_invalid)
{
	assert_refused(nonsense[_i], -EINVAL, "none of emulator, unix:PATH and dev:PATH");
}
END_TEST

START_TEST(emulator_is_built_in)
{
	_cleanup_free_ char *message = NULL;
	struct link *link;

	ck_assert_int_eq(link_open("emulator", &link, &message), 0);
	ck_assert_ptr_null(message);
	ck_assert_str_eq(link_endpoint(link), "emulator");
	ck_assert(link_is_socket(link));
	ck_assert(link_is_emulator(link));
	assert_non_blocking(link);
	ck_assert_int_eq(send(embedded_fd, "x", 1, 0), 1);
	ck_assert_ptr_null(link_free(link));
	ck_assert(!embedded_alive);
	embedded_fails = true;
	assert_refused("emulator", -EMFILE, "built-in emulator");
	ck_assert_ptr_null(link_free(NULL));
}
END_TEST

static void *serve(void *userdata _unused_)
{
	uint8_t first[16];
	char ping[16] = "";
	int control;

	server.host = accept(server.listening, NULL, NULL);
	ck_assert_int_eq(recv(server.host, first, sizeof(first), 0), 2);
	ck_assert_uint_eq(util_get_le16(first), 3);
	control = accept(server.listening, NULL, NULL);
	ck_assert_int_eq(recv(control, first, sizeof(first), 0), 2);
	ck_assert_uint_eq(util_get_le16(first), 0xffff);
	if (server.pong) {
		ck_assert_int_eq(recv(control, ping, sizeof(ping), 0), 4);
		server.pinged = memcmp(ping, "ping", 4) == 0;
		send(control, server.pong, strlen(server.pong), MSG_NOSIGNAL);
	}
	util_close(control);
	return NULL;
}

static const struct {
	const char *pong;
	bool is_emulator;
} pongs[] = { { "ok", true }, { "ok and more", true }, { "err", false }, { "o", false },
	{ NULL, false } };

START_TEST(socket_that_answers_ping_is_an_emulator)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_free_ char *message = NULL;
	struct link *link;
	pthread_t thread;

	memcpy(address.sun_path, path, strlen(path));
	server.pong = pongs[_i].pong;
	server.listening = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(
		bind(server.listening, (const struct sockaddr *)&address, sizeof(address)), 0);
	ck_assert_int_eq(listen(server.listening, 8), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, serve, NULL), 0);
	ck_assert_int_eq(link_open(endpoint, &link, &message), 0);
	pthread_join(thread, NULL);
	ck_assert_str_eq(link_endpoint(link), endpoint);
	ck_assert(link_is_socket(link));
	ck_assert(link_is_emulator(link) == pongs[_i].is_emulator);
	ck_assert(server.pinged == (pongs[_i].pong != NULL));
	assert_non_blocking(link);
	link_free(link);
	util_close(server.host);
	util_close(server.listening);
}
END_TEST

START_TEST(nobody_listens)
{
	char too_long[200];

	assert_refused(endpoint, -ENOENT, path);
	memset(too_long, 'x', sizeof(too_long));
	memcpy(too_long, "unix:/", 6);
	too_long[sizeof(too_long) - 1] = '\0';
	assert_refused(too_long, -ENAMETOOLONG, "xxx");
}
END_TEST

START_TEST(only_character_devices_are_devices)
{
	_cleanup_free_ char *message = NULL;
	struct link *link;

	assert_refused("dev:/nonexistent", -ENOENT, "/nonexistent");
	assert_refused("dev:/tmp", -ENODEV, "not a character device");
	ck_assert_int_eq(mkfifo(path, 0600), 0);
	snprintf(endpoint, sizeof(endpoint), "dev:%s", path);
	assert_refused(endpoint, -ENODEV, "not a character device");
	ck_assert_int_eq(link_open("dev:/dev/null", &link, &message), 0);
	ck_assert(!link_is_socket(link));
	ck_assert(!link_is_emulator(link));
	assert_non_blocking(link);
	link_free(link);
}
END_TEST

START_TEST(device_is_opened_once)
{
	_cleanup_free_ char *message = NULL;
	struct link *link;

	ck_assert_int_eq(link_open("dev:/dev/null", &link, &message), 0);
	assert_refused("dev:/dev/null", -EBUSY, "/dev/null");
	link_free(link);
	ck_assert_int_eq(link_open("dev:/dev/null", &link, &message), 0);
	link_free(link);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("link");
	TCase *tests = tcase_create("link");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tests, setup, teardown);
	tcase_add_loop_test(tests, other_endpoints_are_invalid, 0, ARRAY_SIZE(nonsense));
	tcase_add_test(tests, emulator_is_built_in);
	tcase_add_loop_test(tests, socket_that_answers_ping_is_an_emulator, 0, ARRAY_SIZE(pongs));
	tcase_add_test(tests, nobody_listens);
	tcase_add_test(tests, only_character_devices_are_devices);
	tcase_add_test(tests, device_is_opened_once);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
