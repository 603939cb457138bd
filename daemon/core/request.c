/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/core/request.h"

const char *verb_name(enum verb verb)
{
	switch (verb) {
	case VERB_SHARE: return "share";
	case VERB_LEND: return "lend";
	case VERB_RECLAIM: return "reclaim";
	case VERB_DESCRIBE: return "describe";
	case VERB_LIST: return "list";
	case VERB_STATUS: return "status";
	case VERB_CHECK: return "check";
	case VERB_RELOAD: return "reload";
	}
	return "";
}

const char *parcel_state_name(enum parcel_state state)
{
	static const char *const names[PARCEL_N_STATES] = {
		[PARCEL_BUILDING] = "building",
		[PARCEL_OFFERED] = "offered",
		[PARCEL_HELD] = "held",
		[PARCEL_RECLAIMING] = "reclaiming",
		[PARCEL_QUARANTINED] = "quarantined",
	};

	return names[state];
}

void parcel_view_done(struct parcel_view *view)
{
	free(view->id);
	free(view->holders);
	free(view->unit);
	free(view->rule);
	free(view->reason);
}

struct request *request_new(void)
{
	struct request *request = calloc(1, sizeof(*request));

	if (!request)
		return NULL;
	request->fd = -1;
	request->lifetime = POLICY_CONNECTION;
	request->reply.fd = -1;
	request->reply.index = -1;
	return request;
}

static void reply_done(struct reply *reply)
{
	free(reply->reason);
	free(reply->rule);
	free(reply->parameter);
	free(reply->limit);
	free(reply->vms);
	for (size_t i = 0; i < reply->n_parcels; i++)
		parcel_view_done(&reply->parcels[i]);
	free(reply->parcels);
	util_close(reply->fd);
	if (reply->status) {
		free(reply->status->endpoint);
		free(reply->status->limitation);
		free(reply->status);
	}
}

struct request *request_free(struct request *request)
{
	if (!request)
		return NULL;
	util_close(request->fd);
	free(request->grants);
	free(request->regions);
	reply_done(&request->reply);
	free(request);
	return NULL;
}

struct client *client_new(uint64_t id, uid_t uid, pid_t pid, const gid_t *groups, size_t n_groups,
	const char *unit, bool unit_unknown)
{
	struct client *client = calloc(1, sizeof(*client));

	if (!client)
		return NULL;
	*client = (struct client){ .id = id, .uid = uid, .pid = pid, .n_groups = n_groups };
	client->unit_unknown = unit_unknown;
	client->groups = calloc(n_groups + 1, sizeof(gid_t));
	client->unit = unit ? strdup(unit) : NULL;
	if (!client->groups || (unit && !client->unit))
		return client_free(client);
	if (n_groups > 0)
		memcpy(client->groups, groups, n_groups * sizeof(gid_t));
	return client;
}

struct client *client_free(struct client *client)
{
	if (!client)
		return NULL;
	free(client->groups);
	free(client->unit);
	free(client);
	return NULL;
}
