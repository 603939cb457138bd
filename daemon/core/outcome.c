/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/core/outcome.h"

#include <stddef.h>

static const struct {
	const char *name;
	const char *varlink;
} outcomes[] = {
#define BROKER(name)                           \
	{                                      \
		name, "org.ghmem.Broker." name \
	}
	[OUTCOME_OK] = { "OK", NULL },
	[OUTCOME_POLICY_DENIED] = BROKER("PolicyDenied"),
	[OUTCOME_QUOTA_EXCEEDED] = BROKER("QuotaExceeded"),
	[OUTCOME_PARCEL_NOT_FOUND] = BROKER("ParcelNotFound"),
	[OUTCOME_PARCEL_IN_USE] = BROKER("ParcelInUse"),
	[OUTCOME_MEMORY_INVALID] = BROKER("MemoryInvalid"),
	[OUTCOME_MANAGER_ERROR] = BROKER("ManagerError"),
	[OUTCOME_MANAGER_UNAVAILABLE] = BROKER("ManagerUnavailable"),
	[OUTCOME_UNKNOWN] = BROKER("OutcomeUnknown"),
	[OUTCOME_INVALID_PARAMETER] = { "InvalidParameter",
		"org.varlink.service.InvalidParameter" },
	[OUTCOME_POLICY_INVALID] = BROKER("PolicyInvalid"),
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
