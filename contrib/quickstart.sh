#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# From a fresh clone on Debian 12 to a working ghmemd:
#
#   contrib/quickstart.sh          builds it and shows the main job on the built-in emulator
#   contrib/quickstart.sh build    only builds, in the tree
#   contrib/quickstart.sh check    builds it three times (plain, ASan+UBSan, TSan) and runs all tests
#
# Missing Debian packages are installed, as root or with sudo; nothing else is put into the system.
set -eu -o pipefail

usage() {
	sed -n 's/^# \?//; 3,9p' "$0"
	exit "$1"
}

cd "$(dirname "$0")/.."
jobs=$(nproc)

packages_build="autoconf automake libtool pkg-config gcc libc6-dev make check libsystemd-dev libevent-dev
	libjansson-dev liburing-dev libbsd-dev"
packages_demo="procps util-linux"
packages_check="clang-format python3 python3-jsonschema varlink-go libasan8 libubsan1 libtsan2 procps
	util-linux git"

say() {
	printf '\n\033[1m%s\033[0m\n' "$*" | if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then cat; else sed 's/\x1b\[[0-9]*m//g'; fi
}

# ---- packages ----

need() {
	local missing=() package sudo=
	for package; do
		dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ]; then
		sudo=sudo
		command -v sudo >/dev/null || {
			echo "These Debian packages are missing. As root run:" >&2
			echo "    apt-get install ${missing[*]}" >&2
			exit 1
		}
	fi
	echo "Installing Debian packages: ${missing[*]}"
	$sudo apt-get update -qq
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
		"${missing[@]}" >/dev/null
}

# ---- building ----

build() {
	need $packages_build
	[ -x configure ] && [ configure -nt configure.ac ] || ./autogen.sh >autogen.log 2>&1 || {
		cat autogen.log >&2
		exit 1
	}
	[ -f Makefile ] && [ Makefile -nt configure ] || ./configure --quiet "$@" >configure.log || {
		tail -n 30 configure.log >&2
		exit 1
	}
	[ -x daemon/ghmemd ] || echo "Building, which takes a minute or two …"
	make --no-print-directory -s -j"$jobs" >make.log 2>&1 || {
		tail -n 40 make.log >&2
		exit 1
	}
}

# ---- the demonstration ----

demo_dir=
daemon=
client=
other=nobody # the second user
[ "$(id -un)" != nobody ] || other=daemon

demo_end() {
	[ -z "$client" ] || kill -KILL "$client" 2>/dev/null || :
	[ -z "$daemon" ] || kill -TERM "$daemon" 2>/dev/null || :
	wait 2>/dev/null || :
	[ -z "$demo_dir" ] || rm -rf "$demo_dir"
}

pinned() {
	awk '/nr_foll_pin_acquired/ { a = $2 } /nr_foll_pin_released/ { r = $2 }
		END { printf "%d pages (%d MiB)\n", a - r, (a - r) / 256 }' /proc/vmstat
}

# Shows a command as one would type it, then runs it.
show() {
	printf '\n$ %s\n' "$(printf '%s ' "${@/#tools\//}" | sed 's/ --address=[^ ]*//; s/ $//')"
	"$@"
}

wait_until() {
	for _ in $(seq 200); do
		if "$@" >/dev/null 2>&1; then return 0; fi
		sleep 0.05
	done
	echo "This did not come true within 10 seconds: $*" >&2
	cat "$demo_dir/daemon.log" >&2
	exit 1
}

demo_policy() {
	mkdir "$demo_dir/policy.d"
	cat >"$demo_dir/policy.d/10-demo.json" <<-END
		{
		  "description": "Policy of the demonstration",
		  "rules": [
		    {
		      "name": "no-lending-for-$other",
		      "effect": "deny",
		      "subject": { "users": ["$other"] },
		      "operations": ["lend", "share"]
		    },
		    {
		      "name": "demo-user",
		      "effect": "allow",
		      "subject": { "users": [$(id -u)] },
		      "operations": ["lend", "share", "reclaim", "list", "status", "check", "admin"],
		      "vms": ["0x80-0x8f"],
		      "access": "rw",
		      "memory": { "sources": ["fd", "allocate"] }
		    },
		    {
		      "name": "everybody-may-ask",
		      "effect": "allow",
		      "operations": ["list", "status", "check"]
		    }
		  ]
		}
	END
	chmod 755 "$demo_dir" "$demo_dir/policy.d"
	chmod 644 "$demo_dir/policy.d/10-demo.json"
}

demo() {
	local ctl root=false handle
	[ "$(id -u)" != 0 ] || root=true
	need $packages_demo
	build
	demo_dir=$(mktemp -d "${TMPDIR:-/tmp}/ghmem-demo.XXXXXX")
	trap demo_end EXIT
	demo_policy
	ctl="tools/ghmemctl --address=unix:$demo_dir/ghmem.sock"

	say "1. Start the broker with its built-in Resource Manager emulator"
	cat <<-END
		ghmemd lends memory of this host to virtual machines of the Gunyah hypervisor. It asks its
		policy, pins the pages, describes them to the hypervisor's Resource Manager and takes them
		back. Here the Resource Manager is an emulator, so no VM really gets anything.
	END
	if $root; then
		echo "You are root: the pages below are really pinned and their addresses are real."
		echo "Pinned on this machine now: $(pinned)"
	else
		cat <<-END
			You are not root, so two things are made up: an ordinary process may pin only 8 MiB and
			sees no physical addresses. The addresses below are invented, larger memory is not
			pinned. All else is as it would be. Run this as root to see the real thing.
		END
	fi
	daemon/ghmemd --rm=emulator --varlink="$demo_dir/ghmem.sock" --bus=none \
		--state-dir="$demo_dir/state" --policy-dir="$demo_dir/policy.d" 2>"$demo_dir/daemon.log" &
	daemon=$!
	wait_until test -S "$demo_dir/ghmem.sock"
	wait_until $ctl status
	show $ctl status

	say "2. A VMM lends 256 MiB of fresh memory to VM 0x80"
	printf '\n$ ghmemctl lend --vm 0x80:rw --size 256M &\n'
	$ctl lend --vm 0x80:rw --size 256M >"$demo_dir/client.log" 2>&1 &
	client=$!
	wait_until grep -qi handle "$demo_dir/client.log"
	handle=$($ctl list | awk 'NR == 2 { print $1 }')
	show $ctl show "$handle"
	cat <<-END

		The memory lies in as many physically contiguous pieces as "regions" says. The Resource
		Manager takes 512 in one message; the rest was appended in further ones.
	END
	$root && echo "Pinned on this machine now: $(pinned)"

	say "3. A second user asks for the same, and the policy refuses"
	if $root; then
		printf '\n$ setpriv --reuid=%s ghmemctl lend --vm 0x80:rw --size 1M\n' "$other"
		setpriv --reuid="$other" --clear-groups $ctl lend --vm 0x80:rw --size 1M ||
			echo "(exit status $?: denied by policy or quota)"
	else
		echo "(An ordinary user cannot become another one, so the policy is asked what it would say.)"
		show $ctl check --operation lend --vm 0x80:rw --size 1M --uid "$(id -u "$other")" ||
			echo "(exit status $?: denied by policy or quota)"
	fi

	say "4. The VMM is killed, and the memory comes back by itself"
	printf '\n$ kill -KILL %s\n' "$client"
	kill -KILL "$client"
	wait "$client" 2>/dev/null || :
	client=
	wait_until sh -c "$ctl list --json | grep -q '\"parcels\": *\[\]'"
	show $ctl list
	if $root; then
		sleep 0.2 # the kernel unpins in the background
		echo "Pinned on this machine now: $(pinned)"
	fi

	say "5. Stop the broker"
	kill -TERM "$daemon"
	wait "$daemon" && echo "ghmemd ended with status 0. Its log:"
	daemon=
	sed 's/^/    /' "$demo_dir/daemon.log"

	say "Next"
	cat <<-END
		    man docs/ghmemctl.1             the command that you have just seen
		    man docs/ghmemd.policy.5        who may lend what to whom
		    man docs/libghmem.3             lending from your own VMM, in C
		    contrib/quickstart.sh check     run the tests
	END
}

# ---- the tests ----

passed=0 failed=0 skipped=0

run_tests() {
	local name=$1 log
	shift
	say "Tests: $name"
	log=$(mktemp)
	make --no-print-directory -s -j"$jobs" check TESTS= >"$log" 2>&1 || :
	# One at a time: some tests compare the whole machine's count of pinned pages.
	"$@" make --no-print-directory -k check >>"$log" 2>&1 || :
	grep -E '^(PASS|FAIL|SKIP|ERROR|XPASS): ' "$log" || tail -n 40 "$log"
	if ! grep -q '^# TOTAL:' "$log"; then
		tail -n 40 "$log"
		failed=$((failed + 1))
	fi
	passed=$((passed + $(sed -n 's/^# PASS: *//p' "$log" | tail -n 1)))
	skipped=$((skipped + $(sed -n 's/^# SKIP: *//p' "$log" | tail -n 1)))
	failed=$((failed + $(awk '/^# (FAIL|ERROR|XPASS):/ { n += $3 } END { print n + 0 }' "$log")))
	for test in $(sed -nE 's/^(FAIL|ERROR): //p' "$log"); do
		echo "---- $test"
		tail -n 60 "${test%.py}.log" 2>/dev/null || tail -n 60 "${test%.sh}.log" || :
	done
	rm -f "$log"
}

# The other flavours are built beside it from what a release would contain.
check_flavour() {
	local name=$1 dir=build-$1
	shift
	[ -f "$dir/Makefile" ] || (mkdir -p "$dir" && cd "$dir" && "../$distdir/configure" --quiet --enable-werror \
		"$@" >configure.log)
	(
		cd "$dir"
		passed=0 failed=0 skipped=0
		run_tests "$name" env GHMEM_SANITIZED=1
		echo "$passed $failed $skipped" >result
	)
	read -r p f s <"$dir/result"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
}

check() {
	need $packages_build $packages_check
	CONFORMANCE_DIR=${CONFORMANCE_DIR:-$PWD/../shared/conformance}
	export CONFORMANCE_DIR
	say "Building"
	build --enable-werror
	run_tests plain env
	distdir=ghmemd-$(sed -n 's/^PACKAGE_VERSION = //p' Makefile)
	rm -rf "$distdir" build-asan build-tsan
	make --no-print-directory -s distdir >/dev/null
	check_flavour asan --enable-sanitizers=address,undefined
	check_flavour tsan --enable-sanitizers=thread
	rm -rf "$distdir"
	say "All flavours together"
	echo "$passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ]
}

case ${1:-demo} in
demo) demo ;;
build) build && say "Built: daemon/ghmemd, tools/ghmemctl, tools/ghrm-emulator" ;;
check) check ;;
-h | --help | help) usage 0 ;;
*) usage 2 >&2 ;;
esac
