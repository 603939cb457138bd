/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/varlink/internal.h"

static const char service_description[] =
	"# What every Varlink service answers: who it is and what it speaks.\n"
	"interface org.varlink.service\n"
	"\n"
	"# The service and the names of its interfaces.\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"# The definition of one interface, in Varlink's own language.\n"
	"method GetInterfaceDescription(interface: string) -> (description: string)\n"
	"\n"
	"# The service does not have this interface.\n"
	"error InterfaceNotFound (interface: string)\n"
	"\n"
	"# The interface does not have this method.\n"
	"error MethodNotFound (method: string)\n"
	"\n"
	"# The interface has the method, the service cannot do it.\n"
	"error MethodNotImplemented (method: string)\n"
	"\n"
	"# A parameter is missing, unknown, or not what the definition says.\n"
	"error InvalidParameter (parameter: string)\n"
	"\n"
	"# The caller may not do this.\n"
	"error PermissionDenied ()\n"
	"\n"
	"# The method has several replies and must be called with `more`.\n"
	"error ExpectedMore ()\n";

/* The first parameter whose name is not `known`; NULL if there is none. */
static const char *service_unknown_parameter(json_t *parameters, const char *known)
{
	const char *name;
	json_t *value;

	json_object_foreach (parameters, name, value)
		if (!known || strcmp(name, known) != 0)
			return name;
	return NULL;
}

const struct varlink_interface *service_find_interface(
	const struct varlink_server *server, const char *name, size_t length)
{
	const struct varlink_interface *const *interface = server->options.interfaces;

	if (strlen(varlink_service_interface.name) == length &&
		memcmp(varlink_service_interface.name, name, length) == 0)
		return &varlink_service_interface;
	for (; *interface; interface++)
		if (strlen((*interface)->name) == length &&
			memcmp((*interface)->name, name, length) == 0)
			return *interface;
	return NULL;
}

static void service_get_info(struct varlink_call *call, json_t *parameters, void *userdata)
{
	const struct varlink_server *server = userdata;
	const struct varlink_server_options *options = &server->options;
	const char *unknown = service_unknown_parameter(parameters, NULL);
	json_t *interfaces;
	int r;

	if (unknown) {
		varlink_error_invalid_parameter(call, unknown);
		return;
	}
	interfaces = json_array();
	r = json_array_append_new(interfaces, json_string(varlink_service_interface.name));
	for (size_t i = 0; r == 0 && options->interfaces[i]; i++)
		r = json_array_append_new(interfaces, json_string(options->interfaces[i]->name));
	if (r < 0) {
		json_decref(interfaces);
		varlink_abort(call);
		return;
	}
	call_answer(call, NULL,
		json_pack("{s:s, s:s, s:s, s:s, s:o}", "vendor", options->vendor, "product",
			options->product, "version", options->version, "url", options->url,
			"interfaces", interfaces));
}

static void service_get_interface_description(
	struct varlink_call *call, json_t *parameters, void *userdata)
{
	const char *unknown = service_unknown_parameter(parameters, "interface");
	const json_t *name = json_object_get(parameters, "interface");
	const struct varlink_interface *interface;

	if (unknown || !json_is_string(name)) {
		varlink_error_invalid_parameter(call, unknown ? unknown : "interface");
		return;
	}
	interface =
		service_find_interface(userdata, json_string_value(name), json_string_length(name));
	if (interface)
		call_answer(call, NULL, json_pack("{s:s}", "description", interface->description));
	else
		call_answer(call, VARLINK_ERROR_INTERFACE_NOT_FOUND,
			json_pack("{s:O}", "interface", name));
}

static const struct varlink_method service_methods[] = {
	{ "GetInfo", service_get_info, false },
	{ "GetInterfaceDescription", service_get_interface_description, false },
	{ 0 },
};

const struct varlink_interface varlink_service_interface = {
	.name = "org.varlink.service",
	.description = service_description,
	.methods = service_methods,
};
