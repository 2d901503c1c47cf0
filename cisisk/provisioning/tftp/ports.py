"""Where replies leave from: a few ports on each local address, each shared by many transfers.

RFC 1350 section 4 wants an answer to come from another port than the request port and to stay there. It does not want a
port for each transfer, and to open, watch and close a socket for every file would cost a third of the time it takes.
What tells the transfers of a port apart is the peer's address and port, so the next transfer of the same peer gets
another port: what is still on its way for the one before cannot meet it.
"""

import contextlib
import errno
import itertools
import random
import select
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

from cisisk.provisioning.tftp.batch import LONGEST_COPY, RECEIVED_AT_ONCE, SHORT_READ, Batch, is_available
from cisisk.provisioning.tftp.socket_names import NAME_LENGTHS, SocketAddress, SocketName, socket_address, socket_name
from cisisk.provisioning.tftp.sockets import LONGEST_READ, enlarge_queue
from cisisk.provisioning.tftp.transfer import Datagrams, Transfer

PORTS_PER_ADDRESS = 4
"""A peer meets the same port again in its fifth transfer; nothing is on its way for so long."""
MAX_ADDRESSES = 64
"""Local addresses with ports of their own; an appliance has one or two. All of 127.0.0.0/8 are ours too, and whoever is
on this machine could ask at each."""
FEW = 3
"""Up to so many transfers of a port are served with a call for each datagram, which is cheaper than the preparations of
one call for all."""
MEMORY, MOST_REMEMBERED = 10.0, 4096
"""For so many seconds, or while there are no more than that, it is known which port a peer had last."""

_NONBLOCKING = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
_UDP_SEGMENT = 103
"""Linux's number: the kernel cuts one long write into datagrams of this length (4.18 and later)."""
_SEGMENT_LENGTH = struct.Struct("=H")
MOST_SEGMENTS, LONGEST_WRITE = 64, 65_000
"""Datagrams and bytes of one such write: UDP_MAX_SEGMENTS of the kernels before 6.10, and the longest datagram."""
_HAS_BATCHES = is_available()

LocalAddress: TypeAlias = tuple[Any, ...]
"""Host, and for IPv6 the flow and scope of the peer behind it: a link-local address needs its interface."""
OpenSingle: TypeAlias = Callable[[LocalAddress], socket.socket]
Stray: TypeAlias = tuple[bytes, SocketAddress]
"""A datagram that was not answered on the spot with the next block, and its sender."""


class PortReading(NamedTuple):
    """What a look at a port brought.

    Attributes:
        there_may_be_more: to read.
        completed: the transfers whose last block was acknowledged.
        strays: what was not dealt with.
    """

    there_may_be_more: bool
    completed: Sequence[Transfer] = ()
    strays: Sequence[Stray] = ()


NOTHING_TO_READ, NO_STRAYS = PortReading(there_may_be_more=False), PortReading(there_may_be_more=True)


class Port:
    """One socket that transfers share: the endpoint of each. ``takes_requests``: it is the request port too."""

    def __init__(self, ports: "Ports", bound: socket.socket, local: str, *, takes_requests: bool = False) -> None:
        self.local = local
        self.family = bound.family
        self.takes_requests = takes_requests
        self.transfers: dict[SocketName | SocketAddress, Transfer] = {}
        """Each under two names: the kernel's, which a batch finds it by, and Python's."""
        self.outgoing: list[tuple[Datagrams, SocketAddress]] = []
        """What is sent at the end of the turn."""
        self.is_quiet = True
        """Whether a datagram at a time is the cheapest way to read it."""
        self._ports = ports
        self._socket = bound

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def carry(self, transfer: Transfer, peer: SocketAddress) -> None:
        """See Endpoint."""
        self.transfers[socket_name(peer)] = self.transfers[peer] = transfer
        self._ports.remember(peer, self)
        self._find_out_if_quiet()

    def send(self, datagrams: Datagrams, to: SocketAddress) -> None:
        """See Endpoint. They leave at the end of the turn."""
        self.outgoing.append((datagrams, to))

    def release(self, peer: SocketAddress) -> None:
        """See Endpoint."""
        del self.transfers[socket_name(peer)], self.transfers[peer]
        self._find_out_if_quiet()

    def prepare(self, transfer: Transfer) -> None:
        """See Endpoint."""
        if not self.is_quiet:
            transfer.make_ready()

    def advance(self, now: float) -> PortReading:
        """Read one datagram, and answer it if that takes no more than the next block."""
        try:
            datagram, sender = self._socket.recvfrom(LONGEST_READ)
        except OSError:
            return NOTHING_TO_READ
        transfer = self.transfers.get(sender)
        answer = transfer.proceed(datagram, now) if transfer is not None else None
        if answer is None:
            return PortReading(there_may_be_more=True, strays=[(datagram, sender)])
        with contextlib.suppress(OSError):
            self._socket.sendto(answer, sender)
        return NO_STRAYS

    def send_each(self, datagrams: Datagrams, to: SocketAddress) -> None:
        """Send, or lose: a full queue or a route that is gone is loss on the way, repeated like any."""
        for datagram in datagrams:
            with contextlib.suppress(OSError):
                self._socket.sendto(datagram, to)

    def send_window(self, window: Datagrams, to: SocketAddress) -> None:
        """Send datagrams of one length, but for a shorter last one, in as few writes as possible.

        That is for a busy port: a peer that is alone begins with the first block while the others are being sent.
        """
        length = len(window[0])
        together = min(MOST_SEGMENTS, max(LONGEST_WRITE // length, 1))
        for first in range(0, len(window), together):
            some = window[first : first + together]
            if not self._send_segments(some, length, to):
                self.send_each(some, to)

    def _send_segments(self, datagrams: Datagrams, length: int, to: SocketAddress) -> bool:
        """Whether the kernel took them all in one write. It does not where a block is longer than a frame."""
        cut = (socket.IPPROTO_UDP, _UDP_SEGMENT, _SEGMENT_LENGTH.pack(length))
        try:
            self._socket.sendmsg(datagrams, [cut], 0, to)
        except BlockingIOError:
            return True  # lost, like any other
        except OSError:
            return False
        return True

    def close(self) -> None:
        """Give socket and port back."""
        self._socket.close()

    def _find_out_if_quiet(self) -> None:
        self.is_quiet = not _HAS_BATCHES or len(self.transfers) <= 2 * FEW  # each stands there twice


class Ports:
    """Opens the ports, has epoll watch them, and seats transfers at them."""

    def __init__(
        self, poll: select.epoll, *, port_range: tuple[int, int] | None = None, single: OpenSingle | None = None
    ) -> None:
        """Open none yet.

        Args:
            poll: watches them.
            port_range: the lowest and the highest; None leaves the choice to the kernel.
            single: opens the one port to reply from on a local address, which takes requests too; None: there is none.
        """
        self._poll = poll
        self._single = single
        self._numbers = [0] * PORTS_PER_ADDRESS
        if port_range is not None:
            low, high = port_range
            self._numbers = random.SystemRandom().sample(range(low, high + 1), high - low + 1)
        self._by_local: dict[LocalAddress, list[Port]] = {}
        self.by_descriptor: dict[int, Port] = {}
        """The port that epoll means."""
        self._batches: dict[tuple[int, bool], Batch] = {}
        self._last: dict[SocketAddress, Port] = {}
        self._last_before: dict[SocketAddress, Port] = {}
        self._page_turned = 0.0

    def serving(self, peer: SocketAddress) -> Port | None:
        """The port of the last transfer of ``peer``, unless that was long ago."""
        return self._last.get(peer) or self._last_before.get(peer)

    def open(self, peer: SocketAddress, local: str) -> Port:
        """The port for the next transfer to ``peer`` from the local address ``local``.

        Raises:
            OSError: no descriptor or no port is left.
        """
        address = (local,) if len(peer) == 2 else (local, *peer[2:])
        ports = self._by_local.get(address) or self._open_at(address)
        last = self.serving(peer)
        if last is None or last not in ports:
            return ports[0]
        return ports[(ports.index(last) + 1) % len(ports)]

    def remember(self, peer: SocketAddress, port: Port) -> None:
        """``peer`` has a transfer at ``port``."""
        if len(self._last) >= MOST_REMEMBERED:
            self._turn_page()
        self._last[peer] = port

    def knows(self, peer: SocketAddress) -> bool:
        """Whether ``peer`` had a transfer a short while ago, so that what it sends is late and not lost."""
        return peer in self._last or peer in self._last_before

    def forget(self, now: float) -> None:
        """Let go of what was remembered long ago."""
        if now >= self._page_turned + MEMORY:
            self._page_turned = now
            self._turn_page()

    def advance(self, port: Port) -> PortReading:
        """Read all that a busy port has, and answer what asks for no more than the next block."""
        turn = self._batch(port).advance(port.fileno(), port.transfers)
        return PortReading(
            there_may_be_more=turn.datagrams == RECEIVED_AT_ONCE,
            completed=turn.completed,
            strays=[(datagram, socket_address(name)) for name, datagram in turn.left],
        )

    def flush(self) -> None:
        """Send what waits at the ports."""
        for port in self.by_descriptor.values():
            if port.outgoing:
                outgoing, port.outgoing = port.outgoing, []
                self._send(port, outgoing)

    def _send(self, port: Port, outgoing: list[tuple[Datagrams, SocketAddress]]) -> None:
        together = []
        for datagrams, to in outgoing:
            if len(datagrams) > 1 and not port.is_quiet:
                port.send_window(datagrams, to)
            elif len(datagrams) > 1 or len(outgoing) <= FEW or not _HAS_BATCHES or len(datagrams[0]) > LONGEST_COPY:
                port.send_each(datagrams, to)
            else:
                together.append((socket_name(to), datagrams[0]))
        if together:
            self._batch(port).send(port.fileno(), together)

    def _batch(self, port: Port) -> Batch:
        kind = (port.family, port.takes_requests)
        batch = self._batches.get(kind)
        if batch is None:
            longest = LONGEST_READ if port.takes_requests else SHORT_READ
            batch = self._batches[kind] = Batch(NAME_LENGTHS[port.family], longest)
        return batch

    def close(self) -> None:
        """Give all ports back."""
        for port in self.by_descriptor.values():
            port.close()
        self.by_descriptor.clear()
        self._by_local.clear()

    def _turn_page(self) -> None:
        self._last_before, self._last = self._last, {}

    def _open_at(self, address: LocalAddress) -> list[Port]:
        if len(self._by_local) >= MAX_ADDRESSES:
            self._close_idle()
        ports = list(self._bound(address))
        if not ports:
            raise OSError(errno.EADDRINUSE, "every reply port is in use")
        for port in ports:
            self.by_descriptor[port.fileno()] = port
            self._poll.register(port, select.EPOLLIN)
        self._by_local[address] = ports
        return ports

    def _close_idle(self) -> None:
        """Make room for the ports of another local address. Raises OSError when all are busy."""
        for address, ports in self._by_local.items():
            if not any(port.transfers for port in ports):
                for port in ports:
                    del self.by_descriptor[port.fileno()]
                    port.close()
                del self._by_local[address]
                return
        raise OSError(errno.EMFILE, "requests arrive at too many addresses")

    def _bound(self, address: LocalAddress) -> Iterator[Port]:
        local = str(address[0])
        if self._single is not None:
            yield Port(self, self._single(address), local, takes_requests=True)
            return
        free = iter(self._numbers)
        for number in itertools.islice(filter(None, (_bind(address, number) for number in free)), PORTS_PER_ADDRESS):
            yield Port(self, number, local)


def _bind(address: LocalAddress, number: int) -> socket.socket | None:
    """A socket on a local address; None when another program has the port for now."""
    local, *scope = address
    bound = socket.socket(socket.AF_INET6 if scope else socket.AF_INET, _NONBLOCKING)
    try:
        enlarge_queue(bound)
        bound.bind((local, number, *scope))
    except OSError as error:
        bound.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise
    return bound
