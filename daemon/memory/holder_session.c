/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/memory/holder_session.h"

#include <errno.h>
#include <inttypes.h>

#include "util/log.h"
#include "util/util.h"

/* Microseconds. */
#define RETRY_FIRST 100000u
#define RETRY_LAST  30000000u
#define STABLE      10000000u /* a holder that lived as long is replaced at once */

void holder_session_init(
	struct holder_session *session, const struct holder_place *place, const char *tag)
{
	*session = (struct holder_session){
		.place = *place,
		.peer = HOLDER_PEER_NONE,
		.keeper = KEEPER_NONE,
	};
	memccpy(session->tag, tag, 0, sizeof(session->tag) - 1);
}

void holder_session_done(struct holder_session *session)
{
	pin_table_done(&session->table);
	keeper_end(&session->keeper);
	holder_peer_done(&session->peer);
}

/* ---- when to try again ---- */

static bool has_to_restore(const struct holder_session *session)
{
	return session->peer.socket < 0 || session->keeper_stale ||
	       pin_table_count_owed(&session->table) > 0 ||
	       pin_table_count_bare(&session->table) > 0;
}

static void postpone(struct holder_session *session)
{
	session->backoff = session->backoff ? session->backoff * 2 : RETRY_FIRST;
	if (session->backoff > RETRY_LAST)
		session->backoff = RETRY_LAST;
	session->retry_at = util_now_usec() + session->backoff;
}

int holder_session_timeout(const struct holder_session *session)
{
	uint64_t now = util_now_usec();

	if (!has_to_restore(session))
		return -1;
	if (session->retry_at <= now)
		return 0;
	return (int)((session->retry_at - now) / 1000 + 1);
}

/* Once per trouble. */
static void complain(struct holder_session *session, const char *what, int r)
{
	if (!session->complained)
		log_err("%s: %s; this is tried again and again", what, strerror(-r));
	session->complained = true;
}

/* ---- the keeper ---- */

/* It has the rings that the holder does not have, no more and no less. */
static void guard(struct holder_session *session)
{
	struct pin_table *table = &session->table;
	size_t wanted = pin_table_count_bare(table), n = 0;
	bool changed = session->keeper_stale || (wanted > 0 && !keeper_lives(&session->keeper));
	_cleanup_free_ int *rings = calloc(wanted ? wanted : 1, sizeof(*rings));
	struct keeper keeper = KEEPER_NONE;
	int r = rings ? 0 : -ENOMEM;

	for (size_t i = 0; rings && i < table->n; i++) {
		bool bare = pin_record_is_bare(&table->records[i]);

		changed |= bare != table->records[i].guarded;
		if (bare)
			rings[n++] = table->records[i].ring;
	}
	if (r == 0 && !changed)
		return;
	if (r == 0 && wanted > 0)
		r = keeper_start(&keeper, rings, wanted);
	if (r < 0) {
		complain(session, "no process can be made that keeps pins without a holder", r);
		return;
	}
	keeper_end(&session->keeper);
	session->keeper = keeper;
	session->keeper_stale = false;
	for (size_t i = 0; i < table->n; i++)
		table->records[i].guarded = pin_record_is_bare(&table->records[i]);
}

/* ---- the connection ---- */

static void bury_holder(struct holder_session *session)
{
	pin_table_bury_holder(&session->table);
	session->holder_died = true;
}

void holder_session_lost(struct holder_session *session, int why)
{
	uint64_t now = util_now_usec();

	if (session->peer.socket < 0)
		return;
	if (holder_peer_is_dead(&session->peer)) {
		bury_holder(session);
		log_err("the holder (pid %" PRId32 ") has died: another one is to take over %zu "
			"pins",
			session->peer.hello.pid, pin_table_count_bare(&session->table));
	} else {
		log_err("the connection to the holder (pid %" PRId32 ") has ended: %s",
			session->peer.hello.pid, strerror(-why));
	}
	holder_peer_done(&session->peer);
	if (now - session->opened_at >= STABLE)
		session->backoff = 0;
	session->retry_at = now + session->backoff;
	guard(session);
}

static int list(struct holder_session *session,
	int (*each)(struct holder_session *session, struct holder_reply *entry))
{
	struct holder_request request = { .command = HOLDER_LIST };
	struct holder_reply entry;

	for (;;) {
		int r = holder_peer_ask(&session->peer, &request, -1, &entry, NULL);

		if (r < 0)
			return r;
		if (entry.result < 0)
			return entry.result == -ENOENT ? 0 : entry.result;
		if (entry.name <= request.name)
			return -EPROTO;
		request.name = entry.name;
		entry.tag[sizeof(entry.tag) - 1] = '\0';
		r = each(session, &entry);
		if (r < 0)
			return r;
	}
}

static int mark_held(struct holder_session *session, struct holder_reply *entry)
{
	struct pin_record *record = pin_table_find(&session->table, entry->name);

	if (record)
		record->held = true;
	return 0;
}

/* Its word counts, whoever it is: a record that it does not list is not held. */
static int take_stock(struct holder_session *session)
{
	int r;

	for (size_t i = 0; i < session->table.n; i++)
		session->table.records[i].held = false;
	r = list(session, mark_held);
	if (r < 0)
		holder_session_lost(session, r);
	return r;
}

static int reconnect(struct holder_session *session)
{
	uint64_t epoch = session->peer.hello.epoch;
	int r;

	postpone(session);
	r = holder_peer_open(&session->peer, &session->place, true);
	if (r < 0) {
		/* Dead or alive, it cannot be relied on. */
		for (size_t i = 0; i < session->table.n; i++)
			session->table.records[i].held = false;
		complain(session, "no holder", r);
		return r;
	}
	session->opened_at = util_now_usec();
	if (session->peer.hello.epoch != epoch) {
		/* There is but one at a time: its predecessor is dead. */
		bury_holder(session);
		log_notice("a new holder (pid %" PRId32 ") serves", session->peer.hello.pid);
	}
	session->holder_died = false;
	if (session->next_name <= session->peer.hello.name)
		session->next_name = session->peer.hello.name + 1;
	return take_stock(session);
}

/* ---- what is owed ---- */

/*
 * The holder does one thing after the other, and looks at a new connection when it has done with
 * the old one: the outcome of what was asked before is certain now.
 */
static int settle(struct holder_session *session)
{
	struct holder_request request = { .command = HOLDER_DROP };
	struct holder_reply reply;

	for (size_t i = session->table.n; i-- > 0;) {
		struct pin_record *record = &session->table.records[i];
		int r;

		if (!record->owed)
			continue;
		request.name = record->name;
		r = holder_peer_ask(&session->peer, &request, -1, &reply, NULL);
		if (r < 0) {
			holder_session_lost(session, r);
			return r;
		}
		if (reply.result == 0 || reply.result == -ENOENT)
			pin_table_remove(&session->table, record);
		else
			complain(session, "the holder does not drop an entry", reply.result);
	}
	return 0;
}

static int adopt(struct holder_session *session, struct pin_record *record)
{
	struct holder_request request = {
		.command = HOLDER_ADOPT,
		.class = HOLDER_MEMORY,
		.name = record->name,
		.size = record->size,
		.ring_fd = record->ring,
	};
	struct holder_reply reply;
	int r;

	if (!record->guarded)
		return 0; /* that there is no keeper has been said */
	memcpy(request.tag, record->tag, sizeof(request.tag));
	r = holder_peer_ask(&session->peer, &request, session->keeper.pidfd, &reply, NULL);
	if (r < 0) {
		holder_session_lost(session, r);
		return r;
	}
	record->held = reply.result == 0 || reply.result == -EEXIST;
	if (!record->held)
		complain(session, "the holder cannot take over a pin", reply.result);
	return 0;
}

/* The holder copies rings out of the keeper: it may have fewer capabilities than this process. */
static int hand_over(struct holder_session *session)
{
	size_t bare = pin_table_count_bare(&session->table), left;

	if (bare == 0)
		return 0;
	guard(session);
	for (size_t i = 0; i < session->table.n; i++) {
		int r = 0;

		if (pin_record_is_bare(&session->table.records[i]))
			r = adopt(session, &session->table.records[i]);
		if (r < 0)
			return r;
	}
	left = pin_table_count_bare(&session->table);
	if (left < bare)
		log_notice("the holder (pid %" PRId32 ") has taken over %zu pins",
			session->peer.hello.pid, bare - left);
	return 0;
}

int holder_session_restore(struct holder_session *session)
{
	bool was_connected = session->peer.socket >= 0;
	int r = was_connected ? 0 : reconnect(session);

	if (r == 0)
		r = settle(session);
	if (r == 0)
		r = hand_over(session);
	guard(session);
	if (!has_to_restore(session))
		session->complained = false;
	else if (r == 0 && was_connected)
		postpone(session);
	return r;
}

/* ---- requests ---- */

static int refuse(struct holder_reply *reply, int result)
{
	*reply = (struct holder_reply){ .result = result, .ring_fd = -1 };
	return 0;
}

/* The holder's pin has a second owner before anybody relies on it. */
static int take_ring(
	struct holder_session *session, struct pin_record *record, struct holder_reply *reply)
{
	int ring = reply->ring_fd < 0 ? -1 : holder_peer_copy(&session->peer, reply->ring_fd);

	if (ring == -ESRCH) {
		holder_session_lost(session, -ECONNRESET);
		return -ECONNRESET;
	}
	if (reply->ring_fd >= 0 && ring < 0) {
		log_err("cannot copy a pin out of the holder (pid %" PRId32 "): %s",
			session->peer.hello.pid, strerror(-ring));
		refuse(reply, -EREMOTEIO);
		return settle(session);
	}
	record->ring = ring;
	record->pages = reply->pages;
	record->held = true;
	record->owed = false;
	return 0;
}

static int try_put(struct holder_session *session, struct holder_request *request, int fd,
	struct holder_reply *ret)
{
	struct pin_record *record;
	int r;

	if (session->peer.socket < 0) {
		r = holder_session_restore(session);
		if (session->peer.socket < 0)
			return r < 0 ? r : -ECONNRESET;
	}
	record = pin_table_add(&session->table, session->next_name, request->size);
	if (!record)
		return refuse(ret, -ENOMEM);
	memcpy(record->tag, session->tag, sizeof(record->tag));
	memcpy(request->tag, session->tag, sizeof(request->tag));
	request->name = session->next_name++;
	/* From here to the reply it is owed: it may come about unheard of. */
	r = holder_peer_ask(&session->peer, request, fd, ret, NULL);
	if (r < 0) {
		holder_session_lost(session, r);
		return r;
	}
	if (ret->result == 0)
		return take_ring(session, record, ret);
	pin_table_remove(&session->table, record);
	return 0;
}

int holder_session_put(struct holder_session *session, struct holder_request *request, int fd,
	struct holder_reply *ret)
{
	bool had_connection = session->peer.socket >= 0;
	int r = try_put(session, request, fd, ret);

	/* After a time-out the holder is too slow for another one. */
	if (r < 0 && had_connection && r != -ETIMEDOUT)
		r = try_put(session, request, fd, ret);
	return r;
}

int holder_session_drop(struct holder_session *session, uint64_t name)
{
	struct pin_record *record = pin_table_find(&session->table, name);
	int r = 0;

	if (!record)
		return 0;
	session->keeper_stale |= record->guarded;
	pin_record_disown(record);
	if (session->peer.socket < 0 && session->holder_died) {
		pin_table_remove(&session->table, record);
		guard(session);
		return 0;
	}
	for (int i = 0; i < 2 && r != -ETIMEDOUT && pin_table_find(&session->table, name); i++)
		r = holder_session_restore(session);
	if (!pin_table_find(&session->table, name))
		return 0;
	return r < 0 ? r : -EIO;
}

/* ---- life ---- */

/* A pin that its holder alone has ends with the holder: this process becomes its second owner. */
static int take_over(struct holder_session *session, struct holder_reply *entry)
{
	struct pin_record *record;
	int ring = -1;

	if (entry->class == HOLDER_CLIENT)
		return 0;
	record = pin_table_add(&session->table, entry->name, entry->size);
	if (!record)
		return -ENOMEM;
	record->held = true;
	if (strncmp(entry->tag, session->dead_tag, strlen(session->dead_tag)) == 0)
		return 0; /* is owed */
	if (entry->ring_fd >= 0) {
		ring = holder_peer_copy(&session->peer, entry->ring_fd);
		if (ring < 0)
			return ring;
	}
	record->ring = ring;
	record->pages = entry->pages;
	record->owed = false;
	memcpy(record->tag, entry->tag, sizeof(record->tag));
	session->left_entries++;
	session->left_pages += entry->pages;
	return 0;
}

int holder_session_start(
	struct holder_session *session, const char *dead_tag, const char **ret_doing)
{
	int r;

	*ret_doing = "cannot reach or start the holder of";
	r = holder_peer_open(&session->peer, &session->place, true);
	if (r < 0)
		return r;
	session->opened_at = util_now_usec();
	session->next_name = session->peer.hello.name + 1;
	session->dead_tag = dead_tag;
	*ret_doing = "cannot read what is kept by the holder of";
	r = list(session, take_over);
	session->dead_tag = NULL;
	return r < 0 ? r : settle(session);
}

void holder_session_part(struct holder_session *session)
{
	size_t rings = pin_table_count_rings(&session->table), bare;

	if (rings == 0 && pin_table_count_owed(&session->table) == 0) {
		guard(session);
		return;
	}
	if (session->peer.socket >= 0)
		take_stock(session);
	if (has_to_restore(session))
		holder_session_restore(session);
	guard(session);
	bare = pin_table_count_bare(&session->table);
	if (bare > 0 && keeper_lives(&session->keeper))
		log_err("no holder can be had: process %d, a copy of this one, keeps %zu pins of "
			"memory that may be lent; it never ends by itself",
			(int)session->keeper.pid, bare);
	else if (bare > 0)
		log_err("NOBODY KEEPS %zu pins of memory that may be lent", bare);
	keeper_leave(&session->keeper);
}
