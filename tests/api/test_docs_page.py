import asyncio
import hashlib
import json
import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from pytest_aiohttp.plugin import AiohttpClient, AiohttpServer

from cisisk.api import docs
from cisisk.api.openapi import Handler, document, operation

Client = TestClient[web.Request, web.Application]

VENDORED = Path(docs.__file__).parent / "static" / "swagger-ui"
BROWSER_DEADLINE = 60
"""Seconds. A browser starts slowly on a busy machine."""
PAGES = ["/api/docs", "/api/docs/swagger-ui.css", "/api/docs/swagger-ui-bundle.js", "/api/docs/docs.js"]
ASKED = web.AppKey("ASKED", list[str])


@web.middleware
async def remember(request: web.Request, handler: Handler) -> web.StreamResponse:
    request.app[ASKED].append(request.path)
    return await handler(request)


@operation(summary="Ring the bell", tag="Bells")
async def ring(request: web.Request) -> web.Response:
    return web.json_response({})


@operation(summary="Silence the bell", tag="Bells")
async def silence(request: web.Request) -> web.Response:
    return web.json_response({})


def toy_app() -> web.Application:
    """Return an app with the page, its document, and a foreign document that the page must not load."""

    async def show_document(request: web.Request) -> web.Response:
        return web.json_response(document(request.app))

    async def show_foreign(request: web.Request) -> web.Response:
        foreign = document(request.app)
        foreign["info"]["title"] = "Foreign"
        return web.json_response(foreign)

    async def show_foreign_config(request: web.Request) -> web.Response:
        return web.json_response({"url": "/foreign.json"})

    app = web.Application(middlewares=[remember])
    app[ASKED] = []
    app.add_routes(
        [
            web.post("/bell", ring),
            web.delete("/bell", silence),
            web.get("/openapi.json", show_document),
            web.get("/foreign.json", show_foreign),
            web.get("/foreign-config.json", show_foreign_config),
            *docs.routes("/openapi.json"),
        ]
    )
    return app


@pytest.fixture
async def client(aiohttp_client: AiohttpClient) -> Client:
    return await aiohttp_client(toy_app())


@pytest.mark.parametrize("path", PAGES)
async def test_docs_page_parts_have_strict_headers(client: Client, path: str) -> None:
    response = await client.get(path)
    assert response.status == 200
    assert response.headers["Content-Security-Policy"] == (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Referrer-Policy"] == "no-referrer"
    assert response.headers["Cache-Control"] == "no-cache"


async def test_docs_page_parts_have_content_types(client: Client) -> None:
    types = [(await client.get(path)).headers["Content-Type"] for path in PAGES]
    assert types == [f"text/{kind}; charset=utf-8" for kind in ("html", "css", "javascript", "javascript")]


@pytest.mark.parametrize("path", PAGES[1:])
async def test_docs_asset_with_matching_etag_is_304(client: Client, path: str) -> None:
    first = await client.get(path)
    again = await client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")


@pytest.mark.parametrize("name", ["manifest.json", "LICENSE", "../docs.py", "%2e%2e/docs.py", "swagger-ui/docs.js", ""])
async def test_docs_assets_outside_page_are_404(client: Client, name: str) -> None:
    assert (await client.get(f"/api/docs/{name}")).status == 404


async def test_docs_page_has_no_inline_code_or_foreign_host(client: Client) -> None:
    page = await (await client.get("/api/docs")).text()
    assert re.findall(r"<script(?! src=\"docs/[\w.-]+\"></script>)", page) == []
    assert "<style" not in page
    assert not re.search(r"\son\w+=|\sstyle=", page)
    assert "//" not in page


async def test_docs_page_escapes_document_url(aiohttp_client: AiohttpClient) -> None:
    app = web.Application()
    app.add_routes(docs.routes('/x"><script>'))
    page = await (await (await aiohttp_client(app)).get("/api/docs")).text()
    assert 'data-document="/x&quot;&gt;&lt;script&gt;"' in page


def test_docs_vendored_files_match_manifest() -> None:
    manifest = json.loads((VENDORED / "manifest.json").read_text(encoding="utf-8"))
    present = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDORED.iterdir()
        if path.name != "manifest.json"
    }
    assert present == manifest["sha256"]
    assert {"LICENSE", "NOTICE", "swagger-ui-bundle.js", "swagger-ui.css"} <= set(present)
    assert manifest["version"].startswith("5.")


async def rendered(server: TestServer, address: str, profile: Path) -> tuple[str, str]:
    """Return the final DOM of the page in a browser, and the log of the browser."""
    browser = await asyncio.create_subprocess_exec(
        "chromium",
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        f"--user-data-dir={profile}",
        "--virtual-time-budget=20000",
        "--enable-logging=stderr",
        "--dump-dom",
        str(server.make_url(address)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        dom, log = await asyncio.wait_for(browser.communicate(), BROWSER_DEADLINE)
    finally:
        if browser.returncode is None:
            browser.kill()
            await browser.wait()
    return dom.decode(), log.decode(errors="replace")


@pytest.mark.needs("chromium")
@pytest.mark.parametrize(
    "query",
    [
        "",
        "?url=/foreign.json",
        "?configUrl=/foreign-config.json",
        "?urls.primaryName=x&url=/foreign.json&configUrl=data:application/json,%7B%22url%22%3A%22%2Fforeign.json%22%7D",
    ],
)
async def test_docs_page_in_browser_loads_only_its_document(
    aiohttp_server: AiohttpServer, tmp_path: Path, query: str
) -> None:
    app = toy_app()
    dom, log = await rendered(await aiohttp_server(app), f"/api/docs{query}", tmp_path / "profile")
    assert "Ring the bell" in dom
    assert "Silence the bell" in dom
    assert dom.count('class="opblock ') == 2
    assert "Foreign" not in dom
    console = [line for line in log.splitlines() if "CONSOLE" in line]
    assert console == []
    assert not re.search("Refused to|Content.Security.Policy", log, re.IGNORECASE)
    asked = app[ASKED]
    assert sorted(asked) == sorted([*PAGES, "/openapi.json"])
