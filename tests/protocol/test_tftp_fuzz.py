"""Random hostile datagrams. CISISK_FUZZ_DATAGRAMS sets their number; a million take half a minute."""

import os
import random
import time
from pathlib import Path

from cisisk.provisioning.access.policy import AccessPolicy, Mode
from cisisk.provisioning.library import Library
from cisisk.provisioning.tftp import wire
from tests.protocol.conftest import MakePhone, Phone, Serve

DATAGRAMS = int(os.environ.get("CISISK_FUZZ_DATAGRAMS", "20000"))
BURST = 200
"""Datagrams between two valid fetches."""
NAMES = [b"a.xml", b"big.bin", b"", b"..", b"/", b"\\", b"\xff\xfe", b"a" * 300, b"%s%n", b"a\r\nb", b".cisisk/x"]
MODES = [b"octet", b"OCTET", b"netascii", b"mail", b"", b"\xff"]
OPTIONS = [b"blksize", b"tsize", b"timeout", b"windowsize", b"multicast", b"", b"BLKSIZE"]
VALUES = [b"8", b"512", b"65464", b"0", b"-1", b"1" * 30, b"", b"9e9", b"\xd9\xa5", b"255", b"65535"]


def request(dice: random.Random) -> bytes:
    fields = [dice.choice(NAMES), dice.choice(MODES)]
    for _ in range(dice.choice([0, 0, 1, 2, 6])):
        fields += [dice.choice(OPTIONS), dice.choice(VALUES)]
    return dice.choice([b"\0\1", b"\0\1", b"\0\1", b"\0\2"]) + b"".join(field + b"\0" for field in fields)


def mutated(datagram: bytes, dice: random.Random) -> bytes:
    changed = bytearray(datagram)
    for _ in range(dice.randrange(4)):
        position = dice.randrange(len(changed) + 1)
        changed[position : position + dice.randrange(3)] = dice.randbytes(dice.randrange(3))
    return bytes(changed)


def hostile(dice: random.Random) -> bytes:
    kind = dice.randrange(5)
    if kind == 0:
        return dice.randbytes(dice.choice([0, 1, 2, 3, 4, 5, 40, 600, 1500]))
    if kind == 1:
        return mutated(wire.ack(dice.randrange(70_000)), dice)
    if kind == 2:
        return mutated(wire.error(wire.ErrorCode.UNDEFINED, "x" * dice.randrange(200)), dice)
    return mutated(request(dice), dice) if kind == 3 else request(dice)


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_hostile_datagrams_do_not_stop_server(tftp_serve: Serve, tftp_phone: MakePhone, tmp_path: Path) -> None:
    content = random.Random(1).randbytes(5000)
    (tmp_path / "a.xml").write_bytes(content)
    (tmp_path / "big.bin").write_bytes(content * 400)
    served = tftp_serve({}, source=AccessPolicy(Library(tmp_path), Mode.OFF))
    dice = random.Random(69)
    noisy = [tftp_phone(served, host=f"127.0.{dice.randrange(1, 9)}.{index + 1}") for index in range(40)]
    honest = tftp_phone(served)
    settled = 0
    for sent in range(0, DATAGRAMS, BURST):
        honest.ask("a.xml")
        port = honest.tid
        honest.send(wire.error(wire.ErrorCode.UNDEFINED, "only to learn a port"))
        for _ in range(BURST):
            attacker = dice.choice(noisy)
            target = port if dice.random() < 0.5 else attacker.request_port
            attacker.socket.sendto(hostile(dice), target)
            if dice.random() < 0.02:
                attacker.socket.setblocking(False)
                drain(attacker)
        assert honest.fetch("a.xml") == content
        while not served.fetches.empty():
            served.fetches.get()
        if sent >= DATAGRAMS // 4 and not settled:
            settled = resident()
    assert served.server.is_alive
    assert time.monotonic() - served.server.heartbeat < 2.0
    assert resident() - settled < 24 << 20
    # At least half arrived, as many as the test sent to the request port, so the receive queue was not full.
    assert served.server.counters.requests > DATAGRAMS * 0.45


def drain(attacker: Phone) -> None:
    try:
        while True:
            attacker.socket.recv(65536)
    except BlockingIOError:
        pass
