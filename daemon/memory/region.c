/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <errno.h>

#include "daemon/memory/memory.h"

void region_list_done(struct region_list *list)
{
	free(list->regions);
	*list = (struct region_list){ 0 };
}

int region_list_add(struct region_list *list, uint64_t address, uint64_t size)
{
	struct ghrm_region *last = list->n > 0 ? &list->regions[list->n - 1] : NULL;

	if (size == 0)
		return 0;
	if (last && last->address + last->size == address) {
		last->size += size;
		list->bytes += size;
		return 0;
	}
	if (list->n == list->allocated) {
		size_t more = list->allocated ? list->allocated * 2 : 16;
		struct ghrm_region *regions = reallocarray(list->regions, more, sizeof(*regions));

		if (!regions)
			return -ENOMEM;
		list->regions = regions;
		list->allocated = more;
	}
	list->regions[list->n++] = (struct ghrm_region){ address, size };
	list->bytes += size;
	return 0;
}

struct pinned *pinned_free(struct pinned *pinned)
{
	if (!pinned)
		return NULL;
	util_close(pinned->memfd);
	region_list_done(&pinned->regions);
	free(pinned);
	return NULL;
}
