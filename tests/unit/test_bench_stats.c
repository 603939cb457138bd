/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the benchmarks say of their samples. */

#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "tests/bench/stats.h"
#include "util/util.h"

#define ck_near(a, b) ck_assert_double_eq_tol(a, b, 1e-12)

START_TEST(median_is_the_middle_or_the_mean_of_two)
{
	const double odd[] = { 5, 1, 3 }, even[] = { 4, 1, 3, 2 };

	ck_near(stats_median(odd, 3), 3);
	ck_near(stats_median(even, 4), 2.5);
	ck_near(stats_median(odd, 1), 5);
	ck_near(odd[0], 5); /* not sorted in place */
}
END_TEST

START_TEST(quantile_is_by_nearest_rank)
{
	double values[200];

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		values[i] = (double)(ARRAY_SIZE(values) - i); /* 200 … 1 */
	ck_near(stats_quantile(values, 200, 0.99), 198);
	ck_near(stats_quantile(values, 100, 0.99), 199); /* of 101 … 200 */
	ck_near(stats_quantile(values, 10, 0.99), 200);
	ck_near(stats_quantile(values, 200, 1.0), 200);
}
END_TEST

START_TEST(a_missing_sample_makes_all_missing)
{
	const double values[] = { 1, (double)NAN, 3 };

	ck_assert(isnan(stats_median(values, 3)));
	ck_assert(isnan(stats_quantile(values, 3, 0.5)));
	ck_assert(isnan(stats_median(values, 0)));
}
END_TEST

static struct series series_of(const double *values, size_t n)
{
	struct series series;

	ck_assert_int_eq(series_init(&series, n), 0);
	for (size_t i = 0; i < n; i++)
		series_add(&series, values[i]);
	return series;
}

START_TEST(ratio_divides_the_medians_of_each_round)
{
	/* Rounds: 20/10, 40/20 with one disturbed sample, 90/30. */
	const double of[] = { 20, 20, 20, 40, 900, 40, 90, 90, 90 };
	const double to[] = { 10, 20, 30 };
	struct series a = series_of(of, ARRAY_SIZE(of)), b = series_of(to, ARRAY_SIZE(to));
	struct ratio ratio = series_ratio(&a, &b, 3);

	ck_near(ratio.median, 2);
	ck_near(ratio.low, 2);
	ck_near(ratio.high, 3);
	series_done(&a);
	series_done(&b);
}
END_TEST

START_TEST(ratio_to_what_was_not_measured_is_missing)
{
	const double of[] = { 1, 2 }, to[] = { 1, (double)NAN };
	struct series a = series_of(of, 2), b = series_of(to, 2), none = { 0 };

	ck_assert(isnan(series_ratio(&a, &b, 2).median));
	ck_assert(isnan(series_ratio(&a, &none, 2).median));
	ck_assert(isnan(series_ratio(&a, &b, 0).high));
	series_done(&a);
	series_done(&b);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("bench stats");
	TCase *tests = tcase_create("stats");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, median_is_the_middle_or_the_mean_of_two);
	tcase_add_test(tests, quantile_is_by_nearest_rank);
	tcase_add_test(tests, a_missing_sample_makes_all_missing);
	tcase_add_test(tests, ratio_divides_the_medians_of_each_round);
	tcase_add_test(tests, ratio_to_what_was_not_measured_is_missing);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
