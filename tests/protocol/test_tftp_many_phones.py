"""Many phones at the same time: the batches that one system call carries, and networks that lose and mix them up."""

import random
import selectors
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cisisk.provisioning.fetch import Outcome
from cisisk.provisioning.library import Library
from cisisk.provisioning.tftp import ports, wire

LIMIT = 20.0
"""Seconds until a storm must be over."""


class Download:
    """A phone that asks for one file, confirms what it gets, and repeats itself as phones do."""

    TIMER = 0.5

    def __init__(self, name: str, options: dict[str, int], source: tuple[str, int], to: tuple[str, int]) -> None:
        family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(source)
        self.socket.setblocking(False)
        self.name, self.to = name, to
        self.received = bytearray()
        self.blksize, self.window, self.block, self.unconfirmed = 512, 1, 0, 0
        self.last = wire.read_request(name, "octet", options)
        self.peer: tuple = to
        self.is_over = False
        self.error: wire.Error | None = None
        self.heard = time.monotonic()

    def send(self, datagram: bytes) -> None:
        self.last = datagram
        self.heard = time.monotonic()
        self.socket.sendto(datagram, self.peer)

    def take(self) -> None:
        datagram, sender = self.socket.recvfrom(65536)
        if self.block and sender != self.peer:
            return
        packet = wire.parse(datagram)
        if isinstance(packet, wire.Error):
            self.error, self.is_over = packet, True
        elif isinstance(packet, wire.Oack) and not self.block:
            self.peer = sender
            self.blksize = int(packet.options.get("blksize", "512"))
            self.window = int(packet.options.get("windowsize", "1"))
            self.send(wire.ack(0))
        elif isinstance(packet, wire.Data):
            self.peer = sender
            self.take_block(packet)

    def take_block(self, packet: wire.Data) -> None:
        if packet.block != (self.block + 1) % wire.BLOCK_NUMBERS:
            if self.block:
                self.unconfirmed = 0
                self.send(wire.ack(self.block))
            return
        self.block += 1
        self.received += packet.payload
        self.unconfirmed += 1
        self.is_over = len(packet.payload) < self.blksize
        if self.is_over or self.unconfirmed >= self.window:
            self.unconfirmed = 0
            self.send(wire.ack(self.block))


def storm(downloads: list[Download]) -> None:
    """Run them all at the same time."""
    with selectors.DefaultSelector() as selector:
        for download in downloads:
            selector.register(download.socket, selectors.EVENT_READ, download)
            download.send(download.last)
        limit = time.monotonic() + LIMIT
        while not all(download.is_over for download in downloads):
            assert time.monotonic() < limit, "some never ended"
            for key, _ in selector.select(0.05):
                if not key.data.is_over:
                    key.data.take()
                else:
                    key.data.socket.recv(65536)
            for download in downloads:
                if not download.is_over and time.monotonic() > download.heard + Download.TIMER:
                    download.send(download.last)
    for download in downloads:
        download.socket.close()


@pytest.fixture(name="library")
def library_of(tmp_path: Path) -> Library:
    """Twelve files of lengths that matter, the last too large to be kept."""
    dice = random.Random(1350)
    for index, size in enumerate([0, 1, 511, 512, 513, 1024, 4096, 16384, 16385, 70_000, 300_000, (1 << 20) + 5]):
        (tmp_path / f"{index}.bin").write_bytes(dice.randbytes(size))
    return Library(tmp_path, cache_bytes=120_000)


def downloads(count: int, address: tuple[str, int], source: str, **options: int) -> list[Download]:
    return [Download(f"{index % 12}.bin", options, (source, 0), address) for index in range(count)]


@pytest.mark.parametrize("has_batches", [True, False])
@pytest.mark.parametrize("options", [{}, {"blksize": 1428}, {"blksize": 8192, "windowsize": 8}])
@pytest.mark.parametrize(
    ("host", "single_port"), [("127.0.0.1", False), ("::1", False), ("127.0.0.1", True), ("::1", True)]
)
def test_everybody_gets_the_file_asked_for(
    tftp_serve: Callable,
    library: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    has_batches: bool,
    options: dict,
    host: str,
    single_port: bool,
):
    monkeypatch.setattr(ports, "_HAS_BATCHES", has_batches and ports._HAS_BATCHES)
    served = tftp_serve({}, host=host, single_port=single_port, source=library, largest_blksize=8192)
    phones = downloads(48, (host, served.port), host, **options)
    storm(phones)
    for phone in phones:
        assert phone.received == (tmp_path / phone.name).read_bytes()
    fetches = [served.fetch() for _ in phones]
    assert {fetch.outcome for fetch in fetches} == {Outcome.COMPLETED}
    assert sorted(fetch.acknowledged for fetch in fetches) == sorted(len(phone.received) for phone in phones)
    assert served.server.counters.payload == sum(len(phone.received) for phone in phones)


class BadNetwork:
    """Stands between phones and server; loses, repeats and delays datagrams in both directions."""

    def __init__(self, server: tuple[str, int], loss: float, dice: random.Random) -> None:
        self.server, self.loss, self.dice = server, loss, dice
        self.held: list[tuple[socket.socket, bytes, tuple]] = []

    def carry(self, out: socket.socket, datagram: bytes, to: tuple) -> None:
        if self.dice.random() < self.loss:
            return
        self.held += [(out, datagram, to)] * (1 + (self.dice.random() < self.loss))
        while self.held and (len(self.held) > 3 or self.dice.random() > self.loss):
            out, datagram, to = self.held.pop(self.dice.randrange(len(self.held)))
            out.sendto(datagram, to)


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
@pytest.mark.parametrize("options", [{}, {"blksize": 1428, "windowsize": 4}])
def test_over_a_bad_network_nobody_gets_wrong_content(
    tftp_serve: Callable, library: Library, tmp_path: Path, loss: float, options: dict, monkeypatch: pytest.MonkeyPatch
):
    served = tftp_serve({}, source=library)
    dice = random.Random(loss)
    network = BadNetwork(served.server.address, loss, dice)
    phones = [
        Download(f"{index % 8}.bin", options, ("127.0.0.1", 0), ("127.0.0.1", served.port)) for index in range(20)
    ]
    for phone in phones:
        monkeypatch.setattr(phone, "send", lambda datagram, phone=phone: (send_over(network, phone, datagram), None)[1])
        monkeypatch.setattr(phone, "take", lambda phone=phone: take_over(network, phone))
    monkeypatch.setattr(Download, "TIMER", 0.1)
    storm(phones)
    for phone in phones:
        assert phone.error is None
        assert phone.received == (tmp_path / phone.name).read_bytes()


def send_over(network: BadNetwork, phone: Download, datagram: bytes) -> None:
    phone.last = datagram
    phone.heard = time.monotonic()
    network.carry(phone.socket, datagram, phone.peer)


def take_over(network: BadNetwork, phone: Download) -> None:
    if network.dice.random() < network.loss:
        phone.socket.recv(65536)
    else:
        Download.take(phone)
