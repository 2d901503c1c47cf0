"""A phone's SIP side: it takes requests over UDP and TCP and answers each (RFC 3261 8.2, 18.2)."""

import asyncio
import secrets
from contextlib import AsyncExitStack, suppress
from typing import Protocol, Self

from cisisk.simulator.notify import NotifyAnswer, NotifyOrder
from cisisk.sip import message
from cisisk.sip.message import MAX_BYTES, MalformedSip, SipRequest, SipResponse, Unsendable
from cisisk.sip.transaction import read_stream

_REASONS = {200: "OK", 400: "Bad Request", 404: "Not Found", 501: "Not Implemented"}
_ECHOED = ("From", "Call-ID", "CSeq")


class NotifiedPhone(Protocol):
    """The phone behind it."""

    def judge(self, request: SipRequest) -> NotifyAnswer:
        """What it answers."""

    async def obey(self, order: NotifyOrder) -> None:
        """Called when the answer is on its way."""


class SipServer:
    """Listens while its context is open."""

    def __init__(self, device: NotifiedPhone, *, address: str, port: int) -> None:
        self._device = device
        self._address = address
        self._port = port
        self._tag = secrets.token_hex(4)
        self._tasks: set[asyncio.Task[None]] = set()
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Listen. Raises OSError: the address or the port cannot be had."""
        loop = asyncio.get_running_loop()
        async with AsyncExitStack() as resources:
            resources.push_async_callback(self._end_tasks)
            transport, _ = await loop.create_datagram_endpoint(
                lambda: _Datagrams(self), local_addr=(self._address, self._port)
            )
            resources.callback(transport.close)
            server = await asyncio.start_server(self._connected, self._address, self._port, limit=MAX_BYTES)
            resources.callback(server.close)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Close the port and every connection."""
        await self._resources.aclose()

    def answer(self, request: SipRequest, source: tuple[str, int]) -> tuple[SipResponse, NotifyOrder | None]:
        """Return the response and the order the phone obeys.

        Raises:
            MalformedSip: the request gets no response.
        """
        verdict = self._device.judge(request)
        vias = [via for value in request.all("Via") for via in message.split(value, ",")]
        if not vias or request.method == "ACK":
            raise MalformedSip("nobody to answer")
        first = vias[0]
        if message.parameter(first, "rport") == "":
            first = first.replace(";rport", f";rport={source[1]}")
        headers = [("Via", via) for via in (f"{first};received={source[0]}", *vias[1:])]
        headers += [(name, request.get(name) or "") for name in _ECHOED]
        headers.append(("To", f"{request.get('To')};tag={self._tag}"))
        response = SipResponse(tuple(headers), status=verdict.status, reason=_REASONS[verdict.status])
        return response, verdict.order

    def obey(self, order: NotifyOrder | None) -> None:
        """Have the phone do it, while nobody waits."""
        if order is not None:
            task = asyncio.create_task(self._device.obey(order))
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
                self.obey(order)
        except (OSError, MalformedSip, Unsendable):
            pass  # a connection that brings no SIP is closed
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

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # UDP's own kind
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        with suppress(MalformedSip, Unsendable):
            request = message.parse(data)
            if isinstance(request, SipRequest) and self._transport is not None:
                response, order = self._server.answer(request, addr[:2])
                self._transport.sendto(response.render(), addr)
                self._server.obey(order)
