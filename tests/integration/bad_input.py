#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every kind of bad input gets its named error, and only its sender feels it."""
import json
import os
import socket
import tempfile
import unittest

import ghmemtest as t

MIB = 1 << 20


class BadInput(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.place = t.Place(separate_emulator=False)
        cls.daemon = cls.place.daemon
        cls.bystander = cls.daemon.connect()
        cls.bystander.call('Status')

    @classmethod
    def tearDownClass(cls):
        cls.bystander.close()
        cls.place.close()

    def setUp(self):
        self.link = self.daemon.connect()
        self.assert_alive()  # so it is counted
        self.before = t.descriptors(self.daemon.process.pid)

    def tearDown(self):
        """Whatever was sent: nobody else felt it, and nothing is left of it."""
        self.link.close()
        self.assertIsNone(self.daemon.process.poll())
        status = self.bystander.call('Status')['status']
        self.assertEqual((status['parcels'], status['slots_used'], status['pinned_pages']), (0, 0, 0))
        t.wait_for(lambda: t.descriptors(self.daemon.process.pid) <= self.before, what='descriptors to go')

    def assert_alive(self):
        """The connection goes on."""
        self.assertIn('status', self.link.call('Status'))

    def assert_error(self, short, parameters, fds=(), method='Lend', **expected):
        error = self.link.error(method, parameters, fds)
        self.assertEqual(error.short, short, error)
        for key, value in expected.items():
            self.assertIn(value, error.parameters[key], error)
        self.assert_alive()
        return error

    # ---- memory ----

    def test_file_on_disk_instead_of_a_memfd(self):
        with tempfile.TemporaryFile(dir=self.place.folder) as file:
            file.truncate(MIB)
            self.assert_error('MemoryInvalid', t.lend_fd(), [file.fileno()], reason='not a memfd')

    def test_device_pipe_and_socket(self):
        a, b = socket.socketpair()
        r, w = os.pipe()
        null = os.open('/dev/null', os.O_RDWR)
        for fd in (a.fileno(), r, w, null):
            self.assert_error('MemoryInvalid', t.lend_fd(), [fd], reason='not a memfd')
        for fd in (r, w, null):
            os.close(fd)
        a.close(), b.close()

    def test_unsealed_memfd_is_sealed_by_the_daemon(self):
        import fcntl
        fd = t.sealed_memfd(MIB, seals=0)
        handle = self.link.call('Lend', t.lend_fd(), [fd])['parcel']['handle']
        self.assertTrue(fcntl.fcntl(fd, 1034) & 2, 'F_SEAL_SHRINK is not set')
        with self.assertRaises(PermissionError):
            os.ftruncate(fd, 0)
        self.link.call('Reclaim', {'handle': handle})
        os.close(fd)

    def test_memfd_that_cannot_be_sealed(self):
        fd = os.memfd_create('test', os.MFD_CLOEXEC)
        os.ftruncate(fd, MIB)
        self.assert_error('MemoryInvalid', t.lend_fd(), [fd], reason='F_SEAL_SHRINK')
        os.close(fd)

    def test_numbers_that_make_no_memory(self):
        fd = t.sealed_memfd(MIB)
        rows = [
            (dict(offset=100), 'memory.offset 100 is not a multiple'),
            (dict(size=100), 'memory.size 100 is not a multiple'),
            (dict(size=0), 'memory.size 0'),
            (dict(size=2 * MIB), 'reaches beyond'),
            (dict(offset=MIB), 'not inside'),
            (dict(offset=4096, size=MIB), 'reaches beyond'),
            (dict(offset=(1 << 63) - 4096, size=4096), 'not inside'),
            (dict(offset=4096, size=(1 << 63) - 4096), 'reaches beyond'),
        ]
        for memory, reason in rows:
            with self.subTest(memory):
                self.assert_error('MemoryInvalid', t.lend_fd(**memory), [fd], reason=reason)
        for size, reason in ((0, 'memory.allocate 0'), (100, 'not a multiple'), (1 << 50, 'available')):
            with self.subTest(allocate=size):
                self.assert_error('MemoryInvalid', t.lend(size), reason=reason)
        os.close(fd)

    def test_read_only_descriptor(self):
        fd = t.sealed_memfd(MIB)
        again = os.open('/proc/self/fd/%d' % fd, os.O_RDONLY)
        self.assert_error('MemoryInvalid', t.lend_fd(), [again], reason='reading and writing')
        os.close(again)
        os.close(fd)

    # ---- parameters ----

    def test_wrong_fields_are_named(self):
        fd = t.sealed_memfd(MIB)
        grant = {'vm': 0x80, 'access': 'rw'}
        memory = {'allocate': MIB}
        rows = [
            (dict(memory=memory, grants=[]), 'grants'),
            (dict(memory=memory), 'grants'),
            (dict(memory=memory, grants=7), 'grants'),
            (dict(memory=memory, grants=[7]), 'grants[0]'),
            (dict(memory=memory, grants=[{'vm': 0x80, 'access': 'wx'}]), 'grants[0].access'),
            (dict(memory=memory, grants=[{'vm': 0x80, 'access': ''}]), 'grants[0].access'),
            (dict(memory=memory, grants=[{'vm': 0x80, 'access': 6}]), 'grants[0].access'),
            (dict(memory=memory, grants=[{'vm': 0x80}]), 'grants[0].access'),
            (dict(memory=memory, grants=[{'vm': 70000, 'access': 'r'}]), 'grants[0].vm'),
            (dict(memory=memory, grants=[{'vm': -1, 'access': 'r'}]), 'grants[0].vm'),
            (dict(memory=memory, grants=[{'vm': '128', 'access': 'r'}]), 'grants[0].vm'),
            (dict(memory=memory, grants=[{'access': 'r'}]), 'grants[0].vm'),
            (dict(memory=memory, grants=[grant, dict(grant, access='x')]), 'grants[1].access'),
            (dict(memory=memory, grants=[grant, grant]), 'grants'),
            (dict(memory=memory, grants=[{'vm': 3, 'access': 'rw'}]), 'grants'),
            (dict(memory=memory, grants=[{'vm': v, 'access': 'r'} for v in range(4, 300)]), 'grants'),
            (dict(grants=[grant]), 'memory'),
            (dict(memory=7, grants=[grant]), 'memory'),
            (dict(memory={}, grants=[grant]), 'memory'),
            (dict(memory={'allocate': MIB, 'fd': 0}, grants=[grant]), 'memory'),
            (dict(memory={'allocate': '1M'}, grants=[grant]), 'memory.allocate'),
            (dict(memory={'allocate': 4096.0}, grants=[grant]), 'memory.allocate'),
            (dict(memory={'allocate': MIB, 'offset': 0}, grants=[grant]), 'memory.offset'),
            (dict(memory={'allocate': MIB, 'frobnicate': 1}, grants=[grant]), 'memory.frobnicate'),
            (dict(memory=memory, grants=[grant], label='x'), 'label'),
            (dict(memory=memory, grants=[grant], label=1 << 32), 'label'),
            (dict(memory=memory, grants=[grant], lifetime='forever'), 'lifetime'),
            (dict(memory=memory, grants=[grant], memory_type='rom'), 'memory_type'),
            (dict(memory=memory, grants=[grant], sanitize=1), 'sanitize'),
            (dict(memory=memory, grants=[grant], host_access='rw'), 'host_access'),  # Lend has none
            (dict(memory=memory, grants=[grant], typo=True), 'typo'),
        ]
        for parameters, field in rows:
            with self.subTest(json.dumps(parameters)[:100]):
                error = self.assert_error('InvalidParameter', parameters)
                self.assertEqual(error.parameters['parameter'], field)
        os.close(fd)

    def test_descriptor_that_was_not_passed(self):
        fd = t.sealed_memfd(MIB)
        for fds, index in (((), 0), ((fd,), 1), ((fd,), 4711)):
            error = self.assert_error('InvalidParameter', t.lend_fd(fd=index), fds)
            self.assertEqual(error.parameters['parameter'], 'memory.fd')
        os.close(fd)

    def test_handles_that_are_none(self):
        for method in ('Describe', 'Reclaim'):
            error = self.assert_error('ParcelNotFound', {'handle': 4711}, method=method)
            self.assertEqual(error.parameters, {'handle': 4711})
            for handle in (-1, 1 << 32, '0', None):
                error = self.assert_error('InvalidParameter', {'handle': handle}, method=method)
                self.assertEqual(error.parameters, {'parameter': 'handle'})
            self.assert_error('InvalidParameter', {}, method=method)

    def test_methods_and_interfaces_that_are_none(self):
        for method, error, parameters in (
                ('org.ghmem.Broker.Frob', 'MethodNotFound', {'method': 'Frob'}),
                ('org.example.Other.Frob', 'InterfaceNotFound', {'interface': 'org.example.Other'})):
            got = self.link.error(method, {})
            self.assertEqual(got.short, error)
            self.assertEqual(got.name, 'org.varlink.service.' + error)
        self.assertEqual(self.link.error('List', {}).short, 'ExpectedMore')
        self.assert_alive()

    # ---- answers ----

    def test_answer_that_cannot_be_delivered_takes_the_parcel_back(self):
        before = self.daemon.log_text().count('reclaim of')
        for lifetime in ('detached', 'connection'):
            with self.subTest(lifetime), self.daemon.connect() as deaf:
                deaf.socket.shutdown(socket.SHUT_RD)
                deaf.send('Lend', t.lend(MIB, lifetime=lifetime))
                t.wait_for(lambda: self.daemon.log_text().count('reclaim of') > before, what='the parcel to come back')
                before += 1
                self.assertEqual(self.daemon.log_text().count('granted'), before)

    def test_manager_path_that_is_no_utf8(self):
        with tempfile.TemporaryDirectory(suffix='\udcff') as odd, tempfile.TemporaryDirectory() as folder:
            emulator = t.Emulator(odd)
            daemon = t.Daemon(folder, rm='unix:' + emulator.path)
            try:
                manager = daemon.status()['manager']
                self.assertEqual(manager, 'unix:' + emulator.path.replace('\udcff', '?'))
            finally:
                self.assertEqual(daemon.stop(), 0)
                daemon.kill_holder()
                emulator.stop()

    # ---- framing ----

    def assert_refused_and_closed(self, data):
        """One error, then the end of this connection."""
        try:
            self.link.send_raw(data)
        except (BrokenPipeError, ConnectionResetError):
            pass
        try:
            reply = self.link.receive()
            if reply is not None:
                self.assertEqual(reply['error'], 'org.varlink.service.InvalidParameter')
                self.assertIsNone(self.link.receive())
        except ConnectionResetError:
            pass

    def test_seventeen_mebibytes(self):
        text = b'{"method":"org.ghmem.Broker.Status","parameters":{"x":"' + b'a' * (17 * MIB) + b'"}}\0'
        self.assert_refused_and_closed(text)

    def test_just_under_sixteen_mebibytes_is_read(self):
        head, tail = b'{"method":"org.ghmem.Broker.Status","parameters":{"x":"', b'"}}'
        self.link.send_raw(head + b'a' * (16 * MIB - len(head) - len(tail)) + tail + b'\0')
        self.assertEqual(self.link.receive()['parameters'], {'parameter': 'x'})
        self.assert_alive()

    def test_what_is_no_json_object(self):
        for data in (b'{"method":"org.ghmem.Broker.Sta\0', b'\0', b'\0\0\0', b'[]\0', b'7\0', b'"x"\0', b'nul\0',
                     b'{"method":"org.ghmem.Broker.Status\xff\xfe"}\0', b'{"method":"a\\u0000b"}\0',
                     b'{"method":"x.y","method":"x.y"}\0', b'{"parameters":{}}\0', b'{"method":7}\0',
                     b'[' * 100000 + b'\0', b'\x80' * 1000 + b'\0', b'{"method":"a.b"}garbage\0'):
            with self.subTest(data[:30]):
                self.link.close()
                self.link = self.daemon.connect()
                self.assert_refused_and_closed(data)

    def test_half_a_message_and_then_nothing(self):
        fd = t.sealed_memfd(MIB)
        self.link.send_raw(b'{"method":"org.ghmem.Broker.Lend","parameters":{', [fd])
        self.link.close()
        os.close(fd)

    def test_a_flood_of_descriptors(self):
        fds = [os.open('/dev/null', os.O_RDONLY) for _ in range(200)]
        try:
            self.link.send_raw(b'{"method":"org.ghmem.Broker.Status"}\0', fds)
        except OSError:
            pass
        self.assert_refused_and_closed(b'')
        for fd in fds:
            os.close(fd)

    def test_byte_by_byte(self):
        for byte in b'{"method":"org.varlink.service.GetInfo"}\0':
            self.link.send_raw(bytes([byte]))
        info = self.link.result()
        self.assertIn('org.ghmem.Broker', info['interfaces'])
        self.assertIn('org.varlink.service', info['interfaces'])

    def test_pipelined_calls_are_answered_in_order(self):
        calls = b''.join(json.dumps({'method': 'org.ghmem.Broker.Describe', 'parameters': {'handle': i}}).encode()
                         + b'\0' for i in range(1000))
        self.link.send_raw(calls)
        for i in range(1000):
            self.assertEqual(self.link.receive()['parameters'], {'handle': i})

    def test_interface_definition_is_served(self):
        for name in ('org.ghmem.Broker', 'org.varlink.service'):
            text = self.link.call('org.varlink.service.GetInterfaceDescription', {'interface': name})['description']
            self.assertIn('interface ' + name, text)


if __name__ == '__main__':
    unittest.main(verbosity=2)
