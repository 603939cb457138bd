#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# systemd's own varlinkctl reads the daemon's interface and calls it.
set -eu -o pipefail

build=${GHMEM_BUILD:-.}
source=${GHMEM_SOURCE:-.}
here=$(mktemp -d)
daemon=

finish() {
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || :
	wait 2>/dev/null || :
	rm -rf "$here"
}
trap finish EXIT

expect() {
	local wanted=$1 got
	shift
	got=$("$@" 2>&1) || :
	case $got in
	*"$wanted"*) echo "ok: $wanted" ;;
	*)
		printf 'Wanted "%s" from %s, got:\n%s\n' "$wanted" "$*" "$got" >&2
		exit 1
		;;
	esac
}

varlinkctl=$(bash "$source/tests/varlink/varlinkctl.sh" "${TMPDIR:-/tmp}/ghmem-varlinkctl-$(id -u)")
mkdir "$here/policy.d"
chmod 755 "$here" "$here/policy.d"
cat >"$here/policy.d/10-test.json" <<END
{ "rules": [ { "name": "all", "effect": "allow", "operations": ["share", "lend", "reclaim", "list", "status"],
  "memory": { "sources": ["fd", "allocate"] } } ] }
END
chmod 644 "$here/policy.d/10-test.json"
"$build/daemon/ghmemd" --varlink="$here/s" --state-dir="$here/state" --policy-dir="$here/policy.d" --bus=none \
	2>"$here/log" &
daemon=$!
for _ in $(seq 100); do
	[ ! -S "$here/s" ] || break
	sleep 0.1
done

broker=org.ghmem.Broker
expect "Product: ghmemd" $varlinkctl info "$here/s"
expect "$broker" $varlinkctl list-interfaces "$here/s"
expect "type Parcel(" $varlinkctl introspect "$here/s" $broker
expect "error PolicyDenied(" $varlinkctl introspect "$here/s"
$varlinkctl validate-idl "$source/daemon/varlink/$broker.varlink" >/dev/null
expect '"slots_maximum":64' $varlinkctl call "$here/s" $broker.Status '{}'
expect '"state":"offered"' $varlinkctl call "$here/s" $broker.Lend \
	'{"memory":{"allocate":1048576},"grants":[{"vm":128,"access":"rw"}]}'
expect 'InvalidParameter' $varlinkctl call "$here/s" $broker.Lend \
	'{"memory":{"allocate":4096},"grants":[{"vm":128,"access":"wx"}]}'
expect 'ParcelNotFound' $varlinkctl call "$here/s" $broker.Describe '{"handle":4711}'
expect '{}' $varlinkctl call --more "$here/s" $broker.List '{}'
