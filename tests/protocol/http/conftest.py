"""The HTTP server for phones on a real directory, and a client that sends raw bytes."""

import asyncio
import queue
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest

from cisisk.provisioning.fetch import Fetch
from cisisk.provisioning.http.limits import DEFAULT_LIMITS, HttpLimits
from cisisk.provisioning.http.server import HttpServer
from cisisk.provisioning.library import Library
from cisisk.provisioning.source import Content, NotServed
from tests.patience import PATIENCE

DENIED = "denied.xml"
BROKEN = "broken.xml"
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Answer:
    status: int
    fields: dict[str, str]
    body: bytes


class Served:
    """A running server with its directory and reports."""

    def __init__(self, root: Path, files: dict[str, bytes], cache_bytes: int, host: str, limits: HttpLimits) -> None:
        self.root = root
        root.mkdir()
        for name, content in files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(content)
        self.library = Library(root, cache_bytes)
        self.fetches: queue.Queue[Fetch] = queue.Queue()
        self.asked: list[tuple[str, str]] = []
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, name="http")
        self.thread.start()
        self.server = HttpServer(host=host, port=0, source=self, on_fetch=self.fetches.put, limits=limits)
        self.do(self.server.start)

    @property
    def port(self) -> int:
        return self.server.address[1]

    def open(self, name: str, host: str) -> Content:
        self.asked.append((name, host))
        if name == DENIED:
            raise NotServed(name)
        if name == BROKEN:
            raise OSError(5, "the disk is broken")
        return self.library.open(name)

    def do(self, action: Callable[[], _Result]) -> _Result:
        """Run ``action`` in the thread of the server."""
        done: Future[_Result] = Future()

        def act() -> None:
            try:
                done.set_result(action())
            except BaseException as error:  # noqa: BLE001 -- raised in the waiting thread
                done.set_exception(error)

        self.loop.call_soon_threadsafe(act)
        return done.result(PATIENCE)

    def fetch(self) -> Fetch:
        """Return the next report of a fetch."""
        return self.fetches.get(timeout=PATIENCE)

    def stop(self, grace: float = 0) -> None:
        asyncio.run_coroutine_threadsafe(self.server.stop(grace), self.loop).result(PATIENCE)

    def end(self) -> None:
        self.stop()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(PATIENCE)
        self.loop.close()
        self.library.close()


class Client:
    """A TCP connection that sends and receives raw HTTP."""

    def __init__(self, served: Served, source: str, to: str, receive_buffer: int | None) -> None:
        self.socket = socket.socket(socket.AF_INET6 if ":" in to else socket.AF_INET)
        self.socket.settimeout(PATIENCE)
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.received = b""
        try:
            self.socket.bind((source, 0))
            self.socket.connect((to, served.port))
        except BaseException:
            self.socket.close()
            raise

    def send(self, raw: bytes) -> None:
        self.socket.sendall(raw)

    def ask(self, target: str, *fields: str, method: str = "GET", version: str = "1.1") -> Answer:
        self.send("\r\n".join([f"{method} {target} HTTP/{version}", *fields, "", ""]).encode())
        return self.hear(has_body=method != "HEAD")

    def hear(self, *, has_body: bool = True) -> Answer:
        """Return the next response."""
        while b"\r\n\r\n" not in self.received:
            assert self._receive(), "the connection was closed"
        head, _, self.received = self.received.partition(b"\r\n\r\n")
        line, *lines = head.decode("ascii").split("\r\n")
        fields = dict(each.split(": ", 1) for each in lines)
        length = int(fields["Content-Length"]) if has_body else 0
        while len(self.received) < length:
            assert self._receive(), "the connection was closed"
        body, self.received = self.received[:length], self.received[length:]
        return Answer(int(line.split(" ")[1]), fields, body)

    def is_closed(self) -> bool:
        """Wait for the end of the connection; return whether the server sent nothing before."""
        try:
            return not self.received and not self._receive()
        except ConnectionResetError:
            return True

    def is_reset(self) -> bool:
        """Read until the connection ends; return whether the server reset it."""
        try:
            while self.socket.recv(1 << 20):
                pass
        except ConnectionResetError:
            return True
        return False

    def _receive(self) -> bytes:
        arrived = self.socket.recv(1 << 20)
        self.received += arrived
        return arrived


@pytest.fixture
def http_serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Start a server for ``files``. It sends files larger than ``cache_bytes`` from disk."""
    running: list[Served] = []

    def serve(
        files: dict[str, bytes],
        *,
        cache_bytes: int = 8 << 20,
        host: str = "127.0.0.1",
        limits: HttpLimits = DEFAULT_LIMITS,
    ) -> Served:
        running.append(Served(tmp_path / f"root{len(running)}", files, cache_bytes, host, limits))
        return running[-1]

    yield serve
    for served in running:
        kept = served.library._contents
        served.end()
        assert [version.users for version in kept._versions.values() if version.users] == []
        assert served.server.connections == 0


@pytest.fixture
def http_client() -> Iterator[Callable[..., Client]]:
    """Connect clients to a server."""
    with ExitStack() as sockets:

        def client(
            served: Served, source: str = "127.0.0.1", to: str = "127.0.0.1", receive_buffer: int | None = None
        ) -> Client:
            made = Client(served, source, to, receive_buffer)
            sockets.enter_context(made.socket)
            return made

        yield client


Serve = Callable[..., Served]
Connect = Callable[..., Client]
