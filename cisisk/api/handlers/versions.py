"""Handlers of config versions and their differences."""

import asyncio

from aiohttp import web

from cisisk.api.context import database, mac_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, operation
from cisisk.api.schemas.version import DiffOut, VersionOut, VersionQuery
from cisisk.model.errors import NotFound
from cisisk.model.listing import Listing
from cisisk.model.sep_config.diff import diff
from cisisk.store import configs, phones

_VERSION, _DIFF = VersionOut(), DiffOut()
_MAX_DIGITS = 18
"""Digits of the largest version number in the database."""


@operation(
    summary="List the config versions of a phone",
    tag="Phone config",
    query=VersionQuery(),
    data=VersionOut(many=True),
)
async def find(request: web.Request) -> web.Response:
    """GET /phones/{mac}/versions."""
    listing = Listing(**request[QUERY])
    phone = await database(request).read(phones.get, mac_of(request))
    page = await database(request).read(configs.versions, phone.mac, listing)
    return reply_page(request, "version(s) found", _VERSION, page, listing)


@operation(summary="Compare two config versions of a phone", tag="Phone config", data=DiffOut())
async def compare(request: web.Request) -> web.Response:
    """GET /phones/{mac}/versions/{before}/diff/{after}."""
    phone = await database(request).read(phones.get, mac_of(request))
    before, after = [
        await database(request).read(configs.version_content, phone.mac, _number(request, name))
        for name in ("before", "after")
    ]
    # In a thread: comparing a large file takes a tenth of a second.
    found = await asyncio.to_thread(diff, before, after)
    return reply(request, f"{len(found.changes) + found.more} change(s) found", _DIFF.dump(found))


def _number(request: web.Request, name: str) -> int:
    digits = request.match_info[name]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise NotFound("The phone has no such config version")
    return int(digits)
