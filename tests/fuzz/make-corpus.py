#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Seed corpora for the fuzzers from recorded conversations (*.jsonl).

    make-corpus.py TRACES OUTPUT

writes OUTPUT/client/NAME-N (for fuzz_client: one byte of mode, then {u16 length, bytes} for each
packet that one VM received) and OUTPUT/rm/NAME (for the emulator: {u16 vmid, u16 length, bytes} for
each packet sent to the Resource Manager). All numbers are little-endian.
"""
import argparse
import json
import pathlib
import struct
import sys

CONTENT_MAX = 232
TYPES = {"request": 1, "reply": 2, "notification": 3}
MAX_FILE = 256 * 1024  # a longer conversation teaches a fuzzer nothing more
MODE_ANY_REPLY = 1


def packets(kind, seq, msg_id, payload):
    pieces = [payload[i:i + CONTENT_MAX] for i in range(0, len(payload), CONTENT_MAX)] or [b""]
    for number, piece in enumerate(pieces):
        byte = (len(pieces) - 1) << 2 | (0 if number else kind)
        yield struct.pack("<BBHI", 0x21, byte, seq, msg_id) + piece


def number(value):
    return int(value, 0) if isinstance(value, str) else value


def message_packets(entry):
    return list(packets(TYPES[entry["type"]], entry["seq"], number(entry["msg_id"]),
                        bytes.fromhex(entry["payload_hex"])))


def read_trace(path):
    """Returns packets to the Resource Manager as (vmid, bytes) and, by VM, those from it."""
    sent, received = [], {}
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for entry, following in zip(entries, entries[1:] + [{"t": None}]):
        if entry["t"] == "send_frag":
            sent.append((entry["vmid"], bytes.fromhex(entry["raw_hex"])))
        elif entry["t"] == "send" and following["t"] != "send_frag":
            sent += [(entry["vmid"], piece) for piece in message_packets(entry)]
        elif entry["t"] == "recv":
            received.setdefault(entry["vmid"], []).extend(message_packets(entry))
    return sent, received


def write(path, head, records):
    data = head
    for record in records:
        if len(data) + len(record) > MAX_FILE:
            break
        data += record
    path.write_bytes(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("traces", type=pathlib.Path, help="directory of *.jsonl files")
    parser.add_argument("output", type=pathlib.Path, help="directory to write the corpora to")
    arguments = parser.parse_args()
    traces = sorted(arguments.traces.glob("*.jsonl"))
    if not traces:
        sys.exit(f"{arguments.traces}: no *.jsonl files")
    client, manager = arguments.output / "client", arguments.output / "rm"
    for directory in (client, manager):
        directory.mkdir(parents=True, exist_ok=True)
    for path in traces:
        sent, received = read_trace(path)
        write(manager / path.stem, b"",
              (struct.pack("<HH", vmid, len(piece)) + piece for vmid, piece in sent))
        for vmid, pieces in received.items():
            write(client / f"{path.stem}-{vmid}", bytes([MODE_ANY_REPLY]),
                  (struct.pack("<H", len(piece)) + piece for piece in pieces))


if __name__ == "__main__":
    main()
