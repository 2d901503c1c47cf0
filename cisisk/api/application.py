"""The API as an aiohttp application, complete with its document and the page that shows it."""

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
    """An application with the API at /api/v1 and its page, the call manager's, and the ``parts`` that handlers ask for.

    Args:
        max_config_bytes: the largest config that a profile may hold.
    """
    api = web.Application(
        middlewares=[request_id_middleware, error_middleware, authorisation_middleware, validation_middleware]
    )
    for key, part in parts.items():
        api[key] = part
    api.add_routes(ROUTES)
    # Made when it is first asked for: most appliances run for months without anybody who reads it, and for its 80 KiB
    # the process grows by more than 1 MiB.
    making: Callable[[], bytes] = cache(lambda: json.dumps(document(api, prefix=PREFIX)).encode())
    api[DOCUMENT] = making
    # In JSON a byte of a config can take six characters (\\u00e9), and there is more than the config in a body. The
    # limit is the outer application's: aiohttp takes no notice of a mounted one's.
    app = web.Application(client_max_size=6 * max_config_bytes + 65536)
    app.add_subapp(PREFIX, api)
    app.add_subapp(servlet.PREFIX, servlet.application(parts))
    app.add_routes(docs.routes(f"{PREFIX}/openapi.json"))
    app.router.add_get("/", _to_the_page)
    return app


async def _to_the_page(_request: web.Request) -> web.Response:
    """Who opens the box in a browser wants to see what it can do."""
    return web.Response(status=302, headers={hdrs.LOCATION: docs.PATH})
