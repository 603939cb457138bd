/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "emulator/machine.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#include "util/util.h"

#define MACHINE_MEMORY_BITS 44 /* GHRM_ADDRESS_LIMIT */
#define MACHINE_BITS_MIN    32

/* The reader's state: where it is, for messages, and the first fault. */
struct reader {
	const char *path;
	char *error;
};

static const struct {
	const char *name;
	enum ghrm_vm_status status;
} machine_states[] = {
	{ "load", GHRM_VM_STATUS_LOAD },
	{ "ready", GHRM_VM_STATUS_READY },
	{ "running", GHRM_VM_STATUS_RUNNING },
	{ "paused", GHRM_VM_STATUS_PAUSED },
	{ "exited", GHRM_VM_STATUS_EXITED },
};

struct machine *machine_free(struct machine *machine)
{
	if (!machine)
		return NULL;
	for (size_t i = 0; i < machine->n_vms; i++) {
		free(machine->vms[i].memory);
		free(machine->vms[i].reserved);
		free(machine->vms[i].devices);
	}
	free(machine->vms);
	free(machine);
	return NULL;
}

static void machine_freep(struct machine **machine)
{
	machine_free(*machine);
}

static int _printf_(2, 3) fault(struct reader *reader, const char *format, ...)
{
	_cleanup_free_ char *reason = NULL;
	va_list args;

	va_start(args, format);
	if (vasprintf(&reason, format, args) < 0)
		reason = NULL;
	va_end(args);
	if (reason && !reader->error &&
		asprintf(&reader->error, "%s: %s", reader->path, reason) < 0)
		reader->error = NULL;
	return -EINVAL;
}

/* An object whose keys are all in the list; where names it in messages. */
static int check_keys(
	struct reader *reader, json_t *object, const char *where, const char *const *known)
{
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return fault(reader, "%s: must be an object", where);
	json_object_foreach (object, key, value) {
		size_t i = 0;

		while (known[i] && strcmp(known[i], key) != 0)
			i++;
		if (!known[i])
			return fault(reader, "%s: unknown key \"%s\"", where, key);
	}
	return 0;
}

/* A number, or a string that is one in decimal or 0x notation. A missing key takes fallback. */
static int read_number(struct reader *reader, json_t *object, const char *where, const char *key,
	const uint64_t *fallback, uint64_t minimum, uint64_t maximum, uint64_t *ret)
{
	json_t *value = json_object_get(object, key);
	uint64_t number = 0;

	if (!value) {
		if (!fallback)
			return fault(reader, "%s.%s: is missing", where, key);
		*ret = *fallback;
		return 0;
	}
	if (json_is_integer(value) && json_integer_value(value) >= 0)
		number = (uint64_t)json_integer_value(value);
	else if (!json_is_string(value) ||
		 strlen(json_string_value(value)) != json_string_length(value) ||
		 util_parse_u64(json_string_value(value), true, &number) < 0)
		return fault(
			reader, "%s.%s: must be a number or a string like \"0x1000\"", where, key);
	if (number < minimum || number > maximum)
		return fault(reader, "%s.%s: must be from %" PRIu64 " to %" PRIu64, where, key,
			minimum, maximum);
	*ret = number;
	return 0;
}

/* {address, size} of whole pages below limit. */
static int read_range(struct reader *reader, json_t *object, const char *where, uint64_t limit,
	struct ghrm_region *ret)
{
	int r;

	r = read_number(reader, object, where, "address", NULL, 0, limit - 1, &ret->address);
	if (r < 0)
		return r;
	r = read_number(reader, object, where, "size", NULL, 1, limit, &ret->size);
	if (r < 0)
		return r;
	if (ret->address % GHRM_PAGE_SIZE)
		return fault(
			reader, "%s.address: must be a multiple of the page size, 4096", where);
	if (ret->size % GHRM_PAGE_SIZE)
		return fault(reader, "%s.size: must be a multiple of the page size, 4096", where);
	if (ret->size > limit - ret->address)
		return fault(reader, "%s.size: runs past the end of the address space, 0x%" PRIx64,
			where, limit);
	return 0;
}

static bool ranges_overlap(uint64_t a, uint64_t a_size, uint64_t b, uint64_t b_size)
{
	return a < b + b_size && b < a + a_size;
}

static int read_memory(
	struct reader *reader, json_t *value, const char *where, struct machine_vm *vm)
{
	static const char *const known[] = { "type", "address", "size", "physical", NULL };
	struct machine_memory *memory = &vm->memory[vm->n_memory];
	const char *type = json_string_value(json_object_get(value, "type"));
	struct ghrm_region range;
	int r;

	r = check_keys(reader, value, where, known);
	if (r < 0)
		return r;
	if (!type || (strcmp(type, "normal") != 0 && strcmp(type, "io") != 0))
		return fault(reader, "%s.type: must be \"normal\" or \"io\"", where);
	memory->io = strcmp(type, "io") == 0;
	r = read_range(reader, value, where, 1ull << vm->address_bits, &range);
	if (r < 0)
		return r;
	memory->address = range.address;
	memory->size = range.size;
	r = read_number(reader, value, where, "physical", &range.address, 0,
		GHRM_ADDRESS_LIMIT - range.size, &memory->physical);
	if (r < 0)
		return r;
	if (memory->physical % GHRM_PAGE_SIZE)
		return fault(
			reader, "%s.physical: must be a multiple of the page size, 4096", where);
	if (memory->physical != memory->address && (memory->io || vm->vmid == GHRM_VMID_HOST))
		return fault(reader,
			"%s.physical: device memory and all memory of VM 3 is at its "
			"physical address",
			where);
	for (size_t i = 0; i < vm->n_memory; i++)
		if (ranges_overlap(
			    vm->memory[i].address, vm->memory[i].size, range.address, range.size) ||
			ranges_overlap(vm->memory[i].physical, vm->memory[i].size, memory->physical,
				range.size))
			return fault(reader, "%s: overlaps memory[%zu]", where, i);
	vm->n_memory++;
	return 0;
}

static int read_reserved(
	struct reader *reader, json_t *value, const char *where, struct machine_vm *vm)
{
	static const char *const known[] = { "address", "size", NULL };
	int r;

	r = check_keys(reader, value, where, known);
	if (r < 0)
		return r;
	r = read_range(
		reader, value, where, 1ull << vm->address_bits, &vm->reserved[vm->n_reserved]);
	if (r < 0)
		return r;
	vm->n_reserved++;
	return 0;
}

/* Labels are told apart: the Resource Manager looks for the one device of a parcel's label. */
static int read_device(
	struct reader *reader, json_t *value, const char *where, struct machine_vm *vm)
{
	static const char *const known[] = { "type", "label", "address", NULL };
	struct machine_device *device = &vm->devices[vm->n_devices];
	const char *type = json_string_value(json_object_get(value, "type"));
	uint64_t label;
	int r;

	r = check_keys(reader, value, where, known);
	if (r < 0)
		return r;
	if (!type || (strcmp(type, "shared-memory") != 0 && strcmp(type, "io-memory") != 0))
		return fault(reader, "%s.type: must be \"shared-memory\" or \"io-memory\"", where);
	device->io = strcmp(type, "io-memory") == 0;
	r = read_number(reader, value, where, "label", NULL, 0, UINT32_MAX, &label);
	if (r < 0)
		return r;
	device->label = (uint32_t)label;
	for (size_t i = 0; i < vm->n_devices; i++)
		if (vm->devices[i].label == device->label)
			return fault(
				reader, "%s.label: the same as that of devices[%zu]", where, i);
	vm->n_devices++;
	device->fixed = json_object_get(value, "address") != NULL;
	if (!device->fixed)
		return 0;
	if (device->io || vm->vmid == GHRM_VMID_HOST)
		return fault(reader,
			"%s.address: device memory and all memory of VM 3 is at its "
			"physical address",
			where);
	r = read_number(reader, value, where, "address", NULL, 0, (1ull << vm->address_bits) - 1,
		&device->address);
	if (r < 0)
		return r;
	if (device->address % GHRM_PAGE_SIZE)
		return fault(
			reader, "%s.address: must be a multiple of the page size, 4096", where);
	return 0;
}

/* Calls read for every element of an optional array, after room for all of them was made. */
static int read_array(struct reader *reader, json_t *object, const char *where, const char *key,
	void **ret_room, size_t size, struct machine_vm *vm,
	int (*read)(struct reader *, json_t *, const char *, struct machine_vm *))
{
	json_t *array = json_object_get(object, key), *value;
	char place[128];
	size_t i;
	int r;

	if (!array)
		return 0;
	if (!json_is_array(array))
		return fault(reader, "%s.%s: must be an array", where, key);
	*ret_room = calloc(json_array_size(array) + 1, size);
	if (!*ret_room)
		return -ENOMEM;
	json_array_foreach (array, i, value) {
		snprintf(place, sizeof(place), "%s.%s[%zu]", where, key, i);
		r = read(reader, value, place, vm);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_state(
	struct reader *reader, json_t *object, const char *where, struct machine_vm *vm)
{
	json_t *value = json_object_get(object, "state");
	const char *name = json_string_value(value);

	vm->state = GHRM_VM_STATUS_RUNNING;
	if (!value)
		return 0;
	for (size_t i = 0; name && i < ARRAY_SIZE(machine_states); i++) {
		if (strcmp(machine_states[i].name, name) == 0) {
			vm->state = machine_states[i].status;
			return 0;
		}
	}
	return fault(
		reader, "%s.state: must be one of load, ready, running, paused, exited", where);
}

static int read_name(
	struct reader *reader, json_t *object, const char *where, struct machine_vm *vm)
{
	json_t *value = json_object_get(object, "name");
	const char *name = json_string_value(value);

	if (!value) {
		snprintf(vm->name, sizeof(vm->name), "vm%02x", vm->vmid);
		return 0;
	}
	if (!name || !*name || strlen(name) >= sizeof(vm->name) ||
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") !=
			strlen(name))
		return fault(reader,
			"%s.name: must be a word of at most %d letters, digits, - and _", where,
			MACHINE_NAME_MAX - 1);
	snprintf(vm->name, sizeof(vm->name), "%s", name);
	return 0;
}

/* Normal memory stays out of the parts reserved for devices, device memory inside or outside. */
static int check_reserved(struct reader *reader, const char *where, const struct machine_vm *vm)
{
	for (size_t i = 0; i < vm->n_reserved; i++) {
		const struct ghrm_region *reserved = &vm->reserved[i];

		for (size_t j = 0; j < i; j++)
			if (ranges_overlap(vm->reserved[j].address, vm->reserved[j].size,
				    reserved->address, reserved->size))
				return fault(reader, "%s.reserved[%zu]: overlaps reserved[%zu]",
					where, i, j);
		for (size_t m = 0; m < vm->n_memory; m++) {
			const struct machine_memory *memory = &vm->memory[m];
			bool inside = memory->address >= reserved->address &&
				      memory->address + memory->size <=
					      reserved->address + reserved->size;

			if (ranges_overlap(memory->address, memory->size, reserved->address,
				    reserved->size) &&
				!(memory->io && inside))
				return fault(reader, "%s.memory[%zu]: overlaps reserved[%zu]",
					where, m, i);
		}
	}
	for (size_t i = 0; i < vm->n_devices; i++)
		for (size_t j = 0; vm->devices[i].fixed && j < vm->n_reserved; j++)
			if (ranges_overlap(vm->reserved[j].address, vm->reserved[j].size,
				    vm->devices[i].address, GHRM_PAGE_SIZE))
				return fault(reader, "%s.devices[%zu].address: is in reserved[%zu]",
					where, i, j);
	return 0;
}

static int read_vm(struct reader *reader, json_t *value, const char *where, struct machine *machine)
{
	static const char *const known[] = { "vmid", "name", "state", "address_bits", "memory",
		"reserved", "devices", NULL };
	struct machine_vm *vm = &machine->vms[machine->n_vms];
	uint64_t number, bits = 36;
	int r;

	r = check_keys(reader, value, where, known);
	if (r < 0)
		return r;
	r = read_number(reader, value, where, "vmid", NULL, 1, GHRM_VMID_RM - 1, &number);
	if (r < 0)
		return r;
	vm->vmid = (uint16_t)number;
	for (size_t i = 0; i < machine->n_vms; i++)
		if (machine->vms[i].vmid == vm->vmid)
			return fault(reader, "%s.vmid: the same as that of vms[%zu]", where, i);
	machine->n_vms++; /* from here on machine_free() sees it */
	if (vm->vmid == GHRM_VMID_HOST)
		bits = MACHINE_MEMORY_BITS;
	r = read_number(reader, value, where, "address_bits", &bits, MACHINE_BITS_MIN,
		MACHINE_MEMORY_BITS, &number);
	if (r < 0)
		return r;
	vm->address_bits = (unsigned)number;
	r = read_name(reader, value, where, vm);
	if (r < 0)
		return r;
	r = read_state(reader, value, where, vm);
	if (r < 0)
		return r;
	r = read_array(reader, value, where, "memory", (void **)&vm->memory, sizeof(*vm->memory),
		vm, read_memory);
	if (r < 0)
		return r;
	r = read_array(reader, value, where, "reserved", (void **)&vm->reserved,
		sizeof(*vm->reserved), vm, read_reserved);
	if (r < 0)
		return r;
	r = read_array(reader, value, where, "devices", (void **)&vm->devices, sizeof(*vm->devices),
		vm, read_device);
	return r < 0 ? r : check_reserved(reader, where, vm);
}

/* Every page has one owner at most. */
static int check_ownership(struct reader *reader, const struct machine *machine)
{
	for (size_t i = 0; i < machine->n_vms; i++) {
		for (size_t j = 0; j < i; j++) {
			const struct machine_vm *a = &machine->vms[i], *b = &machine->vms[j];

			for (size_t m = 0; m < a->n_memory; m++)
				for (size_t n = 0; n < b->n_memory; n++)
					if (ranges_overlap(a->memory[m].physical, a->memory[m].size,
						    b->memory[n].physical, b->memory[n].size))
						return fault(reader,
							"vms[%zu].memory[%zu]: overlaps "
							"vms[%zu].memory[%zu]",
							i, m, j, n);
		}
	}
	return 0;
}

static int read_vms(struct reader *reader, json_t *root, struct machine *machine)
{
	json_t *array = json_object_get(root, "vms"), *value;
	bool host = false;
	char place[64];
	size_t i;
	int r;

	if (!json_is_array(array))
		return fault(reader, "vms: must be an array of VMs");
	machine->vms = calloc(json_array_size(array) + 1, sizeof(*machine->vms));
	if (!machine->vms)
		return -ENOMEM;
	json_array_foreach (array, i, value) {
		snprintf(place, sizeof(place), "vms[%zu]", i);
		r = read_vm(reader, value, place, machine);
		if (r < 0)
			return r;
		host |= machine->vms[i].vmid == GHRM_VMID_HOST;
	}
	if (!host)
		return fault(reader, "vms: VM 3, the primary VM, is missing");
	return check_ownership(reader, machine);
}

/* "5" or "4-31". */
static int read_access_entry(
	struct reader *reader, const char *text, const char *where, struct machine *machine)
{
	_cleanup_free_ char *first = strdup(text);
	uint64_t from, to;
	char *dash;

	if (!first)
		return -ENOMEM;
	dash = strchr(first, '-');
	if (dash)
		*dash++ = '\0';
	if (util_parse_u64(first, false, &from) < 0 ||
		util_parse_u64(dash ? dash : first, false, &to) < 0 || from > to ||
		to >= MACHINE_VMIDS)
		return fault(
			reader, "%s: must be a VMID below 256 or a range like \"4-31\"", where);
	for (uint64_t vmid = from; vmid <= to; vmid++)
		machine->access_list[vmid] = true;
	return 0;
}

static int read_access_list(struct reader *reader, json_t *root, struct machine *machine)
{
	json_t *array = json_object_get(root, "access_list_vmids"), *value;
	char place[64], number[24];
	size_t i;
	int r;

	if (array && !json_is_array(array))
		return fault(reader, "access_list_vmids: must be an array");
	json_array_foreach (array, i, value) {
		const char *text = json_string_value(value);

		snprintf(place, sizeof(place), "access_list_vmids[%zu]", i);
		if (json_is_integer(value)) {
			snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
				json_integer_value(value));
			text = number;
		}
		if (!text)
			return fault(reader,
				"%s: must be a VMID below 256 or a range like \"4-31\"", place);
		r = read_access_entry(reader, text, place, machine);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_machine(struct reader *reader, json_t *root, struct machine *machine)
{
	static const char *const known[] = { "page_size", "max_mappings_per_parcel",
		"max_parcels_per_owner", "queue_depth", "access_list_vmids", "vms", NULL };
	static const uint64_t page_size = GHRM_PAGE_SIZE, mappings = 4, parcels = GHRM_PARCELS_MAX,
			      depth = 8;
	uint64_t number;
	int r;

	r = check_keys(reader, root, "the machine", known);
	if (r < 0)
		return r;
	r = read_number(reader, root, "the machine", "page_size", &page_size, page_size, page_size,
		&number);
	if (r < 0)
		return r;
	r = read_number(
		reader, root, "the machine", "max_mappings_per_parcel", &mappings, 1, 64, &number);
	if (r < 0)
		return r;
	machine->max_mappings = (unsigned)number;
	r = read_number(
		reader, root, "the machine", "max_parcels_per_owner", &parcels, 1, 65536, &number);
	if (r < 0)
		return r;
	machine->max_parcels = (unsigned)number;
	r = read_number(reader, root, "the machine", "queue_depth", &depth, 1, 255, &number);
	if (r < 0)
		return r;
	machine->queue_depth = (unsigned)number;
	r = read_access_list(reader, root, machine);
	if (r < 0)
		return r;
	return read_vms(reader, root, machine);
}

int machine_load(const char *path, struct machine **ret, char **ret_error)
{
	_cleanup_(machine_freep) struct machine *machine = calloc(1, sizeof(*machine));
	struct reader reader = { .path = path };
	json_error_t error;
	json_t *root;
	int r;

	*ret_error = NULL;
	if (!machine)
		return -ENOMEM;
	root = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		if (error.line > 0)
			r = asprintf(ret_error, "%s:%d:%d: %s", path, error.line, error.column,
				error.text);
		else
			r = asprintf(ret_error, "%s: %s", path, error.text);
		if (r < 0)
			*ret_error = NULL;
		return -EINVAL;
	}
	r = read_machine(&reader, root, machine);
	json_decref(root);
	if (r < 0) {
		*ret_error = reader.error;
		return r;
	}
	*ret = TAKE_PTR(machine);
	return 0;
}
