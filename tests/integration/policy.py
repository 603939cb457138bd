#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Policy as it is lived with: who is refused by which rule, reloads, faulty files."""
import json
import os
import signal
import subprocess
import sys
import unittest

import ghmemtest as t

NOBODY = 65534
POLICY = {'rules': [
    {'name': 'no-nobody', 'effect': 'deny', 'subject': {'users': [NOBODY]}, 'operations': ['lend']},
    {'name': 'own', 'effect': 'allow', 'subject': {'users': [os.geteuid()]},
     'operations': ['share', 'lend', 'reclaim', 'list', 'status', 'check', 'admin'],
     'vms': ['0x80-0x82'], 'access': 'rw', 'memory': {'sources': ['fd', 'allocate', 'private']},
     'limits': {'parcels': 2, 'bytes': '8M'}},
    {'name': 'ask', 'effect': 'allow', 'operations': ['status', 'list', 'share', 'check'],
     'memory': {'sources': ['allocate']}},
]}


def as_uid(uid, call, *arguments):
    """Runs a call in a child of another uid and returns its JSON result."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            result = call(*arguments)
        except BaseException as error:
            result = {'exception': repr(error)}
        os.write(write, json.dumps(result).encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        result = json.load(stream)
    os.waitpid(pid, 0)
    return result


def try_call(path, method, parameters):
    with t.Varlink(path) as link:
        try:
            return {'ok': link.call(method, parameters)}
        except t.VarlinkError as error:
            return {'error': error.short, 'parameters': error.parameters}


class Policy(unittest.TestCase):
    def setUp(self):
        self.place = t.Place(separate_emulator=False, policy=POLICY)
        self.addCleanup(self.place.close)
        self.daemon = self.place.daemon

    def test_every_boundary_of_a_rule(self):
        rows = [
            (t.lend(4096, vm=0x80), None), (t.lend(4096, vm=0x82), None), (t.lend(4096, vm=0x83), 'PolicyDenied'),
            (t.lend(4096, access='r'), None), (t.lend(4096, access='rwx'), 'PolicyDenied'),
            (t.lend(4096, access='rx'), 'PolicyDenied'), (t.lend(4096, lifetime='detached'), 'PolicyDenied'),
            (t.lend(8 << 20), None), (t.lend((8 << 20) + 4096), 'QuotaExceeded'),
            (dict(memory={'allocate': 4096}, grants=[{'vm': 0x80, 'access': 'r'}, {'vm': 0x83, 'access': 'r'}]),
             'PolicyDenied'),
        ]
        for parameters, error in rows:
            with self.subTest(parameters), self.daemon.connect() as link:
                if error:
                    self.assertEqual(link.error('Lend', parameters).short, error)
                else:
                    handle = link.call('Lend', parameters)['parcel']['handle']
                    link.call('Reclaim', {'handle': handle})

    def test_private_memory_is_not_passed_to_anybody(self):
        with self.daemon.connect() as link:
            reply = link.call('Lend', dict(memory={'allocate': 4096, 'private': True},
                                           grants=[{'vm': 0x80, 'access': 'rw'}]))
            self.assertIsNone(reply['fd'])
            self.assertEqual(link.fds, [])

    def test_quota_names_limit_use_and_rule(self):
        with self.daemon.connect() as link:
            for _ in range(2):
                link.call('Lend', t.lend(4096))
            error = link.error('Lend', t.lend(4096))
            self.assertEqual((error.short, error.parameters['limit'], error.parameters['used'],
                              error.parameters['maximum']), ('QuotaExceeded', 'parcels', 2, 2))
            self.assertIn('10-test.json', error.parameters['reason'])

    def test_another_user_is_refused_by_name_and_sees_nothing(self):
        if not t.IS_ROOT:
            self.skipTest('becoming another user needs root')
        with self.daemon.connect() as link:
            handle = link.call('Lend', t.lend(4096))['parcel']['handle']
            path = self.daemon.path
            self.assertEqual(as_uid(NOBODY, try_call, path, 'Lend', t.lend(4096))['parameters']['rule'], 'no-nobody')
            denied = as_uid(4711, try_call, path, 'Lend', t.lend(4096))
            self.assertEqual((denied['error'], denied['parameters']['rule']), ('PolicyDenied', None))
            for method in ('Describe', 'Reclaim'):
                self.assertEqual(as_uid(NOBODY, try_call, path, method, {'handle': handle})['error'],
                                 'ParcelNotFound')
            self.assertIn('ok', as_uid(NOBODY, try_call, path, 'Share', t.lend(4096)))
            self.assertEqual(as_uid(NOBODY, try_call, path, 'Reload', {})['error'], 'PolicyDenied')
            self.assertEqual(as_uid(NOBODY, try_call, path, 'Check', dict(t.lend(4096), operation='lend', uid=0))
                             ['error'], 'PolicyDenied')
            self.assertEqual(link.call('Describe', {'handle': handle})['parcel']['rule'], 'own')

    def test_check_says_what_the_decision_would_be(self):
        with self.daemon.connect() as link:
            good = link.call('Check', dict(t.lend(4096), operation='lend'))
            self.assertEqual((good['allowed'], good['rule']), (True, 'own'))
            bad = link.call('Check', dict(t.lend(4096), operation='lend', uid=NOBODY))
            self.assertEqual((bad['allowed'], bad['rule']), (False, 'no-nobody'))
            regions = dict(operation='lend', memory={'regions': [{'address': 0, 'size': 4096}]},
                           grants=[{'vm': 0x80, 'access': 'rw'}])
            self.assertFalse(link.call('Check', regions)['allowed'])
            regions['memory'] = {'regions': 'nonsense'}
            self.assertEqual(link.error('Check', regions).parameters, {'parameter': 'memory.regions'})

    def test_reload_takes_effect_and_a_faulty_file_does_not(self):
        with self.daemon.connect() as link:
            link.call('Lend', t.lend(4096))
            changed = json.loads(json.dumps(POLICY))
            changed['rules'][1]['vms'] = [0x81]
            self.daemon.write_policy(changed)
            self.assertEqual(link.call('Reload'), {'files': 1, 'rules': 3})
            self.assertEqual(link.error('Lend', t.lend(4096, vm=0x80)).short, 'PolicyDenied')
            self.daemon.write_policy('{"rules": [\n  {"name": "x", "effect": "alow"}\n]}')
            error = link.error('Reload')
            self.assertEqual(error.short, 'PolicyInvalid')
            self.assertIn('10-test.json:2:', error.parameters['reason'])
            self.assertEqual(link.error('Lend', t.lend(4096, vm=0x80)).short, 'PolicyDenied')
            self.assertEqual(len(link.list()), 1)

    def test_sighup_reloads(self):
        with self.daemon.connect() as link:
            changed = json.loads(json.dumps(POLICY))
            changed['rules'][1]['vms'] = [0x81]
            self.daemon.write_policy(changed)
            self.daemon.process.send_signal(signal.SIGHUP)
            t.wait_for(lambda: 'policy read again' in self.daemon.log_text(), what='the reload')
            self.assertEqual(link.error('Lend', t.lend(4096, vm=0x80)).short, 'PolicyDenied')

    def test_faulty_file_at_the_start_refuses_it_and_names_the_place(self):
        self.daemon.stop()
        self.daemon.write_policy('{"rules": [\n  {"nam": "x", "effect": "allow"}\n]}')
        done = subprocess.run(self.daemon.arguments(), stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn('10-test.json:2:', done.stderr)
        self.daemon.write_policy(POLICY)
        self.daemon.start()

    def test_the_build_tree_finds_the_shipped_policy(self):
        self.daemon.stop()
        arguments = [a for a in self.daemon.arguments() if not a.startswith('--policy-dir')]
        with open(os.devnull, 'w') as null:
            process = subprocess.Popen(arguments, stderr=null)
        try:
            link = t.wait_for(lambda: os.path.exists(self.daemon.path) and self.daemon.connect(), what='ghmemd')
            if t.IS_ROOT:
                self.assertGreaterEqual(link.call('Status')['status']['policy_rules'], 1)
                link.call('Lend', t.lend(4096))
            else:
                self.assertEqual(link.error('Status').short, 'PolicyDenied')
            link.close()
        finally:
            process.terminate()
            self.assertEqual(process.wait(30), 0)
        self.daemon.start()

    def test_socket_of_a_living_daemon_is_left_alone(self):
        other = os.path.join(self.place.folder, 'other')
        arguments = [a.replace(self.daemon.state, other) for a in self.daemon.arguments()]
        done = subprocess.run(arguments, stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertEqual(done.returncode, 1)
        self.assertIn('another program listens', done.stderr)
        done = subprocess.run(self.daemon.arguments(), stderr=subprocess.PIPE, text=True, timeout=30)
        self.assertIn('another ghmemd uses the state directory', done.stderr)
        with self.daemon.connect() as link:
            link.call('Status')


if __name__ == '__main__':
    if not t.IS_ROOT and os.environ.get('CI'):
        print('policy: the part with other users needs root')
        sys.exit(1)
    unittest.main(verbosity=2)
