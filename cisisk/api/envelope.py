"""The envelope of JSON responses."""

from collections.abc import Mapping, Sequence
from typing import Any

from aiohttp import hdrs, web
from marshmallow import Schema

from cisisk import __version__
from cisisk.api.context import REQUEST_ID, SETTINGS, client_ip
from cisisk.model.clock import now
from cisisk.model.listing import Listing, Page
from cisisk.model.revision import Revised, entity_tag

# Responses may contain secrets and change at any time.
_HEADERS = {hdrs.CACHE_CONTROL: "no-store", "X-Content-Type-Options": "nosniff"}


def reply(
    request: web.Request, message: str, data: Any = None, *, status: int = 200, version_of: Revised | None = None
) -> web.Response:
    """Return a success response; the ETag is the version of the resource ``version_of``."""
    body = {"success": True, "message": message, "data": data, "metadata": _metadata(request)}
    response = web.json_response(body, status=status, headers=_HEADERS)
    if version_of is not None:
        response.etag = entity_tag(version_of)
    return response


def reply_list(
    request: web.Request, message: str, data: Sequence[Any], *, total: int, listing: Listing
) -> web.Response:
    """Return a list response; ``total`` is the length of the complete list."""
    metadata = {**_metadata(request), "total": total, "limit": listing.limit, "offset": listing.offset}
    body = {"success": True, "message": message, "data": data, "metadata": metadata}
    return web.json_response(body, headers=_HEADERS)


def reply_page(request: web.Request, noun: str, schema: Schema, page: Page[Any], listing: Listing) -> web.Response:
    """Return a list response with a page of the store. The message is the count and ``noun``."""
    data = schema.dump(page.items, many=True)
    return reply_list(request, f"{len(data)} {noun}", data, total=page.total, listing=listing)


def reply_error(
    request: web.Request,
    status: int,
    message: str,
    *,
    fields: Mapping[str, Sequence[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Return an error response; ``fields`` maps the names of invalid fields to reasons."""
    error: dict[str, Any] = {"code": status, "message": message}
    if fields is not None:
        error["fields"] = fields
    body = {"success": False, "message": message, "error": error, "metadata": _metadata(request)}
    return web.json_response(body, status=status, headers={**_HEADERS, **(headers or {})})


def _metadata(request: web.Request) -> dict[str, Any]:
    return {
        "timestamp": now(),
        "version": __version__,
        "requestId": request[REQUEST_ID],
        "ip": client_ip(request) or "",
        "environment": request.config_dict[SETTINGS].server.environment,
    }
