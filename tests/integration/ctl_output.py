#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""ghmemctl: what it prints and which exit status it has, whatever the daemon answers."""

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import tempfile
import unittest

from ctl_server import (
    BROKER, CTL, Case, Close, DENIED, DONE, FAILED, NO_PARCEL, SOURCE, Server, TIMEOUT,
    UNREACHABLE, USAGE, Wait, error, given, parcel, reply)


class Errors(Case):
    TABLE = (
        ("PolicyDenied", {"rule": "no-io", "reason": "io is not for you"}, DENIED,
         'rule "no-io": io is not for you'),
        ("PolicyDenied", {"rule": None, "reason": "no rule matches"}, DENIED, "no rule matches"),
        ("QuotaExceeded", {"limit": "parcels", "used": 8, "maximum": 8}, DENIED,
         "parcels, 8 of 8 used"),
        ("ParcelNotFound", {"handle": 7}, NO_PARCEL, "no such parcel: 7"),
        ("ParcelInUse", {"handle": 7, "vms": [128, 129]}, FAILED, "held by VM 0x80, 0x81"),
        ("MemoryInvalid", {"reason": "not page aligned", "index": 3}, FAILED,
         "not page aligned (region 3"),
        ("ManagerError", {"code": 3, "name": "DENIED", "message": "too many"}, FAILED,
         "DENIED (3): too many"),
        ("ManagerUnavailable", {"reason": "link down"}, FAILED, "not available: link down"),
        ("OutcomeUnknown", {"reason": "no answer"}, FAILED, "stays withheld: no answer"),
        ("org.varlink.service.InvalidParameter", {"parameter": "memory.size"}, FAILED,
         '"memory.size"'),
        ("org.varlink.service.MethodNotFound", {"method": "Reclaim"}, FAILED, '"Reclaim"'),
        ("org.varlink.service.MethodNotImplemented", {"method": "Reclaim"}, FAILED, '"Reclaim"'),
        ("org.varlink.service.InterfaceNotFound", {"interface": "org.ghmem.Broker"}, FAILED,
         '"org.ghmem.Broker"'),
        ("org.varlink.service.PermissionDenied", {}, DENIED, "permission denied"),
        ("com.example.Strange", {"why": "x"}, FAILED, 'com.example.Strange {"why":"x"}'),
    )

    def test_each_error_has_its_words_and_exit_status(self):
        for name, parameters, status, words in self.TABLE:
            full = name if "." in name else BROKER + name
            for arguments in (["reclaim", "7"], ["lend", "--vm=128:rw", "--size=1M"]):
                method = BROKER + arguments[0].capitalize()
                with self.subTest(name, arguments=arguments), \
                        Server({method: [error(full, **parameters)]}) as server:
                    done = self.run_ctl(server, *arguments)
                    self.assert_failed(done, status, words)
                    self.assertEqual(done.stdout, "")

    def test_errors_with_missing_or_wrong_parameters_are_errors_still(self):
        for name, _, status, _ in self.TABLE:
            full = name if "." in name else BROKER + name
            for answer in ({"error": full}, {"error": full, "parameters": None},
                           error(full, rule=[], reason=5, limit={}, used="x", maximum=-1,
                                 handle="h", vms=[None, "x"], index=-1, code=[], name=1,
                                 message={}, parameter=0, method=1, interface=2)):
                with self.subTest(name, answer=answer), \
                        Server({BROKER + "Reclaim": [answer]}) as server:
                    self.assert_failed(self.run_ctl(server, "reclaim", "7"), status)

    def test_what_the_daemon_says_cannot_steer_the_terminal(self):
        answer = error(BROKER + "PolicyDenied", rule=None, reason="a\033[2Jb\nc\u009bd")
        with Server({BROKER + "Reclaim": [answer]}) as server:
            done = self.run_ctl(server, "reclaim", "7")
            self.assert_failed(done, DENIED, "a?[2Jb c??d")

    def test_malformed_replies(self):
        bad = parcel()
        del bad["state"]
        good = json.dumps(reply(parcel=parcel())).encode()
        table = [b"not json\0", b"[]\0", b"5\0", b"{\0", b"\0", b"\xff\xfe\0",
                 b'{"parameters": []}\0', b'{"error": 5}\0', b'{"continues": true}\0',
                 b'{"continues": 1}\0', b'{"error": null, "error": null, ' + good[1:] + b"\0",
                 b"[" * 100000 + b"\0", b'{"parameters": {"parcel": 5}}\0', b"{}\0",
                 {"parameters": {"parcel": bad}}]
        wrong = {"id": 5, "handle": -1, "operation": None, "memory_type": 0, "label": 1 << 32,
                 "state": [], "size": "1M", "regions": -1, "messages": 0.5, "holders": {},
                 "lifetime": 1, "uid": -1, "pid": "x", "unit": 7, "rule": None, "age": -5}
        table += [reply(parcel=parcel(**{key: value})) for key, value in wrong.items()]
        table += [reply(parcel=parcel(holders=[holder])) for holder in (
            5, {}, {"vm": 65536, "access": "rw", "accepted": True},
            {"vm": 1, "access": "w", "accepted": True}, {"vm": 1, "access": "rw"})]
        for answer in table:
            with self.subTest(str(answer)[:70]), Server(
                    {BROKER + "Describe": [answer], BROKER + "Lend": [answer]}) as server:
                done = self.run_ctl(server, "show", "7")
                self.assert_failed(done, FAILED, "the broker's reply")
                self.assertEqual(done.stdout, "")
                done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M")
                self.assert_failed(done, FAILED, "the broker's reply")

    def test_a_descriptor_that_is_named_but_does_not_come(self):
        for index in (0, 5, -1, "0"):
            with self.subTest(index), Server(
                    {BROKER + "Lend": [reply(parcel=parcel(), fd=index)]}) as server:
                done = self.run_ctl(server, "lend", "--vm=128:rw", "--size=1M")
                self.assert_failed(done, FAILED, "descriptor that did not come")

    def test_a_reply_over_16_mib(self):
        with Server({BROKER + "Status": [b'{"parameters": "' + b"x" * (17 << 20)]}) as server:
            self.assert_failed(self.run_ctl(server, "status"), FAILED, "16 MiB")

    def test_other_malformed_replies(self):
        for command, method, answer in (
                (["status"], "Status", reply(status=5)), (["reload"], "Reload", reply(files=1)),
                (["check", "lend"], "Check", reply(allowed="yes", reason="")),
                (["check", "lend"], "Check", reply(allowed=True)),
                (["list"], "List", reply(parcel=[])), (["monitor"], "Monitor", reply(event=1)),
                (["monitor"], "Monitor", reply(event={"kind": "held", "time": -1}))):
            with self.subTest(answer), Server({BROKER + method: [answer]}) as server:
                self.assert_failed(self.run_ctl(server, *command), FAILED, "the broker's reply")

    def test_the_daemon_closes_before_or_in_the_middle_of_its_answer(self):
        for script in ([Close], [b'{"parameters": {', Close],
                       [dict(reply(parcel=parcel()), continues=True), Close]):
            with self.subTest(script), Server({BROKER + "List": script}) as server:
                done = self.run_ctl(server, "list")
                self.assert_failed(done, UNREACHABLE, "closed the connection", server.path)
                self.assertEqual(done.stdout, "")

    def test_unreachable(self):
        self.assert_failed(
            self.run_ctl(None, "status"), UNREACHABLE, "cannot reach ghmemd at /nonexistent/broker",
            "No such file or directory", "systemctl start ghmemd", "--address=unix:PATH")
        with Server({}) as server:
            server.stop_listening()
            self.assert_failed(self.run_ctl(server, "list"), UNREACHABLE, "Connection refused")

    def test_a_long_path(self):
        done = subprocess.run([CTL, "--address=unix:/" + "x" * 200, "status"],
                              capture_output=True, text=True, timeout=TIMEOUT)
        self.assert_failed(done, UNREACHABLE, "shorter path")

    def test_usage(self):
        table = (
            [], ["frobnicate"], ["--frobnicate", "status"], ["status", "extra"], ["list", "7"],
            ["show"], ["show", "x"], ["show", "7", "8"], ["show", "-1"], ["show", "4294967296"],
            ["reclaim"], ["reclaim", "--vm=1:r", "7"], ["status", "--force"],
            ["lend", "--size=1M"], ["lend", "--vm=128:rw"], ["lend", "--vm=128", "--size=1M"],
            ["lend", "--vm=65536:rw", "--size=1M"], ["lend", "--vm=128:w", "--size=1M"],
            ["lend", "--vm=128:rwxr", "--size=1M"], ["lend", "--vm=:rw", "--size=1M"],
            ["lend", "--vm=128:rw", "--size=1X"], ["lend", "--vm=128:rw", "--size=0"],
            ["lend", "--vm=128:rw", "--size=99999999T"], ["lend", "--vm=128:rw", "--size="],
            ["lend", "--vm=128:rw", "--size=1M", "--fd=0"],
            ["lend", "--vm=128:rw", "--file=/etc/passwd", "--region=0x1000+4K"],
            ["lend", "--vm=128:rw", "--region=0x1000"], ["lend", "--vm=128:rw", "--region=+4K"],
            ["lend", "--vm=128:rw", "--region=0x1000+0"], ["lend", "--vm=128:rw", "--fd=99"],
            ["lend", "--vm=128:rw", "--fd=x"], ["lend", "--vm=128:rw", "--size=1M", "--copy"],
            ["lend", "--vm=128:rw", "--fd=0", "--private"],
            ["lend", "--vm=128:rw", "--size=1M", "--pool"],
            ["lend", "--vm=128:rw", "--size=1M", "--host-access=r"],
            ["lend", "--vm=128:rw", "--size=1M", "--offset=4K"],
            ["lend", "--vm=128:rw", "--size=1M", "--type=device"],
            ["lend", "--vm=128:rw", "--size=1M", "--label=4294967296"],
            ["lend", "--vm=128:rw", "--size=1M", "--"],
            ["lend", "--vm=128:rw", "--size=1M", "--detach", "--", "true"],
            ["lend", "--vm=128:rw", "--size=1M", "--private", "--", "echo", "{fd}"],
            ["lend", "--vm=128:rw", "--region=0x1000+4K", "--", "echo", "{fd}"],
            ["donate", "--vm=128:rw", "--size=1M", "--", "true"],
            ["donate", "--vm=128:rw", "--vm=129:rw", "--size=1M"],
            ["donate", "--vm=128:rw", "--size=1M", "--wait=5"],
            ["check"], ["check", "lend", "--operation=lend"], ["check", "lend", "share"],
            ["--address=tcp:1.2.3.4", "status"], ["--address", ], ["status", "--json=yes"],
        )
        with Server({}) as server:
            for arguments in table:
                with self.subTest(arguments):
                    done = self.run_ctl(server, *arguments)
                    self.assertEqual(done.returncode, USAGE, done.stderr)
                    self.assertIn("See ghmemctl --help", done.stderr)
                    self.assertEqual(done.stdout, "")
            self.assertEqual(server.calls, [])

    def test_files_that_cannot_be_given(self):
        with Server({}) as server, tempfile.NamedTemporaryFile() as empty:
            for path, words in (("/nonexistent", "No such file"), ("/etc", "directory"),
                                ("/dev/zero", "no regular file"), (empty.name, "empty")):
                with self.subTest(path):
                    done = self.run_ctl(server, "lend", "--vm=128:rw", f"--file={path}")
                    self.assert_failed(done, FAILED, path, words)
            self.assertEqual(server.calls, [])

    def test_a_full_disk_is_not_done(self):
        with Server({BROKER + "Status": [reply(status={"version": "1"})]}) as server, \
                open("/dev/full", "w") as full:
            done = subprocess.run([CTL, f"--address=unix:{server.path}", "status"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=TIMEOUT)
            self.assert_failed(done, FAILED, "No space left")


class Output(Case):
    TWO = [dict(reply(parcel=parcel()), continues=True),
           reply(parcel=parcel(handle=None, state="quarantined", size=1 << 30, rule="r2", age=5000,
                               holders=[{"vm": 128, "access": "r", "accepted": True},
                                        {"vm": 129, "access": "rwx", "accepted": False}]))]

    def test_list_is_an_aligned_table(self):
        with Server({BROKER + "List": self.TWO}) as server:
            done = self.run_ctl(server, "list")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout.splitlines(), [
            "HANDLE  OPERATION  STATE        VMS                SIZE  REGIONS        AGE   UID  RULE",
            "     7  lend       offered      0x80:rw           1 MiB        3  1 min 5 s  1000  "
            "media-guests",
            "     -  lend       quarantined  0x80:r*,0x81:rwx  1 GiB        3       5 ms  1000  r2",
        ])

    def test_list_as_json_is_one_document_with_the_contracts_keys(self):
        with Server({BROKER + "List": self.TWO}) as server:
            done = self.run_ctl(server, "list", "--json")
        self.assertEqual(json.loads(done.stdout),
                         {"parcels": [step["parameters"]["parcel"] for step in self.TWO]})

    def test_an_empty_list(self):
        for script in ([{}], [reply()], [reply(parcel=None)]):
            with self.subTest(script), Server({BROKER + "List": script}) as server:
                self.assertEqual(self.run_ctl(server, "list").stdout, "no parcels\n")
                done = self.run_ctl(server, "--json", "list")
                self.assertEqual(json.loads(done.stdout), {"parcels": []})

    def test_a_reply_in_single_bytes_and_a_list_in_one_piece(self):
        with Server({BROKER + "List": self.TWO}, chunk=1) as server:
            done = self.run_ctl(server, "list", "--json")
            self.assertEqual(len(json.loads(done.stdout)["parcels"]), 2)
        many = b"".join(
            json.dumps(dict(reply(parcel=parcel(handle=i)), continues=i < 999)).encode() + b"\0"
            for i in range(1000))
        with Server({BROKER + "List": [many]}) as server:
            done = self.run_ctl(server, "list", "--json")
            self.assertEqual([p["handle"] for p in json.loads(done.stdout)["parcels"]],
                             list(range(1000)))

    def test_a_newer_daemons_fields_and_words_pass_through(self):
        new = parcel(state="dreaming", novelty={"a": [1]})
        with Server({BROKER + "Describe": [reply(parcel=new)]}) as server:
            done = self.run_ctl(server, "show", "7", "--json")
            self.assertEqual(json.loads(done.stdout), new)
            self.assertRegex(self.run_ctl(server, "show", "7").stdout, r"(?m)^state: +dreaming$")

    def test_show(self):
        with Server({BROKER + "Describe": [reply(parcel=parcel())]}) as server:
            done = self.run_ctl(server, "show", "0x7")
            self.assertEqual(server.parameters("Describe"), [{"handle": 7}])
        lines = dict(re.split(r":\s+", line, maxsplit=1) for line in done.stdout.splitlines())
        self.assertEqual(lines, {
            "handle": "7", "id": "p-1", "operation": "lend", "state": "offered",
            "vm": "0x80, rw, not accepted", "size": "1 MiB (1048576 bytes)", "regions": "3",
            "messages": "1", "type": "normal", "label": "0xaaaa", "lifetime": "connection",
            "uid": "1000", "pid": "4242", "unit": "crosvm@a.service", "rule": "media-guests",
            "age": "1 min 5 s"})

    def test_status(self):
        status = {
            "version": "0.1.0", "uptime": 3_700_000_000, "manager": "unix:/x\033", "manager_state": "up",
            "emulated": True, "parcels": 2, "bytes": 1 << 30, "slots_used": 2, "slots_maximum": 64,
            "amounts": [{"state": "held", "parcels": 2, "bytes": 1 << 30},
                        {"state": "offered", "parcels": 0, "bytes": 0}],
            "pinned_pages": 262144, "clients": 3, "policy_rules": 4, "policy_files": 2,
            "limitation": None, "left_over": 1, "left_over_pages": 512}
        with Server({BROKER + "Status": [reply(status=status)]}) as server:
            done = self.run_ctl(server, "status")
            self.assertEqual(done.stdout.splitlines(), [
                "ghmemd            0.1.0, up 1 h 1 min",
                "Resource Manager  unix:/x?, link up (an emulator: no VM really gets the memory)",
                "Parcels           2, 1 GiB; 2 of 64 slots used",
                "                  2 held, 1 GiB",
                "Pinned            262144 pages",
                "Clients           3",
                "Policy            4 rules in 2 files",
                "Machine           real frame numbers, any amount can be pinned",
                "Left over         1 parcel (512 pages) of a daemon before this one, kept pinned"])
            done = self.run_ctl(server, "status", "--json")
            self.assertEqual(json.loads(done.stdout), status)

    def test_monitor(self):
        events = [
            {"kind": "held", "parcel": parcel(), "vm": 128, "time": 1_700_000_000_250_000},
            {"kind": "denied", "detail": "rule\033x", "time": 1_700_000_001_000_000}]
        script = [dict(reply(event=e), continues=True) for e in events] + [Wait]
        with Server({BROKER + "Monitor": script}) as server:
            process = self.start(server, "monitor")
            lines = [process.stdout.readline() for _ in events]
            self.stop_holding(process, signal.SIGINT)
            self.assertEqual(process.returncode, 0)
            self.assertEqual(lines, [
                "22:13:20.250  held             parcel 7, lend of 1 MiB, 0x80:rw  VM 0x80\n",
                "22:13:21.000  denied           rule?x\n"])
            process = self.start(server, "monitor", "--json")
            lines = [json.loads(process.stdout.readline()) for _ in events]
            self.stop_holding(process, signal.SIGTERM)
            self.assertEqual(lines, events)

    def test_check(self):
        for allowed, rule, status in ((True, "r1", DONE), (False, None, DENIED)):
            script = [reply(allowed=allowed, rule=rule, reason="because")]
            with self.subTest(allowed), Server({BROKER + "Check": script}) as server:
                done = self.run_ctl(server, "check", "lend", "--vm=128:rw", "--size=1M")
                self.assertEqual(done.returncode, status)
                self.assertEqual(done.stdout.splitlines(), [
                    "allowed" if allowed else "denied", f"rule: {rule or '-'}",
                    "reason: because"])
                done = self.run_ctl(server, "check", "lend", "--json")
                self.assertEqual(done.returncode, status)
                self.assertEqual(json.loads(done.stdout),
                                 {"allowed": allowed, "rule": rule, "reason": "because"})

    def test_reload_and_reclaim(self):
        with Server({BROKER + "Reload": [reply(files=1, rules=5)],
                     BROKER + "Reclaim": [{}]}) as server:
            self.assertEqual(self.run_ctl(server, "reload").stdout,
                             "policy in force: 1 file, 5 rules\n")
            done = self.run_ctl(server, "reload", "--json")
            self.assertEqual(json.loads(done.stdout), {"files": 1, "rules": 5})
            self.assertEqual(self.run_ctl(server, "reclaim", "7").stdout,
                             "parcel 7 is reclaimed\n")

    def test_the_address_comes_from_the_environment_too(self):
        with Server({BROKER + "List": [{}]}) as server:
            env = dict(self.environment(), GHMEM_ADDRESS=f"unix:{server.path}")
            done = subprocess.run([CTL, "list"], env=env, capture_output=True, text=True)
            self.assertEqual(done.stdout, "no parcels\n")

    def test_help_and_version_need_no_daemon(self):
        for arguments in (["--help"], ["lend", "--help"], ["-h"]):
            done = self.run_ctl(None, *arguments)
            self.assertEqual(done.returncode, 0)
            self.assertTrue(done.stdout.startswith("Usage: ghmemctl"))
        self.assertRegex(self.run_ctl(None, "--version").stdout, r"^ghmemctl \d+\.\d+\.\d+\n$")

    def on_terminal(self, server, *arguments, **environment):
        """Output of ghmemctl on a pseudo-terminal."""
        pid, fd = pty.fork()
        if pid == 0:
            env = dict(self.environment(), TERM="xterm", **environment)
            try:
                os.execve(CTL, [CTL, f"--address=unix:{server.path}", *arguments], env)
            finally:
                os._exit(127)
        text = b""
        with contextlib.suppress(OSError):
            while chunk := os.read(fd, 4096):
                text += chunk
        os.close(fd)
        os.waitpid(pid, 0)
        return text.decode()

    def test_colour_only_on_a_terminal_and_never_with_no_color(self):
        with Server({BROKER + "List": self.TWO}) as server:
            self.assertIn("\033[31mquarantined\033[0m", self.on_terminal(server, "list"))
            self.assertNotIn("\033", self.on_terminal(server, "list", NO_COLOR="1"))
            self.assertNotIn("\033", self.run_ctl(server, "list").stdout)

    def test_progress_only_on_a_terminal_and_cleared(self):
        with Server(given("Lend")) as server:
            arguments = ["lend", "--vm=128:rw", "--size=1G", "--", "true"]
            text = self.on_terminal(server, *arguments)
            self.assertIn("lending 1 GiB …", text)
            self.assertLess(text.index("lending 1 GiB"), text.index("\r\033[K", 5))
            self.assertEqual(self.run_ctl(server, *arguments).stderr, "")


class Policy(Case):
    """The policy commands, which ask no daemon. The language has tests of its own."""

    GOOD = {"rules": [{"name": "no-io", "effect": "deny", "memory": {"types": ["io"]}},
                      {"name": "all", "effect": "allow", "operations": ["list"],
                       "subject": {"users": [0]}}]}

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)

    def write(self, name, text):
        path = os.path.join(self.directory.name, name)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def test_verify_names_the_place_of_each_fault(self):
        good = self.write("10-good.json", json.dumps(self.GOOD))
        bad = self.write("20-bad.json", '{ "rules": [\n  { "name": "x", "effect": "maybe" } ] }')
        done = self.run_ctl(None, "policy", "verify", good)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout, "1 file, 2 rules, no errors\n")
        for operands in ([bad], [good, bad], [self.directory.name]):
            done = self.run_ctl(None, "policy", "verify", *operands)
            self.assertEqual(done.returncode, FAILED)
            self.assertRegex(done.stderr, f"(?m)^{re.escape(bad)}:2:\\d+: .*maybe")
        done = self.run_ctl(None, "--json", "policy", "verify", bad)
        self.assertEqual(done.returncode, FAILED)
        document = json.loads(done.stdout)
        self.assertFalse(document["valid"])
        self.assertEqual({fault["line"] for fault in document["faults"]}, {2})

    def test_show_gives_the_rules_in_order_with_their_files(self):
        path = self.write("10-good.json", json.dumps(self.GOOD, indent=1))
        arguments = ["policy", "show", f"--policy-dir={self.directory.name}"]
        done = self.run_ctl(None, *arguments)
        self.assertEqual(done.returncode, 0, done.stderr)
        lines = done.stdout.splitlines()
        self.assertRegex(lines[0], rf"^deny   no-io  {re.escape(path)}:\d+$")
        self.assertRegex(lines[1], rf"^allow  all    {re.escape(path)}:\d+$")
        rules = json.loads(self.run_ctl(None, "--json", *arguments).stdout)["rules"]
        self.assertEqual([(r["name"], r["effect"], r["file"]) for r in rules],
                         [("no-io", "deny", path), ("all", "allow", path)])

    def test_paths_and_words_that_are_none(self):
        self.assert_failed(self.run_ctl(None, "policy", "verify", "/nonexistent"), FAILED,
                           "/nonexistent: No such file")
        for arguments in (["policy"], ["policy", "x"], ["policy", "show", "x"]):
            self.assertEqual(self.run_ctl(None, *arguments).returncode, USAGE)


class Completions(Case):
    """The completions offer what --help offers."""

    def offered(self):
        text = self.run_ctl(None, "--help").stdout
        return (set(re.findall(r"(?m)^  (--[a-z-]+)", text)),
                set(re.findall(r"(?m)^  ([a-z]+) ", text)))

    def test_the_same_options_and_commands(self):
        options, commands = self.offered()
        self.assertGreater(len(options), 20)
        for name in ("ghmemctl.bash", "_ghmemctl"):
            with self.subTest(name):
                path = os.path.join(SOURCE, "contrib", "completions", name)
                with open(path, encoding="utf-8") as file:
                    text = file.read()
                self.assertEqual(set(re.findall(r"(?<![\w-])--[a-z-]*[a-z]", text)), options)
                for command in commands:
                    self.assertRegex(text, rf"(?<![\w-]){command}(?![\w-])")

    def complete(self, *words):
        script = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
                  '_ghmemctl; printf "%s\\n" "${COMPREPLY[@]}"')
        path = os.path.join(SOURCE, "contrib", "completions", "ghmemctl.bash")
        done = subprocess.run(["bash", "-c", script, "bash", path, "ghmemctl", *words],
                              capture_output=True, text=True, timeout=TIMEOUT)
        self.assertEqual(done.stderr, "")
        return done.stdout.split()

    def test_bash(self):
        self.assertIn("status", self.complete("st"))
        self.assertEqual(self.complete("rec"), ["reclaim"])
        self.assertEqual(self.complete("reclaim", "--f"), ["--force"])
        self.assertEqual(self.complete("lend", "--f"), ["--file=", "--fd="])
        self.assertEqual(self.complete("--json", "policy", "v"), ["verify"])
        self.assertNotIn("--host-access=", self.complete("lend", "--"))


if __name__ == "__main__":
    unittest.main(verbosity=1)
