"""A phone's web server: ``/CGI/Execute`` and ``/DeviceInformationX``.

Source: docs/phone-protocol/restart.md#restart-over-http, docs/phone-protocol/xml-services.md#information-pages
"""

import asyncio
import base64
import binascii
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from typing import Protocol, Self

from aiohttp import web
from aiohttp.typedefs import Handler

from cisisk.simulator import cgi
from cisisk.simulator.cgi import ErrorNumber, Unparsable
from cisisk.simulator.faults import Faults
from cisisk.simulator.screen import Execution

_SHUTDOWN_SECONDS = 0.5
"""Time to finish responses when the phone goes offline: they are small and the peer is near."""


class WebServerPhone(Protocol):
    """The interface of the phone that the web server uses."""

    @property
    def is_read_only(self) -> bool:
        """Return whether ``webAccess`` is read only."""

    async def authorises(self, user: str, password: str) -> bool:
        """Return whether these credentials authorise ``/CGI/Execute``."""

    def execute(self, urls: Sequence[str]) -> Execution:
        """Execute the items of one request and return the results."""

    def restart(self, cause: str) -> None:
        """Restart; called after the response was sent."""

    def information(self) -> bytes:
        """Return the XML of ``/DeviceInformationX``."""


class WebServer:
    """A web server that listens while its context is open."""

    def __init__(self, device: WebServerPhone, *, address: str, port: int, faults: Faults) -> None:
        """Serve ``device`` at ``address``; ``port`` 0 is any."""
        self._device = device
        self._address = address
        self._port = port
        self._faults = faults
        self._closing = asyncio.Event()
        self._resources = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start listening.

        Raises:
            OSError: the address or port is not available.
        """
        app = web.Application(middlewares=[self._apply_faults], client_max_size=cgi.MAX_BODY)
        app.add_routes(
            [web.post("/CGI/Execute", self._execute), web.get("/DeviceInformationX", self._device_information)]
        )
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        async with AsyncExitStack() as resources:
            resources.push_async_callback(runner.cleanup)
            await runner.setup()
            await web.TCPSite(runner, self._address, self._port).start()
            self._port = runner.addresses[0][1]
            resources.callback(self._closing.set)
            self._resources = resources.pop_all()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Finish responses that have begun, then close the port and every connection."""
        await self._resources.aclose()

    @property
    def port(self) -> int:
        """Return the port that the server listens on."""
        return self._port

    @web.middleware
    async def _apply_faults(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self._faults.silent:
            await self._closing.wait()
            if request.transport is not None:
                request.transport.abort()
            return web.Response()
        if self._faults.slow_web:
            await asyncio.sleep(self._faults.slow_web)
        return await handler(request)

    async def _device_information(self, _request: web.Request) -> web.Response:
        return _xml(self._device.information())

    async def _execute(self, request: web.Request) -> web.Response:
        if self._device.is_read_only:
            raise web.HTTPForbidden
        credentials = _basic_credentials(request.headers.get("Authorization", ""))
        if credentials is None:
            raise web.HTTPUnauthorized(headers={"WWW-Authenticate": 'Basic realm="cisco"'})
        body = await request.read()
        if not await self._device.authorises(*credentials):
            return _xml(cgi.refusal(ErrorNumber.AUTHENTICATION))
        try:
            execution = self._device.execute(cgi.read_execute(body))
        except Unparsable:
            return _xml(cgi.refusal(ErrorNumber.PARSE))
        response = _xml(cgi.response(execution.results))
        if execution.restart is not None:
            with suppress(ConnectionError):  # the phone restarts even if the client has disconnected
                await response.prepare(request)
                await response.write_eof()
            self._device.restart(execution.restart)
        return response


def _xml(document: bytes) -> web.Response:
    response = web.Response(body=document, content_type="text/xml", charset="utf-8")
    response.force_close()
    return response


def _basic_credentials(header: str) -> tuple[str, str] | None:
    """Return user and password of a Basic ``Authorization`` header (RFC 7617), or None."""
    scheme, _, encoded = header.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        return None
    return (user, password) if scheme.lower() == "basic" and colon else None
