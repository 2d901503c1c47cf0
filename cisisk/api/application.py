"""The API as an aiohttp application, with its OpenAPI document and documentation page."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from aiohttp import hdrs, web

from cisisk.api import docs
from cisisk.api.context import DOCUMENT
from cisisk.api.emservice import servlet
from cisisk.api.middleware import authorisation_middleware, error_middleware, request_id_middleware
from cisisk.api.openapi import document, validation_middleware
from cisisk.api.routes import ROUTES

PREFIX = "/api/v1"


def build(parts: Mapping[web.AppKey[Any], Any], max_config_bytes: int) -> web.Application:
    """Return an application with the API, its documentation page and the Extension Mobility API.

    Args:
        parts: the objects that handlers use.
        max_config_bytes: the largest config of a profile.
    """
    api = web.Application(
        middlewares=[request_id_middleware, error_middleware, authorisation_middleware, validation_middleware]
    )
    for key, part in parts.items():
        api[key] = part
    api.add_routes(ROUTES)
    # Created at the first request: the document is rarely read, and creating it costs more than 1 MiB of memory.
    cached_document: Callable[[], bytes] = cache(lambda: json.dumps(document(api, prefix=PREFIX)).encode())
    api[DOCUMENT] = cached_document
    # In JSON a byte of a config can take six characters (\\u00e9), and the body has other fields. aiohttp ignores the
    # limit of a sub-application, so the outer one sets it.
    app = web.Application(client_max_size=6 * max_config_bytes + 65536)
    app.add_subapp(PREFIX, api)
    app.add_subapp(servlet.PREFIX, servlet.application(parts))
    app.add_routes(docs.routes(f"{PREFIX}/openapi.json"))
    app.router.add_get("/", _redirect_to_docs)
    return app


async def _redirect_to_docs(_request: web.Request) -> web.Response:
    return web.Response(status=302, headers={hdrs.LOCATION: docs.PATH})
