#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# The command line of ghrm-emulator: exit statuses, messages, signals. Run from the build directory.
set -u

emulator=tools/ghrm-emulator
folder=$(mktemp -d)
server=
failed=0
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$folder"' EXIT

# expect STATUS WORDS-ON-STDERR-OR-STDOUT ARGUMENTS...
expect() {
	status=$1
	words=$2
	shift 2
	output=$("$emulator" "$@" 2>&1)
	got=$?
	if [ $got -ne "$status" ] || ! printf '%s' "$output" | grep -qF -e "$words"; then
		echo "ghrm-emulator $*: status $got instead of $status, or no \"$words\" in: $output"
		failed=1
	fi
}

# until_true COMMAND...: waits up to ten seconds
until_true() {
	tries=0
	until "$@" 2>/dev/null; do
		tries=$((tries + 1))
		[ $tries -lt 100 ] || return 1
		sleep 0.1
	done
}

expect 0 'ghrm-emulator ' --version
expect 0 'Usage: ghrm-emulator' --help
expect 2 '--listen is missing'
expect 2 'unexpected argument x' --listen "$folder/rm" x
expect 2 'Try ghrm-emulator --help' --colour
expect 2 'replay takes one recording' replay
expect 1 'No such file or directory' --listen "$folder/none/rm"
expect 1 'No such file or directory' --listen "$folder/rm" --machine "$folder/machine.json"
printf '{ "vms":\n [ ' >"$folder/machine.json"
expect 1 "$folder/machine.json:2:" --listen "$folder/rm" --machine "$folder/machine.json"
printf '{ "vms": [ { "vmid": 3, "memory": [ { "type": "normal", "address": 0, "size": 1 } ] } ] }' \
	>"$folder/machine.json"
expect 1 'vms[0].memory[0].size: must be a multiple' --listen "$folder/rm" --machine "$folder/machine.json"
expect 1 'No such file' replay "$folder/none"
echo '{"t":"send","vmid":3,"msg_id":"0x51000015","type":"request","seq":7,"payload_hex":"0500000001000000"}' \
	>"$folder/trace"
expect 0 'VM 0x03 -> request      MEM_RECLAIM seq=7 handle=5 sanitize' replay "$folder/trace"
echo 'nonsense' >>"$folder/trace"
expect 1 "$folder/trace:2: not a line of a recording" replay "$folder/trace"

for signal in TERM INT; do
	"$emulator" --listen "$folder/rm" 2>"$folder/log" &
	server=$!
	if ! until_true grep -q "listening on $folder/rm (VMs 3, 0x80, 0x81, 0x82, 0x83)" "$folder/log"; then
		echo "no line when ready: $(cat "$folder/log")"
		failed=1
	fi
	expect 1 'Address already in use' --listen "$folder/rm"
	kill -s $signal $server
	wait $server
	got=$?
	server=
	if [ $got -ne 0 ] || [ -e "$folder/rm" ]; then
		echo "after SIG$signal: status $got, socket $(ls "$folder/rm" 2>&1)"
		failed=1
	fi
done
exit $failed
