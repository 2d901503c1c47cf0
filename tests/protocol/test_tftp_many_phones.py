"""Many concurrent phones: batches of datagrams per system call, and networks that lose and reorder them."""

import heapq
import itertools
import random
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from cisisk.provisioning.access.policy import AccessPolicy, Mode
from cisisk.provisioning.fetch import FetchOutcome
from cisisk.provisioning.library import Library
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.server import CrowdLimits
from tests.protocol.conftest import MakePhone, Serve

LIMIT = 20.0
"""Timeout of a storm in seconds."""


Address = tuple[str, int]


class Download:
    """A client that requests one file, acknowledges its blocks, and repeats packets as phones do."""

    TRIES = 60
    """Number of repetitions before it gives up, enough for heavy loss."""

    def __init__(self, name: str, options: dict[str, int], source: Address, to: Address, timer: float = 0.5) -> None:
        family = socket.AF_INET6 if ":" in source[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(source)
        self.socket.setblocking(False)
        self.name, self.to = name, to
        self.received = bytearray()
        self.blksize, self.window, self.block, self.unconfirmed = 512, 1, 0, 0
        self.last = wire.read_request(name, "octet", options)
        self.peer = to
        self.tries = 0
        self.timer = timer
        self.is_over = False
        self.error: wire.Error | str = ""
        self.heard = time.monotonic()

    def send(self, datagram: bytes) -> None:
        self.last = datagram
        self.heard = time.monotonic()
        self.socket.sendto(datagram, self.peer)

    def repeat(self) -> None:
        """Repeat the last packet, or give up: its transfer may have ended, which single-port servers do not report."""
        self.tries += 1
        if self.tries > self.TRIES:
            self.error, self.is_over = "gave up", True
        else:
            self.send(self.last)

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
        self.tries = 0
        self.received += packet.payload
        self.unconfirmed += 1
        self.is_over = len(packet.payload) < self.blksize
        if self.is_over or self.unconfirmed >= self.window:
            self.unconfirmed = 0
            self.send(wire.ack(self.block))


def storm(downloads: list[Download]) -> None:
    """Run all downloads concurrently."""
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
                if not download.is_over and time.monotonic() > download.heard + download.timer:
                    download.repeat()
    for download in downloads:
        download.socket.close()


@pytest.fixture(name="source")
def source_of(tmp_path: Path) -> AccessPolicy:
    """Create twelve files of critical lengths, the last one too large for the cache."""
    dice = random.Random(1350)
    for index, size in enumerate([0, 1, 511, 512, 513, 1024, 4096, 16384, 16385, 70_000, 300_000, (1 << 20) + 5]):
        (tmp_path / f"{index}.bin").write_bytes(dice.randbytes(size))
    return AccessPolicy(Library(tmp_path, cache_bytes=120_000), Mode.OFF)


def downloads(count: int, address: tuple[str, int], source: str, **options: int) -> list[Download]:
    return [Download(f"{index % 12}.bin", options, (source, 0), address) for index in range(count)]


@pytest.mark.parametrize("options", [{}, {"blksize": 1428}, {"blksize": 8192, "windowsize": 8}])
@pytest.mark.parametrize(
    ("host", "single_port"), [("127.0.0.1", False), ("::1", False), ("127.0.0.1", True), ("::1", True)]
)
def test_every_client_gets_the_requested_file(
    tftp_serve: Serve,
    source: AccessPolicy,
    tmp_path: Path,
    options: dict[str, int],
    host: str,
    single_port: bool,
) -> None:
    served = tftp_serve({}, host=host, single_port=single_port, source=source, largest_blksize=8192)
    phones = downloads(48, (host, served.port), host, **options)
    storm(phones)
    for phone in phones:
        assert phone.received == (tmp_path / phone.name).read_bytes()
    fetches = [served.fetch() for _ in phones]
    assert {fetch.outcome for fetch in fetches} == {FetchOutcome.COMPLETED}
    assert sorted(fetch.acknowledged for fetch in fetches) == sorted(len(phone.received) for phone in phones)
    assert served.server.counters.payload == sum(len(phone.received) for phone in phones)


class BadNetwork(threading.Thread):
    """A proxy between phones and server that loses, repeats and delays datagrams, so that they overtake each other.

    The proxy has one port per phone towards the server and one port per transfer towards the phone.
    """

    LONGEST_DELAY = 0.02

    def __init__(self, server: Address, loss: float) -> None:
        super().__init__()
        self.loss, self.dice = loss, random.Random(loss)
        self.is_open = True
        self.lost = self.repeated = self.overtaken = 0
        self._server = server
        self._selector = selectors.DefaultSelector()
        self._held: list[tuple[float, int, socket.socket, bytes, Address]] = []
        self._carried = itertools.count()
        self._last_out = 0
        self._to_server: dict[Address, socket.socket] = {}
        self._to_phone: dict[tuple[Address, Address], socket.socket] = {}
        self._requests = self._port(self._take_request)

    @property
    def address(self) -> Address:
        return ("127.0.0.1", self._requests.getsockname()[1])

    def run(self) -> None:
        while self.is_open:
            pause = self._held[0][0] - time.monotonic() if self._held else 0.05
            for key, _ in self._selector.select(max(pause, 0)):
                port, take = key.data
                take(*port.recvfrom(65536))
            while self._held and self._held[0][0] <= time.monotonic():
                _, number, out, datagram, to = heapq.heappop(self._held)
                self.overtaken += number < self._last_out
                self._last_out = number
                out.sendto(datagram, to)
        for port in [self._requests, *self._to_server.values(), *self._to_phone.values()]:
            port.close()
        self._selector.close()

    def _port(self, take: Callable[[bytes, Address], None]) -> socket.socket:
        port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        port.bind(("127.0.0.1", 0))
        self._selector.register(port, selectors.EVENT_READ, (port, take))
        return port

    def _take_request(self, datagram: bytes, phone: Address) -> None:
        if phone not in self._to_server:
            self._to_server[phone] = self._port(partial(self._take_answer, phone))
        self._carry(self._to_server[phone], datagram, self._server)

    def _take_answer(self, phone: Address, datagram: bytes, tid: Address) -> None:
        if (phone, tid) not in self._to_phone:
            towards = self._to_server[phone]
            self._to_phone[phone, tid] = self._port(lambda confirmed, _: self._carry(towards, confirmed, tid))
        self._carry(self._to_phone[phone, tid], datagram, phone)

    def _carry(self, out: socket.socket, datagram: bytes, to: Address) -> None:
        if self.dice.random() < self.loss:
            self.lost += 1
            return
        is_repeated = self.dice.random() < self.loss
        self.repeated += is_repeated
        for _ in range(1 + is_repeated):
            delay = self.dice.random() * self.LONGEST_DELAY if self.dice.random() < self.loss else 0.0
            heapq.heappush(self._held, (time.monotonic() + delay, next(self._carried), out, datagram, to))


Spoil = Callable[[Address, float], BadNetwork]


@pytest.fixture(name="bad_network")
def bad_network_before() -> Iterator[Spoil]:
    running: list[BadNetwork] = []

    def start(server: Address, loss: float) -> BadNetwork:
        running.append(BadNetwork(server, loss))
        running[-1].start()
        return running[-1]

    yield start
    for network in running:
        network.is_open = False
        network.join()


@pytest.mark.parametrize("loss", [0.01, 0.05, 0.2])
@pytest.mark.parametrize(("options", "files"), [({}, 9), ({"blksize": 1428, "windowsize": 4}, 11)])
@pytest.mark.parametrize("single_port", [False, True])
def test_bad_network_delivers_the_file_or_an_error(
    tftp_serve: Serve,
    bad_network: Spoil,
    source: AccessPolicy,
    tmp_path: Path,
    loss: float,
    options: dict[str, int],
    files: int,
    single_port: bool,
) -> None:
    served = tftp_serve({}, source=source, single_port=single_port)
    network = bad_network(served.server.address, loss)
    phones = [
        Download(f"{index % files}.bin", options, ("127.0.0.1", 0), network.address, timer=0.1) for index in range(36)
    ]
    storm(phones)
    for phone in phones:
        whole = (tmp_path / phone.name).read_bytes()
        assert phone.received == (whole[: len(phone.received)] if phone.error else whole)
    assert sum(not phone.error for phone in phones) >= (len(phones) if loss < 0.2 else len(phones) // 2)
    assert network.lost
    assert network.repeated
    assert network.overtaken


def test_crowded_server_delays_a_request_until_a_transfer_ends(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve({"a": b"a" * 600}, crowd=CrowdLimits(transfers=1, wait_seconds=1000.0))
    first, second = tftp_phone(served), tftp_phone(served)
    first.ask("a")
    second.send_request(wire.read_request("a"))
    assert second.hears_nothing()
    first.send(wire.error(wire.ErrorCode.UNDEFINED, "enough"))
    assert second.hear() == wire.Data(1, b"a" * 512)


def test_crowded_server_delays_a_request_only_briefly(tftp_serve: Serve, tftp_phone: MakePhone) -> None:
    served = tftp_serve({"a": b"a" * 600}, crowd=CrowdLimits(transfers=1, wait_seconds=0.15))
    first, second = tftp_phone(served), tftp_phone(served)
    first.ask("a")
    second.send_request(wire.read_request("a"))
    assert second.hears_nothing()
    assert second.hear() == wire.Data(1, b"a" * 512)
