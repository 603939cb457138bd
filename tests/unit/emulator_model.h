/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A second, naive implementation of the memory service: arrays of pages instead of intervals, one
 * page after the other instead of runs. Functions that execute a request return the error number
 * that the Resource Manager must answer.
 */

#include "emulator_bench.h"

#define NORMAL_PAGES 48
#define DEVICE_PAGES 8
#define ALL_PAGES    (NORMAL_PAGES + DEVICE_PAGES)
#define WINDOW       4096 /* pages of a guest's address space that are looked at */
#define PLACES       (WINDOW + DEVICE_PAGES)
#define WINDOW_START 0x40000000ull
#define VMS          5
#define SLOTS        2 /* fewer than usual, so that they run out */
#define MAX_PARCELS  6
#define LISTED       (MAX_PARCELS * VMS)
#define MAX_TOTAL    40 /* pages, failed appends included: the window must not overflow */
#define NONE         (-1)

extern const uint16_t model_vmids[VMS];

struct m_region {
	int place, page, n; /* of the owner; physical; pages */
};

struct m_member {
	int vm; /* index, or NONE for a VMID without VM */
	uint16_t vmid;
	uint8_t rights, attr;
	bool holds, mapped, contiguous;
	int assigned, address[64]; /* places */
};

struct m_parcel {
	bool live;
	uint32_t handle, tag;
	int owner;
	uint8_t mem_type, trans;
	bool open, tagged, zero_create, zero_reclaim;
	struct m_member members[VMS];
	int n_members;
	struct m_region regions[64];
	int n_regions, total;
	struct {
		int vm; /* NONE: free */
		uint64_t pages;
	} slots[SLOTS];
};

struct model {
	struct bench *bench;
	int owner[ALL_PAGES]; /* of each page: VM index, or 100 + parcel index */
	int home[VMS][PLACES];
	bool used[VMS][PLACES];
	struct m_parcel parcels[LISTED];
	uint32_t next_handle;
	uint64_t zeroed;
	unsigned outcomes[32];
};

struct m_view {
	int page; /* NONE: unmapped */
	int owner;
	uint8_t rights, attr;
};

struct entries {
	struct ghrm_region wire[4];
	int place[4], n[4];
	size_t count;
	bool misaligned[4];
};

struct accept_args {
	uint8_t mem_type, trans, flags;
	struct ghrm_region named[64];
	int place[64];
	int n;
};

bool model_is_io(const struct m_parcel *parcel);
uint64_t model_address(int vm, int place);
uint64_t model_physical(int page);
int model_identity(int vm, int page);
struct m_member *model_member(struct m_parcel *parcel, int vm);
struct m_view model_look(struct model *model, int vm, int place);
struct m_parcel *model_find(struct model *model, uint32_t handle);
void model_give_back(struct model *model, struct m_parcel *parcel, int begin);
uint32_t model_add(struct model *model, struct m_parcel *parcel, const struct entries *entries);
int model_owned(struct model *model, int vm);
uint32_t model_create(struct model *model, struct m_parcel *parcel, uint8_t flags,
	const struct ghrm_acl_entry *acl, int n_acl, const struct entries *entries,
	const struct ghrm_attribute *attribute);
bool model_held(struct m_parcel *parcel);
int model_mapping_pages(struct m_parcel *parcel, struct m_member *member, int i);
uint32_t model_accept(struct model *model, int vm, struct m_parcel *parcel,
	const struct accept_args *args, int *ret_first, struct m_member *ret_member);
void model_release(struct model *model, int vm, struct m_parcel *parcel, struct m_member *member);
