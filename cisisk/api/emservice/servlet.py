"""``POST /emservice/EMServiceServlet``: a form with a message, answered with status 200 whatever comes of it."""

import logging
import zlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import hdrs, web

from cisisk.api.context import ACCOUNTS, PHONE_LOGINS, REQUEST_ID, actor, database
from cisisk.api.emservice import answers, messages
from cisisk.api.emservice.failures import UNKNOWN, BadMessage, Failure, failure_of
from cisisk.api.emservice.messages import LoginRequest, LogoutAllRequest, LogoutRequest
from cisisk.api.emservice.operations import Operations
from cisisk.api.middleware import request_id_middleware
from cisisk.model.errors import CisiskError, StorageFailed, TooManyAttempts, Unauthenticated

log = logging.getLogger(__name__)

PREFIX, PATH = "/emservice", "/EMServiceServlet"
MAX_BODY_BYTES = 3 * messages.MAX_CHARACTERS
"""In a form a character can take three."""
_MAX_FIELDS = 8
"""The guide knows one."""
_FORM = "application/x-www-form-urlencoded"
_NO_FORM = (web.HTTPRequestEntityTooLarge, web.RequestPayloadError, ValueError, LookupError, RuntimeError, zlib.error)
"""What aiohttp and the standard library raise of bodies that are too long, broken, or in encodings nobody knows."""
_TO_STRANGERS = (BadMessage, Unauthenticated, TooManyAttempts)
"""What anybody can make happen."""


def application(parts: Mapping[web.AppKey[Any], Any]) -> web.Application:
    """The service, to be mounted at ``PREFIX`` beside the API.

    The original takes messages from queries as well; they hold a password, and queries end up in logs.
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
        # The client hung up before its request was whole: there is nobody to answer, and nothing to look into.
        raise
    except Exception:
        log.exception("request %s: the Extension Mobility API failed", request[REQUEST_ID])
        body = answers.failure(UNKNOWN)
    headers = {hdrs.CONTENT_TYPE: f"{answers.CONTENT_TYPE}; charset=utf-8", hdrs.CACHE_CONTROL: "no-store"}
    return web.Response(body=body, headers=headers)


async def _answer(request: web.Request) -> bytes:
    asking, wanted = messages.parse(await _message(request))
    stranger = actor(request)
    user, _ = await request.config_dict[ACCOUNTS].authenticate_administrator(asking.name, asking.password, stranger)
    known = replace(stranger, user_uuid=user.uuid)
    operations = Operations(database(request), request.config_dict[PHONE_LOGINS])
    match wanted:
        case LoginRequest():
            await operations.log_in(known, wanted)
        case LogoutRequest():
            await operations.log_out(known, wanted)
        case LogoutAllRequest():
            await operations.log_out_all(known, wanted)
        case _:
            return answers.results(await operations.find(wanted))
    return answers.success()


async def _message(request: web.Request) -> str:
    """The message in the form. Raises BadMessage."""
    if request.content_type != _FORM:
        raise BadMessage(f"The content type is not {_FORM}")
    try:
        body = (await request.clone(client_max_size=MAX_BODY_BYTES).read()).decode()
        fields = parse_qsl(body, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS)
    except _NO_FORM:
        raise BadMessage("The body is no form in UTF-8, or too long") from None
    found = [value for name, value in fields if name == "xml"]
    if len(found) != 1:
        raise BadMessage("The form has one field xml")
    return found[0]


def _refusal(request: web.Request, why: Failure, error: CisiskError) -> bytes:
    """The words of the call manager do not say much: the log has Cisisk's own. Strangers do not fill it."""
    if isinstance(error, _TO_STRANGERS):
        level = logging.DEBUG
    else:
        level = logging.ERROR if isinstance(error, StorageFailed) or why is UNKNOWN else logging.INFO
    log.log(level, "request %s: Extension Mobility API: %s (%s)", request[REQUEST_ID], error, why.code)
    return answers.failure(why)
