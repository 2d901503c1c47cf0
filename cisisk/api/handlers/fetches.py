"""Handlers of the fetch log and of boots."""

from aiohttp import web

from cisisk.api.context import database, mac_of
from cisisk.api.envelope import reply_list, reply_page
from cisisk.api.openapi import QUERY, operation
from cisisk.api.schemas.fetch import BootOut, BootQuery, FetchOut, FetchQuery
from cisisk.fetches import boot_log
from cisisk.model.listing import Listing
from cisisk.store import fetches
from cisisk.store.fetches import Wanted

_FETCH, _BOOT = FetchOut(), BootOut()
_LIST_PARAMETERS = ("limit", "offset", "q", "sort")


@operation(summary="Read the fetch log", tag="Fetches", query=FetchQuery(), data=FetchOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /fetches."""
    query = request[QUERY]
    listing = Listing(**{name: query[name] for name in _LIST_PARAMETERS})
    wanted = Wanted(**{name: value for name, value in query.items() if name not in _LIST_PARAMETERS})
    page = await database(request).read(fetches.page, listing, wanted)
    return reply_page(request, "fetch(es) found", _FETCH, page, listing)


@operation(summary="List the boots of a phone with findings", tag="Fetches", query=BootQuery(), data=BootOut(many=True))
async def boots(request: web.Request) -> web.Response:
    """GET /phones/{mac}/boots."""
    listing = Listing(**request[QUERY])
    found = await boot_log.read_boots(database(request), mac_of(request))
    part = found[listing.offset :][: listing.limit]
    data = _BOOT.dump(part, many=True)
    return reply_list(request, f"{len(data)} boot(s) found", data, total=len(found), listing=listing)
