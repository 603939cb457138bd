/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "policy/internal.h"

const struct word words_operations[] = {
	{ "share", POLICY_SHARE },
	{ "lend", POLICY_LEND },
	{ "donate", POLICY_DONATE },
	{ "reclaim", POLICY_RECLAIM },
	{ "accept", POLICY_ACCEPT },
	{ "release", POLICY_RELEASE },
	{ "list", POLICY_LIST },
	{ "monitor", POLICY_MONITOR },
	{ "status", POLICY_STATUS },
	{ "check", POLICY_CHECK },
	{ "detach", POLICY_DETACH },
	{ "admin", POLICY_ADMIN },
	{ NULL, 0 },
};

const struct word words_sources[] = {
	{ "fd", POLICY_SOURCE_FD },
	{ "copy", POLICY_SOURCE_COPY },
	{ "allocate", POLICY_SOURCE_ALLOCATE },
	{ "private", POLICY_SOURCE_PRIVATE },
	{ "pool", POLICY_SOURCE_POOL },
	{ "regions", POLICY_SOURCE_REGIONS },
	{ NULL, 0 },
};

const struct word words_lifetimes[] = {
	{ "connection", POLICY_CONNECTION },
	{ "detached", POLICY_DETACHED },
	{ NULL, 0 },
};

const struct word words_types[] = {
	{ "normal", 1u << GHRM_MEM_NORMAL },
	{ "io", 1u << GHRM_MEM_IO },
	{ NULL, 0 },
};

const struct word words_access[] = {
	{ "r", GHRM_RIGHT_R },
	{ "rw", GHRM_RIGHT_R | GHRM_RIGHT_W },
	{ "rx", GHRM_RIGHT_R | GHRM_RIGHT_X },
	{ "rwx", GHRM_RIGHT_RWX },
	{ NULL, 0 },
};

const char *word_name(const struct word *words, unsigned bit)
{
	for (; words->name; words++)
		if (words->bit == bit)
			return words->name;
	return NULL;
}

unsigned word_bit(const struct word *words, const char *name)
{
	for (; words->name; words++)
		if (!strcmp(words->name, name))
			return words->bit;
	return 0;
}

const char *access_name(unsigned rights, char buffer[ACCESS_TEXT_MAX])
{
	char *to = buffer;

	if (rights & GHRM_RIGHT_R)
		*to++ = 'r';
	if (rights & GHRM_RIGHT_W)
		*to++ = 'w';
	if (rights & GHRM_RIGHT_X)
		*to++ = 'x';
	*to = '\0';
	return buffer;
}

const char *policy_operation_name(enum policy_operation operation)
{
	return word_name(words_operations, operation);
}

unsigned policy_operation_from_name(const char *name)
{
	return word_bit(words_operations, name);
}

const char *policy_source_name(enum policy_source source)
{
	return word_name(words_sources, source);
}

const char *policy_lifetime_name(enum policy_lifetime lifetime)
{
	return word_name(words_lifetimes, lifetime);
}
