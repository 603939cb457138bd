#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The Varlink project's own client (Debian: varlink-go) against varlink-certification. The client's
# exit status is 0 whatever happens; its last line tells.
set -eu

client=varlink-go-certification
server=${VARLINK_CERTIFICATION:-./varlink-certification}

if ! command -v "$client" >/dev/null; then
	echo "$client is not here: apt-get install varlink-go" >&2
	[ "${CI:-}" = true ] && exit 1
	exit 77
fi

dir=$(mktemp -d)
pid=
clean_up() {
	[ -z "$pid" ] || kill "$pid" 2>/dev/null || :
	rm -rf "$dir"
}
trap clean_up EXIT

"$server" "$dir/socket" >"$dir/log" &
pid=$!
for _ in $(seq 200); do
	grep -q ready "$dir/log" && break
	sleep 0.05
done

# Two at once, so that both I/O threads may have one.
timeout 30 "$client" -client -varlink "unix:$dir/socket" >"$dir/second" 2>&1 &
second=$!
timeout 30 "$client" -client -varlink "unix:$dir/socket" >"$dir/first" 2>&1 || :
wait "$second" || :
cat "$dir/first"
for output in "$dir/first" "$dir/second"; do
	if ! grep -q "^End: 'true'" "$output"; then
		echo "FAIL: the client did not reach the end:" >&2
		cat "$output" >&2
		exit 1
	fi
done

kill "$pid"
if ! wait "$pid"; then
	echo "FAIL: the server did not end in order" >&2
	exit 1
fi
pid=
