"""The client transaction (RFC 3261 17.1) over UDP and TCP: non-INVITE, and INVITE with its ACK."""

import asyncio
import errno
import secrets
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol, Self, TypeAlias

from cisisk.sip import message
from cisisk.sip.message import MAX_BYTES, MalformedSip, SipRequest, SipResponse

SipTransport: TypeAlias = Literal["UDP", "TCP"]

MAGIC = "z9hG4bK"
"""The beginning of every branch (RFC 3261 8.1.1.7)."""
_MAX_WAITING = 32
"""Responses that wait to be read. One phone does not send more."""
_IP_RECVERR, _IPV6_RECVERR = 11, 25
"""Linux options that report ICMP errors to an unconnected UDP socket. Python names them from 3.14 on."""


class NoResponse(Exception):
    """Timer F fired without a final response.

    Attributes:
        provisional: whether there was a provisional response.
    """

    def __init__(self, *, provisional: bool) -> None:
        super().__init__("no final response")
        self.provisional = provisional


@dataclass(frozen=True, slots=True, kw_only=True)
class Timers:
    """Seconds (RFC 3261, table 4).

    Attributes:
        t1: until the first retransmission (timer E), doubled each time.
        t2: the longest time between two retransmissions, and the time between those after a provisional response.
        t4: for which a retransmitted response may still arrive (timer K).
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The other end.

    Attributes:
        address: numeric.
    """

    address: str
    port: int
    transport: SipTransport


@dataclass(frozen=True, slots=True, kw_only=True)
class Sender:
    """The local end, where the system must not choose it.

    Attributes:
        address: numeric.
        port: the port in Via, where this end takes requests. Responses still arrive at the socket (RFC 3581).
        listens: a socket of this process listens there, and a TCP connection begins at its port.
    """

    address: str
    port: int
    listens: bool = False


class Way(Protocol):
    """An open connection, or a UDP socket, to a peer.

    Attributes:
        local: host and port of this end, as they stand in a URI.
    """

    local: str

    async def request(self, request: SipRequest, seconds: float) -> SipResponse:
        """Send ``request`` under a new Via. Return its final response, with timer F at ``seconds``.

        The final response to an INVITE is acknowledged.

        Raises:
            NoResponse: there was no final response in time.
            OSError: it cannot be sent, or the peer has closed the connection.
            Unsendable: a value of the request would break the message.
        """


class SipClient:
    """Opens ways to peers. While its context is open, used ones stay open for retransmitted responses."""

    def __init__(self, timers: Timers | None = None) -> None:
        self._timers = timers or Timers()
        self._lingering: dict[asyncio.DatagramTransport, asyncio.TimerHandle] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for transport, timer in self._lingering.items():
            timer.cancel()
            transport.close()
        self._lingering.clear()

    @asynccontextmanager
    async def way(self, peer: Peer, seconds: float, sender: Sender | None = None) -> AsyncIterator[Way]:
        """Open a way to ``peer``.

        Args:
            peer: the other end.
            seconds: the timeout of a TCP connection.
            sender: this end; None lets the system choose the address.

        Raises:
            OSError: the peer cannot be reached.
            TimeoutError: the connection was not made in time.
        """
        async with self._udp(peer, sender) if peer.transport == "UDP" else _tcp(peer, seconds, sender) as way:
            yield way

    @asynccontextmanager
    async def _udp(self, peer: Peer, sender: Sender | None) -> AsyncIterator[Way]:
        sock, address = _udp_socket(peer, sender)
        inbox = ResponseInbox(address)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: inbox, sock=sock)
        try:
            yield UdpWay(peer, transport, inbox, self._timers, _local(transport, sender))
        finally:
            # Timer K: a retransmitted response must find a socket, not an ICMP error.
            if inbox.lingers:
                self._lingering[transport] = loop.call_later(self._timers.t4, self._close, transport)
            else:
                transport.close()

    def _close(self, transport: asyncio.DatagramTransport) -> None:
        del self._lingering[transport]
        transport.close()


def host(address: str) -> str:
    """Return an address as it stands in a URI."""
    return f"[{address}]" if ":" in address else address


class ResponseInbox(asyncio.DatagramProtocol):
    """The responses from one address, from any port: many phones respond from another port."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._arrived: asyncio.Queue[SipResponse | OSError] = asyncio.Queue(_MAX_WAITING)
        self.lingers = False

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Keep a response from the peer's address."""
        if addr[0] != self._address or self._arrived.full():
            return
        with suppress(MalformedSip):
            parsed = message.parse(data)
            if isinstance(parsed, SipResponse):
                self._arrived.put_nowait(parsed)

    def error_received(self, exc: Exception) -> None:
        """Keep an error of the socket."""
        # The error stays with the socket and would wake the loop again and again.
        self.lingers = False
        if isinstance(exc, OSError) and not self._arrived.full():
            self._arrived.put_nowait(exc)

    async def next(self) -> SipResponse:
        """Return the next response. Raises OSError if the peer's host reports that nothing listens."""
        arrived = await self._arrived.get()
        if isinstance(arrived, OSError):
            raise arrived
        return arrived


class UdpWay:
    """A way over a UDP socket whose responses arrive in ``inbox``."""

    def __init__(
        self, peer: Peer, transport: asyncio.DatagramTransport, inbox: ResponseInbox, timers: Timers, local: str
    ) -> None:
        self.local = local
        self._peer = peer
        self._transport = transport
        self._inbox = inbox
        self._timers = timers

    async def request(self, request: SipRequest, seconds: float) -> SipResponse:
        """As :meth:`Way.request`."""
        sent, branch = _under_new_via(request, "UDP", self.local)
        wire = sent.render()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        interval, provisional = self._timers.t1, False
        while loop.time() < deadline:
            if self._transport.is_closing():
                raise ConnectionAbortedError(errno.ECONNABORTED, "the socket was closed")
            self._transport.sendto(wire, (self._peer.address, self._peer.port))
            try:
                async with asyncio.timeout_at(min(loop.time() + interval, deadline)):
                    while (response := await self._answer(branch, request.method)).status < 200:
                        provisional = True
            except TimeoutError:
                interval = self._timers.t2 if provisional else min(2 * interval, self._timers.t2)
                continue
            self._inbox.lingers = True
            if request.method == "INVITE":
                self._transport.sendto(_ack(sent, response).render(), (self._peer.address, self._peer.port))
            return response
        raise NoResponse(provisional=provisional)

    async def _answer(self, branch: str, method: str) -> SipResponse:
        while True:
            response = await self._inbox.next()
            if _belongs(response, branch, method):
                return response


class TcpWay:
    """A way over a connection whose messages ``receive`` returns, one after the other."""

    def __init__(
        self,
        receive: Callable[[], Awaitable[SipRequest | SipResponse]],
        writer: asyncio.StreamWriter,
        local: str,
    ) -> None:
        self.local = local
        self._receive = receive
        self._writer = writer

    async def request(self, request: SipRequest, seconds: float) -> SipResponse:
        """As :meth:`Way.request`."""
        sent, branch = _under_new_via(request, "TCP", self.local)
        self._writer.write(sent.render())
        provisional = False
        try:
            async with asyncio.timeout(seconds):
                await self._writer.drain()
                while True:
                    response = await self._receive()
                    if not isinstance(response, SipResponse) or not _belongs(response, branch, request.method):
                        continue
                    if response.status >= 200:
                        if request.method == "INVITE":
                            self._writer.write(_ack(sent, response).render())
                            await self._writer.drain()
                        return response
                    provisional = True
        except TimeoutError:
            raise NoResponse(provisional=provisional) from None


async def read_stream(reader: asyncio.StreamReader) -> SipRequest | SipResponse:
    """Return the next message of a connection (RFC 3261 18.3).

    Raises:
        ConnectionError: the connection was closed, or brought bytes that are not SIP. Nothing after them can be parsed.
    """
    try:
        # Line ends before a message, or in place of one, keep a connection alive.
        while not (head := (await reader.readuntil(b"\r\n\r\n")).strip(b"\r\n")):
            pass
        parsed = message.parse_head(head)
        return replace(parsed, body=await reader.readexactly(message.stated_length(parsed)))
    except asyncio.IncompleteReadError:
        raise ConnectionResetError(errno.ECONNRESET, "the connection was closed") from None
    except (MalformedSip, asyncio.LimitOverrunError):
        raise ConnectionAbortedError(errno.EPROTO, "what came is no SIP") from None


async def connect(
    peer: Peer, seconds: float, sender: Sender | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a TCP connection to ``peer``, as :meth:`SipClient.way`."""
    async with asyncio.timeout(seconds):
        sock = await _connected_socket(peer, sender)
        return await asyncio.open_connection(sock=sock, limit=MAX_BYTES)


async def _connected_socket(peer: Peer, sender: Sender | None) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in peer.address else socket.AF_INET)
    try:
        sock.settimeout(0)
        if sender is not None:
            if sender.listens:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
                # Close with a reset: in TIME_WAIT the next connection from this port to the same peer would fail.
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.bind((sender.address, sender.port if sender.listens else 0))
        await asyncio.get_running_loop().sock_connect(sock, (peer.address, peer.port))
    except BaseException:
        sock.close()
        raise
    return sock


@asynccontextmanager
async def _tcp(peer: Peer, seconds: float, sender: Sender | None) -> AsyncIterator[Way]:
    reader, writer = await connect(peer, seconds, sender)
    try:
        yield TcpWay(partial(read_stream, reader), writer, _local(writer, sender))
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


def _local(transport: asyncio.BaseTransport | asyncio.StreamWriter, sender: Sender | None) -> str:
    """Return host and port of this end, as they stand in a URI."""
    address, port = transport.get_extra_info("sockname")[:2] if sender is None else (sender.address, sender.port)
    return f"{host(address)}:{port}"


def _udp_socket(peer: Peer, sender: Sender | None) -> tuple[socket.socket, str]:
    """Return a socket, and the peer's address as the system writes it. Raises OSError.

    Without a sender it is bound to the address from which the system reaches ``peer``. The message contains that
    address.
    """
    family = socket.AF_INET6 if ":" in peer.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((peer.address, peer.port))
        local, remote = probe.getsockname()[0], probe.getpeername()[0]
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        sock.settimeout(0)
        sock.bind((local if sender is None else sender.address, 0))
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
    except OSError:
        sock.close()
        raise
    return sock, remote


def _under_new_via(request: SipRequest, transport: SipTransport, local: str) -> tuple[SipRequest, str]:
    branch = MAGIC + secrets.token_hex(12)
    via = ("Via", f"{message.VERSION}/{transport} {local};branch={branch};rport")
    return replace(request, headers=(via, *request.headers)), branch


def _ack(invite: SipRequest, response: SipResponse) -> SipRequest:
    """Return the ACK of a final response (RFC 3261 13.2.2.4, 17.1.1.3). Raises MalformedSip."""
    number = (invite.get("CSeq") or "").split()[0]
    copied = [(name, invite.get(name) or "") for name in ("From", "Call-ID", "Max-Forwards")]
    headers = (*copied, ("To", response.get("To") or ""), ("CSeq", f"{number} ACK"))
    via = invite.get("Via") or ""
    if response.status >= 300:
        return SipRequest((("Via", via), *headers), method="ACK", uri=invite.uri)
    contact = response.get("Contact") or ""
    uri = contact.partition("<")[2].partition(">")[0] or contact
    fresh = (("Via", f"{via.partition(';branch=')[0]};branch={MAGIC}{secrets.token_hex(12)};rport"), *headers)
    return SipRequest(fresh, method="ACK", uri=uri)


def _belongs(response: SipResponse, branch: str, method: str) -> bool:
    """Return whether a response answers this transaction (RFC 3261 17.1.3)."""
    with suppress(MalformedSip):
        return message.branch(response) == branch and message.cseq_method(response) == method
    return False
