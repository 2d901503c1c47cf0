"""``POST /emservice/EMServiceServlet``: a form with a message. The status of the response is always 200."""

import logging
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from cisisk.api.context import ACCOUNTS, PHONE_LOGINS, REQUEST_ID, actor, database
from cisisk.api.emservice import messages, responses
from cisisk.api.emservice.failures import UNKNOWN, BadMessage, Failure, failure_of
from cisisk.api.emservice.messages import LoginRequest, LogoutAllRequest, LogoutRequest
from cisisk.api.emservice.operations import Operations
from cisisk.api.middleware import request_id_middleware
from cisisk.model.errors import CisiskError, StorageFailed, TooManyAttempts, Unauthenticated

log = logging.getLogger(__name__)

PREFIX, PATH = "/emservice", "/EMServiceServlet"
MAX_BODY_BYTES = 3 * messages.MAX_CHARACTERS
"""A character of a form can take three bytes."""
_MAX_FIELDS = 8
"""Most form fields; the guide uses one."""
_FORM = "application/x-www-form-urlencoded"
_BODY_ERRORS = (
    web.HTTPRequestEntityTooLarge,
    web.RequestPayloadError,
    ValueError,
    LookupError,
    RuntimeError,
    zlib.error,
)
"""Errors of aiohttp and the standard library for bodies that are too long, broken, or in an unknown encoding."""
_UNAUTHENTICATED_ERRORS = (BadMessage, Unauthenticated, TooManyAttempts)
"""Errors that unauthenticated clients can cause."""


def application(parts: Mapping[web.AppKey[Any], Any]) -> web.Application:
    """Return the service as an application for ``PREFIX``.

    Unlike the original, it does not accept messages in the query: they contain a password, and queries are logged.
    """
    app = web.Application(middlewares=[request_id_middleware])
    for key, part in parts.items():
        app[key] = part
    app.router.add_post(PATH, serve)
    return app


async def serve(request: web.Request) -> web.Response:
    """POST /emservice/EMServiceServlet."""
    try:
        body = await _answer(request)
    except CisiskError as error:
        body = _refusal(request, failure_of(error), error)
    except ConnectionError:
        # The client disconnected before the request was complete: no response, no log entry.
        raise
    except Exception:
        log.exception("Extension Mobility request failed id=%s", request[REQUEST_ID])
        body = responses.failure(UNKNOWN)
    headers = {hdrs.CONTENT_TYPE: f"{responses.CONTENT_TYPE}; charset=utf-8", hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(body=body, headers=headers)


async def _answer(request: web.Request) -> bytes:
    credentials, wanted = messages.parse(await _message(request))
    client = actor(request)
    accounts = request.config_dict[ACCOUNTS]
    user, _ = await accounts.authenticate_administrator(credentials.name, credentials.password, client)
    administrator = replace(client, user_uuid=user.uuid)
    operations = Operations(database(request), request.config_dict[PHONE_LOGINS])
    match wanted:
        case LoginRequest():
            await operations.log_in(administrator, wanted)
        case LogoutRequest():
            await operations.log_out(administrator, wanted)
        case LogoutAllRequest():
            await operations.log_out_all(administrator, wanted)
        case _:
            return responses.results(await operations.find(wanted))
    return responses.success()


async def _message(request: web.Request) -> str:
    """Return the message in the form. Raises BadMessage."""
    if request.content_type != _FORM:
        raise BadMessage(f"The content type is not {_FORM}")
    try:
        body = (await request.clone(client_max_size=MAX_BODY_BYTES).read()).decode()
        fields = parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except _BODY_ERRORS:
        raise BadMessage("The body is not a form in UTF-8, or is too long") from None
    found = [value for name, value in fields if name == "xml"]
    if len(found) != 1:
        raise BadMessage("The form must have exactly one field xml")
    return found[0]


def _refusal(request: web.Request, reason: Failure, error: CisiskError) -> bytes:
    """Return a failure response and log the reason. Unauthenticated clients must not fill the log."""
    if isinstance(error, _UNAUTHENTICATED_ERRORS):
        level = logging.DEBUG
    else:
        level = logging.ERROR if isinstance(error, StorageFailed) or reason is UNKNOWN else logging.INFO
    log.log(
        level,
        "Extension Mobility request refused id=%s code=%d reason=%r",
        request[REQUEST_ID],
        reason.code,
        str(error),
    )
    return responses.failure(reason)
