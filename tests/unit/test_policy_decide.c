/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <check.h>
#include <stdio.h>

#include "policy_testing.h"
#include "util/util.h"

/* Rules as they stand in a file, single quotes for double ones. */
#define ALLOW(name, keys) "{'name':'" name "','effect':'allow'," keys "}"
#define DENY(name, keys)  "{'name':'" name "','effect':'deny'," keys "}"
#define OPS(list)         "'operations':[" list "]"
#define MEM               OPS("'share','lend','donate'")
#define ANY_SOURCE        "'sources':['fd','copy','allocate','private','pool','regions']"

struct row {
	const char *request;
	const char *outcome;
};

struct table {
	const char *name; /* the behaviour */
	const char *rules;
	struct row rows[16];
};

static const struct table tables[] = {
	{ "no_rule_no_access", "", { { "op=lend vm=128:r", "none" }, { "op=status", "none" } } },
	{ "first_match_decides",
		ALLOW("a", MEM ",'vms':['128-130']") "," DENY("b", "'vms':[129]") "," ALLOW(
			"c", MEM),
		{ { "vm=129:rw", "+a" }, { "vm=131:rw", "+c" }, { "vm=129:rwx", "-b" },
			{ "vm=129:r vm=131:r", "-b" }, { "vm=128:r vm=131:r", "+c" },
			{ "op=status", "none" } } },
	{ "deny_before_allow_wins", DENY("no", "'vms':[130]") "," ALLOW("yes", MEM),
		{ { "vm=130:r", "-no" }, { "vm=129:r", "+yes" }, { "vm=131:r", "+yes" },
			{ "vm=129:r vm=130:r", "-no" } } },
	{ "deny_after_allow_is_too_late",
		ALLOW("yes", MEM ",'vms':['0-65535']") "," DENY("no", "'access':'rwx'"),
		{ { "vm=130:r", "+yes" }, { "vm=130:rx", "-no" }, { "op=list", "none" } } },
	{ "vmid_ranges_include_both_ends", ALLOW("a", MEM ",'vms':['0x81-0x8f']"),
		{ { "vm=0x80:r", "none" }, { "vm=0x81:r", "+a" }, { "vm=0x88:r", "+a" },
			{ "vm=0x8f:r", "+a" }, { "vm=0x90:r", "none" } } },
	{ "vmid_ranges_reach_the_ends_of_the_numbers",
		ALLOW("low", MEM ",'vms':['0-1']") "," ALLOW("high", MEM ",'vms':['65534-0xffff']"),
		{ { "vm=0:r", "+low" }, { "vm=1:r", "+low" }, { "vm=2:r", "none" },
			{ "vm=65533:r", "none" }, { "vm=65534:r", "+high" },
			{ "vm=65535:r", "+high" } } },
	{ "several_entries_of_vms_are_a_union",
		ALLOW("a", MEM ",'vms':[128,'0x90-0x91',200,'150-160']"),
		{ { "vm=128:r", "+a" }, { "vm=129:r", "none" }, { "vm=144:r", "+a" },
			{ "vm=145:r", "+a" }, { "vm=146:r", "none" }, { "vm=149:r", "none" },
			{ "vm=150:r", "+a" }, { "vm=160:r", "+a" }, { "vm=161:r", "none" },
			{ "vm=200:r", "+a" }, { "vm=128:r vm=200:r vm=155:r", "+a" } } },
	{ "ranges_wider_than_the_index_files_work_alike", ALLOW("a", MEM ",'vms':['1000-2000',5]"),
		{ { "vm=999:r", "none" }, { "vm=1000:r", "+a" }, { "vm=2000:r", "+a" },
			{ "vm=2001:r", "none" }, { "vm=5:r", "+a" }, { "vm=5:r vm=1500:r", "+a" },
			{ "vm=5:r vm=6:r", "none" } } },
	{ "overlapping_ranges_are_joined", ALLOW("a", MEM ",'vms':['10-20','15-25','26-30']"),
		{ { "vm=9:r", "none" }, { "vm=10:r", "+a" }, { "vm=21:r", "+a" },
			{ "vm=26:r", "+a" }, { "vm=30:r", "+a" }, { "vm=31:r", "none" } } },
	{ "allow_needs_every_grantee_inside", ALLOW("a", MEM ",'vms':[128,129]"),
		{ { "vm=128:r vm=129:r", "+a" }, { "vm=128:r vm=130:r", "none" },
			{ "vm=130:r vm=128:r", "none" }, { "vm=130:r vm=131:r", "none" } } },
	{ "deny_matches_any_grantee", DENY("d", "'vms':[128]") "," ALLOW("a", MEM),
		{ { "vm=128:r", "-d" }, { "vm=129:r vm=128:r", "-d" },
			{ "vm=128:r vm=129:r", "-d" }, { "vm=129:r vm=130:r", "+a" } } },
	{ "access_is_a_subset_test", ALLOW("a", MEM ",'access':'rx'"),
		{ { "vm=128:r", "+a" }, { "vm=128:x", "+a" }, { "vm=128:rx", "+a" },
			{ "vm=128:w", "none" }, { "vm=128:rw", "none" },
			{ "vm=128:rwx", "none" } } },
	{ "access_r_is_reading_only", ALLOW("a", MEM ",'access':'r'"),
		{ { "vm=128:r", "+a" }, { "vm=128:rw", "none" }, { "vm=128:rx", "none" },
			{ "vm=128:rwx", "none" } } },
	{ "access_rwx_is_everything", ALLOW("a", MEM ",'access':'rwx'"),
		{ { "vm=128:r", "+a" }, { "vm=128:rw", "+a" }, { "vm=128:rx", "+a" },
			{ "vm=128:rwx", "+a" } } },
	{ "access_left_out_is_rw", ALLOW("a", MEM),
		{ { "vm=128:r", "+a" }, { "vm=128:rw", "+a" }, { "vm=128:rx", "none" },
			{ "vm=128:rwx", "none" } } },
	{ "one_grantee_too_many_rights_refuses_all", ALLOW("a", MEM ",'access':'rw'"),
		{ { "vm=128:rw vm=129:r", "+a" }, { "vm=128:rw vm=129:rx", "none" },
			{ "vm=128:rwx vm=129:r", "none" } } },
	{ "deny_access_matches_grants_within_it",
		DENY("d", "'access':'rx'") "," ALLOW("a", MEM ",'access':'rwx'"),
		{ { "vm=128:r", "-d" }, { "vm=128:rx", "-d" }, { "vm=128:rw", "+a" },
			{ "vm=128:rwx", "+a" }, { "vm=128:rwx vm=129:r", "-d" } } },
	{ "deny_keys_may_match_different_grantees",
		DENY("d", "'vms':[128],'access':'r'") "," ALLOW("a", MEM),
		{ { "vm=128:rw vm=129:r", "-d" }, { "vm=128:rw", "+a" }, { "vm=129:r", "+a" },
			{ "vm=128:r", "-d" } } },
	{ "operations_are_listed_one_by_one", ALLOW("a", OPS("'share','reclaim'")),
		{ { "op=share vm=128:r", "+a" }, { "op=reclaim", "+a" },
			{ "op=lend vm=128:r", "none" }, { "op=donate vm=128:r", "none" },
			{ "op=accept", "none" }, { "op=release", "none" }, { "op=list", "none" },
			{ "op=monitor", "none" }, { "op=status", "none" }, { "op=check", "none" },
			{ "op=detach", "none" }, { "op=admin", "none" } } },
	{ "every_operation_has_its_word",
		ALLOW("a",
			OPS("'share','lend','donate','reclaim','accept','release','list','monitor',"
			    "'status','check','detach','admin'")),
		{ { "op=share vm=1:r", "+a" }, { "op=lend vm=1:r", "+a" },
			{ "op=donate vm=1:r", "+a" }, { "op=reclaim", "+a" }, { "op=accept", "+a" },
			{ "op=release", "+a" }, { "op=list", "+a" }, { "op=monitor", "+a" },
			{ "op=status", "+a" }, { "op=check", "+a" }, { "op=detach", "+a" },
			{ "op=admin", "+a" } } },
	{ "allow_without_operations_allows_nothing", ALLOW("a", "'vms':[128]"),
		{ { "op=share vm=128:r", "none" }, { "op=reclaim", "none" } } },
	{ "deny_without_keys_denies_everything",
		DENY("d", "'description':'all'") "," ALLOW("a", MEM),
		{ { "vm=128:r", "-d" }, { "op=status", "-d" }, { "op=admin uid=0", "-d" },
			{ "op=donate vm=1:r type=io", "-d" } } },
	{ "deny_operations_restrict_the_rule",
		DENY("d", OPS("'donate','admin'")) "," ALLOW(
			"a", OPS("'share','donate','admin','list'")),
		{ { "op=donate vm=128:r", "-d" }, { "op=admin", "-d" },
			{ "op=share vm=128:r", "+a" }, { "op=list", "+a" } } },
	{ "operations_without_memory_ignore_memory_keys_of_allow",
		ALLOW("a", OPS("'lend','reclaim','list'") ",'vms':[128],'access':'r','lifetimes':"
							  "['detached'],'memory':{'types':['io'],'"
							  "sources':['fd'],'labels':[7]}"),
		{ { "op=reclaim", "+a" }, { "op=list", "+a" }, { "op=status", "none" },
			{ "op=lend vm=128:r", "none" },
			{ "op=lend vm=128:r type=io src=fd label=7 life=detached", "+a" } } },
	{ "deny_with_memory_keys_leaves_other_operations_alone",
		DENY("d", "'vms':[128]") "," ALLOW("a", OPS("'lend','reclaim','list','status'")),
		{ { "op=reclaim", "+a" }, { "op=list", "+a" }, { "op=status", "+a" },
			{ "op=lend vm=128:r", "-d" } } },
	{ "subject_left_out_is_everyone", ALLOW("a", OPS("'status'")),
		{ { "op=status uid=0", "+a" }, { "op=status uid=4294967294", "+a" },
			{ "op=status uid=7 unit=?", "+a" } } },
	{ "users_by_number_and_name",
		ALLOW("a", "'subject':{'users':[5,'root','0x10','77']}," OPS("'status'")),
		{ { "op=status uid=5", "+a" }, { "op=status uid=0", "+a" },
			{ "op=status uid=16", "+a" }, { "op=status uid=77", "+a" },
			{ "op=status uid=4", "none" }, { "op=status uid=6 gid=5", "none" } } },
	{ "groups_primary_and_supplementary",
		ALLOW("a", "'subject':{'groups':[20,'root']}," OPS("'status'")),
		{ { "op=status gid=20", "+a" }, { "op=status gid=1,2,20", "+a" },
			{ "op=status gid=1,0,3", "+a" }, { "op=status gid=1,21,19", "none" },
			{ "op=status", "none" }, { "op=status uid=20", "none" } } },
	{ "all_given_subject_keys_must_match",
		ALLOW("a", "'subject':{'users':[5,6],'groups':[20],'units':['a.service']}," OPS(
				   "'status'")),
		{ { "op=status uid=5 gid=20 unit=a.service", "+a" },
			{ "op=status uid=6 gid=20 unit=a.service", "+a" },
			{ "op=status uid=7 gid=20 unit=a.service", "none" },
			{ "op=status uid=5 gid=21 unit=a.service", "none" },
			{ "op=status uid=5 gid=20 unit=b.service", "none" },
			{ "op=status uid=5 gid=20 unit=?", "none" } } },
	{ "units_are_globs",
		ALLOW("a", "'subject':{'units':['crosvm@*.service','vm-?.scope','x[12].service']}"
			   "," OPS("'status'")),
		{ { "op=status unit=crosvm@a.service", "+a" },
			{ "op=status unit=crosvm@.service", "+a" },
			{ "op=status unit=crosvm@a.scope", "none" },
			{ "op=status unit=vm-1.scope", "+a" },
			{ "op=status unit=vm-12.scope", "none" },
			{ "op=status unit=x1.service", "+a" },
			{ "op=status unit=x3.service", "none" },
			{ "op=status unit=acrosvm@a.service", "none" },
			{ "op=status unit=", "none" } } },
	{ "unit_names_match_exactly",
		ALLOW("a", "'subject':{'units':['a.service','b.service']}," OPS("'status'")),
		{ { "op=status unit=a.service", "+a" }, { "op=status unit=b.service", "+a" },
			{ "op=status unit=ab.service", "none" },
			{ "op=status unit=A.service", "none" } } },
	{ "unknown_groups_never_help",
		DENY("d", "'subject':{'groups':[20]}") "," ALLOW("a", OPS("'status'")),
		{ { "op=status gid=?", "-d" }, { "op=status gid=20", "-d" },
			{ "op=status gid=21", "+a" } } },
	{ "unknown_groups_match_no_allow", ALLOW("a", "'subject':{'groups':[20]}," OPS("'status'")),
		{ { "op=status gid=?", "none" }, { "op=status gid=20", "+a" } } },
	{ "unknown_groups_with_vms",
		DENY("d", "'subject':{'groups':[20]},'vms':[128]") "," ALLOW("a", MEM),
		{ { "vm=128:r gid=?", "-d" }, { "vm=129:r gid=?", "+a" } } },
	{ "unknown_unit_never_helps_by_name",
		DENY("d", "'subject':{'units':['a.service']}") "," ALLOW("a", OPS("'status'")),
		{ { "op=status unit=?", "-d" }, { "op=status unit=a.service", "-d" },
			{ "op=status unit=b.service", "+a" }, { "op=status unit=", "+a" } } },
	{ "unknown_unit_never_helps_by_glob",
		DENY("d", "'subject':{'units':['a*']}") "," ALLOW("a", OPS("'status'")),
		{ { "op=status unit=?", "-d" }, { "op=status unit=ab.service", "-d" },
			{ "op=status unit=b.service", "+a" }, { "op=status unit=", "+a" } } },
	{ "unknown_unit_matches_no_allow", ALLOW("a", "'subject':{'units':['*']}," OPS("'status'")),
		{ { "op=status unit=?", "none" }, { "op=status unit=", "none" },
			{ "op=status unit=z.slice", "+a" } } },
	{ "unknown_unit_with_vms",
		DENY("d", "'subject':{'units':['a.service']},'vms':[128]") "," ALLOW("a", MEM),
		{ { "vm=128:r unit=?", "-d" }, { "vm=129:r unit=?", "+a" },
			{ "vm=129:r vm=128:r unit=?", "-d" },
			{ "vm=128:r unit=b.service", "+a" } } },
	{ "rules_of_different_kinds_keep_their_order",
		DENY("u", "'subject':{'users':[1]},'vms':[1]") "," ALLOW(
			"g", "'subject':{'groups':[2]}," MEM) "," DENY("n",
			"'subject':{'units':['a.service']}") "," ALLOW("e",
			MEM ",'vms':[1,2]") "," ALLOW("w", "'subject':{'users':[1]}," MEM),
		{ { "uid=1 gid=2 unit=a.service vm=1:r", "-u" },
			{ "uid=1 gid=2 unit=a.service vm=2:r", "+g" },
			{ "uid=1 gid=3 unit=a.service vm=2:r", "-n" },
			{ "uid=1 gid=3 unit=b.service vm=2:r", "+e" },
			{ "uid=1 gid=3 unit=b.service vm=3:r", "+w" },
			{ "uid=2 gid=3 unit=b.service vm=3:r", "none" },
			{ "uid=2 gid=9,2 unit=? vm=3:r", "+g" } } },
	{ "types",
		ALLOW("n", MEM ",'memory':{'types':['normal']},'vms':[1]") "," ALLOW(
			"i", MEM ",'memory':{'types':['io']},'vms':[2]") "," ALLOW("b",
			MEM ",'memory':{'types':['normal','io']},'vms':[3]") "," ALLOW("o",
			MEM ",'vms':[4]"),
		{ { "vm=1:r", "+n" }, { "vm=1:r type=io", "none" }, { "vm=2:r", "none" },
			{ "vm=2:r type=io", "+i" }, { "vm=3:r", "+b" }, { "vm=3:r type=io", "+b" },
			{ "vm=4:r", "+o" }, { "vm=4:r type=io", "+o" } } },
	{ "deny_types", DENY("d", "'memory':{'types':['io']}") "," ALLOW("a", MEM),
		{ { "vm=1:r type=io", "-d" }, { "vm=1:r", "+a" } } },
	{ "sources_left_out_for_share_are_all_but_ranges", ALLOW("a", OPS("'share'")),
		{ { "op=share vm=1:r src=fd", "+a" }, { "op=share vm=1:r src=copy", "+a" },
			{ "op=share vm=1:r src=allocate", "+a" },
			{ "op=share vm=1:r src=private", "+a" },
			{ "op=share vm=1:r src=pool", "+a" },
			{ "op=share vm=1:r region=0x1000+0x1000", "none" } } },
	{ "sources_left_out_for_lend_are_unmapped_memory", ALLOW("a", OPS("'lend','share'")),
		{ { "vm=1:r src=fd", "none" }, { "vm=1:r src=copy", "+a" },
			{ "vm=1:r src=allocate", "none" }, { "vm=1:r src=private", "+a" },
			{ "vm=1:r src=pool", "none" }, { "vm=1:r region=0x1000+0x1000", "none" },
			{ "op=share vm=1:r src=fd", "+a" } } },
	{ "sources_left_out_for_donate_are_unmapped_memory", ALLOW("a", OPS("'donate'")),
		{ { "op=donate vm=1:r src=fd", "none" }, { "op=donate vm=1:r src=copy", "+a" },
			{ "op=donate vm=1:r src=allocate", "none" },
			{ "op=donate vm=1:r src=private", "+a" } } },
	{ "sources_given_hold_for_every_operation",
		ALLOW("a", MEM ",'memory':{'sources':['fd','allocate']}"),
		{ { "op=lend vm=1:r src=fd", "+a" }, { "op=share vm=1:r src=fd", "+a" },
			{ "op=donate vm=1:r src=allocate", "+a" },
			{ "op=lend vm=1:r src=copy", "none" },
			{ "op=share vm=1:r src=private", "none" },
			{ "op=share vm=1:r src=pool", "none" } } },
	{ "one_piece_of_memory_has_one_source",
		ALLOW("a", MEM ",'memory':{'sources':['copy','private','pool']}"),
		{ { "vm=1:r src=fd,copy", "+a" }, { "vm=1:r src=allocate,private", "+a" },
			{ "op=share vm=1:r src=allocate,pool", "+a" },
			{ "vm=1:r src=fd,private", "none" },
			{ "vm=1:r src=copy,private", "+a" } } },
	{ "deny_sources",
		DENY("d", "'memory':{'sources':['fd','allocate']}") "," ALLOW(
			"a", MEM ",'memory':{" ANY_SOURCE "}"),
		{ { "vm=1:r src=fd", "-d" }, { "vm=1:r src=allocate", "-d" },
			{ "vm=1:r src=private", "+a" }, { "vm=1:r src=allocate,private", "+a" },
			{ "vm=1:r src=fd,private", "-d" } } },
};

static const struct table more_tables[] = {
	{ "fixed_ranges_only_where_listed",
		ALLOW("a", MEM ",'memory':{'sources':['regions'],'regions':[{'address':'0x9000000',"
			       "'size':'64K'}]}"),
		{ { "vm=1:r region=0x9000000+64K", "+a" }, { "vm=1:r region=0x9000000+4K", "+a" },
			{ "vm=1:r region=0x900f000+4K", "+a" },
			{ "vm=1:r region=0x900f000+8K", "none" },
			{ "vm=1:r region=0x8fff000+8K", "none" },
			{ "vm=1:r region=0x8fff000+4K", "none" },
			{ "vm=1:r region=0x9010000+4K", "none" },
			{ "vm=1:r region=0x9000000+4K region=0x9002000+4K", "+a" },
			{ "vm=1:r region=0x9000000+4K region=0x9010000+4K", "none" },
			{ "vm=1:r region=0x9000000+0", "none" },
			{ "vm=1:r region=0xfffffffffffff000+0x2000", "none" },
			{ "vm=1:r src=private", "none" } } },
	{ "neighbouring_ranges_are_one",
		ALLOW("a",
			MEM ",'memory':{'sources':['regions'],'regions':[{'address':8192,'size':"
			    "4096},{'address':4096,'size':4096},{'address':20480,'size':4096}]}"),
		{ { "vm=1:r region=4096+8192", "+a" }, { "vm=1:r region=0+8192", "none" },
			{ "vm=1:r region=8192+8192", "none" }, { "vm=1:r region=20480+4096", "+a" },
			{ "vm=1:r region=4096+20480", "none" } } },
	{ "regions_of_share_need_no_sources",
		ALLOW("a", OPS("'share'") ",'memory':{'regions':[{'address':4096,'size':4096}]}"),
		{ { "op=share vm=1:r region=4096+4096", "+a" },
			{ "op=share vm=1:r region=8192+4096", "none" },
			{ "op=share vm=1:r src=fd", "+a" } } },
	{ "regions_of_lend_need_sources",
		ALLOW("a", OPS("'lend'") ",'memory':{'regions':[{'address':4096,'size':4096}]}"),
		{ { "vm=1:r region=4096+4096", "none" }, { "vm=1:r src=private", "+a" } } },
	{ "source_regions_without_a_range_is_not_enough",
		ALLOW("a", MEM ",'memory':{" ANY_SOURCE "}") "," ALLOW(
			"b", MEM ",'memory':{" ANY_SOURCE ",'regions':[]},'access':'rwx'"),
		{ { "vm=1:r region=4096+4096", "none" }, { "vm=1:r src=fd", "+a" },
			{ "vm=1:r src=regions", "none" }, { "vm=1:rx src=fd", "+b" } } },
	{ "whole_address_space",
		ALLOW("a", MEM ",'memory':{" ANY_SOURCE
			       ",'regions':[{'address':0,'size':'0xfffffffffffff000'}]}"),
		{ { "vm=1:r region=0+4096", "+a" },
			{ "vm=1:r region=0xffffffffffffe000+4096", "+a" },
			{ "vm=1:r region=0xfffffffffffff000+4096", "none" } } },
	{ "deny_regions_matches_any_touch",
		DENY("d", "'memory':{'regions':[{'address':'0x10000','size':'64K'}]}") "," ALLOW(
			"a",
			MEM ",'memory':{" ANY_SOURCE ",'regions':[{'address':0,'size':'1G'}]}"),
		{ { "vm=1:r region=0xf000+4K", "+a" }, { "vm=1:r region=0xf000+8K", "-d" },
			{ "vm=1:r region=0x1f000+8K", "-d" }, { "vm=1:r region=0x1ffff+1", "-d" },
			{ "vm=1:r region=0x20000+4K", "+a" }, { "vm=1:r region=0x1000+1M", "-d" },
			{ "vm=1:r region=0x1000+4K region=0x10000+4K", "-d" },
			{ "vm=1:r src=fd", "+a" } } },
	{ "labels", ALLOW("a", MEM ",'memory':{'labels':['1-0xffff','0x20000']}"),
		{ { "vm=1:r", "+a" }, { "vm=1:r label=0", "none" }, { "vm=1:r label=1", "+a" },
			{ "vm=1:r label=0xffff", "+a" }, { "vm=1:r label=0x10000", "none" },
			{ "vm=1:r label=0x20000", "+a" }, { "vm=1:r label=0xffffffff", "none" } } },
	{ "labels_reach_the_last_number",
		ALLOW("a", MEM ",'memory':{'labels':['0xfffffff0-0xffffffff']}"),
		{ { "vm=1:r label=0xffffffff", "+a" }, { "vm=1:r label=0xffffffef", "none" } } },
	{ "empty_labels_let_no_client_choose", ALLOW("a", MEM ",'memory':{'labels':[]}"),
		{ { "vm=1:r", "+a" }, { "vm=1:r label=0", "none" },
			{ "vm=1:r label=5", "none" } } },
	{ "deny_labels_spares_labels_of_the_broker",
		DENY("d", "'memory':{'labels':[5]}") "," ALLOW("a", MEM),
		{ { "vm=1:r", "+a" }, { "vm=1:r label=5", "-d" }, { "vm=1:r label=6", "+a" } } },
	{ "lifetimes_left_out_is_connection_only", ALLOW("a", MEM),
		{ { "vm=1:r life=connection", "+a" }, { "vm=1:r life=detached", "none" } } },
	{ "lifetimes_are_what_is_listed",
		ALLOW("d", MEM ",'vms':[1],'lifetimes':['detached']") "," ALLOW(
			"b", MEM ",'vms':[2],'lifetimes':['detached','connection']"),
		{ { "vm=1:r life=connection", "none" }, { "vm=1:r life=detached", "+d" },
			{ "vm=2:r life=connection", "+b" }, { "vm=2:r life=detached", "+b" },
			{ "op=donate vm=1:r", "+d" } } },
	{ "deny_lifetimes",
		DENY("d", "'lifetimes':['detached']") "," ALLOW(
			"a", MEM ",'lifetimes':['connection','detached']"),
		{ { "vm=1:r life=detached", "-d" }, { "vm=1:r life=connection", "+a" },
			{ "op=donate vm=1:r", "+a" } } },
	{ "deny_needs_every_given_key",
		DENY("d", "'subject':{'users':[5]}," OPS(
				  "'lend'") ",'vms':[1],'memory':{'types':['io'],'sources':['fd'],'"
					    "labels':[9]},'lifetimes':['detached']") "," ALLOW("a",
			MEM ",'memory':{" ANY_SOURCE "},'lifetimes':['connection','detached']"),
		{ { "uid=5 vm=1:r type=io src=fd label=9 life=detached", "-d" },
			{ "uid=6 vm=1:r type=io src=fd label=9 life=detached", "+a" },
			{ "uid=5 op=share vm=1:r type=io src=fd label=9 life=detached", "+a" },
			{ "uid=5 vm=2:r type=io src=fd label=9 life=detached", "+a" },
			{ "uid=5 vm=1:r src=fd label=9 life=detached", "+a" },
			{ "uid=5 vm=1:r type=io src=copy label=9 life=detached", "+a" },
			{ "uid=5 vm=1:r type=io src=fd label=8 life=detached", "+a" },
			{ "uid=5 vm=1:r type=io src=fd life=detached", "+a" },
			{ "uid=5 vm=1:r type=io src=fd label=9", "+a" } } },
	{ "requests_without_grantees", ALLOW("a", MEM ",'vms':[1]") "," DENY("d", "'vms':[1]"),
		{ { "op=lend", "+a" }, { "op=lend src=fd", "none" } } },
};

static void check_row(const char *name, const struct policy *policy, const struct row *row)
{
	struct testing_request request;
	struct policy_decision decision, explained;
	char outcome[64], again[64];
	char *reason = NULL;

	testing_request(&request, row->request);
	decision = policy_decide(policy, &request.request);
	ck_assert_msg(!strcmp(testing_outcome(&decision, outcome), row->outcome),
		"%s: \"%s\" is %s, expected %s", name, row->request,
		testing_outcome(&decision, outcome), row->outcome);
	ck_assert_int_eq(policy_explain(policy, &request.request, &explained, &reason), 0);
	ck_assert_msg(!strcmp(testing_outcome(&explained, again), row->outcome),
		"%s: \"%s\" is explained as %s, expected %s (%s)", name, row->request, again,
		row->outcome, reason);
	free(reason);
}

static void check_table(const struct table *table)
{
	struct policy *policy = testing_policy(table->rules);

	ck_assert_ptr_nonnull(table->rows[0].request);
	for (size_t i = 0; i < ARRAY_SIZE(table->rows) && table->rows[i].request; i++)
		check_row(table->name, policy, &table->rows[i]);
	policy_unref(policy);
}

START_TEST(every_row_of_the_tables_is_decided_as_written)
{
	check_table(&tables[_i]);
}
END_TEST

START_TEST(every_row_of_the_other_tables_is_decided_as_written)
{
	check_table(&more_tables[_i]);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("policy decisions");
	TCase *tcase = tcase_create("tables");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(
		tcase, every_row_of_the_tables_is_decided_as_written, 0, (int)ARRAY_SIZE(tables));
	tcase_add_loop_test(tcase, every_row_of_the_other_tables_is_decided_as_written, 0,
		(int)ARRAY_SIZE(more_tables));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
