/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ghrm/error.h"

#include "util/util.h"

static const struct {
	const char *name, *text;
} known[] = {
	[GHRM_OK] = { "OK", "success" },
	[GHRM_NOMEM] = { "NOMEM", "the Resource Manager or the hypervisor is out of memory" },
	[GHRM_NORESOURCE] = { "NORESOURCE", "a list has more than 512 entries, the address range "
					    "is busy, or no such VM is free" },
	[GHRM_DENIED] = { "DENIED", "not permitted: not the owner, the wrong state of the parcel, "
				    "or 64 parcels are owned" },
	[GHRM_MSG_INVALID] = { "MSG_INVALID", "the length or structure of the message is wrong" },
	[GHRM_BUSY] = { "BUSY", "the Resource Manager is busy" },
	[GHRM_ARGUMENT_INVALID] = { "ARGUMENT_INVALID", "a field has a value that is not allowed" },
	[GHRM_HANDLE_INVALID] = { "HANDLE_INVALID",
		"no such parcel, or the caller is not in its access list" },
	[GHRM_VALIDATE_FAILED] = { "VALIDATE_FAILED",
		"the parcel is not what the accepting VM expected" },
	[GHRM_MAP_FAILED] = { "MAP_FAILED", "the hypervisor refused to map or unmap the memory" },
	[GHRM_MEM_INVALID] = { "MEM_INVALID",
		"the memory is not the caller's to give, not mapped, or of the wrong kind" },
	[GHRM_MEM_INUSE] = { "MEM_INUSE", "a VM still holds the parcel" },
	[GHRM_MEM_RELEASED] = { "MEM_RELEASED", "the VM does not hold the parcel" },
	[GHRM_VMID_INVALID] = { "VMID_INVALID", "no such VM, or it is not in the access list" },
	[GHRM_LOOKUP_FAILED] = { "LOOKUP_FAILED", "no parcel matches" },
	[GHRM_IRQ_INVALID] = { "IRQ_INVALID", "no such interrupt" },
	[GHRM_IRQ_INUSE] = { "IRQ_INUSE", "a VM still holds the interrupt" },
	[GHRM_IRQ_RELEASED] = { "IRQ_RELEASED", "the VM does not hold the interrupt" },
	[GHRM_IN_USE] = { "IN_USE", "the resource is in use" },
	[GHRM_IRQ_NOT_MAPPED] = { "IRQ_NOT_MAPPED", "the interrupt is not mapped" },
	[GHRM_VM_STATE] = { "VM_STATE", "the VM is in the wrong state of its life cycle" },
};

const char *ghrm_error_name(uint32_t error)
{
	if (error == GHRM_UNIMPLEMENTED)
		return "UNIMPLEMENTED";
	return error < ARRAY_SIZE(known) ? known[error].name : "UNKNOWN";
}

const char *ghrm_error_text(uint32_t error)
{
	if (error == GHRM_UNIMPLEMENTED)
		return "this Resource Manager does not know the request";
	return error < ARRAY_SIZE(known) ? known[error].text
					 : "an error number that no published source names";
}
