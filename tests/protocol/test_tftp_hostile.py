"""Datagrams that crashed other TFTP servers: the thread continues, and other phones get their files."""

import os
import random

import pytest

from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.wire import ErrorCode
from tests.protocol.conftest import MakePhone, Serve

FILES = {"a.xml": b"a" * 1200, "big.bin": bytes(index % 251 for index in range(70_000))}


def rrq(name: bytes, *fields: bytes) -> bytes:
    return b"\0\1" + b"".join(field + b"\0" for field in (name, *(fields or (b"octet",))))


ATTACKS = {
    "empty datagram": b"",
    "one byte": b"\1",
    "unknown opcode": b"\0\x63x\0y\0",
    "request without zero bytes": b"\0\1abc",
    "opcode alone": b"\0\1",
    "option without a value": rrq(b"big.bin", b"octet", b"blksize"),
    "blksize in letters": rrq(b"big.bin", b"octet", b"blksize", b"abc"),
    "blksize out of range": rrq(b"big.bin", b"octet", b"blksize", b"65536"),
    "blksize of 400 digits": rrq(b"big.bin", b"octet", b"blksize", b"9" * 400),
    "blksize in other digits": rrq(b"big.bin", b"octet", b"blksize", "٥١٢".encode()),
    "negative timeout": rrq(b"big.bin", b"octet", b"timeout", b"-1"),
    "name that is no text": rrq(b"\xff\xfe.xml"),
    "directory": rrq(b"sub/"),
    "dot": rrq(b"."),
    "way up": rrq(b"../../../../etc/passwd"),
    "name with line breaks": rrq(b"a\r\nlevel=CRITICAL \x1b[2J"),
    "name of 5,000 bytes": rrq(b"a" * 5_000),
    "name of 60,000 bytes": rrq(b"a" * 60_000),
    "hundred options": rrq(b"big.bin", b"octet", *[b"a", b"b"] * 100),
    "write request": b"\0\2new.txt\0octet\0",
    "mail": rrq(b"big.bin", b"mail"),
    "acknowledgement": wire.ack(7),
    "error": wire.error(ErrorCode.NOT_FOUND, "x"),
    "data": wire.data(1, b"x"),
    "oack": b"\0\6blksize\0abc\0",
}
DURING_A_TRANSFER = {
    "one byte": b"\0",
    "empty datagram": b"",
    "acknowledgement of one byte": b"\0\4\0",
    "long datagram": b"\0\4" + b"\0" * 60_000,
    "oack": b"\0\6blksize\0abc\0",
    "request": rrq(b"big.bin"),
    "data": wire.data(1, b"x" * 512),
    "error without its end": b"\0\5",
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_hostile_request_does_not_stop_server_or_transfers(
    tftp_serve: Serve, tftp_phone: MakePhone, attack: str
) -> None:
    served = tftp_serve(FILES)
    honest = tftp_phone(served)
    honest.ask("a.xml")
    for _ in range(3):
        tftp_phone(served).send_request(ATTACKS[attack])
    honest.send(wire.ack(1))
    assert honest.hear() == wire.Data(2, b"a" * 512)
    assert tftp_phone(served).fetch("big.bin") == FILES["big.bin"]
    assert served.server.is_alive


@pytest.mark.parametrize("attack", DURING_A_TRANSFER)
def test_hostile_datagram_does_not_disturb_transfer(tftp_serve: Serve, tftp_phone: MakePhone, attack: str) -> None:
    served = tftp_serve(FILES)
    honest, stranger = tftp_phone(served), tftp_phone(served)
    honest.ask("a.xml")
    stranger.tid = honest.tid
    for sender in (honest, stranger):
        sender.send(DURING_A_TRANSFER[attack])
    honest.send(wire.ack(1))
    assert honest.hear() == wire.Data(2, b"a" * 512)
    assert served.server.is_alive


@pytest.mark.parametrize("message", [b"\0\5\0\x63bye\0", b"\0\5\0\1", b"\0\5\xff\xff" + b"\xff" * 60_000])
def test_malformed_error_ends_only_its_transfer(tftp_serve: Serve, tftp_phone: MakePhone, message: bytes) -> None:
    served = tftp_serve(FILES)
    phone = tftp_phone(served)
    phone.ask("big.bin")
    phone.send(message)
    assert served.fetch().outcome is FetchOutcome.ABORTED
    assert phone.fetch("big.bin") == FILES["big.bin"]


def test_random_datagrams_do_not_stop_server(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    noise, honest = tftp_phone(served), tftp_phone(served)
    dice = random.Random(69)
    for _ in range(20):
        for _ in range(100):
            prefix = dice.choice([b"", b"\0", b"\0\1", b"\0\1a.xml\0octet\0", b"\0\2", b"\0\4", b"\0\5", b"\0\6"])
            noise.send_request(prefix + os.urandom(dice.randrange(40)))
        assert honest.fetch("big.bin") == FILES["big.bin"]
    assert served.server.is_alive


def test_burst_of_2000_requests_is_answered_without_repetition(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve(FILES)
    phones = [tftp_phone(served, host=f"127.0.{index // 250 + 1}.{index % 250 + 1}") for index in range(2000)]
    for phone in phones:
        phone.send_request(wire.read_request("nothing"))
    for phone in phones:
        assert phone.hear() == wire.Error(ErrorCode.NOT_FOUND, "File not found")
