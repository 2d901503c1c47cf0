"""The HTTP server for phones, in the event loop: accepts connections and drives them.

Its own epoll is one descriptor for the event loop. A connection then costs a registration there instead of a transport,
and one wake-up handles many of them.
"""

import asyncio
import errno
import logging
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress

from cisisk.provisioning.fetch import FetchListener, FetchOutcome
from cisisk.provisioning.http.connection import CLOSED, READING, SETTLING, WRITING, Connection
from cisisk.provisioning.http.limits import DEFAULT_LIMITS, HttpLimits
from cisisk.provisioning.source import FileSource

BACKLOG = 1024
"""Connections that wait to be accepted: all phones of a site that start together."""
ACCEPTS_PER_TURN = 16
"""Connections accepted in one turn. Each may bring a request: together about a millisecond."""
EVENTS_PER_TURN = 32
"""Connections driven in one turn, for the same reason."""
SETTLE_SECONDS = 0.05
"""Between two checks whether a response was acknowledged: TCP may delay that (RFC 9293 3.8.6.3 allows 500 ms, Linux
takes 40 ms)."""
REFUSALS_LOG_INTERVAL = 60.0
"""Seconds between two log lines about refused clients."""

_EXHAUSTED = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

log = logging.getLogger(__name__)


class HttpServer:
    """Serves the files of a source to HTTP clients."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        source: FileSource,
        on_fetch: FetchListener,
        limits: HttpLimits = DEFAULT_LIMITS,
    ) -> None:
        """Bind the port; connections wait there until ``start``.

        Args:
            host: the address to serve; ``0.0.0.0`` every IPv4 address, ``::`` every address of both families.
            port: 6970, or 0 for any free one.
            source: asked from the event loop.
            on_fetch: called from the event loop, once per ended fetch.
            limits: limits of the server and of each connection.

        Raises:
            OSError: the port is in use or privileged, or the host is no address of this machine.
        """
        self._source = source
        self._on_fetch = on_fetch
        self._limits = limits
        self._listeners = {listener.fileno(): listener for listener in _listeners(host, port)}
        self._address: tuple[str, int] = next(iter(self._listeners.values())).getsockname()[:2]
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._per_address: Counter[str] = Counter()
        self._unsettled: dict[int, Connection] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_listening = False
        self._ticking: asyncio.TimerHandle | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._emptied: asyncio.Event | None = None
        self._refusal_logged = float("-inf")
        self._room_made = float("-inf")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that requests go to."""
        return self._address

    @property
    def is_serving(self) -> bool:
        """Whether connections are accepted: from ``start`` to ``stop``, unless the system has no descriptor left."""
        return self._loop is not None and self._is_listening

    @property
    def connections(self) -> int:
        """Number of open connections."""
        return len(self._connections)

    def start(self) -> None:
        """Begin to serve, in the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll.fileno(), self._turn)
        self._listen()
        self._tick(self._loop)

    async def stop(self, grace: float) -> None:
        """Free the port and close all connections. May be called more than once, and without ``start``.

        Responses under way may finish within ``grace`` seconds and are then cut.
        """
        if self._epoll.closed:
            return
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        self._is_listening = False
        for connection in list(self._connections.values()):
            before = connection.state
            connection.finish()
            self._follow(connection, before)
        if self._connections:
            self._emptied = asyncio.Event()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._emptied.wait(), grace)
        for connection in list(self._connections.values()):
            connection.close(FetchOutcome.CUT)
            self._follow(connection, connection.state)
        if self._loop is not None:
            self._loop.remove_reader(self._epoll.fileno())
        for timer in (self._ticking, self._settling):
            if timer is not None:
                timer.cancel()
        self._epoll.close()

    def _turn(self) -> None:
        """Read all that has arrived, then send all responses, then check which were acknowledged.

        Responses that follow each other closely find their clients' processor, and the network's, awake.
        """
        now = time.monotonic()
        numbers = [number for number, _ in self._epoll.poll(0, EVENTS_PER_TURN)]
        turns = [(known, known.state) for number in numbers if (known := self._connections.get(number))]
        for number in numbers:
            if number in self._listeners:
                turns += [(accepted, SETTLING) for accepted in self._accepted(self._listeners[number], now)]
        for connection, _ in turns:
            if connection.state == READING:
                self._attend(connection, connection.proceed, now)
        for connection, _ in turns:
            if connection.state == WRITING:
                self._attend(connection, connection.proceed, now)
        for connection, watched in turns:
            self._attend(connection, connection.settle, now)
            self._follow(connection, watched)

    def _accepted(self, listener: socket.socket, now: float) -> Iterator[Connection]:
        """Accept new connections. Their requests have often arrived already."""
        for _ in range(ACCEPTS_PER_TURN):
            try:
                accepted, address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _EXHAUSTED:
                    self._pause(error)
                    return
                # The client disconnected before it was accepted (accept(2)).
                continue
            host, port = address[:2]
            if self._may_enter(host, now):
                accepted.settimeout(0)
                connection = Connection(
                    accepted, (host, port), source=self._source, on_fetch=self._on_fetch, now=now, limits=self._limits
                )
                self._connections[connection.number] = connection
                self._per_address[host] += 1
                yield connection
            else:
                accepted.close()

    def _attend(self, connection: Connection, step: Callable[[float], None], now: float) -> None:
        """Take a ``step`` of a connection. An error in it closes this connection only."""
        try:
            step(now)
        except Exception:
            log.exception("HTTP connection failed: host=%s", connection.host)
            connection.close(FetchOutcome.CUT)

    def _follow(self, connection: Connection, watched: int) -> None:
        """Watch for the event that a connection waits for; ``watched`` is what is watched now."""
        state, number = connection.state, connection.number
        if state == CLOSED:
            self._forget(connection)
            return
        if state != watched:
            if watched == SETTLING:
                self._epoll.register(number, state)
            elif state == SETTLING:
                self._epoll.unregister(number)
            else:
                self._epoll.modify(number, state)
        if connection.is_unsettled:
            self._unsettled[number] = connection
            if self._settling is None and self._loop is not None:
                self._settling = self._loop.call_later(SETTLE_SECONDS, self._settle, self._loop)

    def _forget(self, connection: Connection) -> None:
        if self._connections.get(connection.number) is not connection:
            return
        del self._connections[connection.number]
        self._unsettled.pop(connection.number, None)
        self._per_address[connection.host] -= 1
        if not self._per_address[connection.host]:
            del self._per_address[connection.host]
        if self._emptied is not None and not self._connections:
            self._emptied.set()

    def _settle(self, loop: asyncio.AbstractEventLoop) -> None:
        self._settling = None
        now = time.monotonic()
        for connection in list(self._unsettled.values()):
            before = connection.state
            self._attend(connection, connection.settle, now)
            if not connection.is_unsettled:
                self._unsettled.pop(connection.number, None)
            self._follow(connection, before)
        if self._unsettled and self._settling is None:
            self._settling = loop.call_later(SETTLE_SECONDS, self._settle, loop)

    def _tick(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ticking = loop.call_later(self._limits.tick_seconds, self._tick, loop)
        now = time.monotonic()
        for connection in list(self._connections.values()):
            before = connection.state
            connection.expire(now)
            if connection.state == CLOSED:
                self._follow(connection, before)

    def _may_enter(self, host: str, now: float) -> bool:
        if self._per_address[host] >= self._limits.max_per_address:
            self._turned_away(f"{self._limits.max_per_address} connections from {host}", now)
            return False
        if len(self._connections) >= self._limits.max_connections and not self._make_room(now):
            self._turned_away(f"{self._limits.max_connections} connections", now)
            return False
        return True

    def _make_room(self, now: float) -> bool:
        """Close connections without a request; return whether that made room.

        Not again for a while, because it takes time.
        """
        if now < self._room_made + self._limits.spared_seconds:
            return False
        self._room_made = now
        for connection in list(self._connections.values()):
            if connection.waits_since is not None and connection.waits_since <= now - self._limits.spared_seconds:
                before = connection.state
                connection.close(FetchOutcome.TIMED_OUT)
                self._follow(connection, before)
        return len(self._connections) < self._limits.max_connections

    def _turned_away(self, state: str, now: float) -> None:
        if now >= self._refusal_logged + REFUSALS_LOG_INTERVAL:
            self._refusal_logged = now
            log.warning("HTTP clients refused: reason=%r", state)

    def _pause(self, error: OSError) -> None:
        if not self._is_listening:
            return
        log.warning("HTTP connections not accepted: error=%r", error.strerror)
        for number in self._listeners:
            self._epoll.unregister(number)
        self._is_listening = False
        if self._loop is not None:
            self._loop.call_later(self._limits.pause_seconds, self._listen)

    def _listen(self) -> None:
        for number in self._listeners:
            self._epoll.register(number, select.EPOLLIN)
        self._is_listening = bool(self._listeners)


def _listeners(host: str, port: int) -> list[socket.socket]:
    """Open the sockets on ``host``; ``::`` means every address of both families, which takes two. Raises OSError."""
    first = _listener(host, port)
    if host != "::":
        return [first]
    try:
        return [first, _listener("0.0.0.0", first.getsockname()[1])]  # noqa: S104 -- what the operator asked for with ::
    except BaseException:
        first.close()
        raise


def _listener(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Connections inherit it: the end of a response does not wait for an acknowledgement (Nagle).
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener
