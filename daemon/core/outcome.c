/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/core/outcome.h"

#include <stddef.h>

static const struct {
	const char *name;
	const char *varlink;
	int exit_status;
} outcomes[] = {
#define BROKER(name, status)                           \
	{                                              \
		name, "org.ghmem.Broker." name, status \
	}
	[OUTCOME_OK] = { "OK", NULL, 0 },
	[OUTCOME_POLICY_DENIED] = BROKER("PolicyDenied", 3),
	[OUTCOME_QUOTA_EXCEEDED] = BROKER("QuotaExceeded", 3),
	[OUTCOME_PARCEL_NOT_FOUND] = BROKER("ParcelNotFound", 5),
	[OUTCOME_PARCEL_IN_USE] = BROKER("ParcelInUse", 1),
	[OUTCOME_MEMORY_INVALID] = BROKER("MemoryInvalid", 1),
	[OUTCOME_MANAGER_ERROR] = BROKER("ManagerError", 1),
	[OUTCOME_MANAGER_UNAVAILABLE] = BROKER("ManagerUnavailable", 1),
	[OUTCOME_UNKNOWN] = BROKER("OutcomeUnknown", 1),
	[OUTCOME_INVALID_PARAMETER] = { "InvalidParameter", "org.varlink.service.InvalidParameter",
		1 },
	[OUTCOME_POLICY_INVALID] = BROKER("PolicyInvalid", 1),
#undef BROKER
};

const char *outcome_varlink_error(enum outcome outcome)
{
	return outcomes[outcome].varlink;
}

const char *outcome_name(enum outcome outcome)
{
	return outcomes[outcome].name;
}

int outcome_exit_status(enum outcome outcome)
{
	return outcomes[outcome].exit_status;
}
