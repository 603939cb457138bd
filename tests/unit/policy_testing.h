/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the tests of the policy share: policies and requests written as short texts. */

#include "policy/policy.h"

/*
 * Single quotes stand for double ones: "{'name':'a', …}". Loads rules (the inside of the list) or, when
 * the text begins with a brace-less '@', the rest of it as a whole file. Fails the test on any error.
 */
struct policy *testing_policy(const char *rules);

/* The same, but hands over what the loader says. */
int testing_load(const char *text, struct policy **ret, struct policy_report *report);

/* A file text with the rules in it, double-quoted; the caller's to free. */
char *testing_text(const char *rules);

/*
 * "op=lend vm=128:rw vm=129:r src=fd,copy uid=5 gid=1,2 unit=a.service type=io region=0x1000+0x1000
 * label=7 life=detached". unit=? is a unit that could not be found out; unit= none. Without op: lend;
 * without src: private; without vm: no grantee; without life: connection, none for donate. Operations
 * other than share, lend and donate have no memory.
 */
struct testing_request {
	struct policy_request request;
	gid_t groups[8];
	struct ghrm_acl_entry grants[8];
	struct ghrm_region regions[8];
	char text[512];
};

void testing_request(struct testing_request *ret, const char *text);

/* "+a": allowed by rule a; "-a": denied by it; "none": no rule matches. */
const char *testing_outcome(const struct policy_decision *decision, char buffer[64]);
