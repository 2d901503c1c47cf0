"""The UDP sockets of the request port."""

import socket
import struct
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from cisisk.provisioning.tftp.addresses import LocalAddress, SocketAddress

RECEIVE_QUEUE = 4 << 20
"""Bytes of receive queue of each socket. A queued request takes 768 bytes in the kernel. The usual 208 KiB hold 277
requests, and each phone that finds the queue full waits for its own timer."""
LONGEST_READ = 1024
"""More than any request or acknowledgement. A longer datagram is cut to this, and so still recognised as too long."""

# Linux's numbers. Python 3.11 has no names for them.
_SO_RCVBUFFORCE = 33
_IP_PKTINFO = 8

_IPV6_MULTICAST = 0xFF
"""First byte of ff00::/8; IPv6 has no broadcast."""
_PKTINFO_V4 = struct.Struct("=I4s4s")
_PKTINFO_V6 = struct.Struct("=16sI")
_NONBLOCKING = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK
_ANCILLARY_SPACE = socket.CMSG_SPACE(max(_PKTINFO_V4.size, _PKTINFO_V6.size))


class Datagram(NamedTuple):
    """A datagram on the request port."""

    datagram: bytes
    peer: SocketAddress
    local: str
    """The local address that received it."""


class RequestReader(Protocol):
    """Reads the requests that arrive at one socket."""

    def arrivals(self, limit: int) -> Iterator[Datagram]:
        """Read about ``limit`` datagrams at most; yield those that were sent to one address of this machine alone."""


class PlainReader:
    """Reads one datagram with each system call."""

    def __init__(self, bound: socket.socket) -> None:
        self._socket = bound

    def arrivals(self, limit: int) -> Iterator[Datagram]:
        """See RequestReader."""
        for _ in range(limit):
            try:
                datagram, ancillary, _, peer = self._socket.recvmsg(LONGEST_READ, _ANCILLARY_SPACE)
            except BlockingIOError:
                return
            local = unicast_destination(ancillary)
            if local is not None:
                yield Datagram(datagram, peer, local)


class RequestSocket:
    """One bound request port of one address family."""

    def __init__(self, host: str, port: int, new_reader: Callable[[socket.socket], RequestReader]) -> None:
        """Bind the port.

        Raises:
            OSError: the name is no address of this machine, the port is in use or privileged.
        """
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        self._socket = socket.socket(family, _NONBLOCKING)
        try:
            if family == socket.AF_INET6:
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            else:
                self._socket.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            enlarge_queue(self._socket)
            self._socket.bind(address)
        except BaseException:
            self._socket.close()
            raise
        self._reader = new_reader(self._socket)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port it is bound to."""
        host, port = self._socket.getsockname()[:2]
        return host, port

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    @property
    def family(self) -> int:
        """AF_INET or AF_INET6."""
        return self._socket.family

    @property
    def socket(self) -> socket.socket:
        """The socket, for a server that replies from the request port."""
        return self._socket

    def arrivals(self, limit: int) -> Iterator[Datagram]:
        """See RequestReader."""
        return self._reader.arrivals(limit)

    def close(self) -> None:
        """Close the socket. The kernel refuses requests from now on."""
        self._socket.close()


def enlarge_queue(receiver: socket.socket) -> None:
    """Give a socket the receive queue that the phones of a site need."""
    try:
        receiver.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, RECEIVE_QUEUE)
    except OSError:  # needs CAP_NET_ADMIN; without it net.core.rmem_max is the limit
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_QUEUE)


def request_sockets(
    host: str, port: int, new_reader: Callable[[socket.socket], RequestReader] = PlainReader
) -> list[RequestSocket]:
    """Bind the request port on ``host``; ``::`` means every address of both families, which takes two sockets.

    Raises:
        OSError: see RequestSocket.
    """
    first = RequestSocket(host, port, new_reader)
    if host != "::":
        return [first]
    try:
        every_ipv4 = "0.0.0.0"  # noqa: S104 -- what the operator asked for with ::
        return [first, RequestSocket(every_ipv4, first.address[1], new_reader)]
    except BaseException:
        first.close()
        raise


def unicast_destination(ancillary: list[tuple[int, int, bytes]]) -> str | None:
    """Return the local address that received a datagram; None for broadcast and multicast, or if it is unknown."""
    for level, kind, data in ancillary:
        if (level, kind) == (socket.IPPROTO_IP, _IP_PKTINFO):
            _, ours, destination = _PKTINFO_V4.unpack_from(data)
            # For broadcast and multicast the kernel names another local address, which could answer.
            return socket.inet_ntop(socket.AF_INET, destination) if ours == destination else None
        if (level, kind) == (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO):
            destination, _ = _PKTINFO_V6.unpack_from(data)
            return None if destination[0] == _IPV6_MULTICAST else socket.inet_ntop(socket.AF_INET6, destination)
    return None


def socket_beside(request_socket: RequestSocket, local: LocalAddress) -> socket.socket:
    """Bind a socket to the request port's number on one ``local`` address, to reply from that port.

    Beside a request port on all addresses it receives what is sent to this one, requests included: the kernel prefers
    the more specific socket. Two sockets share a number only if both have SO_REUSEADDR. Both have it only during this
    call, so that another program cannot join them.

    Raises:
        OSError: no descriptor is left.
    """
    bound, (host, port) = request_socket.socket, request_socket.address
    if host == local[0]:
        return bound.dup()
    beside = socket.socket(bound.family, _NONBLOCKING)
    try:
        enlarge_queue(beside)
        for sharing in (bound, beside):
            sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        beside.bind((local[0], port, *local[1:]))
    except BaseException:
        beside.close()
        raise
    finally:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    beside.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return beside
