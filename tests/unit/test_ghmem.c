/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* libghmem against a broker that says what the tests want. */

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/scripted_broker.h"

#define PARCEL_REST                                                                       \
	"\"operation\":\"lend\",\"memory_type\":\"io\",\"label\":4294967295,"             \
	"\"state\":\"held\",\"size\":8192,\"regions\":2,\"messages\":1,\"holders\":["     \
	"{\"vm\":128,\"access\":\"rw\",\"accepted\":true},"                               \
	"{\"vm\":65535,\"access\":\"rx\",\"accepted\":false}],\"lifetime\":\"detached\"," \
	"\"uid\":1000,\"pid\":42,\"unit\":null,\"rule\":\"r\",\"age\":7}"
#define PARCEL "{\"id\":\"p\",\"handle\":0," PARCEL_REST

static void assert_json(const char *text, const char *expected)
{
	json_t *a = json_loads(text, 0, NULL), *b = json_loads(expected, 0, NULL);

	ck_assert_ptr_nonnull(b);
	ck_assert_msg(json_equal(a, b), "\n%s, expected\n%s", text, expected);
	json_decref(a);
	json_decref(b);
}

static size_t open_descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static struct ghmem_request *small_request(void)
{
	struct ghmem_request *request;

	ck_assert_int_eq(ghmem_request_new(&request), 0);
	ck_assert_int_eq(ghmem_request_set_allocate(request, 8192), 0);
	ck_assert_int_eq(ghmem_request_add_vm(request, 128, GHMEM_READ | GHMEM_WRITE), 0);
	return request;
}

/* ---- requests ---- */

START_TEST(a_request_refuses_a_second_kind_of_memory)
{
	struct ghmem_request *request = small_request();

	ck_assert_int_eq(ghmem_request_set_allocate(request, 4096), 0);
	ck_assert_int_eq(ghmem_request_set_fd(request, 0, 0, 0), -EEXIST);
	ck_assert_int_eq(ghmem_request_add_region(request, 4096, 4096), -EEXIST);
	ck_assert_int_eq(ghmem_request_set_regions_fd(request, 0), -EEXIST);
	ghmem_request_free(request);
}
END_TEST

START_TEST(setters_refuse_what_can_never_be)
{
	struct ghmem_request *request;

	ck_assert_int_eq(ghmem_request_new(&request), 0);
	ck_assert_int_eq(ghmem_request_set_allocate(request, 0), -EINVAL);
	ck_assert_int_eq(ghmem_request_set_allocate(request, UINT64_MAX), -EINVAL);
	ck_assert_int_eq(ghmem_request_set_fd(request, -1, 0, 0), -EBADF);
	ck_assert_int_eq(ghmem_request_set_fd(request, 0, INT64_MAX, 1), -EINVAL);
	ck_assert_int_eq(ghmem_request_add_region(request, 0, 0), -EINVAL);
	ck_assert_int_eq(ghmem_request_add_region(request, INT64_MAX, 4096), -EINVAL);
	ck_assert_int_eq(ghmem_request_add_vm(request, 1, 0), -EINVAL);
	ck_assert_int_eq(ghmem_request_add_vm(request, 1, GHMEM_WRITE), -EINVAL);
	ck_assert_int_eq(ghmem_request_add_vm(request, 1, 8), -EINVAL);
	ck_assert_int_eq(ghmem_request_set_host_access(request, GHMEM_EXEC), -EINVAL);
	/* None of it has left a trace: the first valid kind is taken. */
	ck_assert_int_eq(ghmem_request_add_region(request, 4096, 4096), 0);
	ghmem_request_free(request);
}
END_TEST

START_TEST(an_incomplete_request_is_not_sent)
{
	static const struct answer answers[] = { { 0 } };
	struct broker broker;
	struct ghmem_request *request;
	struct ghmem_parcel *parcel;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_request_new(&request), 0);
	ck_assert_int_eq(ghmem_lend(broker.client, request, &parcel, NULL), -EINVAL);
	ghmem_request_set_allocate(request, 4096);
	ck_assert_int_eq(ghmem_lend(broker.client, request, &parcel, NULL), -EINVAL);
	ck_assert_str_ne(ghmem_error_text(broker.client), "");
	ghmem_request_add_vm(request, 1, GHMEM_READ);
	ghmem_request_add_vm(request, 2, GHMEM_READ);
	ck_assert_int_eq(ghmem_donate(broker.client, request, &parcel), -EINVAL);
	ghmem_request_free(request);
	broker_hang_up(&broker);
	ck_assert_uint_eq(broker.n_calls, 0);
	broker_done(&broker);
}
END_TEST

START_TEST(every_field_of_a_request_is_sent_and_read_back)
{
	static const struct answer answers[] = { { .bytes = "{\"parameters\":{\"parcel\":" PARCEL
							    ",\"fd\":0,\"offset\":4096}}",
							 .n_fds = 1 },
		{ 0 } };
	struct broker broker;
	struct ghmem_request *request = small_request();
	struct ghmem_parcel *parcel;
	uint32_t handle = 99;
	uint64_t offset = 0;
	uint16_t vmid;
	unsigned access;
	bool accepted;
	int fd;

	broker_start(&broker, answers);
	ghmem_request_set_pool(request, true);
	ghmem_request_set_memory_type(request, GHMEM_IO);
	ghmem_request_set_label(request, UINT32_MAX);
	ck_assert_int_eq(ghmem_request_set_host_access(request, GHMEM_READ), 0);
	ghmem_request_set_sanitize(request, true);
	ghmem_request_set_notify(request, true);
	ghmem_request_set_detached(request, true);
	ghmem_request_set_wait(request, 250);
	ck_assert_int_eq(ghmem_share(broker.client, request, &parcel, &fd), 0);
	assert_json(broker.calls[0],
		"{\"method\":\"org.ghmem.Broker.Share\",\"parameters\":{\"memory\":"
		"{\"allocate\":8192,\"pool\":true},\"grants\":[{\"vm\":128,\"access\":\"rw\"}],"
		"\"memory_type\":\"io\",\"label\":4294967295,\"host_access\":\"r\","
		"\"sanitize\":true,\"notify\":true,\"lifetime\":\"detached\",\"wait\":250}}");
	ck_assert_str_eq(ghmem_parcel_id(parcel), "p");
	ck_assert_int_eq(ghmem_parcel_handle(parcel, &handle), 0);
	ck_assert_uint_eq(handle, 0);
	ck_assert_int_eq(ghmem_parcel_operation(parcel), GHMEM_LEND);
	ck_assert_int_eq(ghmem_parcel_state(parcel), GHMEM_STATE_HELD);
	ck_assert_int_eq(ghmem_parcel_memory_type(parcel), GHMEM_IO);
	ck_assert_uint_eq(ghmem_parcel_label(parcel), UINT32_MAX);
	ck_assert_uint_eq(ghmem_parcel_size(parcel), 8192);
	ck_assert_uint_eq(ghmem_parcel_regions(parcel), 2);
	ck_assert_uint_eq(ghmem_parcel_messages(parcel), 1);
	ck_assert_uint_eq(ghmem_parcel_n_holders(parcel), 2);
	ck_assert_int_eq(ghmem_parcel_holder(parcel, 1, &vmid, &access, &accepted), 0);
	ck_assert(vmid == 65535 && access == (GHMEM_READ | GHMEM_EXEC) && !accepted);
	ck_assert_int_eq(ghmem_parcel_holder(parcel, 0, NULL, NULL, &accepted), 0);
	ck_assert(accepted);
	ck_assert_int_eq(ghmem_parcel_holder(parcel, 2, NULL, NULL, NULL), -ERANGE);
	ck_assert(ghmem_parcel_detached(parcel));
	ck_assert(ghmem_parcel_uid(parcel) == 1000 && ghmem_parcel_pid(parcel) == 42);
	ck_assert_ptr_null(ghmem_parcel_unit(parcel));
	ck_assert_str_eq(ghmem_parcel_rule(parcel), "r");
	ck_assert_uint_eq(ghmem_parcel_age(parcel), 7);
	ck_assert_int_eq(ghmem_parcel_offset(parcel, &offset), 0);
	ck_assert_uint_eq(offset, 4096);
	assert_json(ghmem_parcel_json(parcel), PARCEL);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	ghmem_parcel_free(parcel);
	ghmem_request_free(request);
	broker_stop(&broker);
}
END_TEST

START_TEST(a_handle_that_is_not_known_is_not_0)
{
	static const struct answer answers[] = {
		{ .bytes = "{\"parameters\":{\"parcel\":{\"id\":\"p\",\"handle\":null," PARCEL_REST
			   "}}" },
		{ .bytes = "{\"parameters\":{\"parcel\":{\"id\":\"p\"," PARCEL_REST "}}" }, { 0 }
	};
	struct broker broker;
	struct ghmem_parcel *parcel;
	uint32_t handle = 99;

	broker_start(&broker, answers);
	for (size_t i = 0; i < 2; i++) {
		ck_assert_int_eq(ghmem_describe(broker.client, 7, &parcel), 0);
		ck_assert_int_eq(ghmem_parcel_handle(parcel, &handle), -ENODATA);
		ck_assert_uint_eq(handle, 99);
		ghmem_parcel_free(parcel);
	}
	broker_stop(&broker);
}
END_TEST

/* ---- outcomes ---- */

START_TEST(each_error_name_has_its_outcome)
{
	static const struct {
		const char *name;
		enum ghmem_outcome outcome;
	} table[] = {
		{ "org.ghmem.Broker.PolicyDenied", GHMEM_POLICY_DENIED },
		{ "org.ghmem.Broker.QuotaExceeded", GHMEM_QUOTA_EXCEEDED },
		{ "org.ghmem.Broker.ParcelNotFound", GHMEM_PARCEL_NOT_FOUND },
		{ "org.ghmem.Broker.ParcelInUse", GHMEM_PARCEL_IN_USE },
		{ "org.ghmem.Broker.MemoryInvalid", GHMEM_MEMORY_INVALID },
		{ "org.ghmem.Broker.ManagerError", GHMEM_MANAGER_ERROR },
		{ "org.ghmem.Broker.ManagerUnavailable", GHMEM_MANAGER_UNAVAILABLE },
		{ "org.ghmem.Broker.OutcomeUnknown", GHMEM_OUTCOME_UNKNOWN },
		{ "org.varlink.service.InvalidParameter", GHMEM_INVALID_PARAMETER },
		{ "org.varlink.service.MethodNotFound", GHMEM_NOT_SUPPORTED },
		{ "org.varlink.service.PermissionDenied", GHMEM_PERMISSION_DENIED },
		{ "org.ghmem.Broker.policydenied", GHMEM_OTHER_ERROR },
		{ "", GHMEM_OTHER_ERROR },
	};

	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		char bytes[128];
		struct answer answers[] = { { .bytes = bytes }, { .bytes = "{}" }, { 0 } };
		struct broker broker;

		snprintf(bytes, sizeof(bytes), "{\"error\":\"%s\",\"parameters\":{\"x\":1}}",
			table[i].name);
		broker_start(&broker, answers);
		ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), (int)table[i].outcome);
		ck_assert_str_eq(ghmem_error_name(broker.client), table[i].name);
		ck_assert_str_ne(ghmem_error_text(broker.client), "");
		assert_json(ghmem_error_parameters(broker.client), "{\"x\":1}");
		/* A refusal costs the one call; the next success forgets it. */
		ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), 0);
		ck_assert_ptr_null(ghmem_error_name(broker.client));
		ck_assert_str_eq(ghmem_error_text(broker.client), "");
		broker_stop(&broker);
	}
}
END_TEST

/* ---- the wire ---- */

START_TEST(the_bytes_may_come_in_any_pieces)
{
	for (size_t chunk = 1; chunk < 40; chunk += 6) {
		struct answer answers[] = {
			{ .bytes = "{\"parameters\":{\"status\":{\"a\":[1,2,\"x\"]}}}",
				.chunk = chunk },
			{ 0 }
		};
		struct broker broker;
		char *json;

		broker_start(&broker, answers);
		ck_assert_int_eq(ghmem_status(broker.client, &json), 0);
		assert_json(json, "{\"a\":[1,2,\"x\"]}");
		free(json);
		broker_stop(&broker);
	}
}
END_TEST

START_TEST(a_lost_connection_stays_lost)
{
	static const struct answer answers[] = { { 0 } };
	struct broker broker;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), -ECONNRESET);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), -ENOTCONN);
	ck_assert_str_ne(ghmem_error_text(broker.client), "");
	broker_stop(&broker);
}
END_TEST

START_TEST(an_endless_reply_is_given_up)
{
	static const struct answer answers[] = {
		{ .bytes = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
			   "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
			.endless = true },
		{ 0 }
	};
	struct broker broker;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), -EMSGSIZE);
	broker_stop(&broker);
}
END_TEST

START_TEST(what_nobody_asked_for_breaks_the_connection)
{
	static const struct answer answers[] = { { .bytes = "{}\0{}", .n = 5 }, { .bytes = "{}" },
		{ 0 } };
	struct broker broker;

	/* The second reply to the first call must not become the first one to the second. */
	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), 0);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 8, 0), -EBADMSG);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 8, 0), -ENOTCONN);
	broker_hang_up(&broker);
	ck_assert_uint_eq(broker.n_calls, 1);
	broker_done(&broker);
}
END_TEST

START_TEST(a_request_over_16_mib_costs_only_itself)
{
	static const struct answer answers[] = { { .bytes = "{}" }, { 0 } };
	size_t n = 17u << 20;
	char *parameters = malloc(n + 1);
	struct broker broker;

	memset(parameters, 'x', n);
	memcpy(parameters, "{\"x\":\"", 6);
	memcpy(parameters + n - 2, "\"}", 3);
	broker_start(&broker, answers);
	ck_assert_int_eq(
		ghmem_call(broker.client, "a.B.C", parameters, NULL, 0, NULL, NULL), -EMSGSIZE);
	ck_assert_int_eq(ghmem_call(broker.client, "a.B.C", "[]", NULL, 0, NULL, NULL), -EINVAL);
	ck_assert_int_eq(ghmem_call(broker.client, "a.B.C", "{", NULL, 0, NULL, NULL), -EINVAL);
	ck_assert_int_eq(ghmem_call(broker.client, "a.B.C", NULL, NULL, 0, NULL, NULL), 0);
	assert_json(broker.calls[0], "{\"method\":\"a.B.C\",\"parameters\":{}}");
	broker_stop(&broker);
	free(parameters);
}
END_TEST

/* ---- descriptors ---- */

START_TEST(descriptors_arrive_and_stay_the_callers)
{
	static const struct answer answers[] = { { .bytes = "{}" }, { .bytes = "{}" }, { 0 } };
	int fd = memfd_create("test", MFD_CLOEXEC), bad[] = { 0, 9999 };
	int pair[17] = { fd, fd };
	struct broker broker;
	struct stat ours, theirs;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_call(broker.client, "a.B.C", NULL, bad, 2, NULL, NULL), -EBADF);
	ck_assert_int_eq(ghmem_call(broker.client, "a.B.C", NULL, pair, 2, NULL, NULL), 0);
	ck_assert_uint_eq(broker.n_fds, 2);
	fstat(fd, &ours);
	fstat(broker.fds[1], &theirs);
	ck_assert(ours.st_ino == theirs.st_ino);
	ck_assert_int_eq(ghmem_call(broker.client, "a.B.C", NULL, pair, 17, NULL, NULL), -EINVAL);
	broker_stop(&broker);
	close(fd);
}
END_TEST

START_TEST(descriptors_that_nobody_takes_are_closed)
{
	static const struct answer answers[] = {
		{ .bytes = "{\"parameters\":{\"parcel\":" PARCEL ",\"fd\":1}}", .n_fds = 3 },
		{ .bytes = "{\"parameters\":{\"parcel\":" PARCEL ",\"fd\":3}}", .n_fds = 3 },
		{ .bytes = "{\"parameters\":{\"parcel\":5,\"fd\":0}}", .n_fds = 1 },
		{ .bytes = "{}", .n_fds = 16 }, { 0 }
	};
	size_t before = open_descriptors();
	struct ghmem_request *request = small_request();
	struct ghmem_parcel *parcel;
	struct broker broker;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_lend(broker.client, request, &parcel, NULL), 0);
	ghmem_parcel_free(parcel);
	ck_assert_int_eq(ghmem_lend(broker.client, request, &parcel, NULL), -EBADMSG);
	ck_assert_int_eq(ghmem_lend(broker.client, request, &parcel, NULL), -EBADMSG);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), 0);
	ghmem_request_free(request);
	broker_stop(&broker);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

START_TEST(more_descriptors_than_allowed_are_refused)
{
	static const struct answer answers[] = { { .bytes = "{}", .n_fds = SCRIPTED_FDS_MAX },
		{ 0 } };
	size_t before = open_descriptors();
	struct broker broker;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), -EMFILE);
	broker_stop(&broker);
	ck_assert_uint_eq(open_descriptors(), before);
}
END_TEST

/* ---- calls with more ---- */

static int count_parcel(const struct ghmem_parcel *parcel, void *userdata)
{
	ck_assert_str_eq(ghmem_parcel_id(parcel), "p");
	return ++*(int *)userdata == 2 ? -EXFULL : 0;
}

START_TEST(a_list_that_is_ended_early_leaves_the_connection_usable)
{
	static const struct answer answers[] = {
		{ .bytes = "{\"continues\":true,\"parameters\":{\"parcel\":" PARCEL "}}" },
		{ .bytes = "{\"continues\":true,\"parameters\":{\"parcel\":" PARCEL "}}",
			.early = true },
		{ .bytes = "{\"continues\":true,\"parameters\":{\"parcel\":" PARCEL "}}",
			.early = true },
		{ .bytes = "{\"parameters\":{}}", .early = true },
		{ .bytes = "{\"parameters\":{\"status\":{}}}" }, { 0 }
	};
	struct broker broker;
	char *json;
	int n = 0;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_list(broker.client, count_parcel, &n), -EXFULL);
	ck_assert_int_eq(n, 2);
	ck_assert_int_eq(ghmem_status(broker.client, &json), 0);
	free(json);
	broker_stop(&broker);
}
END_TEST

static int stop_at_once(const char *reply, void *userdata)
{
	assert_json(reply, "{\"n\":1}");
	*(int *)userdata = 1;
	return 5;
}

START_TEST(a_call_that_is_ended_early_gives_the_connection_up)
{
	static const struct answer answers[] = {
		{ .bytes = "{\"continues\":true,\"parameters\":{\"n\":1}}" }, { 0 }
	};
	struct broker broker;
	int called = 0;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_call_more(broker.client, "a.B.C", NULL, stop_at_once, &called), 5);
	ck_assert_int_eq(called, 1);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), -ENOTCONN);
	broker_stop(&broker);
}
END_TEST

static int check_event(const struct ghmem_event *event, void *userdata)
{
	int *n = userdata;

	if ((*n)++ == 0) {
		ck_assert_str_eq(ghmem_event_kind(event), "held");
		ck_assert_int_eq(ghmem_event_vm(event), 128);
		ck_assert_str_eq(ghmem_event_detail(event), "d");
		ck_assert_uint_eq(ghmem_event_time(event), 5);
		ck_assert_str_eq(ghmem_parcel_id(ghmem_event_parcel(event)), "p");
		return 0;
	}
	ck_assert_int_eq(ghmem_event_vm(event), -1);
	ck_assert_ptr_null(ghmem_event_detail(event));
	ck_assert_ptr_null(ghmem_event_parcel(event));
	assert_json(ghmem_event_json(event), "{\"kind\":\"new\",\"time\":6,\"vm\":null}");
	return 0;
}

START_TEST(events_come_with_and_without_a_parcel)
{
	static const struct answer answers[] = {
		{ .bytes = "{\"continues\":true,\"parameters\":{\"event\":{\"kind\":\"held\","
			   "\"vm\":128,"
			   "\"detail\":\"d\",\"time\":5,\"parcel\":" PARCEL "}}}" },
		{ .bytes = "{\"parameters\":{\"event\":{\"kind\":\"new\",\"time\":6,\"vm\":null}}}",
			.early = true },
		{ 0 }
	};
	struct broker broker;
	int n = 0;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_monitor(broker.client, check_event, &n), 0);
	ck_assert_int_eq(n, 2);
	broker_stop(&broker);
}
END_TEST

/* ---- the rest ---- */

static void *cancel_later(void *userdata)
{
	uint64_t one = 1;

	usleep(50000);
	ck_assert_int_eq((int)write(*(int *)userdata, &one, sizeof(one)), sizeof(one));
	return NULL;
}

START_TEST(a_waiting_call_can_be_cancelled)
{
	int fd = eventfd(0, EFD_CLOEXEC);
	struct broker broker;
	pthread_t thread;

	/* Nobody accepts the connection: the call waits for ever. */
	broker_listen(&broker, NULL);
	ck_assert_int_eq(ghmem_connect(broker.text, &broker.client), 0);
	ghmem_set_cancel_fd(broker.client, fd);
	pthread_create(&thread, NULL, cancel_later, &fd);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), -ECANCELED);
	ck_assert_int_eq(ghmem_reclaim(broker.client, 7, 0), -ENOTCONN);
	pthread_join(thread, NULL);
	ghmem_close(broker.client);
	close(broker.listener);
	close(fd);
}
END_TEST

START_TEST(accepted_regions_are_read_with_care)
{
	static const struct answer answers[] = {
		{ .bytes = "{\"parameters\":{\"regions\":[{\"address\":4096,\"size\":8192}]}}" },
		{ .bytes = "{\"parameters\":{\"regions\":[]}}" },
		{ .bytes = "{\"parameters\":{\"regions\":[{\"address\":-1,\"size\":8192}]}}" },
		{ .bytes = "{\"parameters\":{\"regions\":[5]}}" }, { .bytes = "{}" }, { 0 }
	};
	struct broker broker;
	struct ghmem_region *regions;
	size_t n;

	broker_start(&broker, answers);
	ck_assert_int_eq(ghmem_accept(broker.client, 3, &regions, &n), 0);
	ck_assert(n == 1 && regions[0].address == 4096 && regions[0].size == 8192);
	free(regions);
	ck_assert_int_eq(ghmem_accept(broker.client, 3, &regions, &n), 0);
	ck_assert_uint_eq(n, 0);
	free(regions);
	ck_assert_int_eq(ghmem_accept(broker.client, 3, &regions, &n), -EBADMSG);
	ck_assert_int_eq(ghmem_accept(broker.client, 3, &regions, &n), -EBADMSG);
	ck_assert_int_eq(ghmem_release(broker.client, 3, GHMEM_SANITIZE), 0);
	assert_json(broker.calls[4], "{\"method\":\"org.ghmem.Broker.Release\",\"parameters\":"
				     "{\"handle\":3,\"sanitize\":true}}");
	broker_stop(&broker);
}
END_TEST

START_TEST(addresses)
{
	struct ghmem *connection;
	char path[200] = "unix:/";

	memset(path + 6, 'x', sizeof(path) - 7);
	ck_assert_int_eq(ghmem_connect("tcp:localhost", &connection), -EINVAL);
	ck_assert_int_eq(ghmem_connect("/run/x", &connection), -EINVAL);
	ck_assert_int_eq(ghmem_connect("unix:", &connection), -EINVAL);
	ck_assert_int_eq(ghmem_connect("unix:@", &connection), -EINVAL);
	ck_assert_int_eq(ghmem_connect(path, &connection), -ENAMETOOLONG);
	ck_assert_int_eq(ghmem_connect("unix:/nonexistent;mode=0600", &connection), -ENOENT);
	ck_assert_int_eq(ghmem_connect("unix:@ghmem-nobody", &connection), -ECONNREFUSED);
	unsetenv("GHMEM_ADDRESS");
	ck_assert_str_eq(ghmem_default_address(), "unix:/run/ghmemd/org.ghmem.Broker");
	setenv("GHMEM_ADDRESS", "unix:/nonexistent/x", 1);
	ck_assert_str_eq(ghmem_default_address(), "unix:/nonexistent/x");
	ck_assert_int_eq(ghmem_connect(NULL, &connection), -ENOENT);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("ghmem");
	TCase *tests = tcase_create("ghmem");
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tests);
	tcase_set_timeout(tests, 60);
	tcase_add_test(tests, a_request_refuses_a_second_kind_of_memory);
	tcase_add_test(tests, setters_refuse_what_can_never_be);
	tcase_add_test(tests, an_incomplete_request_is_not_sent);
	tcase_add_test(tests, every_field_of_a_request_is_sent_and_read_back);
	tcase_add_test(tests, a_handle_that_is_not_known_is_not_0);
	tcase_add_test(tests, each_error_name_has_its_outcome);
	tcase_add_test(tests, the_bytes_may_come_in_any_pieces);
	tcase_add_test(tests, a_lost_connection_stays_lost);
	tcase_add_test(tests, an_endless_reply_is_given_up);
	tcase_add_test(tests, what_nobody_asked_for_breaks_the_connection);
	tcase_add_test(tests, a_request_over_16_mib_costs_only_itself);
	tcase_add_test(tests, descriptors_arrive_and_stay_the_callers);
	tcase_add_test(tests, descriptors_that_nobody_takes_are_closed);
	tcase_add_test(tests, more_descriptors_than_allowed_are_refused);
	tcase_add_test(tests, a_list_that_is_ended_early_leaves_the_connection_usable);
	tcase_add_test(tests, a_call_that_is_ended_early_gives_the_connection_up);
	tcase_add_test(tests, events_come_with_and_without_a_parcel);
	tcase_add_test(tests, a_waiting_call_can_be_cancelled);
	tcase_add_test(tests, accepted_regions_are_read_with_care);
	tcase_add_test(tests, addresses);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
