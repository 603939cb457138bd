#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Includes point downwards only, every file has its SPDX line, and the code is formatted.

The rooms, lowest first; a file may include its own room and those of lower levels. Rooms of one level
do not know each other. (docs: the tree in README.md)
"""
import os
import re
import shutil
import subprocess
import sys

SOURCE = os.path.abspath(os.environ.get('GHMEM_SOURCE', '.'))
LEVELS = [
    ['lib/util'],
    ['lib/ghrm'],
    ['lib/emulator', 'lib/ghmem', 'policy'],
    ['daemon/holder', 'daemon/rm'],
    ['daemon/memory'],
    ['daemon/core'],
    ['daemon/varlink'],
    ['daemon'],
    ['tools'],
    ['tests', 'contrib'],
]
# lib/ghmem is installed without the rest, and tools talk to the daemon through it alone.
NEVER = {'tools': ['daemon', 'daemon/core', 'daemon/varlink', 'daemon/memory', 'daemon/rm', 'daemon/holder'],
         'daemon/holder': ['lib/ghrm', 'lib/emulator', 'lib/ghmem', 'policy']}
# The Varlink server serves any interface: only the face knows the broker.
SERVER_ONLY = {'server', 'connection', 'input', 'output', 'call', 'service', 'peer', 'internal'}
GENERATED = ('daemon/varlink/idl.h',)
SOURCES = ('.c', '.h')
TEXTS = SOURCES + ('.py', '.sh', '.mk', '.am', '.ac')


def room_of(path):
    rooms = [room for level in LEVELS for room in level if path.startswith(room + '/')]
    return max(rooms, key=len) if rooms else None


def level_of(room):
    return next(i for i, level in enumerate(LEVELS) if room in level)


def files():
    skip = {'.git', 'autom4te.cache', 'build-aux', '.deps', '.libs'}
    for folder, names, entries in os.walk(SOURCE):
        names[:] = [n for n in names if n not in skip and not n.startswith(('build', 'ghmemd-'))]
        for entry in entries:
            yield os.path.relpath(os.path.join(folder, entry), SOURCE)


def target_of(include, path):
    """The room that an include leads to; None for the system's."""
    if include in GENERATED:
        return room_of(include)
    for base in ('lib/', ''):
        if os.path.exists(os.path.join(SOURCE, base + include)):
            return room_of(base + include)
    beside = os.path.join(os.path.dirname(path), include)
    return room_of(beside) if os.path.exists(os.path.join(SOURCE, beside)) else None


def check_includes(path, text):
    room = room_of(path)
    for include in re.findall(r'^\s*#\s*include\s+"([^"]+)"', text, re.M):
        target = target_of(include, path)
        if target is None:
            yield '%s includes "%s", which is no file of the tree' % (path, include)
        elif target != room and level_of(target) >= level_of(room) and room != 'tests':
            yield '%s (%s) includes "%s" of %s: upwards or sideways' % (path, room, include, target)
        elif target in NEVER.get(room, []):
            yield '%s (%s) includes "%s" of %s' % (path, room, include, target)
        elif room == 'daemon/varlink' and os.path.splitext(os.path.basename(path))[0] in SERVER_ONLY \
                and target not in ('lib/util', 'daemon/varlink'):
            yield '%s includes "%s", but the Varlink server knows nothing of the broker' % (path, include)


def check_format(paths):
    clang_format = shutil.which('clang-format')
    if not clang_format:
        if os.environ.get('CI'):
            yield 'clang-format is missing: apt-get install clang-format'
        else:
            print('clang-format is not installed: the format is not checked')
        return
    done = subprocess.run([clang_format, '--dry-run', '--Werror', *paths], cwd=SOURCE, text=True,
                          stderr=subprocess.PIPE)
    for line in done.stderr.splitlines():
        if 'error:' in line:
            yield line


def main():
    faults, formatted, seen = [], [], 0
    for path in sorted(files()):
        if not path.endswith(TEXTS) or path in GENERATED or path.startswith(('m4/', 'configure', 'aclocal')):
            continue
        with open(os.path.join(SOURCE, path), encoding='utf-8') as stream:
            text = stream.read()
        seen += 1
        if 'SPDX-License-Identifier: LGPL-2.1-or-later' not in text[:300]:
            faults.append('%s has no SPDX line' % path)
        if path.endswith(SOURCES) and room_of(path):
            formatted.append(path)
            faults += check_includes(path, text)
    faults += check_format(formatted)
    print('\n'.join(faults[:60]))
    print('%d files, %d faults' % (seen, len(faults)))
    return 1 if faults or seen < 100 else 0


if __name__ == '__main__':
    sys.exit(main())
