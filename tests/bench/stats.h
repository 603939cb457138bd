/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Samples of one thing measured, and what is said of them. A sample that could not be taken is NAN;
 * what is computed from one is NAN as well, so that nothing is told that was not measured.
 */

#include <stddef.h>

struct series {
	double *values;
	size_t n, room;
};

/* Room for that many samples, so that nothing is allocated while measuring. 0 or -ENOMEM. */
int series_init(struct series *series, size_t room);
void series_done(struct series *series);

/* Samples beyond the room are a mistake of the caller's and end the program. */
void series_add(struct series *series, double value);

/* Of n values in any order: the q-quantile by nearest rank, 0 < q ≤ 1; NAN for none. */
double stats_quantile(const double *values, size_t n, double q);
/* The middle value, or the mean of the two. */
double stats_median(const double *values, size_t n);

double series_median(const struct series *series);
double series_p99(const struct series *series);

/* One thing in relation to another, round by round. */
struct ratio {
	double median, low, high;
};

/*
 * Both series hold the same rounds, one after the other, each with n / rounds samples: the medians
 * of each round are divided, so that what disturbs a whole round disturbs both.
 */
struct ratio series_ratio(const struct series *of, const struct series *to, size_t rounds);

/* Monotonic clock, seconds. */
double stats_now(void);
