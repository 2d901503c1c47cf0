"""Middleware: request ids, errors and authorisation."""

import logging
from uuid import uuid4

from aiohttp import hdrs, web

from cisisk.api.context import ACCOUNTS, REQUEST_ID, SETTINGS, USER, came_over_control_socket, owner_of
from cisisk.api.envelope import reply_error
from cisisk.api.json_body import BodyNotJson, UnsupportedBody
from cisisk.api.openapi import Access, Handler, access_of
from cisisk.model.errors import (
    CisiskError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Stale,
    StorageFailed,
    TooBusy,
    TooLarge,
    TooManyAttempts,
    Unauthenticated,
)

log = logging.getLogger(__name__)

STATUS: dict[type[CisiskError], int] = {
    BodyNotJson: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    Conflict: 409,
    Stale: 412,
    TooLarge: 413,
    UnsupportedBody: 415,
    Invalid: 422,
    TooManyAttempts: 429,
    TooBusy: 429,
    StorageFailed: 503,
}
"""Status codes by error class."""

_BEARER = "bearer "


@web.middleware
async def request_id_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Assign an id to every request, for the response and the log."""
    request[REQUEST_ID] = str(uuid4())
    response = await handler(request)
    if not response.prepared:
        response.headers["X-Request-ID"] = request[REQUEST_ID]
    return response


@web.middleware
async def error_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Convert exceptions to error responses."""
    try:
        return await handler(request)
    except CisiskError as error:
        return _cisisk_error(request, error)
    except web.HTTPException as error:
        return _http_error(request, error)
    except ConnectionError:
        # The client disconnected before the request was complete: no response, no log entry.
        raise
    except Exception:
        log.exception("request failed id=%s method=%s path=%r", request[REQUEST_ID], request.method, request.path)
        return reply_error(request, 500, f"Internal error. See the log of Cisisk for the request {request[REQUEST_ID]}")


@web.middleware
async def authorisation_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Authorise the request before its handler. Raises like :func:`authorise`."""
    await authorise(request)
    return await handler(request)


async def authorise(request: web.Request) -> None:
    """Check that the client may use the operation, and store the user as ``USER`` of the request.

    Raises:
        Unauthenticated: the request has no valid token.
        Forbidden: the operation needs level 0, or the path's ``userUuid`` is another user.
    """
    access = access_of(request.match_info.handler)
    if access is None or access is Access.PUBLIC:
        return
    # Control-socket clients have level 0 but no user record.
    if access is not Access.USER and came_over_control_socket(request):
        return
    scheme_and_token = request.headers.get(hdrs.AUTHORIZATION, "")
    if access is Access.OPTIONAL:
        if not request.config_dict[SETTINGS].auth.public_register:
            access = Access.SUPERADMIN
        elif not scheme_and_token:
            return
    if not scheme_and_token.lower().startswith(_BEARER):
        raise Unauthenticated("Send an access token: Authorization: Bearer <token>")
    user = await request.config_dict[ACCOUNTS].user_of(scheme_and_token[len(_BEARER) :].strip())
    if access is Access.SUPERADMIN and not user.is_superadmin:
        raise Forbidden("This operation needs permission level 0")
    request[USER] = user
    owner = owner_of(request)
    if access is Access.OWN and owner and request.match_info.get("userUuid", owner).lower() != owner:
        raise Forbidden("This belongs to another user; it needs permission level 0")


def _cisisk_error(request: web.Request, error: CisiskError) -> web.Response:
    status = next((STATUS[kind] for kind in type(error).__mro__ if kind in STATUS), 500)
    headers: dict[str, str] = {}
    if isinstance(error, Unauthenticated):
        headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    if isinstance(error, TooManyAttempts | TooBusy):
        headers[hdrs.RETRY_AFTER] = str(error.retry_after)
    if status >= 500:
        log.error("request failed id=%s reason=%r", request[REQUEST_ID], str(error))
    fields = error.fields if isinstance(error, Invalid) else None
    return reply_error(request, status, str(error), fields=fields, headers=headers)


def _http_error(request: web.Request, error: web.HTTPException) -> web.Response:
    texts = {
        404: f"No such path: {request.path}",
        405: f"The method {request.method} is not allowed for this path",
        413: f"The body is larger than {request.client_max_size} bytes",
    }
    headers: dict[str, str] = {hdrs.ALLOW: error.headers[hdrs.ALLOW]} if hdrs.ALLOW in error.headers else {}
    return reply_error(request, error.status, texts.get(error.status, error.reason), headers=headers)
