"""A TFTP server with files in memory, and a client that sends single packets."""

import queue
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import Any

import pytest

from cisisk.provisioning.fetch import Fetch
from cisisk.provisioning.source import NotServed
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.path import DatagramPath
from cisisk.provisioning.tftp.server import TftpServer
from tests.patience import PATIENCE


class MemoryContent:
    sha256 = None
    read_ahead = 0

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.size = len(data)
        self.closed = 0
        self.failure: Exception | None = None

    def read(self, offset: int, length: int) -> bytes:
        if self.failure is not None:
            raise self.failure
        return self.data[offset : offset + length]

    def close(self) -> None:
        self.closed += 1


class Served:
    """A running server with its files and reports."""

    def __init__(self, files: dict[str, bytes], **settings: Any) -> None:
        self.files = files
        self.opened: list[MemoryContent] = []
        self.fetches: queue.Queue[Fetch] = queue.Queue()
        arguments: dict[str, Any] = {"source": self, "host": "127.0.0.1", "port": 0, "max_transfers": 4096} | settings
        self.server = TftpServer(on_fetch=self.fetches.put, **arguments)

    @property
    def port(self) -> int:
        return self.server.address[1]

    def open(self, name: str, host: str) -> MemoryContent:
        if name not in self.files:
            raise NotServed(name)
        self.opened.append(MemoryContent(self.files[name]))
        return self.opened[-1]

    def fetch(self) -> Fetch:
        """Return the next report of a fetch."""
        return self.fetches.get(timeout=PATIENCE)


class Phone:
    """A UDP socket that sends and receives single TFTP packets."""

    def __init__(self, served: Served, host: str, to: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.settimeout(PATIENCE)
        self.socket.bind((host, port))
        self.address = self.socket.getsockname()
        self.request_port = (to, served.port)
        self.tid: tuple[str, int] = ("", 0)

    def ask(self, name: str, mode: str = "octet", **options: int) -> wire.Packet:
        """Send a read request; return the first answer and keep its sender as the TID."""
        self.forget_repeated_packets()
        self.send_request(wire.read_request(name, mode, options))
        return self.hear()

    def forget_repeated_packets(self) -> None:
        """Drop repeated packets of an earlier transfer."""
        self.socket.setblocking(False)
        with suppress(BlockingIOError):
            while True:
                self.socket.recvfrom(65536)
        self.socket.settimeout(PATIENCE)

    def send_request(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.request_port)

    def send(self, datagram: bytes) -> None:
        self.socket.sendto(datagram, self.tid)

    def hear(self) -> wire.Packet:
        datagram, self.tid = self.socket.recvfrom(65536)
        return wire.parse(datagram)

    def hears_nothing(self, seconds: float = 0.1) -> bool:
        """Return whether nothing arrives for ``seconds``. The shortest retransmission takes 0.2 s."""
        self.socket.settimeout(seconds)
        try:
            self.socket.recvfrom(65536)
        except TimeoutError:
            return True
        else:
            return False
        finally:
            self.socket.settimeout(PATIENCE)

    def fetch(self, name: str, **options: int) -> bytes:
        """Fetch the whole file in lock-step."""
        received = bytearray()
        packet = self.ask(name, "octet", **options)
        blksize = 512
        if isinstance(packet, wire.Oack):
            blksize = int(packet.options.get("blksize", "512"))
            self.send(wire.ack(0))
            packet = self.hear()
        while True:
            assert isinstance(packet, wire.Data), packet
            received += packet.payload
            self.send(wire.ack(packet.block))
            if len(packet.payload) < blksize:
                return bytes(received)
            packet = self.hear()


Serve = Callable[..., Served]
MakePhone = Callable[..., Phone]
Eventually = Callable[[Callable[[], bool]], None]


@pytest.fixture
def tftp_serve(tftp_path: DatagramPath) -> Iterator[Serve]:
    """Start servers for ``files`` on each path; check at the end that each opened content was closed once."""
    running: list[Served] = []

    def serve(files: dict[str, bytes], **settings: Any) -> Served:
        served = Served(files, **{"path": tftp_path} | settings)
        running.append(served)
        served.server.start()
        return served

    yield serve
    for served in running:
        served.server.stop(0)
        assert [content.closed for content in served.opened] == [1] * len(served.opened)


@pytest.fixture
def tftp_phone() -> Iterator[MakePhone]:
    """Create phones for a server."""
    with ExitStack() as sockets:

        def phone(served: Served, host: str = "127.0.0.1", to: str = "127.0.0.1", port: int = 0) -> Phone:
            made = Phone(served, host, to, port)
            sockets.enter_context(made.socket)
            return made

        yield phone


@pytest.fixture
def eventually() -> Eventually:
    """Wait for a condition; fail after a timeout."""

    def wait(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "it never came about"
            time.sleep(0.005)

    return wait
