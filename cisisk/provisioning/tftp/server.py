"""The TFTP server: a thread that moves datagrams between sockets and the live transfers."""

import logging
import os
import select
import threading
import time
from collections import deque

from cisisk.provisioning.fetch import FetchListener
from cisisk.provisioning.source import FileSource
from cisisk.provisioning.tftp.live import LiveTransfers
from cisisk.provisioning.tftp.sockets import Arrival, ReplySocket, ReplySockets, request_sockets

TICK = 0.1
"""Seconds between two looks at the deadlines of the transfers, the shortest of which is one second."""
IDLE = 1.0
"""Seconds the loop sleeps at most, so that its heartbeat goes on without any traffic."""
EVENTS_PER_TURN = 64
"""Datagrams of transfers served in one turn: a millisecond or two, then the request port is read again."""
REQUESTS_PER_TURN = 64
"""Requests begun in one turn: a few milliseconds, then the port is read again and the running transfers go on."""
MAX_WAITING = 8192
"""Requests read but not begun; twice the phones of a large site. At 1 KiB each they take 8 MiB at most."""
JOIN_MARGIN = 5.0
"""Seconds beyond the grace after which a thread that has not ended hangs, in a disk that does not answer for one."""

log = logging.getLogger(__name__)


class TftpServer:
    """Serves the files of a source to TFTP clients, on a thread of its own."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        source: FileSource,
        on_fetch: FetchListener,
        max_transfers: int,
        port_range: tuple[int, int] | None = None,
    ) -> None:
        """Bind the request port; requests wait there until ``start``.

        Args:
            host: the address to serve; ``0.0.0.0`` every IPv4 address, ``::`` every address of both families.
            port: 69, or 0 for any free one.
            source: asked from the server's thread.
            on_fetch: called from the server's thread, once per ended fetch.
            max_transfers: more requests than that get no answer. Each transfer takes one descriptor, beside what its
                content takes.
            port_range: the lowest and highest port to reply from; None: any.

        Raises:
            OSError: the port is in use or privileged, or the host is no address of this machine.
        """
        self._request_sockets = request_sockets(host, port)
        self._address = self._request_sockets[0].address
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.EPOLLIN | select.EPOLLET)  # wakes once without being read
        for request_socket in self._request_sockets:
            self._poll.register(request_socket, select.EPOLLIN)
        self._replies = ReplySockets(self._poll, port_range)
        self._live = LiveTransfers(
            source=source, on_fetch=on_fetch, open_endpoint=self._replies.open, max_transfers=max_transfers
        )
        self._waiting: deque[Arrival] = deque()
        self._stop_at: float | None = None
        self._closed = False
        self._heartbeat = time.monotonic()
        self._thread = threading.Thread(target=self._run, name="tftp", daemon=True)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that requests go to."""
        return self._address

    @property
    def is_alive(self) -> bool:
        """Whether the thread runs. After ``start`` and before ``stop`` it must."""
        return self._thread.is_alive()

    @property
    def heartbeat(self) -> float:
        """Monotonic time at which the loop last turned; it turns every second at least."""
        return self._heartbeat

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """End the thread and free the port. May be called more than once, and without ``start``.

        No request is accepted any more; transfers under way may finish within ``grace`` seconds and are then cut.
        """
        if self._closed:
            return
        self._stop_at = time.monotonic() + grace
        if self._thread.ident is None:
            self._close_request_port()
        else:
            os.eventfd_write(self._wake, 1)
            self._thread.join(grace + JOIN_MARGIN)
            if self._thread.is_alive():
                log.error("the TFTP thread hangs and is left behind")
                return
        self._closed = True
        self._poll.close()
        os.close(self._wake)

    def _run(self) -> None:
        try:
            self._serve()
        except Exception:
            log.critical("the TFTP server has failed", exc_info=True)
        finally:
            self._close_request_port()
            self._live.cut("the server stops", time.monotonic())

    def _serve(self) -> None:
        look_at_deadlines = 0.0
        now = time.monotonic()
        while self._stop_at is None or (self._live and now < self._stop_at):
            events = self._poll.poll(self._pause(), EVENTS_PER_TURN)
            self._heartbeat = now = time.monotonic()
            if self._stop_at is not None:
                self._close_request_port()
            elif events:
                self._read_requests()
            self._begin_requests(now)
            self._serve_transfers(events, now)
            if now >= look_at_deadlines:
                self._live.expire(now)
                look_at_deadlines = now + TICK

    def _pause(self) -> float:
        if self._waiting:
            return 0.0
        return TICK if self._live else IDLE

    def _read_requests(self) -> None:
        """Empty the receive queue of the request port before anything else: what does not fit into it is lost."""
        for request_socket in self._request_sockets:
            self._waiting.extend(request_socket.arrivals(MAX_WAITING - len(self._waiting)))

    def _begin_requests(self, now: float) -> None:
        for _ in range(min(len(self._waiting), REQUESTS_PER_TURN)):
            arrival = self._waiting.popleft()
            reply = self._replies.serving(arrival.peer)
            if reply is not None:
                self._catch_up(reply, now)
            self._live.request(arrival.datagram, arrival.peer, arrival.local, now)

    def _serve_transfers(self, events: list[tuple[int, int]], now: float) -> None:
        for descriptor, _ in events:
            reply = self._replies.with_descriptor(descriptor)
            if reply is not None:
                self._receive(reply, now)

    def _catch_up(self, reply: ReplySocket, now: float) -> None:
        """Hand in what the peer sent before its new request: most often the acknowledgement of its last block."""
        for _ in range(EVENTS_PER_TURN):
            if self._replies.serving(reply.peer) is not reply or not self._receive(reply, now):
                return

    def _receive(self, reply: ReplySocket, now: float) -> bool:
        received = reply.receive()
        if received is None:
            return False
        datagram, sender = received
        self._live.receive(datagram, reply.peer, sender, now)
        return True

    def _close_request_port(self) -> None:
        self._waiting.clear()
        while self._request_sockets:
            self._request_sockets.pop().close()
