#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""200 clients that share and die at random moments; at the end nothing is left of them.

GHMEM_STORM_SECONDS (default 60), GHMEM_STORM_SEED.
"""
import os
import random
import signal
import sys
import time

import ghmemtest as t

CLIENTS = 200
SECONDS = float(os.environ.get('GHMEM_STORM_SECONDS', 60))
SEED = int(os.environ.get('GHMEM_STORM_SEED', time.time_ns() % (1 << 32)))
# Freed memory that the allocator keeps is not a leak; a leak of a page a death is over this at once.
FLAT = 16 << 20


def client(path, seed):
    """Shares again and again until it is killed."""
    chance = random.Random(seed)
    link = t.Varlink(path)
    while True:
        size = t.PAGE << chance.randrange(11)
        method = chance.choice(('Share', 'Lend'))
        kind = chance.randrange(4)
        fds = []
        if kind == 0:
            fds = [t.sealed_memfd(size)]
            link.send(method, t.lend_fd(vm=chance.randrange(0x80, 0x84)), fds)
        else:
            link.send(method, t.lend(size, vm=chance.randrange(0x80, 0x84)))
        for fd in fds:
            os.close(fd)
        if kind == 1:
            link.close()  # before the answer
            link = t.Varlink(path)
            continue
        reply = link.receive()
        while link.fds:
            os.close(link.take_fd())
        if 'error' in reply:
            assert reply['error'] == 'org.ghmem.Broker.QuotaExceeded', reply
            time.sleep(chance.random() / 50)
            continue
        if kind == 2:
            link.send('Reclaim', {'handle': reply['parameters']['parcel']['handle']})
            assert 'error' not in link.receive()
        time.sleep(chance.random() / 10)


def spawn(path, seed):
    pid = os.fork()
    if pid == 0:
        try:
            client(path, seed)
        except BaseException as error:  # a client must not fall into the parent's code
            print('client with seed %d: %r' % (seed, error), flush=True)
            os._exit(1)
        finally:
            os._exit(0)
    return pid


def main():
    print('seed %d, %d clients, %g s' % (SEED, CLIENTS, SECONDS), flush=True)
    chance = random.Random(SEED)
    before = t.settled_pins()
    deaths = own_ends = 0
    with t.Place() as place:
        daemon = place.daemon
        pid = daemon.process.pid
        with daemon.connect() as link:
            link.call('Reclaim', {'handle': link.call('Lend', t.lend(1 << 20))['parcel']['handle']})
        t.wait_for(lambda: daemon.status()['clients'] == 1, what='an empty daemon')
        fds = t.descriptors(pid)
        clients = [spawn(daemon.path, chance.randrange(1 << 32)) for _ in range(CLIENTS)]
        end, warm, resident = time.monotonic() + SECONDS, time.monotonic() + SECONDS / 4, None
        while time.monotonic() < end:
            victim = chance.randrange(CLIENTS)
            os.kill(clients[victim], signal.SIGKILL)
            _, status = os.waitpid(clients[victim], 0)
            own_ends += not os.WIFSIGNALED(status)
            deaths += 1
            clients[victim] = spawn(daemon.path, chance.randrange(1 << 32))
            time.sleep(chance.random() / 50)
            if resident is None and time.monotonic() > warm:
                resident = t.resident_bytes(pid)
        for victim in clients:
            os.kill(victim, signal.SIGKILL)
            os.waitpid(victim, 0)
        status = t.wait_for(lambda: (lambda s: s['clients'] == 1 and s['parcels'] == 0 and s)(daemon.status()),
                            30, 'the last parcel to go')
        print('%d deaths; the daemon holds %d bytes resident after %d' %
              (deaths + CLIENTS, t.resident_bytes(pid), resident), flush=True)
        assert own_ends == 0, '%d clients ended by themselves' % own_ends
        assert status['slots_used'] == status['pinned_pages'] == status['bytes'] == 0, status
        assert place.emulator.parcels() == [], place.emulator.parcels()
        t.wait_for(lambda: t.descriptors(pid) <= fds, what='descriptors to go back to %d' % fds)
        if not t.SANITIZED:  # their allocator keeps freed memory for a while, on purpose
            assert t.resident_bytes(pid) < resident + FLAT, 'the daemon grew from %d to %d' % (
                resident, t.resident_bytes(pid))
        if t.IS_ROOT:
            t.wait_for_pins(before)
    print('nothing is left')
    return 0


if __name__ == '__main__':
    sys.exit(main())
