#!/bin/sh
# SPDX-License-Identifier: LGPL-2.1-or-later
# Debian 12 has no varlinkctl, and its C library is too old for a later one. This fetches that of
# Debian 13 with the libraries it needs into a directory and prints the words that run it:
#
#     varlinkctl=$(tests/varlink/varlinkctl.sh CACHE) && $varlinkctl info /run/ghmemd/org.ghmem.Broker
#
# A second call finds it there. Nothing is installed. Exit status 77: the mirror cannot be reached.
set -eu

[ $# -eq 1 ] || { echo "Usage: $0 CACHE-DIRECTORY" >&2; exit 2; }

packages="systemd libsystemd-shared libc6 libcap2 libcrypt1 libmount1 libblkid1 libselinux1
	libpcre2-8-0 libacl1 libaudit1 libcap-ng0 libseccomp2 libgcc-s1 libpam0g libssl3t64"
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

skip() {
	echo "varlinkctl cannot be fetched: $*" >&2
	exit 77
}

mkdir -p "$1"
cache=$(cd "$1" && pwd)
tree=$cache/tree
triplet=$(dpkg-architecture -qDEB_HOST_MULTIARCH 2>/dev/null || gcc -print-multiarch)

print_command() {
	loader=$(find "$tree/usr/lib64" "$tree/usr/lib/$triplet" "$tree/usr/lib" -maxdepth 1 \
		-name 'ld-linux-*.so.*' 2>/dev/null | head -n 1)
	[ -n "$loader" ] || skip "no loader in libc6"
	echo "$loader --library-path $tree/usr/lib/$triplet/systemd:$tree/usr/lib/$triplet $tree/usr/bin/varlinkctl"
}

# Made with one rename at the end: if it is there, it is whole.
if [ -d "$tree" ]; then
	print_command
	exit 0
fi

# The mirror that this machine's own sources name, in either of their two formats.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
	sed -n 's/^deb[[:space:]]\+\(\[[^]]*\][[:space:]]*\)\?\([^[:space:]]*\/debian\/\?\)[[:space:]].*/\2/p' |
	head -n 1)
[ -n "$mirror" ] || mirror=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
	sed -n 's/^URIs:[[:space:]]*\([^[:space:]]*\/debian\/\?\)\([[:space:]].*\)\?$/\1/p' | head -n 1)
[ -n "$mirror" ] || skip "the apt sources name no Debian mirror"
[ -r "$keyring" ] || skip "$keyring is missing: apt-get install debian-archive-keyring"

work=$(mktemp -d "$cache/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/tree"
echo "deb [signed-by=$keyring] $mirror trixie main" >"$work/src.list"
cd "$work"
fetch() {
	apt-get -q -o Dir::Etc::sourcelist="$work/src.list" -o Dir::Etc::sourceparts=- \
		-o Dir::State::lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o APT::Sandbox::User=root -o Acquire::Retries=2 -o APT::Update::Error-Mode=any \
		"$@" >"$work/log" 2>&1 || {
		cat "$work/log" >&2
		skip "apt-get $1 failed"
	}
}
fetch update
# shellcheck disable=SC2086 # a list of words
fetch download $packages
for package in ./*.deb; do
	dpkg -x "$package" "$work/tree"
done
mv -T "$work/tree" "$tree" 2>/dev/null || [ -d "$tree" ] || skip "cannot write to $cache"
print_command
