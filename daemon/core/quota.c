/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "daemon/core/quota.h"

#include <errno.h>
#include <bsd/sys/tree.h>

#include "util/util.h"

struct account {
	RB_ENTRY(account) entry;
	uid_t uid;
	char *rule;
	uint64_t parcels, bytes, regions;
	size_t charges; /* that point here; the last one takes the account along */
};

static int account_compare(const struct account *a, const struct account *b)
{
	if (a->uid != b->uid)
		return a->uid < b->uid ? -1 : 1;
	return strcmp(a->rule, b->rule);
}

RB_HEAD(account_tree, account);
RB_GENERATE_INTERNAL(account_tree, account, entry, account_compare, static _unused_)

struct quota {
	struct account_tree accounts;
	size_t n_accounts;
};

int quota_new(struct quota **ret)
{
	struct quota *quota = calloc(1, sizeof(*quota));

	if (!quota)
		return -ENOMEM;
	RB_INIT(&quota->accounts);
	*ret = quota;
	return 0;
}

static void account_remove(struct quota *quota, struct account *account)
{
	RB_REMOVE(account_tree, &quota->accounts, account);
	quota->n_accounts--;
	free(account->rule);
	free(account);
}

struct quota *quota_free(struct quota *quota)
{
	struct account *account, *next;

	if (!quota)
		return NULL;
	RB_FOREACH_SAFE (account, account_tree, &quota->accounts, next)
		account_remove(quota, account);
	free(quota);
	return NULL;
}

static struct account *account_get(struct quota *quota, uid_t uid, const char *rule)
{
	struct account key = { .uid = uid, .rule = (char *)rule };
	struct account *account = RB_FIND(account_tree, &quota->accounts, &key);

	if (account)
		return account;
	account = calloc(1, sizeof(*account));
	if (!account)
		return NULL;
	account->uid = uid;
	account->rule = strdup(rule);
	if (!account->rule) {
		free(account);
		return NULL;
	}
	RB_INSERT(account_tree, &quota->accounts, account);
	quota->n_accounts++;
	return account;
}

int quota_charge(struct quota *quota, struct charge *charge, uid_t uid, const char *rule,
	const struct policy_limits *limits, const struct charge *more,
	struct quota_refusal *refusal)
{
	struct account *account = charge->account;
	int r = 0;

	if (!account)
		account = account_get(quota, uid, rule);
	if (!account)
		return -ENOMEM;

	const struct {
		const char *name;
		uint64_t used, more, maximum;
	} checks[] = {
		{ "parcels", account->parcels, more->parcels, limits->parcels },
		{ "bytes", account->bytes, more->bytes, limits->bytes },
		{ "regions", account->regions, more->regions, limits->regions },
	};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++)
		if (checks[i].more > 0 &&
			(checks[i].used > checks[i].maximum ||
				checks[i].more > checks[i].maximum - checks[i].used)) {
			*refusal = (struct quota_refusal){ checks[i].name, checks[i].used,
				checks[i].maximum };
			r = 1;
			break;
		}
	if (r == 0) {
		account->parcels += more->parcels;
		account->bytes += more->bytes;
		account->regions += more->regions;
		charge->parcels += more->parcels;
		charge->bytes += more->bytes;
		charge->regions += more->regions;
		if (!charge->account) {
			charge->account = account;
			account->charges++;
		}
	}
	if (account->charges == 0)
		account_remove(quota, account);
	return r;
}

void quota_give_back(struct quota *quota, struct charge *charge)
{
	struct account *account = charge->account;

	if (!account)
		return;
	account->parcels -= charge->parcels;
	account->bytes -= charge->bytes;
	account->regions -= charge->regions;
	*charge = (struct charge){};
	if (--account->charges == 0)
		account_remove(quota, account);
}

size_t quota_accounts(const struct quota *quota)
{
	return quota->n_accounts;
}
