"""A phone's SIP server over UDP and TCP (RFC 3261 sections 8.2, 18.2)."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Protocol, Self

from cisisk.simulator.notify import NotifyAnswer, NotifyOrder
from cisisk.sip import message
from cisisk.sip.message import MAX_BYTES, MalformedSip, SipRequest, SipResponse, Unsendable
from cisisk.sip.transaction import Peer, ResponseInbox, Sender, Timers, UdpWay, Way, host, read_stream, tcp_way

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    481: "Call/Transaction Does Not Exist",
    501: "Not Implemented",
}
_ECHOED = ("From", "Call-ID", "CSeq")


class NotifiedPhone(Protocol):
    """The interface of the phone that the SIP server uses."""

    def answer(self, request: SipRequest) -> NotifyAnswer:
        """Return the response to ``request``."""

    async def perform(self, order: NotifyOrder) -> None:
        """Perform ``order``; called after the response was sent."""


class SipServer:
    """A SIP server that listens while its context is open."""

    def __init__(self, device: NotifiedPhone, *, address: str, port: int) -> None:
        self._device = device
        self._address = address
        self._port = port
        self._tag = secrets.token_hex(4)
        self._tasks: set[asyncio.Task[None]] = set()
        self._inboxes: set[ResponseInbox] = set()
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start listening. Raises OSError if the address or port is not available."""
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as resources:
            resources.push_async_callback(self._end_tasks)
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self._address, self._port)
            )
            resources.callback(transport.close)
            self._transport = transport
            # The phone's own connections begin at this port.
            server = await asyncio.start_server(
                self._connected, self._address, self._port, limit=MAX_BYTES, reuse_port=True
            )
            resources.callback(server.close)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the port and every connection."""
        await self._resources.aclose()

    @asynccontextmanager
    async def open_way(self, peer: Peer, seconds: float) -> AsyncIterator[Way]:
        """Open a way to ``peer`` that begins at this server's port, as :meth:`SipClient.way`."""
        if peer.transport == "TCP":
            async with tcp_way(peer, seconds, Sender(address=self._address, port=self._port, listens=True)) as way:
                yield way
            return
        inbox = ResponseInbox(peer.address)
        self._inboxes.add(inbox)
        try:
            yield UdpWay(peer, self._transport, inbox, Timers(), f"{host(self._address)}:{self._port}")
        finally:
            self._inboxes.discard(inbox)

    def take_response(self, data: bytes, addr: tuple[str, int]) -> None:
        """Deliver a response to the requests that wait."""
        for inbox in self._inboxes:
            inbox.datagram_received(data, addr)

    def answer(self, request: SipRequest, source: tuple[str, int]) -> tuple[SipResponse, NotifyOrder | None]:
        """Return the response, and the order for the phone to perform, if any.

        Raises:
            MalformedSip: the request gets no response.
        """
        answer = self._device.answer(request)
        vias = [via for value in request.all("Via") for via in message.split(value, ",")]
        if not vias or request.method == "ACK":
            raise MalformedSip("a request without Via, or an ACK, gets no response")
        first = vias[0]
        if message.parameter(first, "rport") == "":
            first = first.replace(";rport", f";rport={source[1]}")
        headers = [("Via", via) for via in (f"{first};received={source[0]}", *vias[1:])]
        headers += [(name, request.get(name) or "") for name in _ECHOED]
        headers.append(("To", f"{request.get('To')};tag={self._tag}"))
        response = SipResponse(tuple(headers), status=answer.status, reason=_REASONS[answer.status])
        return response, answer.order

    def perform(self, order: NotifyOrder | None) -> None:
        """Have the phone perform ``order`` in the background."""
        if order is not None:
            task = asyncio.create_task(self._device.perform(order))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            while isinstance(request := await read_stream(reader), SipRequest):
                response, order = self.answer(request, writer.get_extra_info("peername")[:2])
                writer.write(response.render())
                await writer.drain()
                self.perform(order)
        except (OSError, MalformedSip, Unsendable):
            pass  # close a connection that does not carry SIP
        finally:
            writer.close()

    async def _end_tasks(self) -> None:
        tasks = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: SipServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # UDP passes a DatagramTransport
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with suppress(MalformedSip, Unsendable):
            request = message.parse(data)
            if not isinstance(request, SipRequest):
                self._server.take_response(data, addr)
            elif self._transport is not None:
                response, order = self._server.answer(request, addr[:2])
                self._transport.sendto(response.render(), addr)
                self._server.perform(order)
