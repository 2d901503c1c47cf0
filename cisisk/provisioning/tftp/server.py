"""The TFTP server: a thread that moves datagrams between sockets and transfers."""

import contextlib
import logging
import os
import select
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass

from cisisk.provisioning.fetch import FetchListener
from cisisk.provisioning.source import FileSource
from cisisk.provisioning.tftp import wire
from cisisk.provisioning.tftp.addresses import LocalAddress, SocketAddress
from cisisk.provisioning.tftp.counters import Counters
from cisisk.provisioning.tftp.live import LiveTransfers
from cisisk.provisioning.tftp.options import DEFAULT_LARGEST_BLKSIZE
from cisisk.provisioning.tftp.path import PLAIN, DatagramPath
from cisisk.provisioning.tftp.ports import Port
from cisisk.provisioning.tftp.sockets import Datagram, request_sockets, socket_beside

TICK_SECONDS = 0.05
"""Between two checks of the transfers' deadlines, the shortest of which is 0.2 seconds."""
IDLE_SECONDS = 1.0
"""Longest sleep of the loop, so that its heartbeat continues without traffic."""
EVENTS_PER_TURN = 64
"""Ports read in one turn. An appliance with one address has five."""
READINGS_TO_EMPTY = 8192
"""Readings that empty any receive queue."""
REQUESTS_PER_TURN = 64
"""Requests started in one turn: a few milliseconds. Then the port is read again, and the transfers continue."""
GATHER_SECONDS = 0.001
"""Time in which requests gather while transfers keep the thread busy: starting them together costs less. A request on
an idle server starts at once."""
MAX_WAITING_REQUESTS = 8192
"""Requests that were read and wait to be started: twice the phones of a large site, and 8 MiB at most."""
NICENESS = 2
"""Nice value of the thread. With one free core, a response of the API, which takes a millisecond, would wait behind
thousands of blocks. A thread with its own core loses nothing."""
CROWDED_PAUSE_SECONDS = 0.01
"""Between two checks for waiting requests."""
JOIN_MARGIN_SECONDS = 5.0
"""Time beyond the grace after which the thread counts as hung, for example in a disk that does not answer."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CrowdLimits:
    """When requests wait for transfers to end.

    In a boot storm thousands of transfers end each second. With fewer at the same time each ends sooner, and less
    memory is in use. If phones are slow or gone, the wait stays below the timer of a phone, about one second.

    Attributes:
        transfers: number of concurrent transfers from which a request waits.
        wait_seconds: the longest wait of a request.
    """

    transfers: int = 384
    wait_seconds: float = 0.2


class TftpServer:
    """Serves the files of a source to TFTP clients, on its own thread."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        source: FileSource,
        on_fetch: FetchListener,
        max_transfers: int,
        port_range: tuple[int, int] | None = None,
        single_port: bool = False,
        largest_blksize: int = DEFAULT_LARGEST_BLKSIZE,
        path: DatagramPath = PLAIN,
        crowd: CrowdLimits = CrowdLimits(),
    ) -> None:
        """Bind the request port; requests wait there until ``start``.

        Args:
            host: the address to serve; ``0.0.0.0`` every IPv4 address, ``::`` every address of both families.
            port: 69, or 0 for any free one.
            source: asked from the server's thread.
            on_fetch: called from the server's thread, once per ended fetch.
            max_transfers: limit of concurrent transfers; requests above it get no answer.
            port_range: the lowest and highest port to reply from; None: any.
            single_port: reply from the request port itself, against RFC 1350, for networks that need it.
            largest_blksize: the largest block size, in bytes.
            path: how datagrams are moved.
            crowd: when requests wait for transfers to end.

        Raises:
            OSError: the port is in use or privileged, or the host is no address of this machine.
        """
        self._crowd = crowd
        self._request_sockets = request_sockets(host, port, path.new_reader)
        self._address = self._request_sockets[0].address
        self._poll = select.epoll()
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._poll.register(self._wake, select.EPOLLIN | select.EPOLLET)  # wakes once and is never read
        self._requests_at = {request_socket.fileno(): request_socket for request_socket in self._request_sockets}
        for request_socket in self._request_sockets:
            self._poll.register(request_socket, select.EPOLLIN)
        self._ports = path.new_ports(
            self._poll, port_range=port_range, single=self._open_single if single_port else None
        )
        self._live = LiveTransfers(
            source=source,
            on_fetch=on_fetch,
            open_endpoint=self._ports.open,
            max_transfers=max_transfers,
            largest_blksize=largest_blksize,
            new_transfer=path.new_transfer,
        )
        self._waiting: deque[tuple[Datagram, float]] = deque()
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
        """Whether the thread runs. It must between ``start`` and ``stop``."""
        return self._thread.is_alive()

    @property
    def heartbeat(self) -> float:
        """Monotonic time of the last pass of the loop, which takes at most a second."""
        return self._heartbeat

    @property
    def counters(self) -> Counters:
        """What the server has done so far."""
        return self._live.counters

    @property
    def transfers(self) -> int:
        """Number of transfers under way."""
        return len(self._live)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self, grace: float) -> None:
        """End the thread and free the port. May be called more than once, and without ``start``.

        No new request is accepted. Transfers under way may finish within ``grace`` seconds and are then cut.
        """
        if self._closed:
            return
        self._stop_at = time.monotonic() + grace
        if self._thread.ident is None:
            self._close_request_port()
        else:
            os.eventfd_write(self._wake, 1)
            self._thread.join(grace + JOIN_MARGIN_SECONDS)
            if self._thread.is_alive():
                log.error("TFTP thread hangs and is abandoned")
                return
        self._closed = True
        self._poll.close()
        os.close(self._wake)

    def _run(self) -> None:
        with contextlib.suppress(PermissionError):  # a service manager may forbid it
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICENESS)
        try:
            self._serve()
        except Exception:
            log.critical("TFTP server failed", exc_info=True)
        finally:
            self._close_request_port()
            self._live.cut("the server stops", time.monotonic())
            self._ports.flush()
            self._ports.close()

    def _serve(self) -> None:
        look_at_deadlines = take_up_requests = 0.0
        now = time.monotonic()
        while self._stop_at is None or (self._live and now < self._stop_at):
            events = self._poll.poll(self._pause(), EVENTS_PER_TURN)
            self._heartbeat = now = time.monotonic()
            was_busy = self._serve_transfers(events, now)
            if self._stop_at is not None:
                self._close_request_port()
            elif not was_busy or now >= take_up_requests:
                take_up_requests = now + GATHER_SECONDS
                self._read_requests(events, now)
                self._begin_requests(now)
            if now >= look_at_deadlines:
                look_at_deadlines = now + TICK_SECONDS
                self._live.expire(now)
                self._ports.flush()
                self._ports.forget(now)

    def _pause(self) -> float:
        if self._waiting:
            return 0.0 if len(self._live) < self._crowd.transfers else CROWDED_PAUSE_SECONDS
        return TICK_SECONDS if self._live else IDLE_SECONDS

    def _read_requests(self, events: list[tuple[int, int]], now: float) -> None:
        """Empty the receive queue of the request port: requests are lost when it is full."""
        for descriptor, _ in events:
            request_socket = self._requests_at.get(descriptor)
            if request_socket is not None:
                arrivals = request_socket.arrivals(MAX_WAITING_REQUESTS - len(self._waiting))
                self._waiting.extend((arrival, now) for arrival in arrivals)

    def _begin_requests(self, now: float) -> None:
        for _ in range(min(len(self._waiting), REQUESTS_PER_TURN)):
            arrival, arrived_at = self._waiting[0]
            if len(self._live) >= self._crowd.transfers and now < arrived_at + self._crowd.wait_seconds:
                break
            self._waiting.popleft()
            port = self._ports.serving(arrival.peer) if arrival.peer in self._live else None
            if port is not None:
                # Earlier datagrams of the peer come first: most often the acknowledgement of its last block.
                self._read(port, now, READINGS_TO_EMPTY)
            self._live.request(arrival.datagram, arrival.peer, arrival.local, now)
        self._ports.flush()

    def _serve_transfers(self, events: list[tuple[int, int]], now: float) -> bool:
        """Read the ports; return whether anything had arrived."""
        found = self._ports.by_descriptor
        ports = [found[descriptor] for descriptor, _ in events if descriptor in found]
        for port in ports:
            self._read(port, now, port.readings_per_turn)
        return bool(ports)

    def _read(self, port: Port, now: float, most: int) -> None:
        for _ in range(most):
            there_may_be_more, unanswered = port.read(now)
            for datagram, sender in unanswered:
                self._receive(datagram, sender, port, now)
            if unanswered:
                self._ports.flush()
            if not there_may_be_more:
                return

    def _receive(self, datagram: bytes, sender: SocketAddress, port: Port, now: float) -> None:
        if port.takes_requests and wire.is_request(datagram):
            if self._stop_at is None and len(self._waiting) < MAX_WAITING_REQUESTS:
                self._waiting.append((Datagram(datagram, sender, port.local), now))
        elif sender in port.transfers:
            self._live.receive(datagram, sender, now)
        elif not self._ports.knows(sender):
            self._live.refuse_unknown(datagram, sender, port.send, now)

    def _open_single(self, local: LocalAddress) -> socket.socket:
        family = socket.AF_INET6 if len(local) > 1 else socket.AF_INET
        asked = next(request_socket for request_socket in self._request_sockets if request_socket.family == family)
        if asked.address[0] == local[0]:
            # Only the reply port reads this socket from here on: it knows the transfers.
            self._poll.unregister(asked)
        return socket_beside(asked, local)

    def _close_request_port(self) -> None:
        self._waiting.clear()
        self._requests_at.clear()
        while self._request_sockets:
            self._request_sockets.pop().close()
