/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tests/bench/stats.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "util/util.h"

int series_init(struct series *series, size_t room)
{
	*series =
		(struct series){ .values = calloc(room ? room : 1, sizeof(double)), .room = room };
	if (!series->values)
		return -ENOMEM;
	/* Touched now: a fault on the first use of a page would count as part of a sample. */
	for (size_t i = 0; i < room; i++)
		((volatile double *)series->values)[i] = 0;
	return 0;
}

void series_done(struct series *series)
{
	free(series->values);
	*series = (struct series){ 0 };
}

void series_add(struct series *series, double value)
{
	if (series->n == series->room)
		abort();
	series->values[series->n++] = value;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* NULL when there is nothing to sort, or a sample is missing. */
static double *sorted(const double *values, size_t n)
{
	double *copy;

	for (size_t i = 0; i < n; i++)
		if (isnan(values[i]))
			return NULL;
	copy = n ? malloc(n * sizeof(*copy)) : NULL;
	if (!copy)
		return NULL;
	memcpy(copy, values, n * sizeof(*copy));
	qsort(copy, n, sizeof(*copy), compare);
	return copy;
}

double stats_quantile(const double *values, size_t n, double q)
{
	_cleanup_free_ double *copy = sorted(values, n);
	size_t rank = (size_t)ceil(q * (double)n);

	return copy ? copy[rank > 0 ? rank - 1 : 0] : (double)NAN;
}

double stats_median(const double *values, size_t n)
{
	_cleanup_free_ double *copy = sorted(values, n);

	if (!copy)
		return (double)NAN;
	return n % 2 ? copy[n / 2] : (copy[n / 2 - 1] + copy[n / 2]) / 2;
}

double series_median(const struct series *series)
{
	return stats_median(series->values, series->n);
}

double series_p99(const struct series *series)
{
	return stats_quantile(series->values, series->n, 0.99);
}

struct ratio series_ratio(const struct series *of, const struct series *to, size_t rounds)
{
	struct ratio ratio = { (double)NAN, (double)NAN, (double)NAN };
	_cleanup_free_ double *ratios = calloc(rounds ? rounds : 1, sizeof(*ratios));
	size_t a = rounds ? of->n / rounds : 0, b = rounds ? to->n / rounds : 0;

	if (!ratios || a == 0 || b == 0)
		return ratio;
	for (size_t i = 0; i < rounds; i++)
		ratios[i] =
			stats_median(of->values + i * a, a) / stats_median(to->values + i * b, b);
	ratio.median = stats_median(ratios, rounds);
	ratio.low = stats_quantile(ratios, rounds, 1.0 / (double)rounds);
	ratio.high = stats_quantile(ratios, rounds, 1.0);
	return ratio;
}

double stats_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
