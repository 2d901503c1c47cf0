"""The UDP sockets of the server: where requests arrive, and one more per transfer (RFC 1350 section 4)."""

import contextlib
import errno
import random
import select
import socket
import struct
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from cisisk.provisioning.tftp.live import SocketAddress

REQUEST_BUFFER = 4 << 20
"""Bytes of receive queue on the request port. Each queued request takes 768 of them in the kernel, whatever its length:
the usual 208 KiB hold 277 requests, and every one of a site's phones that finds it full waits for its own timer."""
LONGEST_READ = 1024
"""More than any request or acknowledgement; a longer datagram is cut to this and so still recognised as too long."""

# Linux's numbers, which Python 3.11 has no names for.
_SO_RCVBUFFORCE = 33
_IP_PKTINFO = 8

_IPV6_MULTICAST = 0xFF
"""First byte of ff00::/8; IPv6 has no broadcast."""
_PKTINFO_V4 = struct.Struct("=I4s4s")
_PKTINFO_V6 = struct.Struct("=16sI")
_NONBLOCKING = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
_ANCILLARY_SPACE = socket.CMSG_SPACE(max(_PKTINFO_V4.size, _PKTINFO_V6.size))


class Arrival(NamedTuple):
    """A datagram on the request port."""

    datagram: bytes
    peer: SocketAddress
    local: str
    """The address it was sent to."""


class RequestSocket:
    """One bound request port of one address family."""

    def __init__(self, host: str, port: int) -> None:
        """Raises OSError: the name is no address of this machine, the port is in use or privileged."""
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, _NONBLOCKING)
        try:
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            self._enlarge_queue()
            self._socket.bind(address)
        except BaseException:
            self._socket.close()
            raise

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it is bound to."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def arrivals(self, limit: int) -> Iterator[Arrival]:
        """What has arrived, of at most ``limit`` datagrams those that were sent to one address of ours alone."""
        for _ in range(limit):
            try:
                datagram, ancillary, _, peer = self._socket.recvmsg(LONGEST_READ, _ANCILLARY_SPACE)
            except BlockingIOError:
                return
            local = unicast_destination(ancillary)
            if local is not None:
                yield Arrival(datagram, peer, local)

    def close(self) -> None:
        """Requests sent from now on are refused by the kernel."""
        self._socket.close()

    def _enlarge_queue(self) -> None:
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, REQUEST_BUFFER)
        except OSError:  # needs CAP_NET_ADMIN; without it net.core.rmem_max is the limit
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, REQUEST_BUFFER)


def request_sockets(host: str, port: int) -> list[RequestSocket]:
    """The request port on ``host``; ``::`` means every address of both families, which takes two sockets.

    Raises:
        OSError: see RequestSocket.
    """
    first = RequestSocket(host, port)
    if host != "::":
        return [first]
    try:
        return [first, RequestSocket("0.0.0.0", first.address[1])]  # noqa: S104 - what the operator asked for with ::
    except BaseException:
        first.close()
        raise


def unicast_destination(ancillary: list[tuple[int, int, bytes]]) -> str | None:
    """The local address a datagram was sent to; None when it was sent to many at once, or the kernel did not say."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, ours, destination = _PKTINFO_V4.unpack_from(data)
            # For broadcast and multicast the kernel names an address of ours that could answer, and it is another one.
            return socket.inet_ntop(socket.AF_INET, destination) if ours == destination else None
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            destination, _ = _PKTINFO_V6.unpack_from(data)
            return None if destination[0] == _IPV6_MULTICAST else socket.inet_ntop(socket.AF_INET6, destination)
    return None


class ReplySocket:
    """The endpoint of one transfer. Not connected to the peer, so that strangers can be told."""

    def __init__(self, pool: "ReplySockets", bound: socket.socket, port: int, peer: SocketAddress) -> None:
        self.port = port
        self.peer = peer
        self._pool = pool
        self._socket = bound

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def receive(self) -> tuple[bytes, SocketAddress] | None:
        """A datagram and its sender; None when there is none after all."""
        try:
            return self._socket.recvfrom(LONGEST_READ)
        except OSError:
            return None

    def send(self, datagram: bytes, to: SocketAddress) -> None:
        """Send, or lose, one datagram: a full queue or a route that is gone is loss on the way, repeated like any."""
        with contextlib.suppress(OSError):
            self._socket.sendto(datagram, to)

    def close(self) -> None:
        """Give socket and port back."""
        self._pool.release(self)
        self._socket.close()


class ReplySockets:
    """Opens the endpoints, has epoll watch them and finds them again. A peer has one at a time."""

    def __init__(self, poll: select.epoll, port_range: tuple[int, int] | None) -> None:
        """``port_range``: the lowest and the highest port to reply from; None leaves the choice to the kernel."""
        self._poll = poll
        self._by_descriptor: dict[int, ReplySocket] = {}
        self._by_peer: dict[SocketAddress, ReplySocket] = {}
        self._free: deque[int] | None = None
        if port_range is not None:
            low, high = port_range
            self._free = deque(random.SystemRandom().sample(range(low, high + 1), high - low + 1))

    def with_descriptor(self, descriptor: int) -> ReplySocket | None:
        """The endpoint that epoll means, if it is still open."""
        return self._by_descriptor.get(descriptor)

    def serving(self, peer: SocketAddress) -> ReplySocket | None:
        """The endpoint that serves ``peer``, if there is one."""
        return self._by_peer.get(peer)

    def open(self, peer: SocketAddress, local: str) -> ReplySocket:
        """An endpoint for ``peer`` at the local address ``local``.

        Raises:
            OSError: no descriptor or no port is left.
        """
        bound = socket.socket(socket.AF_INET6 if len(peer) > 2 else socket.AF_INET, _NONBLOCKING)
        try:
            port = self._bind(bound, local, peer[2:])
            reply = ReplySocket(self, bound, port, peer)
            self._poll.register(reply, select.EPOLLIN)
        except BaseException:
            bound.close()
            raise
        self._by_descriptor[reply.fileno()] = self._by_peer[peer] = reply
        return reply

    def release(self, reply: ReplySocket) -> None:
        """``reply`` is about to be closed, which also ends epoll's watch."""
        del self._by_descriptor[reply.fileno()], self._by_peer[reply.peer]
        if self._free is not None:
            self._free.append(reply.port)

    def _bind(self, unbound: socket.socket, local: str, scope: tuple[int, ...]) -> int:
        """Bind to a free port, for IPv6 on the interface that ``scope`` names; returns the port, 0 for any."""
        if self._free is None:
            unbound.bind((local, 0, *scope))
            return 0
        for _ in range(len(self._free)):
            port = self._free.popleft()
            try:
                unbound.bind((local, port, *scope))
            except OSError as error:
                self._free.append(port)
                if error.errno != errno.EADDRINUSE:  # another program's for now
                    raise
            else:
                return port
        raise OSError(errno.EADDRINUSE, "every reply port is in use")
