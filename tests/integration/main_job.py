#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The main job on real pages: lend, look, die, get it back. Needs root."""
import json
import os
import signal
import subprocess
import sys
import unittest

import ghmemtest as t

GIB = 1 << 30


class MainJob(unittest.TestCase):
    def setUp(self):
        self.place = t.Place()
        self.addCleanup(self.place.close)
        self.daemon, self.emulator = self.place.daemon, self.place.emulator

    def start_ctl(self, *arguments):
        process = subprocess.Popen(
            [t.program('tools/ghmemctl'), '--address=unix:' + self.daemon.path, *arguments],
            stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        return process

    def parcel_from(self, process):
        decoder, text = json.JSONDecoder(), ''
        while True:
            line = process.stdout.readline()
            self.assertTrue(line, 'ghmemctl ended after: ' + text)
            text += line
            try:
                return decoder.decode(text)
            except json.JSONDecodeError:
                continue

    def test_lend_1g_from_the_command_line_and_kill_the_client(self):
        before = t.settled_pins()
        client = self.start_ctl('lend', '--vm', '0x80:rw', '--size', '1G', '--json')
        parcel = self.parcel_from(client)
        self.assertEqual((parcel['size'], parcel['state'], parcel['operation']), (GIB, 'offered', 'lend'))
        self.assertTrue(parcel['pinned'])
        self.assertFalse(parcel['made_up'])

        fd = next(os.open('/proc/%d/fd/%s' % (client.pid, name), os.O_RDWR)
                  for name in os.listdir('/proc/%d/fd' % client.pid)
                  if os.readlink('/proc/%d/fd/%s' % (client.pid, name)).startswith('/memfd:ghmem'))
        numbers = t.frames(fd, GIB)
        os.close(fd)
        joined = t.runs(numbers)
        print('1 GiB in %d regions, %d messages' % (parcel['regions'], parcel['messages']))
        self.assertEqual(parcel['regions'], len(joined))
        self.assertEqual(parcel['messages'], t.messages_for(len(joined)))
        t.wait_for_pins(before + GIB // t.PAGE)

        address = '0x%x' % (numbers[12345] * t.PAGE)
        self.assertIn('unmapped', self.emulator.command('probe 3 %s 0x1000' % address))
        self.assertEqual(len(self.emulator.parcels()), 1)

        client.send_signal(signal.SIGKILL)
        t.wait_for(lambda: not self.emulator.parcels(), what="the dead client's parcel to go")
        self.assertIn(' mapped phys=' + address, self.emulator.command('probe 3 %s 0x1000' % address))
        t.wait_for_pins(before)
        self.assertEqual(self.daemon.status()['slots_used'], 0)

    def test_regions_are_the_frames_of_the_client_s_own_memfd(self):
        fd = t.sealed_memfd(64 << 20)
        with self.daemon.connect() as link:
            parcel = link.call('Lend', t.lend_fd(offset=1 << 20, size=8 << 20), [fd])['parcel']
            os.ftruncate(fd, 128 << 20)  # growing is the client's own business
            numbers = t.frames(os.dup(fd), 128 << 20)[256:256 + 2048]
            self.assertEqual(parcel['size'], 8 << 20)
            self.assertEqual(parcel['regions'], len(t.runs(numbers)))
            for first, count in t.runs(numbers)[:5]:
                self.assertIn('unmapped size=0x%x' % (count * t.PAGE), self.emulator.command(
                    'probe 3 0x%x 0x%x' % (first * t.PAGE, count * t.PAGE)))
            link.call('Reclaim', {'handle': parcel['handle']})
            self.assertEqual(self.emulator.parcels(), [])
        os.close(fd)

    def test_content_survives_lend_and_reclaim(self):
        with self.daemon.connect() as link:
            reply = link.call('Lend', t.lend(1 << 20))
            fd = link.take_fd()
            handle = reply['parcel']['handle']
            link.call('Reclaim', {'handle': handle})
            os.pwrite(fd, b'after', 4096)
            self.assertEqual(os.pread(fd, 5, 4096), b'after')
            os.close(fd)

    def test_pins_survive_the_daemon_in_the_holder(self):
        before = t.settled_pins()
        with self.daemon.connect() as link:
            link.call('Lend', t.lend(64 << 20))
            t.wait_for_pins(before + 16384)
            self.daemon.kill()
            self.assertEqual(len(self.daemon.holder_pids()), 1)
            t.wait_for_pins(before + 16384)
            self.assertEqual(len(self.emulator.parcels()), 1)
        # The next daemon knows that something is left, keeps it, and works.
        self.daemon.start()
        status = self.daemon.status()
        self.assertEqual((status['left_over'], status['left_over_pages']), (1, 16384))
        t.wait_for_pins(before + 16384)
        with self.daemon.connect() as link:
            link.call('Lend', t.lend(1 << 20))
        t.wait_for(lambda: len(self.emulator.parcels()) == 1, what='the new parcel to go')
        self.assertEqual(self.daemon.stop(), 0)
        self.daemon.kill_holder()
        t.wait_for_pins(before)

    def test_orderly_stop_takes_everything_back(self):
        before = t.settled_pins()
        with self.daemon.connect() as link:
            for _ in range(5):
                link.call('Share', t.lend(4 << 20))
            self.assertEqual(len(self.emulator.parcels()), 5)
            self.assertEqual(self.daemon.stop(), 0)
            self.assertEqual(self.emulator.parcels(), [])
        t.wait_for_pins(before)
        t.wait_for(lambda: not self.daemon.holder_pids(), what='the idle holder to end')

    def test_failing_append_leaves_nothing(self):
        before = t.settled_pins()
        with self.daemon.connect() as link:
            # Scattered enough for several chunks: take every other page of a memfd twice as large.
            self.emulator.command('fail 0x51000018 1 1')
            error = self.scattered_lend(link)
            self.assertEqual((error.short, error.parameters['code'], error.parameters['name']),
                             ('ManagerError', 1, 'NOMEM'))
            self.assertEqual(self.emulator.parcels(), [])
            t.wait_for_pins(before)
            self.assertEqual(link.list(), [])
            self.assertEqual(self.daemon.status()['slots_used'], 0)
            self.assertEqual(link.call('Lend', t.lend(1 << 20))['parcel']['state'], 'offered')

    def scattered_lend(self, link):
        """Lends memory in more than 512 runs and returns the error that it must end with."""
        size = 64 << 20
        while size <= GIB:
            try:
                reply = link.call('Lend', t.lend(size))
            except t.VarlinkError as error:
                return error
            os.close(link.take_fd())
            link.call('Reclaim', {'handle': reply['parcel']['handle']})
            size *= 2
        self.fail('1 GiB came in no more than 512 runs')

    def test_held_parcel_of_a_dead_client_stays_until_the_vm_lets_go(self):
        guest = self.emulator.link(0x80)
        with self.daemon.connect() as link:
            handle = link.call('Lend', t.lend(1 << 20, label=77))['parcel']['handle']
            self.request(guest, 0x51000011, t.struct.pack('<IBBBBIHHHHHH', handle, 0, 1, 0x80, 0, 0, 0, 0,
                                                           0, 0, 0, 0))
            error = link.error('Reclaim', {'handle': handle})
            self.assertEqual((error.short, error.parameters), ('ParcelInUse', {'handle': handle, 'vms': [0x80]}))
        with self.daemon.connect() as link:
            t.wait_for(lambda: link.list()[0]['state'] == 'held' and link.list()[0]['reason'],
                       what='the parcel to be held without an owner')
            self.assertEqual(len(self.emulator.parcels()), 1)
            self.request(guest, 0x51000014, t.struct.pack('<II', handle, 0))
            self.request(guest, 0x51000017, t.struct.pack('<III', handle, 2, 0))
            t.wait_for(lambda: not link.list(), what='the parcel to be taken back')
        self.assertEqual(self.emulator.parcels(), [])
        guest.close()

    def with_guests(self):
        """Starts over with an emulator whose guests accept what is announced."""
        self.daemon.stop()
        self.emulator.stop()
        self.emulator = self.place.emulator = t.Emulator(self.place.folder, '--auto-accept')
        self.daemon.start()

    def test_held_pages_survive_the_holder_and_then_the_daemon(self):
        before = t.settled_pins()
        self.with_guests()
        with self.daemon.connect() as link:
            link.call('Lend', t.lend(4 << 20, notify=True))
            t.wait_for(lambda: link.list()[0]['state'] == 'held', what='the guest to accept')
            first = self.daemon.holder_pids()
            os.kill(first[0], signal.SIGKILL)
            t.wait_for(lambda: self.daemon.holder_pids() not in ([], first), what='another holder')
            t.wait_for_pins(before + 1024)
            # It takes over what the daemon has pinned, and the daemon may go too.
            self.assertEqual(self.daemon.stop(), 0)
        t.wait_for_pins(before + 1024)
        self.assertEqual(len(self.emulator.parcels()), 1)
        self.daemon.kill_holder()
        t.wait_for_pins(before)

    def test_what_a_vm_holds_stays_pinned_when_the_daemon_stops(self):
        before = t.settled_pins()
        self.with_guests()
        with self.daemon.connect() as link:
            parcel = link.call('Lend', t.lend(4 << 20, notify=True))['parcel']
            t.wait_for(lambda: link.list()[0]['holders'][0]['accepted'], what='the guest to accept')
            self.assertEqual(link.list()[0]['state'], 'held')
            self.assertEqual(link.error('Reclaim', {'handle': parcel['handle']}).short, 'ParcelInUse')
            self.assertEqual(self.daemon.stop(), 0)
        self.assertEqual(len(self.daemon.holder_pids()), 1)
        t.wait_for_pins(before + (4 << 20) // t.PAGE)
        self.daemon.kill_holder()
        t.wait_for_pins(before)

    def request(self, guest, msg_id, payload):
        """One request of a guest on its own link; it must be answered OK."""
        guest.send(t.struct.pack('<BBHI', 0x21, 1, 9, msg_id) + payload)
        reply = guest.recv(4096)
        self.assertEqual(t.struct.unpack('<I', reply[8:12])[0], 0, reply.hex())
        for _ in range(reply[1] >> 2):  # its continuations
            guest.recv(4096)


if __name__ == '__main__':
    if not t.IS_ROOT:
        print('main_job: real frame numbers need root; skipped')
        sys.exit(1 if os.environ.get('CI') else 77)
    unittest.main(verbosity=2)
