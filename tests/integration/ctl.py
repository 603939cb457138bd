#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ghmemctl: what it asks for, and how long it holds what it got."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from ctl_server import (
    BROKER, CTL, Case, Close, FAILED, Server, TIMEOUT, Wait, error, given, memfd, parcel,
    reply)


class Wire(Case):
    """Options into parameters."""

    def asked(self, method, *arguments, **options):
        scripts = given(method) if method != "Donate" else {
            BROKER + "Donate": [reply(parcel=parcel(operation="donate"))]}
        with Server(scripts) as server:
            extra = () if method == "Donate" else ("--", "true")
            done = self.run_ctl(server, method.lower(), *arguments, *extra, **options)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.stats = [os.fstat(fd) for fd in server.fds]
            self.seals = [fcntl.fcntl(fd, fcntl.F_GET_SEALS) for fd in server.fds]
            self.contents = [os.pread(fd, 1 << 20, 0) for fd in server.fds]
            return server.parameters(method)[0]

    GRANT = [{"vm": 128, "access": "rw"}]

    def test_only_what_was_said_is_sent(self):
        self.assertEqual(
            self.asked("Lend", "--vm=0x80:rw", "--size=1M"),
            {"memory": {"allocate": 1 << 20}, "grants": self.GRANT})

    def test_every_option_of_share(self):
        self.assertEqual(
            self.asked("Share", "--vm", "128:rw", "--vm=0x81:r", "--vm=130:rx", "--vm=131:rwx",
                       "--size=2G", "--pool", "--private", "--type=io", "--label=0x10",
                       "--host-access=r", "--sanitize", "--notify", "--wait=1500"),
            {"memory": {"allocate": 2 << 30, "private": True, "pool": True},
             "grants": [{"vm": 128, "access": "rw"}, {"vm": 129, "access": "r"},
                        {"vm": 130, "access": "rx"}, {"vm": 131, "access": "rwx"}],
             "memory_type": "io", "label": 16, "host_access": "r", "sanitize": True,
             "notify": True, "wait": 1500})

    def test_size_suffixes(self):
        for text, number in (("4096", 4096), ("0x1000", 4096), ("4K", 4096), ("3m", 3 << 20),
                             ("1G", 1 << 30), ("2T", 2 << 40)):
            with self.subTest(text):
                asked = self.asked("Lend", "--vm=128:rw", f"--size={text}")
                self.assertEqual(asked["memory"], {"allocate": number})

    def test_regions_keep_their_order(self):
        asked = self.asked("Lend", "--vm=128:rw", "--region=0x9000000+64K",
                           "--region=0x8000000+0x1000", "--type=io")
        self.assertEqual(asked["memory"], {"regions": [
            {"address": 0x9000000, "size": 65536}, {"address": 0x8000000, "size": 4096}]})

    def test_many_regions_travel_in_a_sealed_memfd(self):
        regions = [f"--region={0x1000000 + i * 8192:#x}+4K" for i in range(2000)]
        asked = self.asked("Lend", "--vm=128:rw", *regions)
        self.assertEqual(asked["memory"], {"regions_fd": 0})
        self.assertEqual(self.stats[0].st_size, 2000 * 16)
        self.assertEqual(self.contents[0][16:32],
                         (0x1002000).to_bytes(8, "little") + (4096).to_bytes(8, "little"))
        self.assertEqual(self.seals[0], fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK |
                         fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)

    def test_a_file_becomes_a_sealed_memfd_of_whole_pages(self):
        with tempfile.NamedTemporaryFile() as file:
            file.write(b"kernel" * 1000)
            file.flush()
            asked = self.asked("Share", "--vm=128:r", f"--file={file.name}")
        self.assertEqual(asked["memory"], {"fd": 0})
        self.assertEqual(self.stats[0].st_size, 8192)
        self.assertEqual(self.contents[0], b"kernel" * 1000 + bytes(8192 - 6000))
        self.assertEqual(self.seals[0], fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)

    def test_an_inherited_descriptor_with_offset_and_length(self):
        fd = memfd(1 << 20)
        self.addCleanup(os.close, fd)
        asked = self.asked("Lend", "--vm=128:rw", f"--fd={fd}", "--offset=8K", "--length=4K",
                           "--copy", pass_fds=[fd])
        self.assertEqual(asked["memory"], {"fd": 0, "offset": 8192, "size": 4096, "copy": True})
        self.assertEqual(self.stats[0].st_ino, os.fstat(fd).st_ino)

    def test_donate_names_one_vm_and_no_access(self):
        for vm in ("0x80", "0x80:rw"):
            with self.subTest(vm):
                self.assertEqual(
                    self.asked("Donate", f"--vm={vm}", "--size=1M", "--sanitize"),
                    {"vm": 128, "memory": {"allocate": 1 << 20}, "sanitize": True})

    def test_reclaim(self):
        for arguments, expected in (
                (["reclaim", "7"], {"handle": 7}), (["reclaim", "0"], {"handle": 0}),
                (["reclaim", "0xffffffff", "--sanitize", "--force"],
                 {"handle": 0xffffffff, "sanitize": True, "force": True}),
                (["--offset=4K", "reclaim", "7"], {"handle": 7, "offset": 4096})):
            with self.subTest(arguments), Server({BROKER + "Reclaim": [{}]}) as server:
                done = self.run_ctl(server, *arguments)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertEqual(server.parameters("Reclaim"), [expected])

    def test_check(self):
        script = {BROKER + "Check": [reply(allowed=True, rule="r", reason="because")]}
        for arguments, expected in (
                (["check", "lend", "--vm=128:rw", "--size=1M", "--detach", "--label=5"],
                 {"operation": "lend", "grants": self.GRANT, "memory": {"allocate": 1 << 20},
                  "lifetime": "detached", "label": 5}),
                (["check", "--operation=reclaim", "--uid=1001"],
                 {"operation": "reclaim", "grants": [], "uid": 1001})):
            with self.subTest(arguments), Server(script) as server:
                self.assertEqual(self.run_ctl(server, *arguments).returncode, 0)
                self.assertEqual(server.parameters("Check"), [expected])

    def test_list_and_monitor_ask_for_more_and_others_do_not(self):
        event = reply(event={"kind": "policy_reloaded", "time": 1})
        for command, method, more in (("list", "List", True), ("monitor", "Monitor", True),
                                      ("status", "Status", None)):
            answers = {"List": [reply()], "Monitor": [event], "Status": [reply(status={})]}
            with self.subTest(command), Server({BROKER + method: answers[method]}) as server:
                self.assertEqual(self.run_ctl(server, command).returncode, 0)
                self.assertEqual(server.calls[0].get("more"), more)


class Holding(Case):
    """How long a parcel lives, and how it ends."""

    def test_prints_at_once_holds_until_a_signal_and_reclaims(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            with self.subTest(number), Server(given("Lend")) as server:
                process = self.start(server, "--json", "lend", "--vm=128:rw", "--size=1M")
                self.assertEqual(json.loads(process.stdout.readline()), parcel())
                time.sleep(0.1)
                self.assertIsNone(process.poll())
                self.assertFalse(server.hung_up.is_set())
                self.stop_holding(process, number)
                self.assertEqual(process.returncode, 0, process.stderr.read())
                self.assertEqual(server.parameters("Reclaim"), [{"handle": 7}])

    def test_a_piece_of_a_pool_is_reclaimed_as_a_piece(self):
        script = {BROKER + "Share": [reply(parcel=parcel(operation="share"), offset=8192)],
                  BROKER + "Reclaim": [{}]}
        with Server(script) as server:
            done = self.run_ctl(server, "share", "--vm=128:rw", "--size=4K", "--pool", "--json",
                                "--", "true")
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(json.loads(done.stdout)["offset"], 8192)
            self.assertEqual(server.parameters("Reclaim"), [{"handle": 7, "offset": 8192}])

    def test_the_command_gets_the_memory_and_its_number(self):
        read = "import os,sys; print(os.pread(int(sys.argv[1]), 15, 0).decode(), sys.argv[2])"
        with Server(given("Lend")) as server:
            done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M", "--",
                                sys.executable, "-c", read, "{fd}", "a={fd},b={fd}{x}")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            last = done.stdout.splitlines()[-1]
            self.assertRegex(last, r"^from the broker a=(\d+),b=\1\{x\}$")
            self.assertEqual(server.parameters("Reclaim"), [{"handle": 7}])

    def test_the_command_gets_the_memory_of_a_file(self):
        with tempfile.NamedTemporaryFile() as file, Server(given("Share")) as server:
            file.write(b"the file's bytes")
            file.flush()
            done = self.run_ctl(server, "share", "--vm=128:rw", f"--file={file.name}", "--",
                                sys.executable, "-c",
                                "import os,sys; print(os.pread(int(sys.argv[1]), 16, 0))", "{fd}")
            self.assertEqual(done.stdout.splitlines()[-1], "b\"the file's bytes\"")

    def test_the_command_inherits_nothing_else(self):
        with Server(given("Lend")) as server:
            count = "import os; print(sorted(map(int, os.listdir('/proc/self/fd'))))"
            done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M", "--private", "--",
                                sys.executable, "-c", count)
            self.assertEqual(done.stdout.splitlines()[-1], "[0, 1, 2, 3]")

    def test_the_exit_status_is_the_commands(self):
        for command, status in ((["sh", "-c", "exit 7"], 7), (["sh", "-c", "kill -9 $$"], 137),
                                (["/nonexistent"], 127), (["/etc"], 126), (["true"], 0)):
            with self.subTest(command), Server(given("Lend")) as server:
                done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M", "--", *command)
                self.assertEqual(done.returncode, status)
                self.assertEqual(server.parameters("Reclaim"), [{"handle": 7}])

    def test_options_of_the_command_stay_the_commands(self):
        with Server(given("Lend")) as server:
            done = self.run_ctl(server, "lend", "--size=1M", "--vm=128:rw", "--",
                                "echo", "--json", "--", "--size=2M")
            self.assertEqual(done.stdout.splitlines()[-1], "--json -- --size=2M")

    def test_a_signal_goes_to_the_command_and_then_the_memory_is_reclaimed(self):
        script = "import signal,sys,time\n" \
                 "signal.signal(signal.SIGTERM, lambda *_: sys.exit(9))\n" \
                 "print('ready', flush=True)\ntime.sleep(60)"
        with Server(given("Lend")) as server:
            process = self.start(server, "lend", "--vm=128:rw", "--size=1M", "--",
                                 sys.executable, "-c", script)
            while process.stdout.readline().strip() != "ready":
                pass
            self.assertEqual(server.parameters("Reclaim"), [])
            self.stop_holding(process, signal.SIGTERM)
            self.assertEqual(process.returncode, 9)
            self.assertEqual(server.parameters("Reclaim"), [{"handle": 7}])

    def test_detach_and_donate_return_at_once_and_reclaim_nothing(self):
        scripts = dict(given("Lend", lifetime="detached"))
        scripts[BROKER + "Donate"] = [reply(parcel=parcel(operation="donate"))]
        for arguments in (["lend", "--detach"], ["donate"]):
            with self.subTest(arguments), Server(scripts) as server:
                done = self.run_ctl(server, *arguments, "--vm=128:rw", "--size=1M")
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                self.assertIn("7", done.stdout)
                self.assertEqual(server.parameters("Reclaim"), [])
                for asked in server.parameters("Lend"):
                    self.assertEqual(asked["lifetime"], "detached")

    def test_a_parcel_that_is_still_held_is_said_clearly(self):
        script = given("Lend")
        script[BROKER + "Reclaim"] = [error(BROKER + "ParcelInUse", handle=7, vms=[128, 129])]
        with Server(script) as server:
            done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M", "--", "true")
            self.assert_failed(done, FAILED, "parcel 7 is still held by VM 0x80, 0x81",
                               "do not touch it", "ghmemctl show 7")
            done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M", "--", "sh", "-c",
                                "exit 7")
            self.assert_failed(done, 7, "still held")

    def test_a_parcel_that_somebody_else_reclaimed_is_no_failure(self):
        script = given("Lend")
        script[BROKER + "Reclaim"] = [error(BROKER + "ParcelNotFound", handle=7)]
        with Server(script) as server:
            done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M", "--", "true")
            self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_the_daemon_closes_while_the_parcel_is_held(self):
        script = {BROKER + "Lend": [reply(parcel=parcel()), Close]}
        with Server(script) as server:
            done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M")
            self.assert_failed(done, FAILED, "closed the connection", "ghmemctl list")

    def test_the_daemon_closes_while_the_command_runs(self):
        script = {BROKER + "Lend": [reply(parcel=parcel()), Close]}
        with Server(script) as server:
            for command, status in (("sleep 0.3", FAILED), ("sleep 0.3; exit 7", 7)):
                done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M", "--",
                                    "sh", "-c", command)
                self.assert_failed(done, status, "closed the connection")

    def test_a_signal_before_the_answer_ends_the_request(self):
        with Server({BROKER + "Lend": [Wait]}) as server:
            process = self.start(server, "lend", "--vm=128:rw", "--size=1M")
            server.wait_for("Lend")
            self.stop_holding(process, signal.SIGINT)
            self.assertEqual(process.returncode, FAILED)
            self.assertIn("interrupted", process.stderr.read())
            self.assertTrue(server.hung_up.wait(TIMEOUT))

    def test_a_second_signal_ends_a_reclaim_that_hangs(self):
        script = given("Lend")
        script[BROKER + "Reclaim"] = [Wait]
        with Server(script) as server:
            process = self.start(server, "lend", "--vm=128:rw", "--size=1M")
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            server.wait_for("Reclaim")
            self.stop_holding(process, signal.SIGINT)
            self.assertEqual(process.returncode, FAILED)
            self.assertIn("not reclaimed", process.stderr.read())

    def test_an_ignored_hangup_stays_ignored(self):
        with Server(given("Lend")) as server:
            process = self.start(server, "lend", "--vm=128:rw", "--size=1M",
                                 preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
            process.stdout.readline()
            process.send_signal(signal.SIGHUP)
            time.sleep(0.2)
            self.assertIsNone(process.poll())
            self.stop_holding(process, signal.SIGTERM)
            self.assertEqual(process.returncode, 0)


class Example(Case):
    """contrib/examples/lend.c, linked with the shared library as a stranger would."""

    def test_it_lends_waits_and_reclaims(self):
        program = os.path.join(os.path.dirname(CTL), "..", "contrib", "examples", "lend")
        with Server(given("Lend")) as server:
            env = dict(self.environment(), GHMEM_ADDRESS=f"unix:{server.path}")
            done = subprocess.run([program], env=env, input="\n", capture_output=True, text=True,
                                  timeout=TIMEOUT)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("parcel 7, label 0xaaaa", done.stdout)
            self.assertTrue(done.stdout.endswith("reclaimed\n"))
            self.assertEqual(server.parameters("Lend"), [
                {"memory": {"allocate": 64 << 20}, "grants": [{"vm": 128, "access": "rw"}]}])
            self.assertEqual(server.parameters("Reclaim"), [{"handle": 7}])


if __name__ == "__main__":
    unittest.main(verbosity=1)
