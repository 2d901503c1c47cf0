"""Handlers of sites."""

from aiohttp import web

from cisisk.api.context import actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.site import SiteIn, SiteOut
from cisisk.model.listing import Listing
from cisisk.store import sites

_SITE, _TAG = SiteOut(), "Sites"


@operation(summary="List sites", tag=_TAG, query=ListQuery(), data=SiteOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /sites."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(sites.page, listing)
    return reply_page(request, "site(s) found", _SITE, page, listing)


@operation(summary="Show a site", tag=_TAG, data=SiteOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /sites/{uuid}."""
    site = await database(request).read(sites.get, uuid_of(request))
    return reply(request, "Site found", _SITE.dump(site), version_of=site)


@operation(summary="Add a site", tag=_TAG, body=SiteIn(), data=SiteOut(), status=201, errors=(409,), etag=True)
async def create(request: web.Request) -> web.Response:
    """POST /sites."""
    site = await database(request).write(sites.create, actor(request), body_of(request))
    return reply(request, "Site created", _SITE.dump(site), status=201, version_of=site)


@operation(summary="Change a site", tag=_TAG, body=SiteIn(partial=True), data=SiteOut(), errors=(409,), etag=True)
async def update(request: web.Request) -> web.Response:
    """PUT /sites/{uuid}."""
    site = await database(request).write(
        sites.update, actor(request), uuid_of(request), body_of(request), seen_versions(request)
    )
    return reply(request, "Site updated", _SITE.dump(site), version_of=site)


@operation(summary="Delete a site", tag=_TAG, etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /sites/{uuid}."""
    await database(request).write(sites.delete, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Site deleted")
