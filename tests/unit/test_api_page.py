"""docs/api.md names every operation of the API, and its signature check works."""

import base64
import re
import time
from pathlib import Path
from typing import Any

from aiohttp import web

from cisisk.api.middleware import STATUS
from cisisk.api.openapi import document
from cisisk.api.routes import ROUTES
from cisisk.model.codes.config import FindingCode
from cisisk.model.webhook import signature
from cisisk.phone_services import links

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
OPERATION = re.compile(r"`(GET|POST|PUT|DELETE) (/[^`\s?]+)`")
SERVED_ELSEWHERE = {"POST /emservice/EMServiceServlet"}
"""Operations outside the prefix and the document."""


def published() -> set[str]:
    app = web.Application()
    app.add_routes(ROUTES)
    paths: dict[str, dict[str, Any]] = document(app)["paths"]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def code_blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def cells(heading: str) -> list[list[str]]:
    """Return the table rows below a heading, without the head and the rule."""
    section = re.split(r"^#+ ", PAGE.partition(f"{{#{heading}}}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    rows = re.findall(r"^\| (.*) \|$", section, re.MULTILINE)
    return [[cell.strip() for cell in row.split(" | ")] for row in rows[1:]]


def test_page_names_every_operation_and_no_other() -> None:
    named = {f"{method} {path}" for method, path in OPERATION.findall(PAGE)}
    assert named - SERVED_ELSEWHERE == published() | {"GET /openapi.json"}


def test_page_names_every_warning_about_a_config() -> None:
    assert [row[0].strip("`") for row in cells("config-warnings")] == [code.value for code in FindingCode]


def test_page_names_every_status_of_errors() -> None:
    named = {int(status) for row in cells("responses") for status in re.findall(r"\b[2-5][0-9]{2}\b", row[0])}
    assert named >= {*STATUS.values(), 500}


def test_page_names_pages_that_phones_are_served() -> None:
    named = {row[0].strip("`").removeprefix(f"{links.PREFIX}/").partition("?")[0] for row in cells("phone-pages")}
    assert named == {"dir", "pdir", "cdir", "profile-switch"}


def test_signature_check_accepts_what_cisisk_signs() -> None:
    check: dict[str, Any] = {}
    (source,) = code_blocks("python")
    exec(source, check)  # noqa: S102 -- the page's own code
    secret = "whsec_" + base64.b64encode(bytes(range(32))).decode()
    now, body = int(time.time()), b'{"type": "deployment.registered"}'
    headers = {
        "webhook-id": "message",
        "webhook-timestamp": str(now),
        "webhook-signature": signature(secret, "message", now, body),
    }
    assert check["is_from_cisisk"](secret, headers, body)
    assert not check["is_from_cisisk"](secret, headers, body + b" ")
    assert not check["is_from_cisisk"](secret, {**headers, "webhook-timestamp": str(now - 600)}, body)
