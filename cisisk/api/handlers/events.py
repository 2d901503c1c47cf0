"""What happens to switches, told as it happens: server-sent events (WHATWG HTML, section 9.2)."""

import asyncio
import json
import logging
from contextlib import suppress
from typing import Final

from aiohttp import hdrs, web

from cisisk.api.context import FEED, REQUEST_ID, database, uuid_of
from cisisk.api.middleware import authorise
from cisisk.api.openapi import QUERY, operation
from cisisk.api.schemas.event import MAX_NUMBER, EventQuery
from cisisk.events.feed import Reader, written
from cisisk.model.deployment import Step
from cisisk.model.errors import Forbidden, Invalid, StorageFailed, Unauthenticated
from cisisk.store import deployments, steps

log = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 15.0
"""Between two comments, by which both sides notice that the other is gone; as often the token is looked at again."""
STALLED_SECONDS = 60.0
"""After which a client that takes nothing is given up: it can come again, and goes on where it was."""
PART = 50
"""Events that are written at once, some 15 kB: between two parts a slow client is waited for."""
EVENTS: Final = "text/event-stream"

_MAX_DIGITS = len(str(MAX_NUMBER))


@operation(
    summary="Follow all switches as they go",
    tag="Deployments",
    query=EventQuery(),
    content_type=EVENTS,
    errors=(429,),
    resumable=True,
)
async def follow(request: web.Request) -> web.StreamResponse:
    """GET /events: without a number from now on."""
    number, newest = _last_event_id(request), await database(request).read(steps.last)
    # One that is not there yet is of a store that was replaced by an older one.
    return await _stream(request, newest if number is None else min(number, newest), None)


@operation(
    summary="Follow one switch until it has ended",
    tag="Deployments",
    query=EventQuery(),
    content_type=EVENTS,
    errors=(429,),
    resumable=True,
    or_nothing=True,
)
async def follow_deployment(request: web.Request) -> web.StreamResponse:
    """GET /deployments/{uuid}/events: without a number from its first step on."""
    number = _last_event_id(request) or 0
    deployment = await database(request).read(deployments.get, uuid_of(request))
    if deployment.ended_at and not await database(request).read(steps.after, number, 1, deployment.uuid):
        # By which a client that would connect again and again knows that it need not.
        return web.Response(status=204)
    return await _stream(request, number, deployment.uuid)


def _last_event_id(request: web.Request) -> int | None:
    """The number of the last step that the client knows; None if it says none. Raises Invalid."""
    digits = request.headers.get("Last-Event-ID")
    if digits is None:
        number: int | None = request[QUERY]["last_event_id"]
        return number
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS and int(digits) <= MAX_NUMBER):
        raise Invalid.field("Last-Event-ID", "Not the id of an event: a whole number")
    return int(digits)


async def _stream(request: web.Request, number: int, deployment: str | None) -> web.StreamResponse:
    with request.config_dict[FEED].read_on(number, deployment) as reader:
        response = web.StreamResponse(
            headers={
                hdrs.CONTENT_TYPE: EVENTS,
                hdrs.CACHE_CONTROL: "no-store",
                "X-Content-Type-Options": "nosniff",
                "X-Request-ID": request[REQUEST_ID],
                # nginx would keep events until it has a page of them.
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        try:
            await _tell(request, response, reader)
        except (Unauthenticated, Forbidden) as error:
            await _write(request, response, f": {error}\n\n")
        except StorageFailed as error:
            log.warning("request %s: a stream of events ends: %s", request[REQUEST_ID], error)
    return response


async def _tell(request: web.Request, response: web.StreamResponse, reader: Reader) -> None:
    """Write what the reader reads, until there is no more.

    Raises:
        Unauthenticated, Forbidden: who began to read may not go on.
        StorageFailed: the store cannot be read.
        ConnectionError: the client is gone, or takes nothing.
    """
    loop = asyncio.get_running_loop()
    heartbeat_at = loop.time()
    while True:
        if loop.time() >= heartbeat_at:
            await authorise(request)
            await _write(request, response, ":\n\n")
            heartbeat_at = loop.time() + HEARTBEAT_SECONDS
        news: list[Step] | None = None
        with suppress(TimeoutError):
            async with asyncio.timeout_at(heartbeat_at):
                news = await reader.news()
        if news is None:
            continue
        if not news:
            return
        for begin in range(0, len(news), PART):
            await _write(request, response, "".join(map(_event, news[begin : begin + PART])))


def _event(step: Step) -> str:
    # JSON has no line ends of its own, so that it is one line of data.
    return f"id: {step.number}\nevent: {step.step}\ndata: {json.dumps(written(step))}\n\n"


async def _write(request: web.Request, response: web.StreamResponse, text: str) -> None:
    """Send ``text``, and wait for a client that is slow. Raises ConnectionError."""
    try:
        async with asyncio.timeout(STALLED_SECONDS):
            await response.write(text.encode())
    except TimeoutError:
        # What it has not taken would be waited for at the end, too.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("A client takes no events") from None
