"""Handlers of event streams: server-sent events of switches (WHATWG HTML, section 9.2)."""

import asyncio
import json
import logging
from contextlib import suppress
from typing import Final

from aiohttp import hdrs, web

from cisisk.api.context import FEED, LIMITS, REQUEST_ID, database, uuid_of
from cisisk.api.middleware import authorise
from cisisk.api.openapi import QUERY, operation
from cisisk.api.schemas.event import MAX_NUMBER, EventQuery
from cisisk.events.feed import Reader, written
from cisisk.model.deployment import Step
from cisisk.model.errors import Forbidden, Invalid, StorageFailed, Unauthenticated
from cisisk.store import deployments, steps

log = logging.getLogger(__name__)

PART = 50
"""Events per write, about 15 kB: flow control applies between writes."""
EVENTS: Final = "text/event-stream"

_MAX_DIGITS = len(str(MAX_NUMBER))


@operation(
    summary="Follow all switches",
    tag="Deployments",
    query=EventQuery(),
    content_type=EVENTS,
    errors=(429,),
    resumable=True,
)
async def follow(request: web.Request) -> web.StreamResponse:
    """GET /events: from now on, or after Last-Event-ID."""
    number, newest = _last_event_id(request), await database(request).read(steps.last)
    # A number beyond the newest one comes from a database that was replaced by an older backup.
    return await _stream(request, newest if number is None else min(number, newest), None)


@operation(
    summary="Follow one switch until its end",
    tag="Deployments",
    query=EventQuery(),
    content_type=EVENTS,
    errors=(429,),
    resumable=True,
    may_be_empty=True,
)
async def follow_deployment(request: web.Request) -> web.StreamResponse:
    """GET /deployments/{uuid}/events: from the first step, or after Last-Event-ID."""
    number = _last_event_id(request) or 0
    deployment = await database(request).read(deployments.get, uuid_of(request))
    if deployment.ended_at and not await database(request).read(steps.after, number, 1, deployment.uuid):
        # 204 tells the client not to reconnect.
        return web.Response(status=204)
    return await _stream(request, number, deployment.uuid)


def _last_event_id(request: web.Request) -> int | None:
    """Return the number of the last step that the client has, or None. Raises Invalid."""
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
                # nginx would buffer events.
                "X-Accel-Buffering": "no",
            }
        )
        await response.prepare(request)
        try:
            await _send_events(request, response, reader)
        except (Unauthenticated, Forbidden) as error:
            await _write(request, response, f": {error}\n\n")
        except StorageFailed as error:
            log.warning("event stream ended id=%s reason=%r", request[REQUEST_ID], str(error))
    return response


async def _send_events(request: web.Request, response: web.StreamResponse, reader: Reader) -> None:
    """Write the events of the reader until its end.

    Raises:
        Unauthenticated, Forbidden: the client is no longer authorised.
        StorageFailed: the database cannot be read.
        ConnectionError: the client has disconnected or does not read.
    """
    loop = asyncio.get_running_loop()
    heartbeat_at = loop.time()
    while True:
        if loop.time() >= heartbeat_at:
            await authorise(request)
            await _write(request, response, ":\n\n")
            heartbeat_at = loop.time() + request.config_dict[LIMITS].event_heartbeat_seconds
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
    # json.dumps writes no line ends, so the data is one line.
    return f"id: {step.number}\nevent: {step.step}\ndata: {json.dumps(written(step))}\n\n"


async def _write(request: web.Request, response: web.StreamResponse, text: str) -> None:
    """Send ``text`` and wait for a slow client. Raises ConnectionError."""
    try:
        async with asyncio.timeout(request.config_dict[LIMITS].event_write_seconds):
            await response.write(text.encode())
    except TimeoutError:
        # Without abort, closing would wait for the unsent data.
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("The client does not read events") from None
