"""A phone's SIP server over UDP and TCP (RFC 3261 sections 8.2, 18.2)."""

import asyncio
import errno
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any, Protocol, Self

from cisisk.simulator.notify import NotifyAnswer, NotifyOrder
from cisisk.sip import message
from cisisk.sip.message import MAX_BYTES, MalformedSip, SipRequest, SipResponse, Unsendable
from cisisk.sip.transaction import Peer, ResponseInbox, Sender, TcpWay, Timers, UdpWay, Way, connect, host, read_stream

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


class _Connection:
    """A connection to a call manager, which stays open: some send their requests over no other one."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self._responses: asyncio.Queue[SipResponse | None] = asyncio.Queue()

    def put(self, response: SipResponse | None) -> None:
        """Deliver a response; None means that the connection is closed."""
        self._responses.put_nowait(response)

    async def receive(self) -> SipResponse:
        """Return the next response. Raises ConnectionError if the connection is closed."""
        if (response := await self._responses.get()) is None:
            raise ConnectionResetError(errno.ECONNRESET, "the connection was closed")
        return response


class SipServer:
    """A SIP server that listens while its context is open."""

    def __init__(self, device: NotifiedPhone, *, address: str, port: int) -> None:
        self._device = device
        self._address = address
        self._port = port
        self._tag = secrets.token_hex(4)
        self._tasks: set[asyncio.Task[None]] = set()
        self._inboxes: set[ResponseInbox] = set()
        self._connections: dict[Peer, _Connection] = {}
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
                self._accepted, self._address, self._port, limit=MAX_BYTES, reuse_port=True
            )
            resources.callback(server.close)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the port and every connection."""
        await self._resources.aclose()

    @asynccontextmanager
    async def open_way(self, peer: Peer, seconds: float) -> AsyncIterator[Way]:
        """Open a way to ``peer`` that begins at this server's port, as :meth:`SipClient.way`.

        Raises:
            OSError: the peer cannot be reached, or this server is closed.
        """
        if self._transport.is_closing():
            raise ConnectionAbortedError(errno.ECONNABORTED, "the phone is offline")
        local = f"{host(self._address)}:{self._port}"
        if peer.transport == "TCP":
            connection = self._connections.get(peer) or await self._connect(peer, seconds)
            yield TcpWay(connection.receive, connection.writer, local)
            return
        inbox = ResponseInbox(peer.address)
        self._inboxes.add(inbox)
        try:
            yield UdpWay(peer, self._transport, inbox, Timers(), local)
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
            self._start(self._device.perform(order))

    async def _connect(self, peer: Peer, seconds: float) -> _Connection:
        reader, writer = await connect(peer, seconds, Sender(address=self._address, port=self._port, listens=True))
        connection = self._connections[peer] = _Connection(writer)

        async def serve() -> None:
            try:
                await self._serve(reader, writer, connection.put)
            finally:
                del self._connections[peer]
                connection.put(None)

        # A task that is cancelled before it begins closes nothing.
        self._start(serve()).add_done_callback(lambda _: writer.close())
        return connection

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._transport.is_closing():
            writer.close()
            return
        work = self._serve(reader, writer, lambda _response: None)
        self._start(work).add_done_callback(lambda _: writer.close())

    async def _serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_response: Callable[[SipResponse], None],
    ) -> None:
        """Answer the requests of a connection until it is closed."""
        try:
            while True:
                received = await read_stream(reader)
                if isinstance(received, SipResponse):
                    on_response(received)
                elif received.method != "ACK":
                    response, order = self.answer(received, writer.get_extra_info("peername")[:2])
                    writer.write(response.render())
                    await writer.drain()
                    self.perform(order)
        except (OSError, MalformedSip, Unsendable):
            pass  # close a connection that does not carry SIP

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
