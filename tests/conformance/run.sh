#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Replays the recorded conversations with the published Resource Manager against ghrm-emulator, when
# they are there: shared/conformance beside the source tree. Run from the build directory.
set -eu

here=${srcdir:-.}
recordings=${CONFORMANCE_DIR:-$here/../shared/conformance}
emulator=tools/ghrm-emulator
python=${PYTHON3:-python3}

if [ ! -d "$recordings/traces" ]; then
	echo "conformance: no recordings in $recordings, nothing was compared"
	exit 77
fi

# Recordings in which the Resource Manager dies need an emulator that dies with it.
deadly=$(grep -l '"t": *"server_exit"' "$recordings"/traces/*.jsonl || true)
others=$(grep -L '"t": *"server_exit"' "$recordings"/traces/*.jsonl || true)
status=0

replay() {
	options=$1
	shift
	"$python" "$recordings/rm_replay.py" \
		--server "$emulator --listen {socket} --machine $recordings/machine.json$options" "$@" ||
		status=1
}

echo "conformance: $(ls "$recordings"/traces/*.jsonl | wc -l) recordings in $recordings"
# shellcheck disable=SC2086
[ -z "$others" ] || replay '' $others
# shellcheck disable=SC2086
[ -z "$deadly" ] || replay ' --strict' $deadly
exit $status
