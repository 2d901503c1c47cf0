"""Reply ports: a few ports on each local address, each shared by many transfers.

RFC 1350 section 4 requires that answers come from another port than the request port, and from the same port to the
end. It does not require a port for each transfer: to open, watch and close a socket for every file would take a third
of its time. The peer's address and port identify a transfer at its port. The next transfer of the same peer gets
another port, so that late packets of the previous one cannot reach it.
"""

import contextlib
import errno
import itertools
import random
import select
import socket
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from cisisk.provisioning.tftp.addresses import LocalAddress, SocketAddress
from cisisk.provisioning.tftp.sockets import LONGEST_READ, enlarge_queue
from cisisk.provisioning.tftp.transfer import Datagrams, Transfer

PORTS_PER_ADDRESS = 4
"""A peer gets the same port again for its fifth transfer. By then no packet of the first is on its way."""
MAX_ADDRESSES = 64
"""Local addresses with their own ports. An appliance has one or two. All of 127.0.0.0/8 are local too, and any program
on this machine could send requests to each."""
DATAGRAMS_AT_ONCE = 64
"""Datagrams that one reading takes from a port."""
READINGS_PER_TURN = 16
"""Readings of one port in one pass of the loop: enough for one acknowledgement of every transfer, so that they are
handled before new requests. A flood is limited to this before the request port is read again."""
MEMORY_SECONDS, MAX_REMEMBERED = 10.0, 4096
"""How long the last port of a peer is remembered; longer while there are fewer peers than that."""

_NONBLOCKING = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK

OpenSingle: TypeAlias = Callable[[LocalAddress], socket.socket]
Unanswered: TypeAlias = tuple[bytes, SocketAddress]
"""A datagram that is left to the state machine, and its sender."""


class PortReading(NamedTuple):
    """What one reading of a port brought.

    Attributes:
        there_may_be_more: to read.
        unanswered: the datagrams that are left to the state machine.
    """

    there_may_be_more: bool
    unanswered: Sequence[Unanswered] = ()


class Port:
    """One socket that transfers share: the endpoint of each.

    Attributes:
        local: the host it is bound to.
        takes_requests: whether it is the request port too.
        transfers: the transfers under way here.
    """

    def __init__(self, ports: "Ports", bound: socket.socket, local: str, *, takes_requests: bool = False) -> None:
        self.local = local
        self.takes_requests = takes_requests
        self.transfers: dict[SocketAddress, Transfer] = {}
        self._ports = ports
        self._socket = bound
        self._outgoing: list[tuple[Datagrams, SocketAddress]] = []

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    @property
    def readings_per_turn(self) -> int:
        """How often the port is read in one pass of the loop."""
        return READINGS_PER_TURN

    def carry(self, transfer: Transfer, peer: SocketAddress) -> None:
        """See Endpoint."""
        self.transfers[peer] = transfer
        self._ports.remember(peer, self)

    def send(self, datagrams: Datagrams, to: SocketAddress) -> None:
        """See Endpoint. They leave with the next flush."""
        self._outgoing.append((datagrams, to))

    def release(self, peer: SocketAddress) -> None:
        """See Endpoint."""
        del self.transfers[peer]

    def read(self, _now: float) -> PortReading:
        """Read what has arrived, once."""
        arrived: list[Unanswered] = []
        with contextlib.suppress(OSError):
            while len(arrived) < DATAGRAMS_AT_ONCE:
                arrived.append(self._socket.recvfrom(LONGEST_READ))
        return PortReading(len(arrived) == DATAGRAMS_AT_ONCE, arrived)

    def flush(self) -> None:
        """Send what waits."""
        outgoing, self._outgoing = self._outgoing, []
        for datagrams, to in outgoing:
            self._send_each(datagrams, to)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _send_each(self, datagrams: Datagrams, to: SocketAddress) -> None:
        """Send datagrams. One that cannot be sent (full queue, no route) is lost and repeated like any other."""
        for datagram in datagrams:
            with contextlib.suppress(OSError):
                self._socket.sendto(datagram, to)


class Ports:
    """Opens the ports, registers them for epoll, and assigns transfers to them."""

    def __init__(
        self, poll: select.epoll, *, port_range: tuple[int, int] | None = None, single: OpenSingle | None = None
    ) -> None:
        """Open no port yet.

        Args:
            poll: watches the ports.
            port_range: the lowest and the highest; None leaves the choice to the kernel.
            single: opens the one port to reply from on a local address, which also takes requests; None if there is
                none.
        """
        self._poll = poll
        self._single = single
        self._numbers = [0] * PORTS_PER_ADDRESS
        if port_range is not None:
            low, high = port_range
            self._numbers = random.SystemRandom().sample(range(low, high + 1), high - low + 1)
        self._by_local: dict[LocalAddress, list[Port]] = {}
        self.by_descriptor: dict[int, Port] = {}
        """The ports by their descriptors, as epoll reports them."""
        self._last: dict[SocketAddress, Port] = {}
        self._last_before: dict[SocketAddress, Port] = {}
        self._forgotten_at = 0.0

    def serving(self, peer: SocketAddress) -> Port | None:
        """Return the port of the last transfer of ``peer``, or None if it is forgotten."""
        return self._last.get(peer) or self._last_before.get(peer)

    def open(self, peer: SocketAddress, local: str) -> Port:
        """Return the port for the next transfer to ``peer`` from the local address ``local``.

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
        """Remember the port of a peer's transfer."""
        if len(self._last) >= MAX_REMEMBERED:
            self._forget_older()
        self._last[peer] = port

    def knows(self, peer: SocketAddress) -> bool:
        """Whether ``peer`` had a transfer recently, so that its datagram is a late one."""
        return peer in self._last or peer in self._last_before

    def forget(self, now: float) -> None:
        """Forget peers whose last transfer was long ago."""
        if now >= self._forgotten_at + MEMORY_SECONDS:
            self._forgotten_at = now
            self._forget_older()

    def flush(self) -> None:
        """Send what waits at the ports."""
        for port in self.by_descriptor.values():
            port.flush()

    def close(self) -> None:
        """Close all ports."""
        for port in self.by_descriptor.values():
            port.close()
        self.by_descriptor.clear()
        self._by_local.clear()

    def _forget_older(self) -> None:
        self._last_before, self._last = self._last, {}

    def _open_at(self, address: LocalAddress) -> list[Port]:
        if len(self._by_local) >= MAX_ADDRESSES:
            self._close_idle()
        ports = list(self._bound(address))
        if not ports:
            raise OSError(errno.EADDRINUSE, "all reply ports are in use")
        for port in ports:
            self.by_descriptor[port.fileno()] = port
            self._poll.register(port, select.EPOLLIN)
        self._by_local[address] = ports
        return ports

    def _close_idle(self) -> None:
        """Close the ports of an idle local address. Raises OSError if all are busy."""
        for address, ports in self._by_local.items():
            if not any(port.transfers for port in ports):
                for port in ports:
                    del self.by_descriptor[port.fileno()]
                    port.close()
                del self._by_local[address]
                return
        raise OSError(errno.EMFILE, "too many local addresses with transfers")

    def _bound(self, address: LocalAddress) -> Iterator[Port]:
        local = str(address[0])
        if self._single is not None:
            yield self._new_port(self._single(address), local, takes_requests=True)
            return
        free = iter(self._numbers)
        for number in itertools.islice(filter(None, (_bind(address, number) for number in free)), PORTS_PER_ADDRESS):
            yield self._new_port(number, local)

    def _new_port(self, bound: socket.socket, local: str, *, takes_requests: bool = False) -> Port:
        return Port(self, bound, local, takes_requests=takes_requests)


def _bind(address: LocalAddress, number: int) -> socket.socket | None:
    """Bind a socket to a local address; return None if another program uses the port."""
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
