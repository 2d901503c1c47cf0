"""A webhook receiver: an HTTP server with scripted responses."""

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

from tests.patience import PATIENCE


@dataclass(frozen=True, slots=True)
class Received:
    """A received request."""

    path: str
    headers: Mapping[str, str]
    content: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.content)

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def is_signed_with(self, secret: str) -> bool:
        """Verify the signature (Standard Webhooks, "Verifying signatures")."""
        signed = f"{self.id}.{self.headers['webhook-timestamp']}.".encode() + self.content
        key = base64.b64decode(secret.removeprefix("whsec_"))
        mac = base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
        return self.headers["webhook-signature"] == f"v1,{mac}"


@dataclass(slots=True)
class Receiver:
    """Answers with the statuses of ``script`` in order, then with 204; 0 withholds the response.

    Attributes:
        script: status codes of the next responses.
        status_of: returns the status of a response instead of ``script``.
        headers: response headers.
        received: the requests.
        most_at_once: highest number of concurrent requests.
    """

    script: list[int] = field(default_factory=list)
    status_of: Callable[[Received], int] | None = None
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0
    received: list[Received] = field(default_factory=list)
    most_at_once: int = 0
    _open: int = 0
    _news: asyncio.Condition = field(default_factory=asyncio.Condition)
    _held: asyncio.Event = field(default_factory=asyncio.Event)
    _runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhook?key=s3ntinel"

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = site.port
        return self

    async def __aexit__(self, *_: object) -> None:
        self.answer()
        assert self._runner is not None
        await self._runner.cleanup()

    def answer(self) -> None:
        """Release all withheld responses, present and future."""
        self._held.set()

    async def until(self, count: int) -> list[Received]:
        """Wait for ``count`` requests in total."""
        async with asyncio.timeout(PATIENCE), self._news:
            await self._news.wait_for(lambda: len(self.received) >= count)
        return self.received

    async def _take(self, request: web.Request) -> web.Response:
        self._open += 1
        self.most_at_once = max(self.most_at_once, self._open)
        try:
            received = Received(request.path_qs, dict(request.headers), await request.read())
            self.received.append(received)
            status = self.status_of(received) if self.status_of else self.script.pop(0) if self.script else 204
            async with self._news:
                self._news.notify_all()
            if status == 0:
                await self._held.wait()
                status = 204
            return web.Response(status=status, headers=self.headers)
        finally:
            self._open -= 1
