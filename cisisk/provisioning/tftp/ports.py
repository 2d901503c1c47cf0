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

from cisisk.provisioning.tftp.batch import LONGEST_COPY, RECEIVED_AT_ONCE, SHORT_READ, Batch, SocketName, is_available
from cisisk.provisioning.tftp.live import SocketAddress
from cisisk.provisioning.tftp.sockets import LONGEST_READ, enlarge_queue
from cisisk.provisioning.tftp.transfer import Transfer

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
_NAME_LENGTHS = {socket.AF_INET: 16, socket.AF_INET6: 28}
_NAME_V4 = struct.Struct("=H2s4s8x")
_NAME_V6 = struct.Struct("=H2s4s16sI")
_HAS_BATCHES = is_available()

LocalAddress: TypeAlias = tuple[Any, ...]
"""Host, and for IPv6 the flow and scope of the peer behind it: a link-local address needs its interface."""
OpenSingle: TypeAlias = Callable[[LocalAddress], socket.socket]
Stray: TypeAlias = tuple[bytes, SocketAddress]
"""A datagram that was not just answered with the next block, and its sender."""


class Reading(NamedTuple):
    """What a look at a port brought.

    Attributes:
        there_may_be_more: to read.
        completed: the peers that acknowledged their last block.
        strays: what was not dealt with.
    """

    there_may_be_more: bool
    completed: Sequence[SocketAddress] = ()
    strays: Sequence[Stray] = ()


class Port:
    """One socket that transfers share. ``takes_requests``: it is the request port too."""

    def __init__(self, bound: socket.socket, local: str, *, takes_requests: bool = False) -> None:
        self.local = local
        self.family = bound.family
        self.takes_requests = takes_requests
        self.transfers: dict[SocketName | SocketAddress, Transfer] = {}
        """Each under two names: the kernel's, which a batch finds it by, and Python's."""
        self.outgoing: list[tuple[bytes, SocketAddress]] = []
        """What is sent at the end of the turn."""
        self._socket = bound

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    @property
    def is_quiet(self) -> bool:
        """Whether a datagram at a time is the cheapest way to read it."""
        return len(self.transfers) <= 2 * FEW  # each stands there twice

    def advance(self, now: float) -> Reading:
        """Read one datagram, and answer it if it is the acknowledgement that its transfer awaits."""
        try:
            datagram, sender = self._socket.recvfrom(LONGEST_READ)
        except OSError:
            return Reading(there_may_be_more=False)
        transfer = self.transfers.get(sender)
        if transfer is None or len(datagram) != 4 or int.from_bytes(datagram, "big") != transfer.awaited:
            return Reading(there_may_be_more=True, strays=[(datagram, sender)])
        if transfer.sent == transfer.total:
            return Reading(there_may_be_more=True, completed=[sender])
        with contextlib.suppress(OSError):
            self._socket.sendto(transfer.proceed(now), sender)
        return Reading(there_may_be_more=True)

    def send(self, datagram: bytes, to: SocketAddress) -> None:
        """Send one datagram at the end of the turn."""
        self.outgoing.append((datagram, to))

    def send_each(self) -> None:
        """Send, or lose, what waits: a full queue or a route that is gone is loss on the way, repeated like any."""
        for datagram, to in self.outgoing:
            with contextlib.suppress(OSError):
                self._socket.sendto(datagram, to)
        self.outgoing.clear()

    def close(self) -> None:
        """Give socket and port back."""
        self._socket.close()


class Seat:
    """The endpoint of one transfer: its place at a port."""

    __slots__ = ("_name", "_peer", "_ports", "port")

    def __init__(self, ports: "Ports", port: Port, peer: SocketAddress) -> None:
        self.port = port
        self._ports = ports
        self._peer = peer
        self._name: SocketName | None = None

    def carry(self, transfer: Transfer) -> None:
        """See Endpoint."""
        self._name = socket_name(self._peer)
        self.port.transfers[self._name] = self.port.transfers[self._peer] = transfer
        self._ports.remember(self._peer, self.port)

    def send(self, datagram: bytes, to: SocketAddress) -> None:
        """See Endpoint."""
        self.port.outgoing.append((datagram, to))

    def close(self) -> None:
        """See Endpoint."""
        if self._name is not None:
            del self.port.transfers[self._name], self.port.transfers[self._peer]


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
        self._by_descriptor: dict[int, Port] = {}
        self._batches: dict[tuple[int, bool], Batch] = {}
        self._last: dict[SocketAddress, Port] = {}
        self._last_before: dict[SocketAddress, Port] = {}
        self._page_turned = 0.0

    def with_descriptor(self, descriptor: int) -> Port | None:
        """The port that epoll means."""
        return self._by_descriptor.get(descriptor)

    def serving(self, peer: SocketAddress) -> Port | None:
        """The port of the last transfer of ``peer``, unless that was long ago."""
        return self._last.get(peer) or self._last_before.get(peer)

    def open(self, peer: SocketAddress, local: str) -> Seat:
        """A place for a transfer to ``peer`` at the local address ``local``.

        Raises:
            OSError: no descriptor or no port is left.
        """
        address = (local, *peer[2:])
        ports = self._by_local.get(address)
        if ports is None:
            ports = self._open_at(address)
        last = self.serving(peer)
        index = ports.index(last) + 1 if last is not None and last in ports else 0
        return Seat(self, ports[index % len(ports)], peer)

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

    def advance(self, port: Port, now: float) -> Reading:
        """Read a port, and answer those acknowledgements that ask for no more than the next block."""
        if port.is_quiet or not _HAS_BATCHES:
            return port.advance(now)
        turn = self._batch(port).advance(port.fileno(), port.transfers, now)
        return Reading(
            there_may_be_more=turn.datagrams == RECEIVED_AT_ONCE,
            completed=[socket_address(name) for name in turn.completed],
            strays=[(datagram, socket_address(name)) for name, datagram in turn.left],
        )

    def flush(self) -> None:
        """Send what waits at the ports."""
        for port in self._by_descriptor.values():
            if port.outgoing:
                self._send(port)

    def _send(self, port: Port) -> None:
        if len(port.outgoing) <= FEW or not _HAS_BATCHES or max(len(sent) for sent, _ in port.outgoing) > LONGEST_COPY:
            port.send_each()
        else:
            self._batch(port).send(port.fileno(), [(socket_name(to), datagram) for datagram, to in port.outgoing])
            port.outgoing.clear()

    def _batch(self, port: Port) -> Batch:
        kind = (port.family, port.takes_requests)
        batch = self._batches.get(kind)
        if batch is None:
            longest = LONGEST_READ if port.takes_requests else SHORT_READ
            batch = self._batches[kind] = Batch(_NAME_LENGTHS[port.family], longest)
        return batch

    def close(self) -> None:
        """Give all ports back."""
        for port in self._by_descriptor.values():
            port.close()
        self._by_descriptor.clear()
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
            self._by_descriptor[port.fileno()] = port
            self._poll.register(port, select.EPOLLIN)
        self._by_local[address] = ports
        return ports

    def _close_idle(self) -> None:
        """Make room for the ports of another local address. Raises OSError when all are busy."""
        for address, ports in self._by_local.items():
            if not any(port.transfers for port in ports):
                for port in ports:
                    del self._by_descriptor[port.fileno()]
                    port.close()
                del self._by_local[address]
                return
        raise OSError(errno.EMFILE, "requests arrive at too many addresses")

    def _bound(self, address: LocalAddress) -> Iterator[Port]:
        local = str(address[0])
        if self._single is not None:
            yield Port(self._single(address), local, takes_requests=True)
            return
        free = iter(self._numbers)
        for number in itertools.islice(filter(None, (_bind(address, number) for number in free)), PORTS_PER_ADDRESS):
            yield Port(number, local)


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


def socket_name(address: SocketAddress) -> SocketName:
    """The kernel's name of an address."""
    if len(address) == 2:
        return _NAME_V4.pack(socket.AF_INET, address[1].to_bytes(2, "big"), socket.inet_aton(address[0]))
    host, port, flow, scope = address
    return _NAME_V6.pack(
        socket.AF_INET6,
        port.to_bytes(2, "big"),
        flow.to_bytes(4, "big"),
        socket.inet_pton(socket.AF_INET6, host),
        scope,
    )


def socket_address(name: SocketName) -> SocketAddress:
    """What the kernel's name ``name`` is in Python."""
    if len(name) == _NAME_LENGTHS[socket.AF_INET]:
        return socket.inet_ntoa(name[4:8]), name[2] << 8 | name[3]
    _, port, flow, host, scope = _NAME_V6.unpack(name)
    return (
        socket.inet_ntop(socket.AF_INET6, host),
        int.from_bytes(port, "big"),
        int.from_bytes(flow, "big"),
        scope,
    )
