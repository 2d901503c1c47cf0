"""The documentation page of the API: Swagger UI, served from files of this package only."""

from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from aiohttp import web

from cisisk.api.openapi import Handler

PATH: Final = "/api/docs"

_STATIC: Final = Path(str(files("cisisk.api"))) / "static"
_ASSETS: Final = {
    "swagger-ui.css": (_STATIC / "swagger-ui" / "swagger-ui.css", "text/css"),
    "swagger-ui-bundle.js": (_STATIC / "swagger-ui" / "swagger-ui-bundle.js", "text/javascript"),
    "docs.js": (_STATIC / "docs.js", "text/javascript"),
}

# Swagger UI uses data: URLs for icons; all other files are local.
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Revalidated each time: a new version of Cisisk must not use the script of the old one.
    "Cache-Control": "no-cache",
}

# Relative URLs, so that the page works behind a proxy with another path.
_PAGE: Final = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Cisisk API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="docs/swagger-ui.css">
</head>
<body>
<div id="operations" data-document="{document_url}"></div>
<noscript>This page needs JavaScript. The API is described in <a href="{document_url}">{document_url}</a>.</noscript>
<script src="docs/swagger-ui-bundle.js"></script>
<script src="docs/docs.js"></script>
</body>
</html>
"""


def routes(document_url: str) -> list[web.RouteDef]:
    """Return the routes of the page at ``/api/docs`` and of its assets.

    Args:
        document_url: URL of the OpenAPI document on the same origin.
    """
    page = _PAGE.format(document_url=escape(document_url))

    async def show(_request: web.Request) -> web.Response:
        return web.Response(text=page, content_type="text/html", headers=_HEADERS)

    assets = [web.get(f"{PATH}/{name}", _asset(path, content_type)) for name, (path, content_type) in _ASSETS.items()]
    return [web.get(PATH, show), *assets]


def _asset(path: Path, content_type: str) -> Handler:
    async def send(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(path, headers={**_HEADERS, "Content-Type": f"{content_type}; charset=utf-8"})

    return send
