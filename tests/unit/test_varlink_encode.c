/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Replies as JSON: whole or not at all, whatever bytes their strings hold. */

#include <check.h>

#include "daemon/varlink/decode.h"

#define BAD "/tmp/\xff\xc3.sock"

static struct parcel_holder holders[] = {
	{ .vmid = 0x80, .rights = GHRM_RIGHT_R, .accepted = true },
	{ .vmid = 0x81, .rights = GHRM_RIGHT_RWX },
};

static json_t *make_parcel(void)
{
	const struct parcel_view view = {
		.id = (char[]){ "0-1" },
		.handle_known = true,
		.handle = 7,
		.verb = VERB_LEND,
		.holders = holders,
		.n_holders = 2,
		.unit = (char[]){ BAD },
		.rule = (char[]){ "r\xc3\xa4t" },
		.reason = (char[]){ BAD },
	};

	return encode_parcel(&view);
}

static json_t *make_status(void)
{
	const struct broker_status status = {
		.endpoint = (char[]){ "unix:" BAD },
		.limitation = (char[]){ BAD },
	};

	return encode_status(&status);
}

static json_t *make_check(void)
{
	const struct reply reply = { .allowed = true, .reason = (char[]){ BAD } };

	return encode_check(&reply);
}

static json_t *make_error(enum outcome outcome)
{
	uint16_t vms[] = { 0x80, 0x81 };
	const struct request request = {
		.handle = 7,
		.reply = {
			.outcome = outcome,
			.reason = (char[]){ BAD },
			.parameter = (char[]){ BAD },
			.vms = vms,
			.n_vms = 2,
			.index = 3,
		},
	};

	return encode_error(&request);
}

static const char *text_of(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

START_TEST(strings_that_are_no_utf8_are_made_so)
{
	static const enum outcome with_reason[] = { OUTCOME_POLICY_DENIED, OUTCOME_QUOTA_EXCEEDED,
		OUTCOME_MEMORY_INVALID, OUTCOME_MANAGER_UNAVAILABLE, OUTCOME_POLICY_INVALID,
		OUTCOME_UNKNOWN };
	json_t *json = make_parcel();

	ck_assert_str_eq(text_of(json, "unit"), "/tmp/??.sock");
	ck_assert_str_eq(text_of(json, "reason"), "/tmp/??.sock");
	ck_assert_str_eq(text_of(json, "rule"), "r\xc3\xa4t");
	ck_assert_uint_eq(json_array_size(json_object_get(json, "holders")), 2);
	json_decref(json);

	json = make_status();
	ck_assert_str_eq(text_of(json, "manager"), "unix:/tmp/??.sock");
	ck_assert_str_eq(text_of(json, "limitation"), "/tmp/??.sock");
	json_decref(json);

	json = make_check();
	ck_assert_str_eq(text_of(json, "reason"), "/tmp/??.sock");
	ck_assert(json_is_null(json_object_get(json, "rule")));
	json_decref(json);

	for (size_t i = 0; i < ARRAY_SIZE(with_reason); i++) {
		json = make_error(with_reason[i]);
		ck_assert_str_eq(text_of(json, "reason"), "/tmp/??.sock");
		json_decref(json);
	}
	json = make_error(OUTCOME_MANAGER_ERROR);
	ck_assert_str_eq(text_of(json, "message"), "/tmp/??.sock");
	json_decref(json);
	json = make_error(OUTCOME_INVALID_PARAMETER);
	ck_assert_str_eq(text_of(json, "parameter"), "/tmp/??.sock");
	json_decref(json);
}
END_TEST

/* ---- memory that runs out at every place ---- */

static size_t allocations_left;

static void *scarce(size_t size)
{
	return allocations_left > 0 ? (allocations_left--, malloc(size)) : NULL;
}

static json_t *make(int what)
{
	switch (what) {
	case 0: return make_parcel();
	case 1: return make_status();
	case 2: return make_check();
	default: return make_error((enum outcome)(what - 2));
	}
}

START_TEST(what_memory_does_not_suffice_for_is_not_made)
{
	json_t *whole = make(_i), *json = NULL;
	size_t enough = 0;

	ck_assert_ptr_nonnull(whole);
	json_set_alloc_funcs(scarce, free);
	while (!json) {
		allocations_left = enough++;
		json = make(_i);
		ck_assert_uint_lt(enough, 10000);
	}
	json_set_alloc_funcs(malloc, free);
	ck_assert_uint_gt(enough, 3);
	ck_assert(json_equal(json, whole));
	json_decref(json);
	json_decref(whole);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("varlink_encode");
	TCase *tcase = tcase_create("encode");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, strings_that_are_no_utf8_are_made_so);
	tcase_add_loop_test(
		tcase, what_memory_does_not_suffice_for_is_not_made, 0, 3 + OUTCOME_POLICY_INVALID);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
