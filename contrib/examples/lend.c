/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Lends 64 MiB to virtual machine 0x80, waits for Enter or the end of its input, and takes the memory
 * back.
 *
 *     cc -o lend lend.c $(pkg-config --cflags --libs libghmem)
 */

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <ghmem.h>

#define VMID 0x80
#define SIZE (64ull << 20)

static int failed(const struct ghmem *broker, const char *what, int r)
{
	const char *text = broker ? ghmem_error_text(broker) : "";

	fprintf(stderr, "%s: %s\n", what, *text || r > 0 ? text : strerror(-r));
	return 1;
}

static int lend(struct ghmem *broker, struct ghmem_parcel **ret_parcel, int *ret_fd)
{
	struct ghmem_request *request;
	int r = ghmem_request_new(&request);

	if (r < 0)
		return r;
	r = ghmem_request_set_allocate(request, SIZE);
	if (r == 0)
		r = ghmem_request_add_vm(request, VMID, GHMEM_READ | GHMEM_WRITE);
	if (r == 0)
		r = ghmem_lend(broker, request, ret_parcel, ret_fd);
	ghmem_request_free(request);
	return r;
}

int main(void)
{
	struct ghmem *broker;
	struct ghmem_parcel *parcel;
	uint32_t handle = 0;
	int fd, r;

	r = ghmem_connect(NULL, &broker);
	if (r < 0)
		return failed(NULL, ghmem_default_address(), r);
	r = lend(broker, &parcel, &fd);
	if (r != 0) {
		failed(broker, "lend", r);
		ghmem_close(broker);
		return 1;
	}
	if (ghmem_parcel_handle(parcel, &handle) == 0)
		printf("parcel %" PRIu32 ", label 0x%" PRIx32 ", %" PRIu64 " bytes in %" PRIu64
		       " regions\n",
			handle, ghmem_parcel_label(parcel), ghmem_parcel_size(parcel),
			ghmem_parcel_regions(parcel));
	printf("Enter takes it back\n");
	fflush(stdout);
	getchar();

	/* Until this returns 0 the memory is the virtual machine's: fd must not be touched. */
	r = ghmem_reclaim(broker, handle, 0);
	if (r == 0)
		printf("reclaimed\n");
	else
		failed(broker, "reclaim", r);
	if (fd >= 0)
		close(fd);
	ghmem_parcel_free(parcel);
	ghmem_close(broker);
	return r != 0;
}
