"""Handlers of XML services."""

from aiohttp import web

from cisisk.api.context import actor, database, seen_versions, uuid_of
from cisisk.api.envelope import reply, reply_page
from cisisk.api.openapi import QUERY, body_of, operation
from cisisk.api.schemas.listing import ListQuery
from cisisk.api.schemas.service import ServiceIn, ServiceOut
from cisisk.model.listing import Listing
from cisisk.store import services

_SERVICE, _TAG = ServiceOut(), "Cisco services"


@operation(summary="List services", tag=_TAG, query=ListQuery(), data=ServiceOut(many=True))
async def find(request: web.Request) -> web.Response:
    """GET /cisco-services."""
    listing = Listing(**request[QUERY])
    page = await database(request).read(services.page, listing)
    return reply_page(request, "cisco service(s) found", _SERVICE, page, listing)


@operation(summary="Show a service", tag=_TAG, data=ServiceOut(), etag=True)
async def show(request: web.Request) -> web.Response:
    """GET /cisco-services/{uuid}."""
    service = await database(request).read(services.get, uuid_of(request))
    return reply(request, "Cisco service found", _SERVICE.dump(service), version_of=service)


@operation(summary="Add a service", tag=_TAG, body=ServiceIn(), data=ServiceOut(), status=201, etag=True)
async def create(request: web.Request) -> web.Response:
    """POST /cisco-services."""
    service = await database(request).write(services.create, actor(request), body_of(request))
    return reply(request, "Cisco service created", _SERVICE.dump(service), status=201, version_of=service)


@operation(summary="Change a service", tag=_TAG, body=ServiceIn(partial=True), data=ServiceOut(), etag=True)
async def update(request: web.Request) -> web.Response:
    """PUT /cisco-services/{uuid}."""
    service = await database(request).write(
        services.update, actor(request), uuid_of(request), body_of(request), seen_versions(request)
    )
    return reply(request, "Cisco service updated", _SERVICE.dump(service), version_of=service)


@operation(summary="Delete a service", tag=_TAG, etag=True)
async def delete(request: web.Request) -> web.Response:
    """DELETE /cisco-services/{uuid}."""
    await database(request).write(services.delete, actor(request), uuid_of(request), seen_versions(request))
    return reply(request, "Cisco service deleted")
