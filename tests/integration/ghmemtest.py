# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the integration tests share: a daemon and an emulator in a folder of their own, a Varlink
client that is not ours to trust (plain sockets and JSON), the emulator's control connection, and the
kernel's own books about pins and frames.

Programs come from the build tree: $GHMEM_BUILD, or the current directory.
"""
import array
import json
import mmap
import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

BUILD = os.path.abspath(os.environ.get('GHMEM_BUILD', '.'))
PAGE = 4096
IS_ROOT = os.geteuid() == 0
SANITIZED = bool(os.environ.get('GHMEM_SANITIZED'))

OPEN_POLICY = {'rules': [{
    'name': 'everyone', 'effect': 'allow',
    'operations': ['share', 'lend', 'reclaim', 'list', 'status', 'check', 'detach', 'admin'],
    'access': 'rwx', 'lifetimes': ['connection', 'detached'],
    'memory': {'sources': ['fd', 'allocate', 'private', 'copy']},
}]}


def program(path):
    return os.path.join(BUILD, path)


def wait_for(condition, seconds=10, what='condition'):
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError('%s did not come true within %s s' % (what, seconds))
        time.sleep(0.01)


class VarlinkError(Exception):
    def __init__(self, name, parameters):
        super().__init__('%s %s' % (name, json.dumps(parameters)))
        self.name, self.parameters = name, parameters
        self.short = name.rsplit('.', 1)[-1]


class Varlink:
    """One connection. Messages and descriptors exactly as they are, nothing checked on the way out."""

    def __init__(self, path, timeout=60):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.buffer = b''
        self.fds = []

    def close(self):
        self.socket.close()
        for fd in self.fds:
            os.close(fd)
        self.fds = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send_raw(self, data, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', fds))] if fds else []
        sent = self.socket.sendmsg([data], control)
        if sent < len(data):
            self.socket.sendall(data[sent:])

    def receive(self):
        """The next message, or None at the end of the connection."""
        while b'\0' not in self.buffer:
            data, control, _, _ = self.socket.recvmsg(1 << 16, socket.CMSG_SPACE(64))
            for level, kind, content in control:
                if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                    self.fds += array.array('i', content[:len(content) // 4 * 4])
            if not data:
                return None
            self.buffer += data
        message, self.buffer = self.buffer.split(b'\0', 1)
        return json.loads(message)

    def send(self, method, parameters=None, fds=(), **flags):
        message = dict(method='org.ghmem.Broker.' + method if '.' not in method else method, **flags)
        if parameters is not None:
            message['parameters'] = parameters
        self.send_raw(json.dumps(message).encode() + b'\0', fds)

    def call(self, method, parameters=None, fds=()):
        self.send(method, parameters, fds)
        return self.result()

    def result(self):
        reply = self.receive()
        if reply is None:
            raise EOFError('the connection was closed')
        if 'error' in reply:
            raise VarlinkError(reply['error'], reply.get('parameters', {}))
        return reply.get('parameters', {})

    def error(self, method, parameters=None, fds=()):
        """The error that a call must end with."""
        try:
            result = self.call(method, parameters, fds)
        except VarlinkError as error:
            return error
        raise AssertionError('%s %s was answered %s' % (method, parameters, result))

    def list(self):
        self.send('List', {}, more=True)
        parcels = []
        while True:
            reply = self.receive()
            if 'error' in reply:
                raise VarlinkError(reply['error'], reply.get('parameters', {}))
            if 'parcel' in reply['parameters']:
                parcels.append(reply['parameters']['parcel'])
            if not reply.get('continues'):
                return parcels

    def take_fd(self):
        return self.fds.pop(0)


def lend(size, vm=0x80, access='rw', **more):
    return dict(memory={'allocate': size}, grants=[{'vm': vm, 'access': access}], **more)


def lend_fd(vm=0x80, access='rw', **memory):
    return dict(memory=dict(memory, fd=memory.get('fd', 0)), grants=[{'vm': vm, 'access': access}])


class Emulator:
    """A stand-alone ghrm-emulator and its control connection."""

    def __init__(self, folder, *options):
        self.path = os.path.join(folder, 'rm.sock')
        self.log = open(os.path.join(folder, 'emulator.log'), 'wb')
        self.process = subprocess.Popen([program('tools/ghrm-emulator'), '--listen', self.path, *options],
                                        stdout=self.log, stderr=self.log)
        self.control = None
        wait_for(self.connect, what='the emulator')

    def connect(self):
        try:
            self.control = self.link(0xffff)
            return True
        except OSError:
            assert self.process.poll() is None, 'the emulator ended'
            return False

    def link(self, vmid):
        link = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        link.settimeout(20)
        try:
            link.connect(self.path)
        except OSError:
            link.close()
            raise
        link.send(struct.pack('<H', vmid))
        return link

    def command(self, text):
        self.control.send(text.encode())
        answer = self.control.recv(1 << 20).decode()
        assert answer.startswith('ok'), '%s: %s' % (text, answer)
        return answer

    def parcels(self):
        """The emulator's parcel lines, without the leading ok."""
        return [line for line in self.command('parcels').splitlines() if 'handle=' in line]

    def stop(self):
        self.control.close()
        self.process.terminate()
        self.log.close()
        return self.process.wait(20)


class Daemon:
    """A ghmemd in a folder; its holder is looked after too."""

    def __init__(self, folder, rm='emulator', policy=OPEN_POLICY, options=(), env=None):
        self.folder = folder
        self.state = os.path.join(folder, 'state')
        self.path = os.path.join(folder, 'varlink.sock')
        self.policy_dir = os.path.join(folder, 'policy.d')
        os.makedirs(self.policy_dir, exist_ok=True)
        self.write_policy(policy)
        self.rm, self.options, self.env = rm, options, env
        self.process = None
        self.start()

    def write_policy(self, policy, name='10-test.json'):
        path = os.path.join(self.policy_dir, name)
        with open(path, 'w') as stream:
            stream.write(policy if isinstance(policy, str) else json.dumps(policy, indent=1))
        os.chmod(path, 0o644)

    def arguments(self):
        return [program('daemon/ghmemd'), '--rm=' + self.rm, '--varlink=' + self.path, '--bus=none',
                '--state-dir=' + self.state, '--policy-dir=' + self.policy_dir, *self.options]

    def start(self):
        self.log = open(os.path.join(self.folder, 'daemon.log'), 'ab')
        self.process = subprocess.Popen(self.arguments(), stdout=self.log, stderr=self.log,
                                        env=dict(os.environ, **(self.env or {})))
        wait_for(self.is_up, 30, 'ghmemd')

    def is_up(self):
        assert self.process.poll() is None, 'ghmemd ended:\n' + self.log_text()
        try:
            Varlink(self.path).close()
            return True
        except OSError:
            return False

    def log_text(self):
        with open(os.path.join(self.folder, 'daemon.log')) as stream:
            return stream.read()

    def connect(self, **options):
        return Varlink(self.path, **options)

    def status(self):
        with self.connect() as link:
            return link.call('Status')['status']

    def ctl(self, *arguments, **options):
        return subprocess.run([program('tools/ghmemctl'), '--address=unix:' + self.path, *arguments],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=120, **options)

    def holder_pids(self):
        found = []
        for pid in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/cmdline' % pid, 'rb') as stream:
                    words = stream.read().split(b'\0')
            except OSError:
                continue
            if words[0].endswith(b'ghmemd-holder') and self.state.encode() in b' '.join(words):
                found.append(int(pid))
        return found

    def stop(self):
        """Orderly; returns the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(60)
        self.log.close()
        return status

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.log.close()

    def kill_holder(self):
        """A daemon that runs starts another one at once."""
        pids = self.holder_pids()
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not set(pids) & set(self.holder_pids()), what="the holder's end")


class Place:
    """A folder with an emulator and a daemon: with Place() as place: …"""

    def __init__(self, separate_emulator=True, emulator=(), **daemon):
        self.folder = tempfile.mkdtemp(prefix='ghmem-test.')
        os.chmod(self.folder, 0o755)
        self.emulator = self.daemon = None
        try:
            if separate_emulator:
                self.emulator = Emulator(self.folder, *emulator)
                daemon['rm'] = 'unix:' + self.emulator.path
            self.daemon = Daemon(self.folder, **daemon)
        except BaseException:
            self.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind and self.daemon:
            print('\n'.join(self.daemon.log_text().splitlines()[-50:]))
        self.close()

    def close(self):
        """Ends all of it; a daemon or emulator that does not end well (sanitizers!) fails the test."""
        log, status, rm_status = '', 0, 0
        if self.daemon:
            status = self.daemon.stop()
            self.daemon.kill_holder()
            log = self.daemon.log_text()
        if self.emulator:
            rm_status = self.emulator.stop()
        shutil.rmtree(self.folder, ignore_errors=True)
        if status not in (0, -signal.SIGKILL) or rm_status:
            print('\n'.join(log.splitlines()[-100:]))
            raise AssertionError('ghmemd ended with %d, ghrm-emulator with %d' % (status, rm_status))


# ---- the kernel's books ----

def pinned_pages():
    """Pages pinned on this machine, by the kernel's own count; each CPU adds its part once a second."""
    counts = {}
    with open('/proc/vmstat') as stream:
        for line in stream:
            name, value = line.split()
            counts[name] = int(value)
    return counts['nr_foll_pin_acquired'] - counts['nr_foll_pin_released']


def settled_pins():
    """The count when it no longer changes."""
    last = pinned_pages()
    while True:
        time.sleep(1.2)
        now = pinned_pages()
        if now == last:
            return now
        last = now


def wait_for_pins(pages):
    wait_for(lambda: pinned_pages() == pages, 30, 'the count of %d pinned pages' % pages)


def frames(fd, size):
    """Frame numbers behind a memfd, read independently of the daemon through a mapping of our own."""
    mapping = mmap.mmap(fd, size, mmap.MAP_SHARED, mmap.PROT_READ)
    inode = os.fstat(fd).st_ino
    # The address of the mapping, from the kernel's list: the one with this size and inode.
    with open('/proc/self/maps') as stream:
        for line in stream:
            words = line.split()
            first, last = (int(x, 16) for x in words[0].split('-'))
            if int(words[4]) == inode and last - first == size:
                break
        else:
            raise AssertionError('the mapping is not in /proc/self/maps')
    # A page that the kernel tries to move, in vain since it is pinned, looks absent for a moment.
    for _ in range(10):
        for i in range(0, size, PAGE):
            mapping[i]
        with open('/proc/self/pagemap', 'rb') as stream:
            stream.seek(first // PAGE * 8)
            data = stream.read(size // PAGE * 8)
        entries = struct.unpack('<%dQ' % (size // PAGE), data)
        if all(entry >> 63 for entry in entries):
            mapping.close()
            return [entry & ((1 << 55) - 1) for entry in entries]
    raise AssertionError('a page is not present')


def runs(frame_numbers):
    """Joined neighbours: (first frame, count)."""
    joined = []
    for frame in frame_numbers:
        if joined and joined[-1][0] + joined[-1][1] == frame:
            joined[-1][1] += 1
        else:
            joined.append([frame, 1])
    return joined


def descriptors(pid):
    return len(os.listdir('/proc/%d/fd' % pid))


def resident_bytes(pid):
    with open('/proc/%d/statm' % pid) as stream:
        return int(stream.read().split()[1]) * PAGE


def sealed_memfd(size, seals=0x2):
    import fcntl
    fd = os.memfd_create('test', os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    if seals:
        fcntl.fcntl(fd, 1033, seals)  # F_ADD_SEALS; 2 is F_SEAL_SHRINK
    return fd


def messages_for(regions):
    return 1 if regions <= 512 else 1 + -(-(regions - 512) // 512)
