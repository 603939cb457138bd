# SPDX-License-Identifier: LGPL-2.1-or-later
"""A Varlink server that tests of ghmemctl script, and what these tests share."""

import contextlib
import json
import os
import socket
import subprocess
import tempfile
import threading
import unittest

CTL = os.path.abspath(os.environ.get("GHMEMCTL", "tools/ghmemctl"))
SOURCE = os.path.abspath(
    os.environ.get("srcdir", os.path.join(os.path.dirname(__file__), "..", "..")))
TIMEOUT = 30
BROKER = "org.ghmem.Broker."
DONE, FAILED, USAGE, DENIED, UNREACHABLE, NO_PARCEL = range(6)


def parcel(**changes):
    made = {
        "id": "p-1", "handle": 7, "operation": "lend", "memory_type": "normal", "label": 43690,
        "state": "offered", "size": 1 << 20, "regions": 3, "messages": 1,
        "holders": [{"vm": 128, "access": "rw", "accepted": False}],
        "lifetime": "connection", "uid": 1000, "pid": 4242, "unit": "crosvm@a.service",
        "rule": "media-guests", "age": 65_000_000,
    }
    made.update(changes)
    return made


class Close:
    """A step of a script: the server hangs up."""


class Wait:
    """A step of a script: the server says nothing more until the client hangs up."""


class Server:
    """Answers each method with its script: a list of dicts (reply objects), (dict, fds) pairs, raw
    bytes, Close or Wait; or a function from (call, fds) to such a list."""

    def __init__(self, scripts, chunk=None):
        self.directory = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.directory.name, "broker")
        self.scripts = scripts
        self.chunk = chunk
        self.calls = []
        self.fds = []
        self.hung_up = threading.Event()
        self.changed = threading.Condition()
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(self.path)
        self.listener.listen()
        self.connections = []
        threading.Thread(target=self.accept, daemon=True).start()

    def __enter__(self):
        return self

    def stop_listening(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def __exit__(self, *_):
        self.stop_listening()
        for connection in self.connections:
            connection.close()
        for fd in self.fds:
            os.close(fd)
        self.directory.cleanup()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections.append(connection)
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def send(self, connection, data, fds=()):
        if fds:
            sent = socket.send_fds(connection, [data], fds)
            data = data[sent:]
        step = self.chunk or len(data) or 1
        for i in range(0, len(data), step):
            connection.sendall(data[i:i + step])

    def serve(self, connection):
        with contextlib.suppress(OSError):
            self.converse(connection)
        self.hung_up.set()
        connection.close()

    def converse(self, connection):
        data, fds = b"", []
        while True:
            while b"\0" not in data:
                more, got, _, _ = socket.recv_fds(connection, 65536, 16)
                if not more:
                    return
                data += more
                fds += got
            frame, data = data.split(b"\0", 1)
            call = json.loads(frame)
            with self.changed:
                self.calls.append(call)
                self.fds += fds
                self.changed.notify_all()
            script = self.scripts[call["method"]]
            for step in script(call, fds) if callable(script) else script:
                if step is Close:
                    return
                if step is Wait:
                    connection.recv(1)
                    return
                if isinstance(step, bytes):
                    self.send(connection, step)
                elif isinstance(step, tuple):
                    self.send(connection, json.dumps(step[0]).encode() + b"\0", step[1])
                else:
                    self.send(connection, json.dumps(step).encode() + b"\0")
            fds = []

    def wait_for(self, method):
        with self.changed:
            found = self.changed.wait_for(
                lambda: any(c["method"] == BROKER + method for c in self.calls), TIMEOUT)
        if not found:
            raise AssertionError(f"{method} was not called")

    def parameters(self, method):
        return [c.get("parameters") for c in self.calls if c["method"] == BROKER + method]


def reply(**parameters):
    return {"parameters": parameters}


def error(name, /, **parameters):
    return {"error": name, "parameters": parameters}


def memfd(size=1 << 20):
    fd = os.memfd_create("test")
    os.ftruncate(fd, size)
    return fd


def given(operation, **changes):
    """A script that answers Share or Lend with a descriptor, and Reclaim."""
    def answer(call, _):
        if "allocate" in call["parameters"]["memory"] and not call["parameters"]["memory"].get(
                "private"):
            fd = memfd()
            os.pwrite(fd, b"from the broker", 0)
            return [(reply(parcel=parcel(operation=operation.lower(), **changes), fd=0), [fd])]
        return [reply(parcel=parcel(operation=operation.lower(), **changes))]
    return {BROKER + operation: answer, BROKER + "Reclaim": [{}]}


class Case(unittest.TestCase):
    def environment(self):
        kept = {k: v for k, v in os.environ.items() if k not in ("GHMEM_ADDRESS", "NO_COLOR")}
        return dict(kept, LC_ALL="C.UTF-8", TZ="UTC")

    def start(self, server, *arguments, **options):
        process = subprocess.Popen(
            [CTL, f"--address=unix:{server.path}", *arguments], stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=self.environment(),
            **options)
        self.addCleanup(self.finish, process)
        return process

    @staticmethod
    def finish(process):
        if process.poll() is None:
            process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()

    def run_ctl(self, server, *arguments, **options):
        path = server.path if server else "/nonexistent/broker"
        return subprocess.run(
            [CTL, f"--address=unix:{path}", *arguments], capture_output=True, text=True,
            timeout=TIMEOUT, stdin=subprocess.DEVNULL, env=self.environment(), **options)

    def assert_failed(self, done, status, *words):
        self.assertEqual(done.returncode, status, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertTrue(done.stderr.startswith("ghmemctl: "), done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)

    def stop_holding(self, process, number):
        process.send_signal(number)
        process.wait(TIMEOUT)
