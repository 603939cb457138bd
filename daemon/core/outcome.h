/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * How a request can end, in one table: every outcome is exactly one Varlink error and one D-Bus error
 * (contract §3 and §4); ghmemctl makes its exit status from the Varlink error. Pure; thread-safe.
 */

enum outcome {
	OUTCOME_OK = 0,
	OUTCOME_POLICY_DENIED,
	OUTCOME_QUOTA_EXCEEDED,
	OUTCOME_PARCEL_NOT_FOUND,
	OUTCOME_PARCEL_IN_USE,
	OUTCOME_MEMORY_INVALID,
	OUTCOME_MANAGER_ERROR,
	OUTCOME_MANAGER_UNAVAILABLE,
	OUTCOME_UNKNOWN,
	OUTCOME_INVALID_PARAMETER,
	OUTCOME_POLICY_INVALID, /* the policy files, on a reload */
};

/* Fully qualified Varlink error; NULL for OUTCOME_OK. Static string. */
const char *outcome_varlink_error(enum outcome outcome);

/* The contract's short name, also the last part of the D-Bus error: "PolicyDenied". Static string. */
const char *outcome_name(enum outcome outcome);
