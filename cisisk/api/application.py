"""The API as an aiohttp application, complete with its document and the page that shows it."""

import json
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from cisisk.api import docs
from cisisk.api.context import DOCUMENT
from cisisk.api.middleware import authorisation_middleware, error_middleware, request_id_middleware
from cisisk.api.openapi import document, validation_middleware
from cisisk.api.routes import ROUTES

PREFIX = "/api/v1"


def api_routes(parts: Mapping[web.AppKey[Any], Any], max_config_bytes: int) -> web.Application:
    """The application behind /api/v1 (mount it there) with the ``parts`` that handlers ask for.

    Args:
        max_config_bytes: the largest config that a profile may hold.
    """
    # In JSON a byte of a config can take six characters (\\u00e9), and there is more than the config in a body.
    api = web.Application(
        middlewares=[request_id_middleware, error_middleware, authorisation_middleware, validation_middleware],
        client_max_size=6 * max_config_bytes + 65536,
    )
    for key, part in parts.items():
        api[key] = part
    api.add_routes(ROUTES)
    api[DOCUMENT] = json.dumps(document(api, prefix=PREFIX)).encode()
    return api


def mount(app: web.Application, api: web.Application) -> None:
    """Put the API and its page on ``app``."""
    app.add_subapp(PREFIX, api)
    app.add_routes(docs.routes(f"{PREFIX}/openapi.json"))
