"""Handlers of key expansion modules."""

from aiohttp import web

from cisisk.api.context import actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.kem import KemIn, KemOut
from cisisk.api.schemas.listing import ListQuery
from cisisk.model.listing import Listing
from cisisk.store import kems

_KEM, _TAG = KemOut(), "Cisco key expansion modules"


@operation(summary="List key expansion modules", tag=_TAG, query=ListQuery(), data=KemOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /cisco-kem."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(kems.page, listing)
    return reply_page(request, "cisco KEM(s) found", _KEM, page, listing)


@operation(summary="Show a key expansion module", tag=_TAG, data=KemOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /cisco-kem/{uuid}."""
    kem = await database(request).read(kems.get, uuid_of(request))
    return reply(request, "Cisco KEM found", _KEM.dump(kem), version_of=kem)


@operation(summary="Add a key expansion module", tag=_TAG, body=KemIn(), data=KemOut(), status=201, etag=True)
async def create(request: web.Request) -> web.Response:
    """POST /cisco-kem."""
    kem = await database(request).write(kems.create, actor(request), body_of(request))
    return reply(request, "Cisco KEM created", _KEM.dump(kem), status=201, version_of=kem)


@operation(summary="Change a key expansion module", tag=_TAG, body=KemIn(partial=True), data=KemOut(), etag=True)
async def update(request: web.Request) -> web.Response:
    """PUT /cisco-kem/{uuid}."""
    kem = await database(request).write(
        kems.update, actor(request), uuid_of(request), body_of(request), seen_versions(request)
    )
    return reply(request, "Cisco KEM updated", _KEM.dump(kem), version_of=kem)


@operation(summary="Delete a key expansion module", tag=_TAG, etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /cisco-kem/{uuid}."""
    await database(request).write(kems.delete, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Cisco KEM deleted")
